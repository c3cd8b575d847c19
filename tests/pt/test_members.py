"""Members of PyTorch models that tools of `transformers` use; what the table of programs cannot show."""

import pytest
import torch
from torch import nn

from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering, LxmertModel, VisualBertForPreTraining
from tests.small import WIDTH, WORDS, small_config, small_inputs, small_labels

PRETRAINING, ANSWERING = "LxmertForPreTraining", "LxmertForQuestionAnswering"


def tensors(name):
    return {key: torch.as_tensor(value) for key, value in {**small_inputs(name), **small_labels(name)}.items()}


def test_options_of_gradient_checkpointing():
    model = LxmertForQuestionAnswering(small_config(ANSWERING))
    calls = []

    def contexts():
        calls.append(1)
        return torch.enable_grad(), torch.enable_grad()

    model.gradient_checkpointing_enable({"use_reentrant": False, "context_fn": contexts, "preserve_rng_state": True})
    model.train()(**tensors(ANSWERING)).loss.backward()
    assert len(calls) == 3  # one for each layer
    model.activation_checkpointing_enable()
    assert model.is_activation_checkpointing
    assert model.backbone.is_gradient_checkpointing
    model.train()(**tensors(ANSWERING)).loss.backward()
    assert len(calls) == 3
    model.activation_checkpointing_disable()
    assert not model.is_gradient_checkpointing
    with pytest.raises(ValueError, match="use_reentrant must be False"):
        model.gradient_checkpointing_enable({"use_reentrant": True})
    with pytest.raises(TypeError, match=r"may have use_reentrant, preserve_rng_state, .*; got 'offload'"):
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"offload": True})
    with pytest.raises(ValueError, match="every_n_layers must be 1"):
        model.activation_checkpointing_enable(every_n_layers=2)


def test_output_embeddings_are_parameters_of_the_model():
    model = LxmertForPreTraining(small_config(PRETRAINING))
    layer = model.get_output_embeddings()
    assert layer.weight is model.get_input_embeddings().weight
    assert layer.bias is model.heads.word.bias
    assert not [p for p in layer.parameters() if all(p is not own for own in model.parameters())]
    states = torch.rand(2, WIDTH)
    torch.testing.assert_close(layer(states), states @ model.get_input_embeddings().weight.T + layer.bias)
    model.set_output_embeddings(layer)  # the same tensors
    with pytest.raises(ValueError, match="tied to the word embedding: use set_input_embeddings"):
        model.set_output_embeddings(nn.Linear(WIDTH, WORDS))
    assert LxmertModel(small_config("LxmertModel")).get_output_embeddings() is None
    with pytest.raises(ValueError, match="LxmertModel has no layer that scores words"):
        LxmertModel(small_config("LxmertModel")).set_output_embeddings(layer)


def test_an_untied_decoder_is_replaced():
    model = VisualBertForPreTraining(small_config("VisualBertForPreTraining", tie_word_embeddings=False))
    new = nn.Linear(WIDTH, WORDS)
    model.set_output_embeddings(new)
    assert model.heads.word.decoder.weight is new.weight
    assert model.get_output_embeddings().bias is new.bias
    with pytest.raises(ValueError, match=r"output embeddings must be \[\d+, 24\]; got \[3, 24\]"):
        model.set_output_embeddings(nn.Linear(WIDTH, 3))
    every = model.num_parameters()
    tables = sum(p.numel() for name, p in model.backbone.embeddings.named_parameters() if name.split(".")[0] in TABLES)
    assert model.num_parameters(exclude_embeddings=True) == every - tables


TABLES = ("word", "position", "token_type", "visual_position", "visual_token_type")


def test_gradients_of_frozen_word_vectors():
    model = LxmertForQuestionAnswering(small_config(ANSWERING)).requires_grad_(False)
    model.enable_input_require_grads()
    model.enable_input_require_grads()  # once more makes no second hook
    seen = []
    model.get_input_embeddings().register_forward_hook(lambda module, given, vectors: seen.append(vectors))
    model(**tensors(ANSWERING)).loss.backward()
    assert seen[0].is_leaf
    assert seen[0].grad.abs().sum() > 0
    model.disable_input_require_grads()
    model.disable_input_require_grads()
    assert not model(**tensors(ANSWERING)).loss.requires_grad


def test_new_words_are_drawn_around_the_mean():
    model = LxmertModel(small_config("LxmertModel"))
    with torch.no_grad():
        model.get_input_embeddings().weight.add_(3)
    table = model.resize_token_embeddings(WORDS + 2000).weight.detach()
    old, new = table[:WORDS], table[WORDS:]
    torch.testing.assert_close(new, old.mean(0).expand_as(new), rtol=1e-4, atol=1e-4)
    centered = old - old.mean(0)
    # 2,000 rows estimate a covariance within a few percent.
    wanted, found = (centered.T @ centered / WORDS * 1e-9).diagonal(), (new.double() - new.double().mean(0)).var(0)
    assert 0.5 < (found / wanted).mean() < 2
    fresh = model.resize_token_embeddings(WORDS + 4000, mean_resizing=False).weight.detach()[WORDS + 2000 :]
    assert abs(fresh.mean()) < 0.01
    assert abs(fresh.std() - model.config.initializer_range) < 0.01


def test_a_user_s_initialization():
    class Own(LxmertModel):
        def _init_weights(self, module):
            super()._init_weights(module)
            if isinstance(module, nn.Linear):
                nn.init.constant_(module.weight, 2.0)

    model = Own(small_config("LxmertModel"))
    assert model.pooler.dense.weight.unique().tolist() == [2.0]
    with torch.no_grad():
        model.pooler.dense.weight.zero_()
    model.init_weights()
    assert model.pooler.dense.weight.unique().tolist() == [2.0]


def test_what_the_trainer_writes():
    one, other = (LxmertModel(small_config("LxmertModel")) for _ in range(2))
    one.warnings_issued["estimate_tokens"] = True
    assert other.warnings_issued == {}
    one.add_model_tags("a")
    assert other.model_tags is None
    assert not one.can_generate()


@pytest.mark.parametrize("devices", ["auto", "sequential", {"backbone": "cpu", "heads": "cpu"}])
def test_accelerate_places_a_model(devices, tmp_path):
    pytest.importorskip("accelerate", reason="pip install -e '.[compat]'")
    model = LxmertForPreTraining(small_config(PRETRAINING)).eval()
    model.save_pretrained(tmp_path)
    placed = LxmertForPreTraining.from_pretrained(tmp_path, device_map=devices)
    given = {name: torch.as_tensor(value) for name, value in small_inputs(PRETRAINING).items()}
    torch.testing.assert_close(placed(**given).prediction_logits, model(**given).prediction_logits)


def test_weights_stay_on_disk(tmp_path):
    pytest.importorskip("accelerate", reason="pip install -e '.[compat]'")
    model = LxmertForQuestionAnswering(small_config(ANSWERING)).eval()
    model.save_pretrained(tmp_path / "saved")
    devices = {"backbone": "cpu", "heads": "disk"}
    placed = LxmertForQuestionAnswering.from_pretrained(
        tmp_path / "saved", device_map=devices, offload_folder=tmp_path / "offloaded"
    )
    given = tensors(ANSWERING)
    torch.testing.assert_close(placed(**given).loss, model(**given).loss)
    with pytest.raises(ValueError, match=r"heads\.answer\.up\.weight is a tensor of torch\.float32 on meta"):
        placed.save_pretrained(tmp_path / "again")

"""The models as plain nn.Modules: state, copies, gradients, dropout, devices, and which attention is computed."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

from lxmert.common.config import LxmertConfig
from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering, LxmertForVisualReasoning, LxmertModel, layers
from tests.small_lxmert import small_config

from .tensors import flat, inputs, labels_of

KINDS = (LxmertModel, LxmertForPreTraining, LxmertForQuestionAnswering, LxmertForVisualReasoning)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
X = inputs()


def x_of(kind):
    """The inputs of a class."""
    return inputs(architecture=kind.__name__)


def equal(found, expected):
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)


# State


@every_kind
def test_state_dicts(kind, tmp_path):
    model, other = kind(small_config()).eval(), kind(small_config()).eval()
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    equal(other(**x_of(kind)), model(**x_of(kind)))
    nested = "" if kind is LxmertModel else "backbone."
    names = {p.name if p.head else nested + p.name for p, _ in model.weights_by_name()}
    assert set(model.state_dict()) == names
    assert {name for name, _ in model.named_parameters()} == names


@every_kind
def test_copies_and_pickles(kind):
    model = kind(small_config()).eval()
    output = model(**x_of(kind))
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.config == model.config
        equal(again(**x_of(kind)), output)
    with torch.no_grad():
        first = copy.deepcopy(model)
        first.get_input_embeddings().weight.add_(1.0)
    equal(model(**x_of(kind)), output)


def test_outputs_and_configs_are_copied_and_pickled():
    config = small_config(pruned_heads={"language_layers.0.attention": (1,)})
    with torch.no_grad():
        output = LxmertModel(config).eval()(**X, output_attentions=True)
    for again in (copy.deepcopy(output), pickle.loads(pickle.dumps(output))):
        assert type(again) is type(output)
        assert again.keys() == output.keys()
        equal(again, output)
    assert copy.deepcopy(config) == pickle.loads(pickle.dumps(config)) == config


def test_outputs_answer_to_names_and_places():
    output = LxmertModel(small_config())(**X)
    assert output.keys() == ("language_output", "vision_output", "pooled_output")
    assert output["pooled_output"] is output.pooled_output is output[2] is output.to_tuple()[-1]
    language, vision, pooled = output
    assert (language.shape, vision.shape, pooled.shape) == ((3, 5, 24), (3, 7, 24), (3, 24))
    assert isinstance(LxmertModel(small_config(return_dict=False))(**X), tuple)


@every_kind
def test_the_meta_device_makes_no_numbers(kind):
    with torch.device("meta"):
        model = kind(small_config())
        x = {name: torch.empty(values.shape, dtype=values.dtype) for name, values in x_of(kind).items()}
    assert all(p.is_meta for p in model.parameters())
    shapes = [tuple(tensor.shape) for tensor in flat(kind(small_config())(**x_of(kind)))]
    assert [tuple(tensor.shape) for tensor in flat(model(**x))] == shapes
    model.to_empty(device="cpu")
    model.reset_parameters()
    assert all(tensor.isfinite().all() for tensor in flat(model(**x_of(kind))))


def test_fresh_weights_come_from_the_seed():
    made = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        made.append(LxmertForPreTraining(small_config()).state_dict())
    equal(list(made[0].values()), list(made[1].values()))
    assert any((made[0][name] != made[2][name]).any() for name in made[0])
    tables = [made[0][f"backbone.embeddings.{name}.weight"] for name in ("word", "position", "token_type")]
    assert all((table[0] == 0).all() and (table[1] != 0).any() for table in tables)


def test_a_decoder_of_its_own_starts_like_the_other_tables():
    torch.manual_seed(3)
    model = LxmertForPreTraining(small_config(tie_word_embeddings=False, vocab_size=500, initializer_range=0.5))
    decoder = model.heads.word.decoder.weight.detach()
    assert abs(float(decoder.std()) - 0.5) < 0.05
    assert decoder.any(1).all(), "it has no padding row"
    assert LxmertForPreTraining(small_config()).heads.word.decoder is None


# Gradients


@pytest.mark.parametrize("kind", [LxmertForQuestionAnswering, LxmertForVisualReasoning])
def test_every_trainable_parameter_of_a_pooled_answer_gets_a_gradient(kind):
    # What DistributedDataParallel wants when it is not told to look for parameters without one.
    model = kind(small_config(l_layers=2, x_layers=2))
    model(**x_of(kind), **labels_of(kind.__name__)).loss.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    frozen = {".".join(name.split(".")[:4]) for name, p in model.named_parameters() if not p.requires_grad}
    last = "backbone.cross_layers.1"
    assert frozen == {f"{last}.visual_self_attention", f"{last}.visual_feed_forward"}


def test_pretraining_reaches_every_parameter():
    model = LxmertForPreTraining(small_config())
    model(**X, **labels_of("LxmertForPreTraining")).loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_asking_for_states_or_all_maps_computes_the_image_branch(monkeypatch):
    model = LxmertForQuestionAnswering(small_config()).eval()
    calls = []
    branch = model.backbone.cross_layers[-1].visual_feed_forward
    branch.register_forward_hook(lambda *_: calls.append(1))
    model(**X)
    model(**X, output_attentions=True)
    assert calls == []
    assert model(**X, output_hidden_states=True).vision_hidden_states[-1].shape == (3, 7, 24)
    assert model(**X, output_attentions="all").cross_encoder_vision_self_attentions[0].shape == (3, 3, 7, 7)
    assert len(calls) == 2


def test_gradients_stay_on_attention_maps():
    model = LxmertForQuestionAnswering(small_config())
    output = model(**X, output_attentions=True)
    maps = (*output.language_attentions, *output.vision_attentions, *output.cross_encoder_attentions)
    for weights in maps:
        weights.retain_grad()
    output.question_answering_score[:, 0].sum().backward()
    assert all(weights.grad is not None and weights.grad.isfinite().all() for weights in maps)
    assert any((weights.grad != 0).any() for weights in maps)


@every_kind
def test_gradient_checkpointing_changes_no_gradient(kind):
    model = kind(small_config(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2))

    def gradients():
        torch.manual_seed(1)
        model.zero_grad()
        output = model(**x_of(kind), **labels_of(kind.__name__))
        (output.pooled_output.sum() if kind is LxmertModel else output.loss).backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    expected = gradients()
    model.gradient_checkpointing_enable()
    for a, b in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(a, b)
    model.gradient_checkpointing_disable()
    equal(gradients(), expected)


# Dropout


def test_dropout_is_on_in_training_only():
    model = LxmertModel(small_config(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2))
    assert model.training
    assert (model(**X).pooled_output != model(**X).pooled_output).any()
    torch.manual_seed(2)
    first = model(**X)
    torch.manual_seed(2)
    equal(model(**X), first)
    model.eval()
    equal(model(**X), model(**X))


@pytest.mark.parametrize("maps", [False, "all"])
def test_the_dropout_of_attention_weights_is_its_own(maps):
    model = LxmertModel(small_config(attention_probs_dropout_prob=0.5))
    assert (model(**X, output_attentions=maps).pooled_output != model(**X, output_attentions=maps).pooled_output).any()
    if maps:
        weights = model(**X, output_attentions=maps).language_attentions[0]
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 3, 5))


# Attention


@pytest.mark.parametrize(("maps", "fused"), [(False, 6), (None, 6), (True, 3), ("all", 0)])
def test_fused_attention_is_used_where_no_map_is_asked_for(monkeypatch, maps, fused):
    calls = []
    attention = F.scaled_dot_product_attention

    def spy(*args, **options):
        calls.append(options)
        return attention(*args, **options)

    model = LxmertModel(small_config()).eval()
    with torch.no_grad():
        expected = model(**X).to_tuple()
        monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
        found = model(**X, output_attentions=maps)
    # Two layers, and a cross layer whose cross attention runs both ways; language to vision is asked for by True.
    assert len(calls) == fused
    for a, b in zip(found.to_tuple()[:3], expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_attention_drops_in_training_only(fused, monkeypatch):
    """On a processor by the plain way; elsewhere, and in graphs, by PyTorch's fused attention."""
    rates: list[float] = []
    attention, dropout = F.scaled_dot_product_attention, layers.dropout

    def of_fused(*args, dropout_p, **options):
        rates.append(dropout_p)
        return attention(*args, dropout_p=dropout_p, **options)

    def of_plain(weights, rate, training):
        rates.append(rate)
        return dropout(weights, rate, training)

    monkeypatch.setattr(F, "scaled_dot_product_attention", of_fused)
    monkeypatch.setattr(layers, "dropout", of_plain)
    monkeypatch.setattr(layers, "kernels_are_on", lambda: not fused)
    model = LxmertModel(small_config(attention_probs_dropout_prob=0.25))
    model(**X)
    assert set(rates) == {0.25}
    rates.clear()
    model.eval()(**X)
    assert set(rates) == {0.0}


# Size


PUBLISHED = {
    LxmertModel: 207_936_768,
    LxmertForPreTraining: 228_051_752,
    LxmertForQuestionAnswering: 223_722_524,
    LxmertForVisualReasoning: 210_303_746,
}


@pytest.mark.parametrize("kind", PUBLISHED, ids=lambda kind: kind.__name__)
def test_the_default_sizes_add_up_to_the_published_totals(kind):
    with torch.device("meta"):
        model = kind(LxmertConfig())
    assert model.num_parameters() == PUBLISHED[kind]
    trainable = model.num_parameters(only_trainable=True)
    assert (trainable < PUBLISHED[kind]) == (kind in (LxmertForQuestionAnswering, LxmertForVisualReasoning))

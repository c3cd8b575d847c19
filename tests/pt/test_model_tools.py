"""What a PyTorch model can do beside answering: load and save itself, change its sizes, lose heads."""

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from lxmert.common.config import LxmertConfig
from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering, LxmertForVisualReasoning, LxmertModel
from tests.small_lxmert import ANSWERS, WORDS, small_config

from .tensors import flat, inputs, labels_of

KINDS = (LxmertModel, LxmertForPreTraining, LxmertForQuestionAnswering, LxmertForVisualReasoning)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
X = inputs()


def x_of(kind):
    """The inputs of a class."""
    return inputs(architecture=kind.__name__)


def equal(found, expected, atol=0.0):
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=0)


# The shared folder


@every_kind
def test_a_folder_comes_back(kind, tmp_path):
    model = kind(small_config()).eval()
    model.save_pretrained(tmp_path / "new" / "folder")
    again = kind.from_pretrained(tmp_path / "new" / "folder")
    assert LxmertConfig.from_pretrained(tmp_path / "new" / "folder").extra["architectures"] == [kind.__name__]
    assert again.load_report.new == again.load_report.unexpected == ()
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in model.parameters()]
    equal(again(**x_of(kind)), model(**x_of(kind)))


def test_transformers_reads_the_folder(tmp_path):
    model = LxmertForPreTraining(small_config()).eval()
    model.save_pretrained(tmp_path)
    theirs, info = transformers.LxmertForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("unexpected_keys", "mismatched_keys"))
    # Its decoder is the tied word embedding.
    assert set(info["missing_keys"]) <= {"cls.predictions.decoder.weight"}
    # A wholly masked row is averaged over all tokens here and there, but for rounding.
    with torch.no_grad():
        found, expected = model(**X), theirs.eval()(**X)
    torch.testing.assert_close(found.prediction_logits, expected.prediction_logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.question_answering_score, expected.question_answering_score, atol=1e-5, rtol=0)


def test_parts_of_a_folder(tmp_path):
    model = LxmertForPreTraining(small_config()).eval()
    model.save_pretrained(tmp_path)
    backbone = LxmertModel.from_pretrained(tmp_path)
    equal(backbone(**X), model.backbone(**X))
    assert all(
        name.split(".")[0] in ("cls", "obj_predict_head", "answer_head") for name in backbone.load_report.unexpected
    )
    answering = LxmertForQuestionAnswering.from_pretrained(tmp_path)
    # It computes the last layer for the first word alone, and so rounds otherwise: by 6e-8 where it was measured.
    found, expected = (each(**X).question_answering_score for each in (answering, model))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    fresh = LxmertForQuestionAnswering.from_pretrained(tmp_path, only="backbone")
    assert {name.split(".")[1] for name in fresh.load_report.new} == {"answer"}
    assert not any(p.is_meta for p in fresh.parameters())
    equal(fresh.backbone(**X), model.backbone(**X))
    other = LxmertForQuestionAnswering.from_pretrained(tmp_path, num_qa_labels=3, allow_new_head=True)
    assert other(**X).question_answering_score.shape == (3, 3)
    changed = LxmertForQuestionAnswering.from_pretrained(tmp_path, output_hidden_states=True, config=None)
    assert len(changed(**X).language_hidden_states) == 2
    given = LxmertForQuestionAnswering.from_pretrained(tmp_path, config=small_config(return_dict=False))
    assert isinstance(given(**X), tuple)


def test_loaded_weights_can_be_trained(tmp_path):
    LxmertForQuestionAnswering(small_config()).save_pretrained(tmp_path)
    model = LxmertForQuestionAnswering.from_pretrained(tmp_path).train()
    model(**X, **labels_of("LxmertForQuestionAnswering")).loss.backward()
    torch.optim.AdamW(model.parameters()).step()
    # The file is closed, and the weights are the model's own: the folder may be written over.
    model.save_pretrained(tmp_path)
    equal(LxmertForQuestionAnswering.from_pretrained(tmp_path)(**X), model.eval()(**X))


# Words


@pytest.mark.parametrize(
    ("asked", "count"),
    [((WORDS + 4,), WORDS + 4), ((10,), 10), ((None,), WORDS), ((None, 8), 32), ((33, 8), 40), ((WORDS,), WORDS)],
)
def test_resizing_the_vocabulary(asked, count):
    model = LxmertForPreTraining(small_config())
    before = {p.name: values.detach().clone() for p, values in model.weights_by_name()}
    names = list(model.state_dict())
    table = model.resize_token_embeddings(*asked)
    assert table is model.get_input_embeddings()
    assert (table.num_embeddings, table.embedding_dim, table.padding_idx) == (count, 24, 0)
    assert model.config.vocab_size == model.backbone.config.vocab_size == count
    assert list(model.state_dict()) == names
    kept = min(count, WORDS)
    for parameter, values in model.weights_by_name():
        if parameter.name in ("embeddings.word.weight", "heads.word.bias"):
            assert values.shape[0] == count
            equal(values.detach()[:kept], before[parameter.name][:kept])
        else:
            equal(values.detach(), before[parameter.name])
    labels = {"labels": torch.full((3, 5), count - 1)}
    output = model(**{**X, "input_ids": X["input_ids"] % count}, **labels)
    assert output.prediction_logits.shape == (3, 5, count)
    output.loss.backward()
    assert (table.weight.grad[-1] != 0).any()


def test_the_word_head_stays_tied(tmp_path):
    model = LxmertForPreTraining(small_config()).eval()
    table = nn.Embedding(WORDS + 2, 24)
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    with torch.no_grad():
        table.weight.zero_()
    equal(model(**X).prediction_logits, model.heads.word.bias.expand(3, 5, -1))
    model.save_pretrained(tmp_path)
    assert LxmertForPreTraining.from_pretrained(tmp_path).config.vocab_size == WORDS + 2
    with pytest.raises(ValueError, match=r"embeddings must be \[V, 24\] \(hidden_size\); got \[9, 23\]"):
        model.set_input_embeddings(nn.Embedding(9, 23))


def test_a_vocabulary_has_words():
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        LxmertModel(small_config()).resize_token_embeddings(0)


def test_resizing_keeps_format_and_frozen_state():
    model = LxmertForPreTraining(small_config()).bfloat16()
    model.get_input_embeddings().weight.requires_grad_(False)
    model.get_qa_logit_layer().weight.requires_grad_(False)
    model.resize_token_embeddings(40)
    model.resize_num_qa_labels(13)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not model.get_input_embeddings().weight.requires_grad
    assert not model.get_qa_logit_layer().weight.requires_grad
    assert model.get_qa_logit_layer().bias.requires_grad


# Answers


@pytest.mark.parametrize("kind", [LxmertForPreTraining, LxmertForQuestionAnswering])
@pytest.mark.parametrize("count", [ANSWERS + 3, 4, ANSWERS, None])
def test_resizing_the_answers(kind, count, tmp_path):
    model = kind(small_config()).eval()
    old, names = model(**X).question_answering_score, list(model.state_dict())
    layer = model.resize_num_qa_labels(count)
    wanted = count or ANSWERS
    assert layer is model.get_qa_logit_layer()
    assert layer.out_features == model.config.num_qa_labels == wanted
    assert list(model.state_dict()) == names
    found = model(**X).question_answering_score
    assert found.shape == (3, wanted)
    equal(found[:, :ANSWERS], old[:, :wanted], atol=1e-6)
    model.save_pretrained(tmp_path)
    equal(kind.from_pretrained(tmp_path)(**X).question_answering_score, found)


def test_models_without_answers():
    model = LxmertForPreTraining(small_config(task_qa=False))
    assert model.get_qa_logit_layer() is None
    assert model.resize_num_qa_labels(5) is None
    assert "question_answering_score" not in model(**X)
    assert LxmertModel(small_config()).get_qa_logit_layer() is None
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        LxmertForQuestionAnswering(small_config()).resize_num_qa_labels(0)


# Heads of attention


PRUNED = {"language_layers.0.attention": (1,), "cross_layers.0.cross_attention": (0, 2)}


@every_kind
def test_pruning_takes_away_what_the_heads_add(kind, tmp_path):
    model, whole = kind(small_config()).eval(), kind(small_config()).eval()
    whole.load_state_dict(model.state_dict())
    names, count = list(model.state_dict()), model.num_parameters()
    with torch.no_grad():
        for path, heads in PRUNED.items():
            for head in heads:
                whole.base.get_submodule(path).out.weight[:, head * 8 : head * 8 + 8] = 0
    model.prune_heads({"language_layers.0.attention": [1], "cross_layers.0.cross_attention": [2]})
    model.prune_heads({"cross_layers.0.cross_attention": [0, 2]})
    assert model.config.pruned_heads == model.base.config.pruned_heads == PRUNED
    assert list(model.state_dict()) == names
    # Three heads are gone, each with 8 rows of three projections, their biases, and 8 columns of the fourth.
    assert model.num_parameters() == count - 3 * (4 * 8 * 24 + 3 * 8)
    equal(model(**x_of(kind)), whole(**x_of(kind)), atol=1e-5)
    assert model(**x_of(kind), output_attentions="all").language_attentions[0].shape[1:] == (2, 5, 5)
    model.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path)
    assert again.config.pruned_heads == PRUNED
    equal(again(**x_of(kind)), model(**x_of(kind)))


def test_pruning_leaves_the_frozen_branch_frozen():
    model = LxmertForQuestionAnswering(small_config())
    model.prune_heads({"cross_layers.0.visual_self_attention": [0]})
    model(**X, **labels_of("LxmertForQuestionAnswering")).loss.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (
            {"language_layers.7.attention": [0]},
            "pruned_heads names attentions by path, as 'language_layers.0.attention'",
        ),
        ({"language_layers.0.attention": [3]}, "must be some of the heads 0 to 2, not all; got [3]"),
        ({"language_layers.0.attention": [0, 1, 2]}, "must be some of the heads 0 to 2, not all; got [0, 1, 2]"),
    ],
)
def test_heads_that_cannot_be_pruned(heads, message):
    model = LxmertModel(small_config())
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ValueError, match="pruned_heads") as raised:
        model.prune_heads(heads)
    assert message in str(raised.value)
    assert model.config == small_config()
    equal(list(model.parameters()), before)
    assert np.isfinite(sum(p.detach().sum().item() for p in model.parameters()))


def test_a_subclass_with_a_layer_of_its_own(tmp_path):
    """What the file does not have starts as the class starts it; nothing stays without memory."""

    class WithMore(LxmertModel):
        def __init__(self, config):
            super().__init__(config)
            self.more = nn.Linear(config.hidden_size, 3)
            self.register_buffer("steps", torch.ones(2))

    model = LxmertModel(small_config()).eval()
    model.save_pretrained(tmp_path)
    loaded = WithMore.from_pretrained(tmp_path)
    equal(loaded(**X), model(**X), atol=1e-6)
    assert loaded.more.weight.std() > 0
    assert loaded.steps.tolist() == [1, 1]


@pytest.mark.parametrize("dtype", [torch.int64, "int8", "half a float"])
def test_dtypes_that_are_none(dtype, tmp_path):
    LxmertModel(small_config()).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"dtype must be a torch\.dtype or one of float64, float32, .*; got"):
        LxmertModel.from_pretrained(tmp_path, dtype=dtype)


def test_a_dtype_by_its_name(tmp_path):
    LxmertModel(small_config()).save_pretrained(tmp_path)
    assert LxmertModel.from_pretrained(tmp_path, dtype="bfloat16").pooler.dense.weight.dtype == torch.bfloat16

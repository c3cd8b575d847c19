"""What a PyTorch VisualBERT can do beside answering: load and save itself, change its sizes, lose heads."""

import pytest
import torch
import transformers
from torch import nn

import lxmert.pt
from tests.small_visual_bert import (
    ALIGNING,
    ANSWERING,
    CHOOSING,
    CLASSES,
    MODEL,
    NAMES,
    PRETRAINING,
    REASONING,
    TASKS,
    WORDS,
    small_config,
    small_inputs,
    small_labels,
    small_options,
)

from .tensors import flat, tensors

every_name = pytest.mark.parametrize("name", NAMES)
# What changes the weights or their names: pruned heads, and the layer behind the others.
CONFIG = small_config(
    bypass_transformer=True, pruned_heads={"encoder_layers.1.attention": (1,), "additional_layer.attention": (0,)}
)


def kind(name):
    return getattr(lxmert.pt, name)


def make(name, **changes):
    return kind(name)(small_config(**changes)).eval()


def inputs(name):
    return tensors({**small_inputs(name), **small_options(name)})


def labels(name):
    return tensors(small_labels(name))


def equal(found, expected, atol=0.0):
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a, b, atol=atol, rtol=0)


# The shared folder


@every_name
def test_a_folder_comes_back(name, tmp_path):
    model = kind(name)(CONFIG).eval()
    model.save_pretrained(tmp_path / "new" / "folder")
    again = kind(name).from_pretrained(tmp_path / "new" / "folder")
    assert not again.training
    assert again.config == CONFIG
    assert again.config.extra["architectures"] == [name]
    assert again.load_report.new == again.load_report.unexpected == ()
    assert [p.requires_grad for p in again.parameters()] == [p.requires_grad for p in model.parameters()]
    equal(again(**inputs(name)), model(**inputs(name)))


@every_name
def test_transformers_reads_the_folder(name, tmp_path):
    model = make(name)
    model.save_pretrained(tmp_path)
    theirs, info = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("unexpected_keys", "mismatched_keys"))
    # The decoder is the tied word embedding, and its bias the head's.
    assert set(info["missing_keys"]) <= {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    # Their question answering reads whole masks only, and ours is told apart from theirs elsewhere.
    x = {
        key: torch.ones_like(values) if "mask" in key else values for key, values in tensors(small_inputs(name)).items()
    }
    with torch.no_grad():
        equal(model(**x), theirs.eval()(**x).to_tuple(), atol=1e-5)


def test_a_backbone_without_pooler_comes_back(tmp_path):
    model = kind(MODEL)(CONFIG, add_pooling_layer=False).eval()
    model.save_pretrained(tmp_path)
    again = kind(MODEL).from_pretrained(tmp_path, add_pooling_layer=False)
    assert again.pooler is model.pooler is None
    assert again(**inputs(MODEL)).keys() == ("last_hidden_state",)
    equal(again(**inputs(MODEL)), model(**inputs(MODEL)))
    assert again.num_parameters() == kind(MODEL)(CONFIG).num_parameters() - 24 * 25


def test_parts_of_a_folder(tmp_path):
    model = make(PRETRAINING)
    model.save_pretrained(tmp_path)
    x = inputs(MODEL)
    backbone = kind(MODEL).from_pretrained(tmp_path)
    equal(backbone(**x), model.backbone(**x))
    assert {name.split(".")[0] for name in backbone.load_report.unexpected} == {"cls"}
    bare = kind(MODEL).from_pretrained(tmp_path, add_pooling_layer=False)
    equal(bare(**x), model.backbone(**x)[:1])
    assert any(name.endswith("pooler.dense.weight") for name in bare.load_report.unexpected)
    for name, head in ((CHOOSING, "choice"), (ANSWERING, "classifier"), (REASONING, "classifier")):
        fresh = kind(name).from_pretrained(tmp_path, only="backbone")
        assert {part.split(".")[1] for part in fresh.load_report.new} == {head}
        assert not any(p.is_meta for p in fresh.parameters())
        equal(fresh.backbone(**x), model.backbone(**x))
        assert all(tensor.isfinite().all() for tensor in flat(fresh(**inputs(name), **labels(name))))
    aligning = kind(ALIGNING).from_pretrained(tmp_path, allow_new_head=True)
    assert {part.split(".")[1] for part in aligning.load_report.new} == {"alignment"}
    equal(aligning.heads.word.bias, model.heads.word.bias)
    changed = kind(PRETRAINING).from_pretrained(tmp_path, output_hidden_states=True)
    assert len(changed(**x).hidden_states) == 3
    given = kind(PRETRAINING).from_pretrained(tmp_path, config=small_config(return_dict=False))
    assert isinstance(given(**x), tuple)


def test_another_number_of_labels(tmp_path):
    make(ANSWERING).save_pretrained(tmp_path)
    other = kind(REASONING).from_pretrained(tmp_path, num_labels=3, allow_new_head=True)
    assert other(**inputs(REASONING)).logits.shape == (2, 3)
    assert {part.split(".")[1] for part in other.load_report.new} == {"classifier"}


@pytest.mark.parametrize("name", TASKS)
def test_loaded_weights_can_be_trained(name, tmp_path):
    make(name).save_pretrained(tmp_path)
    model = kind(name).from_pretrained(tmp_path).train()
    before = model(**inputs(name), **labels(name)).loss
    before.backward()
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    # The file is closed, and the weights are the model's own: the folder may be written over.
    model.save_pretrained(tmp_path)
    again = kind(name).from_pretrained(tmp_path)(**inputs(name), **labels(name))
    equal(again, model.eval()(**inputs(name), **labels(name)))
    assert again.loss < before


# Words


@pytest.mark.parametrize(
    ("asked", "count"),
    [((WORDS + 4,), WORDS + 4), ((10,), 10), ((None,), WORDS), ((None, 8), 32), ((33, 8), 40), ((2,), 2)],
)
@pytest.mark.parametrize("name", [PRETRAINING, ALIGNING])
def test_resizing_the_vocabulary(name, asked, count):
    model = make(name)
    before = {p.name: values.detach().clone() for p, values in model.weights_by_name()}
    names, trained = list(model.state_dict()), [p.requires_grad for p in model.parameters()]
    table = model.resize_token_embeddings(*asked)
    assert table is model.get_input_embeddings()
    assert (table.num_embeddings, table.embedding_dim, table.padding_idx) == (count, 24, 1)
    assert model.config.vocab_size == model.backbone.config.vocab_size == count
    assert list(model.state_dict()) == names
    assert [p.requires_grad for p in model.parameters()] == trained
    for parameter, values in model.weights_by_name():
        kept = min(count, WORDS) if parameter.name in ("embeddings.word.weight", "heads.word.bias") else None
        assert kept is None or values.shape[0] == count
        equal(values.detach()[:kept], before[parameter.name][:kept])
    x = inputs(name)
    output = model(**{**x, "input_ids": x["input_ids"] % count})
    assert name == ALIGNING or output.prediction_logits.shape == (2, 12, count)


@pytest.mark.parametrize("count", [0, 1])
def test_a_vocabulary_keeps_its_padding(count):
    model = make(PRETRAINING)
    output = model(**inputs(PRETRAINING))
    with pytest.raises(ValueError, match=r"new_num_tokens must be at least 1; got 0|pad_token_id must be a word's id"):
        model.resize_token_embeddings(count)
    with pytest.raises(ValueError, match="pad_token_id must be a word's id"):
        model.set_input_embeddings(nn.Embedding(1, 24))
    assert model.config == small_config()
    equal(model(**inputs(PRETRAINING)), output)


def test_the_word_head_stays_tied(tmp_path):
    model, x = make(PRETRAINING), inputs(PRETRAINING)
    table = nn.Embedding(WORDS + 2, 24)
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    with torch.no_grad():
        table.weight.zero_()
        model.heads.word.bias.copy_(torch.arange(WORDS + 2))
    equal(model(**x).prediction_logits, model.heads.word.bias.expand(2, 12, -1))
    model.save_pretrained(tmp_path)
    again = kind(PRETRAINING).from_pretrained(tmp_path)
    assert again.config.vocab_size == WORDS + 2
    equal(again(**x), model(**x))
    with pytest.raises(ValueError, match=r"embeddings must be \[V, 24\] \(hidden_size\); got \[9, 23\]"):
        model.set_input_embeddings(nn.Embedding(9, 23))


# Labels


@pytest.mark.parametrize("name", [ANSWERING, REASONING])
@pytest.mark.parametrize("count", [CLASSES + 3, 4, CLASSES, None])
def test_resizing_the_labels(name, count, tmp_path):
    model = make(name)
    old, names = model(**inputs(name)).logits, list(model.state_dict())
    layer = model.resize_num_qa_labels(count)
    wanted = count or CLASSES
    assert layer is model.get_qa_logit_layer()
    assert layer.out_features == model.config.num_labels == model.backbone.config.num_labels == wanted
    assert list(model.state_dict()) == names
    found = model(**inputs(name)).logits
    assert found.shape == (2, wanted)
    equal(found[:, :CLASSES], old[:, :wanted], atol=1e-6)
    model.save_pretrained(tmp_path)
    equal(kind(name).from_pretrained(tmp_path)(**inputs(name)).logits, found)
    model(**inputs(name), labels=torch.tensor([0, wanted - 1])).loss.backward()
    assert (layer.weight.grad[-1] != 0).any()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in (ANSWERING, REASONING)])
def test_models_without_labels_to_resize(name):
    model = make(name)
    assert model.get_qa_logit_layer() is None
    assert model.resize_num_qa_labels(5) is None
    assert model.config == small_config()


def test_resizing_keeps_format_and_frozen_state():
    model = make(ANSWERING).bfloat16()
    model.get_input_embeddings().weight.requires_grad_(False)
    model.get_qa_logit_layer().weight.requires_grad_(False)
    model.resize_token_embeddings(40)
    model.resize_num_qa_labels(13)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    frozen = {p.name for p, values in model.weights_by_name() if not values.requires_grad}
    assert frozen == {"embeddings.word.weight", "heads.classifier.weight", "pooler.dense.weight", "pooler.dense.bias"}


# Heads of attention


PRUNED = {"encoder_layers.0.attention": (1,), "encoder_layers.1.attention": (0, 2)}


@pytest.mark.parametrize(("name", "form"), [*((name, "paths") for name in NAMES), (MODEL, "numbers")])
def test_pruning_takes_away_what_a_mask_would_silence(name, form, tmp_path):
    model, x = make(name), tensors(small_inputs(name))
    mask = torch.tensor([[1, 0, 1], [0, 1, 0]])
    expected, names, count = model(**x, head_mask=mask), list(model.state_dict()), model.num_parameters()
    first, second = PRUNED if form == "paths" else (0, 1)
    model.prune_heads({first: [1], second: [2]})
    model.prune_heads({second: [0, 2]})
    assert model.config.pruned_heads == model.base.config.pruned_heads == PRUNED
    assert list(model.state_dict()) == names
    # Three heads are gone, each with 8 rows of three projections, their biases, and 8 columns of the fourth.
    assert model.num_parameters() == count - 3 * (4 * 8 * 24 + 3 * 8)
    equal(model(**x), expected, atol=1e-5)
    # A mask counts the heads as in the unpruned model.
    equal(model(**x, head_mask=mask), model(**x))
    assert [maps.shape[1] for maps in model(**x, output_attentions=True).attentions] == [2, 1]
    model.save_pretrained(tmp_path)
    again = kind(name).from_pretrained(tmp_path)
    assert again.config.pruned_heads == PRUNED
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))
    # The same numbers at other addresses, in the mapped file, are summed up in another order.
    equal(again(**x), model(**x), atol=1e-6)


def test_the_additional_layer_loses_heads_too():
    model = make(ANSWERING, bypass_transformer=True)
    model.prune_heads({"additional_layer.attention": [0, 1]})
    assert model.config.pruned_heads == {"additional_layer.attention": (0, 1)}
    maps = model(**inputs(ANSWERING), output_attentions=True).attentions
    assert [tuple(values.shape) for values in maps] == [(2, 3, 5, 5), (2, 3, 5, 5), (2, 1, 12, 12)]
    model(**inputs(ANSWERING), **labels(ANSWERING)).loss.backward()
    assert [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({2: [0]}, "pruned_heads names attentions by path, as 'encoder_layers.0.attention'; got 'encoder_layers.2"),
        ({"additional_layer.attention": [0]}, "pruned_heads names attentions by path"),
        ({0: [3]}, "must be some of the heads 0 to 2, not all; got [3]"),
        ({"encoder_layers.1.attention": [0, 1, 2]}, "must be some of the heads 0 to 2, not all; got [0, 1, 2]"),
    ],
)
def test_heads_that_cannot_be_pruned(heads, message):
    model = make(MODEL)
    before = [p.detach().clone() for p in model.parameters()]
    with pytest.raises(ValueError, match="pruned_heads") as raised:
        model.prune_heads(heads)
    assert message in str(raised.value)
    assert model.config == small_config()
    equal(list(model.parameters()), before)

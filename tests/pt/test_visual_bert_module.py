"""The VisualBERT models as plain nn.Modules: state, copies, starts, gradients, dropout, and which attention runs."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F

import lxmert.pt
from lxmert.common.config import VisualBertConfig
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
    UNUSED,
    WORDS,
    small_config,
    small_inputs,
    small_labels,
    small_options,
)

from .tensors import flat, tensors

DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
SHAPES = {
    MODEL: {"last_hidden_state": (2, 12, 24), "pooler_output": (2, 24)},
    PRETRAINING: {"prediction_logits": (2, 12, WORDS), "seq_relationship_logits": (2, 2)},
    CHOOSING: {"logits": (2, 3)},
    ALIGNING: {"logits": (2, 12, 7)},
}
every_name = pytest.mark.parametrize("name", NAMES)


def make(name, **changes):
    return getattr(lxmert.pt, name)(small_config(**changes))


def inputs(name):
    return tensors({**small_inputs(name), **small_options(name)})


def labels(name):
    return tensors(small_labels(name))


def loss_of(model, name):
    output = model(**inputs(name), **labels(name))
    return output.pooler_output.sum() if name == MODEL else output.loss


def equal(found, expected):
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)


# State


@every_name
def test_state_dicts(name, tmp_path):
    model, other = make(name, bypass_transformer=True).eval(), make(name, bypass_transformer=True).eval()
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    equal(other(**inputs(name)), model(**inputs(name)))
    nested = "" if name == MODEL else "backbone."
    names = {p.name if p.head else nested + p.name for p, _ in model.weights_by_name()}
    assert set(model.state_dict()) == {key for key, _ in model.named_parameters()} == names


@every_name
def test_copies_and_pickles(name):
    model = make(name, pruned_heads={"encoder_layers.0.attention": (1,)}).eval()
    output = model(**inputs(name), output_attentions=True)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.config == model.config
        equal(again(**inputs(name), output_attentions=True), output)
    with torch.no_grad():
        copied = pickle.loads(pickle.dumps(model(**inputs(name), output_attentions=True)))
        copy.deepcopy(model).get_input_embeddings().weight.add_(1.0)
    assert type(copied) is type(output)
    equal(copied, output)
    equal(model(**inputs(name), output_attentions=True), output)


@every_name
def test_outputs_answer_to_names_and_places(name):
    output = make(name)(**inputs(name))
    kind = {MODEL: "VisualBertModelOutput", PRETRAINING: "VisualBertForPreTrainingOutput"}
    assert type(output) is getattr(lxmert.pt, kind.get(name, "VisualBertTaskOutput"))
    assert {key: tuple(value.shape) for key, value in output.items()} == SHAPES.get(name, {"logits": (2, CLASSES)})
    last = output.keys()[-1]
    assert output[last] is getattr(output, last) is output[-1] is output.to_tuple()[-1]
    assert isinstance(make(name, return_dict=False)(**inputs(name)), tuple)


@every_name
def test_the_meta_device_makes_no_numbers(name):
    with torch.device("meta"):
        model = make(name)
        x = {key: torch.empty(values.shape, dtype=values.dtype) for key, values in inputs(name).items()}
    assert all(p.is_meta for p in model.parameters())
    shapes = [tuple(tensor.shape) for tensor in flat(make(name)(**inputs(name)))]
    assert [tuple(tensor.shape) for tensor in flat(model(**x))] == shapes
    model.to_empty(device="cpu")
    model.reset_parameters()
    assert all(tensor.isfinite().all() for tensor in flat(model(**inputs(name))))


# How a model starts


def test_fresh_weights_come_from_the_seed():
    made = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        made.append(make(ALIGNING).state_dict())
    equal(list(made[0].values()), list(made[1].values()))
    assert any((made[0][name] != made[2][name]).any() for name in made[0])


@pytest.mark.parametrize("pad", [1, 0, None])
def test_only_the_padding_starts_at_zero(pad):
    tables = make(MODEL, pad_token_id=pad).embeddings
    for table in (tables.word, tables.position, tables.token_type, tables.visual_position, tables.visual_token_type):
        zeros = [row for row, values in enumerate(table.weight) if not values.any()]
        assert zeros == ([pad] if table is tables.word and pad is not None else [])


@every_name
def test_the_tables_of_regions_start_as_those_of_words(name, tmp_path):
    def pairs(model):
        tables = model.base.embeddings
        return [(getattr(tables, part).weight, getattr(tables, f"visual_{part}").weight) for part in PARTS]

    PARTS = ("position", "token_type")
    model = make(name)
    assert all(torch.equal(text, visual) for text, visual in pairs(model))
    assert not any(torch.equal(text, visual) for text, visual in pairs(make(name, special_visual_initialize=False)))
    # What was learned is not started again.
    with torch.no_grad():
        for text, _ in pairs(model):
            text.add_(1.0)
    model.save_pretrained(tmp_path)
    again = getattr(lxmert.pt, name).from_pretrained(tmp_path)
    equal(pairs(again), pairs(model))
    assert not any(torch.equal(text, visual) for text, visual in pairs(again))


# Gradients


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("bypass", [False, True])
def test_every_trainable_parameter_gets_a_gradient(name, bypass):
    # What DistributedDataParallel wants when it is not told to look for parameters without one.
    model = make(name, bypass_transformer=bypass)
    loss_of(model, name).backward()
    assert [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert {p.module for p, values in model.weights_by_name() if not values.requires_grad} == UNUSED.get(name, set())


@every_name
def test_the_padding_gets_no_gradient_from_the_lookup(name):
    model = make(name)
    loss_of(model, name).backward()
    table = model.get_input_embeddings()
    # The word head of pre-training reaches every row.
    assert (table.weight.grad[1] == 0).all() == (name != PRETRAINING)
    assert (table.weight.grad != 0).any()


@every_name
@pytest.mark.parametrize("bypass", [False, True])
def test_gradient_checkpointing_repeats_the_draws_of_dropout(name, bypass):
    model = make(name, **DROPOUT, bypass_transformer=bypass)

    def gradients():
        torch.manual_seed(1)
        model.zero_grad()
        loss_of(model, name).backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    expected = gradients()
    model.gradient_checkpointing_enable()
    for a, b in zip(gradients(), expected, strict=True):
        torch.testing.assert_close(a, b)
    model.gradient_checkpointing_disable()
    equal(gradients(), expected)


def test_gradients_stay_on_attention_maps():
    model = make(ANSWERING)
    output = model(**tensors(small_inputs(ANSWERING)), output_attentions=True)
    for weights in output.attentions:
        weights.retain_grad()
    output.logits[:, 0].sum().backward()
    assert all(weights.grad.isfinite().all() and (weights.grad != 0).any() for weights in output.attentions)


# Masks, dropout and attention


@pytest.mark.parametrize("name", [ANSWERING, ALIGNING])
def test_a_mask_keeps_what_is_not_zero(name):
    model, x = make(name).eval(), {**inputs(name), **labels(name)}
    halves = {key: x[key] * 0.5 for key in ("attention_mask", "visual_attention_mask")}
    equal(model(**{**x, **halves}), model(**x))


@every_name
def test_dropout_is_on_in_training_only(name):
    model = make(name, **DROPOUT)
    assert model.training
    assert (model(**inputs(name))[-1] != model(**inputs(name))[-1]).any()
    torch.manual_seed(2)
    first = model(**inputs(name))
    torch.manual_seed(2)
    equal(model(**inputs(name)), first)
    model.eval()
    equal(model(**inputs(name)), model(**inputs(name)))


@pytest.mark.parametrize("name", [CHOOSING, ANSWERING, REASONING])
def test_the_head_drops_by_itself(name):
    model = make(name)
    model.heads.dropout.p = 0.5
    assert (model(**inputs(name)).logits != model(**inputs(name)).logits).any()


@pytest.mark.parametrize("bypass", [False, True])
@pytest.mark.parametrize(("maps", "fused"), [(False, True), (None, True), (True, False)])
def test_fused_attention_is_used_where_no_map_is_asked_for(monkeypatch, bypass, maps, fused):
    calls = []
    attention = F.scaled_dot_product_attention

    def spy(*args, **options):
        calls.append(options)
        return attention(*args, **options)

    model = make(MODEL, bypass_transformer=bypass).eval()
    with torch.no_grad():
        expected = model(**inputs(MODEL))
        monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
        found = model(**inputs(MODEL), output_attentions=maps)
    assert len(calls) == (2 + bypass) * fused
    torch.testing.assert_close(found.last_hidden_state, expected.last_hidden_state, atol=1e-6, rtol=1e-5)


# Size


PUBLISHED = {
    PRETRAINING: (112_074_812, dict(visual_embedding_dim=2048)),
    ANSWERING: (113_856_825, dict(visual_embedding_dim=2048, num_labels=3129)),
    REASONING: (110_665_730, dict(visual_embedding_dim=1024)),
    CHOOSING: (110_271_745, {}),
    MODEL: (110_270_976, {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_sizes_add_up_to_the_published_totals(name):
    total, sizes = PUBLISHED[name]
    with torch.device("meta"):
        model = getattr(lxmert.pt, name)(VisualBertConfig(**sizes))
    assert model.num_parameters() == total
    assert (model.num_parameters(only_trainable=True) < total) == (name in UNUSED)

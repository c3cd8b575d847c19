"""The models as plain nn.Modules: state, copies, subclasses, the meta device, and which attention is computed."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import lxmert.pt
from lxmert.pt import LxmertModel, layers
from tests.compare import assert_same
from tests.small import NAMES, is_visual_bert, small_config, small_inputs, small_options

from .tensors import flat, tensors

every_name = pytest.mark.parametrize("name", NAMES)
X = tensors(small_inputs())
PRUNED = {False: "language_layers.0.attention", True: "encoder_layers.0.attention"}


def make(name, **changes):
    return getattr(lxmert.pt, name)(small_config(name, **changes)).eval()


def odd(name):
    """A model of which the config says more than sizes: pruned heads, and VisualBERT's layer behind the others."""
    changes = {"bypass_transformer": True} if is_visual_bert(name) else {}
    return make(name, pruned_heads={PRUNED[is_visual_bert(name)]: (1,)}, **changes)


def inputs(name):
    return tensors({**small_inputs(name), **small_options(name)})


@every_name
def test_state_dicts(name, tmp_path):
    model, other = odd(name), odd(name)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert_same(other(**inputs(name)), model(**inputs(name)), 0.0)
    nested = "" if name.endswith("Model") else "backbone."
    names = {p.name if p.head else nested + p.name for p, _ in model.weights_by_name()}
    assert set(model.state_dict()) == {key for key, _ in model.named_parameters()} == names


@every_name
def test_copies_and_pickles(name):
    model = odd(name)
    output = model(**inputs(name), output_attentions=True)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.config == copy.deepcopy(model.config) == pickle.loads(pickle.dumps(model.config)) == model.config
        assert_same(again(**inputs(name), output_attentions=True), output, 0.0)
    with torch.no_grad():
        bare = model(**inputs(name), output_attentions=True)
        copy.deepcopy(model).get_input_embeddings().weight.add_(1.0)
    for copied in (pickle.loads(pickle.dumps(bare)), copy.deepcopy(bare)):
        assert type(copied) is type(output)
        assert list(copied) == list(output)
        assert_same(copied, output, 0.0)
    assert_same(model(**inputs(name), output_attentions=True), output, 0.0)


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


def test_a_subclass_with_a_layer_of_its_own(tmp_path):
    """What the file does not have starts as the class starts it, with a warning; nothing stays without memory."""

    class WithMore(LxmertModel):
        def __init__(self, config):
            super().__init__(config)
            self.more = nn.Linear(config.hidden_size, 3)
            self.register_buffer("steps", torch.ones(2))

    model = make("LxmertModel")
    model.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"lacks 3 parameters of LxmertModel.*: steps, more\.weight, more\.bias"):
        loaded = WithMore.from_pretrained(tmp_path)
    assert_same(loaded(**X), model(**X), 1e-6)
    assert loaded.more.weight.std() > 0
    assert loaded.steps.tolist() == [1, 1]


def test_only_states_and_all_maps_compute_the_image_branch():
    model, calls = make("LxmertForQuestionAnswering"), []
    model.backbone.cross_layers[-1].visual_feed_forward.register_forward_hook(lambda *_: calls.append(1))
    model(**X)
    model(**X, output_attentions=True)
    assert calls == []
    model(**X, output_hidden_states=True)
    model(**X, output_attentions="all")
    assert len(calls) == 2


# Attention


@pytest.mark.parametrize("maps", [False, "all"])
def test_the_dropout_of_attention_weights_is_its_own(maps):
    model = make("LxmertModel", attention_probs_dropout_prob=0.5).train()
    assert (model(**X, output_attentions=maps).pooled_output != model(**X, output_attentions=maps).pooled_output).any()
    if maps:
        weights = model(**X, output_attentions=maps).language_attentions[0]
        torch.testing.assert_close(weights.sum(-1), torch.ones(3, 3, 5))


@pytest.mark.parametrize(
    ("name", "changes", "maps", "fused"),
    [
        # Two layers, and a cross layer whose cross attention runs both ways; language to vision is asked for by True.
        *(("LxmertModel", {}, maps, fused) for maps, fused in ((False, 6), (None, 6), (True, 3), ("all", 0))),
        ("VisualBertModel", {}, False, 2),
        ("VisualBertModel", {"bypass_transformer": True}, None, 3),
        ("VisualBertModel", {"bypass_transformer": True}, True, 0),
    ],
)
def test_fused_attention_is_used_where_no_map_is_asked_for(monkeypatch, name, changes, maps, fused):
    calls = []
    attention = F.scaled_dot_product_attention

    def spy(*args, **options):
        calls.append(options)
        return attention(*args, **options)

    model = make(name, **changes)
    with torch.no_grad():
        expected = model(**inputs(name)).to_tuple()
        monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
        found = model(**inputs(name), output_attentions=maps).to_tuple()[: len(expected)]
    assert len(calls) == fused
    assert_same(found, expected, 1e-5)


@pytest.mark.parametrize("fused", [False, True])
def test_attention_drops_in_training_only(fused, monkeypatch):
    """On a CPU by the plain way; elsewhere, and in graphs, by PyTorch's fused attention."""
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
    model = make("LxmertModel", attention_probs_dropout_prob=0.25).train()
    model(**X)
    assert set(rates) == {0.25}
    rates.clear()
    model.eval()(**X)
    assert set(rates) == {0.0}

"""Attention heads that are taken away, in both backends: the model computes what it computes without their outputs."""

import numpy as np
import pytest

from tests.compare import assert_same
from tests.small import WIDTH, everything, is_visual_bert, small_config, small_inputs

from .backend import every_class

SIZE = WIDTH // 3  # of one head
PRUNED = {
    False: {"language_layers.0.attention": (1,), "cross_layers.0.cross_attention": (0, 2)},
    True: {"encoder_layers.0.attention": (1,), "encoder_layers.1.attention": (0, 2)},
}


@every_class()
def test_pruning_takes_away_what_the_heads_add(backend, name, tmp_path):
    pruned = PRUNED[is_visual_bert(name)]
    model, whole, given = backend.make(name), backend.make(name), small_inputs(name)
    backend.copy_weights(model, whole)
    paths, count, held = backend.paths(model), model.num_parameters(), backend.weights(model)
    for path, heads in pruned.items():
        kernel = held[f"{path}.out.weight"]
        for head in heads:
            kernel[:, head * SIZE : (head + 1) * SIZE] = 0
        backend.assign(whole, f"{path}.out.weight", kernel)
    (first, _), (second, _) = pruned.items()
    model.prune_heads({first: [1], second: [2]})
    model.prune_heads({second: [0, 2]})
    assert model.config.pruned_heads == model.base.config.pruned_heads == pruned
    assert backend.paths(model) == paths
    # Three heads are gone, each with 8 rows of three projections, their biases, and 8 columns of the fourth.
    assert model.num_parameters() == count - 3 * (4 * SIZE * WIDTH + 3 * SIZE)
    output = backend.run(model, given)
    assert_same(output, backend.run(whole, given), 1e-5)
    found = backend.run(model, given, output_attentions=True)
    maps = found.attentions if is_visual_bert(name) else found.language_attentions + found.cross_encoder_attentions
    assert [values.shape[1] for values in maps] == [2, 1]
    model.save_pretrained(tmp_path)
    again = backend.kind(name).from_pretrained(tmp_path)
    assert again.config.pruned_heads == pruned
    assert_same(backend.weights(again), backend.weights(model), 0.0)
    # The same numbers at other addresses, in the mapped file, are summed up in another order.
    assert_same(backend.run(again, given), output, 1e-6)


def test_heads_by_number_and_masks_that_count_as_before(backend):
    name = "VisualBertModel"
    model, given = backend.make(name), small_inputs(name)
    masked = {**given, "head_mask": np.array([[1, 0, 1], [0, 1, 0]], dtype="float32")}
    expected = backend.run(model, masked)
    model.prune_heads({0: [1], 1: [2]})
    model.prune_heads({1: [0, 2]})
    assert model.config.pruned_heads == PRUNED[True]
    assert_same(backend.run(model, given), expected, 1e-5)
    # A mask counts the heads as in the unpruned model.
    assert_same(backend.run(model, masked), backend.run(model, given), 0.0)


def test_a_number_that_only_one_layer_of_lxmert_has(backend):
    model = backend.make("LxmertForQuestionAnswering", l_layers=3, r_layers=2)
    model.prune_heads({2: [1]})
    model.prune_heads({"2": [0]})
    assert model.config.pruned_heads == {"language_layers.2.attention": (0, 1)}
    maps = backend.run(model, small_inputs(), output_attentions=True).language_attentions
    assert [values.shape[1] for values in maps] == [3, 3, 1]


def test_the_additional_layer_loses_heads_too(backend):
    name = "VisualBertForQuestionAnswering"
    model = backend.make(name, bypass_transformer=True)
    model.prune_heads({"additional_layer.attention": [0, 1]})
    assert model.config.pruned_heads == {"additional_layer.attention": (0, 1)}
    maps = backend.run(model, small_inputs(name), output_attentions=True).attentions
    assert [tuple(values.shape) for values in maps] == [(2, 3, 5, 5), (2, 3, 5, 5), (2, 1, 12, 12)]
    _, found = backend.gradients(model, everything(name))
    assert [key for key, gradient in found.items() if gradient is None] == []


def test_pruning_leaves_the_frozen_branch_frozen(backend):
    name = "LxmertForQuestionAnswering"
    model = backend.make(name)
    model.prune_heads({"cross_layers.0.visual_self_attention": [0]})
    assert not any("visual_self_attention" in weight for weight in backend.trainable(model))
    _, found = backend.gradients(model, everything(name))
    assert [key for key, gradient in found.items() if gradient is None] == []


NOT_ALL = "must be some of the heads 0 to 2, not all; got"


@pytest.mark.parametrize(
    ("name", "heads", "message"),
    [
        (
            "LxmertModel",
            {"language_layers.7.attention": [0]},
            "pruned_heads names attentions by path, as 'language_layers.0.attention'",
        ),
        (
            "LxmertModel",
            {0: [1]},
            "pruned_heads names layer 0, and LXMERT has several layers of this number. Name one of "
            "language_layers.0.attention, visual_layers.0.attention, cross_layers.0.cross_attention",
        ),
        ("LxmertModel", {5: [1]}, "pruned_heads names attentions by path, as 'language_layers.0.attention'; got '5'"),
        ("LxmertModel", {"language_layers.0.attention": [3]}, f"{NOT_ALL} [3]"),
        ("LxmertModel", {"language_layers.0.attention": [0, 1, 2]}, f"{NOT_ALL} [0, 1, 2]"),
        (
            "VisualBertModel",
            {2: [0]},
            "pruned_heads names attentions by path, as 'encoder_layers.0.attention'; got 'encoder_layers.2",
        ),
        ("VisualBertModel", {"additional_layer.attention": [0]}, "pruned_heads names attentions by path"),
        ("VisualBertModel", {0: [3]}, f"{NOT_ALL} [3]"),
        ("VisualBertModel", {"encoder_layers.1.attention": [0, 1, 2]}, f"{NOT_ALL} [0, 1, 2]"),
    ],
)
def test_heads_that_cannot_be_pruned(backend, name, heads, message):
    model = backend.make(name)
    before = backend.weights(model)
    with pytest.raises(ValueError, match="pruned_heads") as raised:
        model.prune_heads(heads)
    assert message in str(raised.value)
    assert model.config == small_config(name)
    assert_same(backend.weights(model), before, 0.0)


def test_models_that_share_a_config_are_pruned_one_by_one(backend):
    name, config = "VisualBertModel", small_config("VisualBertModel")
    model, other = backend.make(name, config=config), backend.make(name, config=config)
    backend.copy_weights(model, other)
    masked = {**small_inputs(name), "head_mask": np.array([0, 1, 1], dtype="float32")}
    expected = backend.run(model, masked)
    for each in (model, other):
        each.prune_heads({0: [0], 1: [0]})
        assert_same(backend.run(each, small_inputs(name)), expected, 1e-5)

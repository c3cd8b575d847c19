"""Which weights of the models of both backends get a gradient, and that gradient checkpointing changes none."""

import keras
import numpy as np
import pytest
import torch

from tests.compare import assert_same
from tests.small import TASKS, UNUSED, everything, is_visual_bert, small_inputs

from .backend import BACKENDS, every_class

DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)


def version_of(name):
    """Some classes with VisualBERT's layer behind the others."""
    return {"bypass_transformer": name in TASKS[::2]} if is_visual_bert(name) else {}


@pytest.mark.parametrize("name", TASKS)
def test_every_trainable_weight_gets_a_gradient(backend, name):
    """What DistributedDataParallel wants when it is not told to look for parameters without one."""
    model = backend.make(name, **version_of(name))
    _, found = backend.gradients(model, everything(name))
    assert [key for key, gradient in found.items() if gradient is None] == []
    frozen = {p.module for p, _ in model.weights_by_name() if p.name not in backend.trainable(model)}
    assert frozen == UNUSED.get(name, set())


@every_class(*TASKS)
def test_the_padding_gets_no_gradient_from_the_lookup(backend, name):
    model = backend.make(name)
    _, found = backend.gradients(model, everything(name))
    table = np.asarray(found["embeddings.word.weight"])
    # The word head of pre-training reaches every row.
    assert (table[1 if is_visual_bert(name) else 0] == 0).all() == ("PreTraining" not in name)
    assert table.any()


def seeded(backend, model, run):
    """Run under a fixed seed. A Keras dropout layer counts its draws in a variable of its own."""
    torch.manual_seed(1)
    if backend.name == "tf":
        for part in model._flatten_layers():
            if isinstance(part, keras.layers.Dropout):
                part.seed_generator.state.assign([1, 2])
    return run()


@every_class(*TASKS)
def test_gradient_checkpointing_repeats_the_draws_of_dropout(backend, name):
    model = backend.make(name, **DROPOUT, **version_of(name))
    given, options = everything(name), {"training": True} if backend.name == "tf" else {}
    if backend.name == "pt":
        model.train()

    def gradients():
        return seeded(backend, model, lambda: backend.gradients(model, given, **options)[1])

    expected = gradients()
    model.gradient_checkpointing_enable()
    assert_same(gradients(), expected, 1e-6)
    model.gradient_checkpointing_disable()
    assert_same(gradients(), expected, 0.0 if backend.name == "pt" else 1e-6)


@pytest.mark.parametrize("name", ["LxmertModel", "VisualBertModel"])
def test_checkpointed_backbones(name):
    model = BACKENDS["pt"].make(name, **DROPOUT).train()
    given = {key: torch.from_numpy(x) for key, x in small_inputs(name).items()}

    def gradients():
        torch.manual_seed(1)
        return torch.autograd.grad(model(**given)[-1].sum(), list(model.parameters()), allow_unused=True)

    expected = gradients()
    model.gradient_checkpointing_enable()
    assert_same(gradients(), expected, 1e-6)


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForQuestionAnswering"])
def test_gradients_stay_on_attention_maps(name):
    model = BACKENDS["pt"].make(name)
    output = model(**{key: torch.from_numpy(x) for key, x in small_inputs(name).items()}, output_attentions=True)
    fields = ("attentions", "language_attentions", "vision_attentions", "cross_encoder_attentions")
    maps = [one for field in fields for one in output.get(field) or ()]
    for weights in maps:
        weights.retain_grad()
    output[0][:, 0].sum().backward()
    assert len(maps) >= 2
    assert all(weights.grad.isfinite().all() for weights in maps)
    assert any(weights.grad.any() for weights in maps)

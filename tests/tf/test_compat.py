"""The fallbacks for what Keras keeps private: the same results."""

import keras
import pytest
import tensorflow as tf

from lxmert.tf import _compat
from lxmert.training.tf.optimizers import make_optimizer
from tests.models import SMALLEST, new_tf, small_visual_bert
from tests.public_only import public_copy


@pytest.fixture
def public(monkeypatch):
    return public_copy("tf", monkeypatch)


def test_whether_shapes_are_inferred(public):
    """In a layer of a functional model, in a graph and outside of both."""
    found = []

    class Probe(keras.layers.Layer):
        def call(self, x):
            found.append([module.is_inferring_shapes() for module in (public, _compat)])
            return x

    probe = Probe()
    probe(keras.Input((2,)))
    tf.function(probe)(tf.ones((1, 2)))
    probe(tf.ones((1, 2)))
    assert found == [[True, True], [False, False], [False, False]]


@pytest.mark.parametrize("name", ["LxmertForPreTraining", "VisualBertForVisualReasoning"])
def test_the_layers_of_a_model(name, public):
    model = new_tf(SMALLEST if name.startswith("Lxmert") else small_visual_bert(2), name, "float32")
    ours, theirs = public.flatten_layers(model), _compat.flatten_layers(model)
    assert [layer.name for layer in ours] == [layer.name for layer in theirs]
    assert all(mine is other for mine, other in zip(ours, theirs, strict=True))


def test_the_place_of_a_variable(public):
    model = new_tf(SMALLEST, "LxmertModel", "float32")
    optimizer = make_optimizer(model)
    for place, variable in enumerate(model.trainable_variables):
        for found in (variable, variable.value):
            assert public.variable_index(optimizer, found) == _compat.variable_index(optimizer, found) == place


def test_steps_override_public_methods_alone(public):
    assert [name for name in vars(public.OptimizerBase) if not name.startswith("__")] == ["clip", "apply"]

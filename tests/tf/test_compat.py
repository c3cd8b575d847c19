"""The fallbacks for what Keras keeps private: the same results, and the core of the suite with all of them."""

import keras
import pytest

from lxmert.tf import _compat
from lxmert.training.tf.optimizers import make_optimizer
from tests.models import SMALLEST, new_tf, small_visual_bert
from tests.public_only import public_copy, run_public_only


@pytest.fixture
def public(monkeypatch):
    return public_copy("tf", monkeypatch)


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


def test_an_optimizer_is_keras_own(public):
    assert public.Steps is keras.optimizers.Optimizer


@pytest.mark.full
def test_the_core_of_the_suite_on_public_interfaces_alone():
    passed = run_public_only(
        "tests/tf/test_fit.py::test_answers_train_on_the_own_loss",
        "tests/tf/test_fit.py::test_metrics_beside_the_own_loss",
        "tests/tf/test_fit.py::test_compiled_losses",
        "tests/tf/test_fit.py::test_a_graph_trains_validates_and_predicts_as_calls_do",
        "tests/tf/test_saving.py::test_a_keras_archive_keeps_everything",
        "tests/tf/test_saving.py::test_a_folder_comes_back",
        "tests/training/test_tf_optimizers.py",
        "tests/equivalence/test_losses.py",
        "tests/equivalence/test_optimizers.py",
    )
    assert passed > 40

"""The core of the suite on public interfaces of PyTorch, Keras and TensorFlow alone."""

import pytest

from tests.public_only import run_public_only

# What calls the private parts: shapes and layers of Keras, structures of outputs, hooks, optimizers and checkpointing.
CORE = (
    "tests/backends/test_folders.py",
    "tests/backends/test_gradients.py",
    "tests/backends/test_pruning.py",
    "tests/equivalence/test_optimizers.py",
    "tests/pt/test_module.py",
    "tests/tf/test_calls.py",
    "tests/tf/test_fit.py::test_a_graph_trains_as_calls_do",
    "tests/tf/test_fit.py::test_callbacks",
    "tests/tf/test_fit.py::test_predict_gives_what_a_call_gives",
    "tests/training/test_pt_optimizers.py",
    "tests/training/test_tf_optimizers.py",
)


@pytest.mark.full
def test_the_core_of_the_suite_on_public_interfaces_alone():
    assert run_public_only(*CORE) > 200

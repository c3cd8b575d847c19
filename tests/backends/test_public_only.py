"""The core of the suite on public interfaces of PyTorch, Keras and TensorFlow alone."""

import pytest

from tests.public_only import run_public_only

# What calls the private parts: shapes and layers of Keras, structures of outputs, hooks, optimizers and checkpointing.
# tests/pt/test_compat.py and tests/tf/test_compat.py compare the fallbacks that need no model by themselves.
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
# No fallback knows a class: of each model the one with most heads, and the one of another shape, stand for the others.
OTHERS = (
    "LxmertModel",
    "LxmertForQuestionAnswering",
    "LxmertForVisualReasoning",
    "VisualBertModel",
    "VisualBertForMultipleChoice",
    "VisualBertForQuestionAnswering",
    "VisualBertForVisualReasoning",
)
# What is tested with some of those alone.
SOME = ("checkpointed_backbones", "gradients_stay_on_attention_maps", "made_of_it_trained_and_saved")
# Messages about wrong arguments, and what Hugging Face reads.
APART = (
    "refused",
    "cannot_be_pruned",
    "do_not_fit",
    "nothing_to_load",
    "transformers_reads",
    "given_twice",
    "defaults",
)
CHOSEN = f"({' or '.join(SOME)} or not ({' or '.join(OTHERS)})) and not ({' or '.join(APART)})"


@pytest.mark.full
def test_the_core_of_the_suite_on_public_interfaces_alone():
    assert run_public_only(*CORE, "-k", CHOSEN) > 100

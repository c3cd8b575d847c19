"""One call in both frameworks, compared in all that it gives."""

from typing import Any

from lxmert.common.config.base import ModelConfig
from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.models import gradients_pt, gradients_tf, pt_model, run_pt, run_tf, tf_model


def both(config: ModelConfig, name: str, dtype: str = "float64") -> tuple[Any, Any]:
    """A PyTorch and a Keras model with the same weights, to be left as they are."""
    return pt_model(config, name, dtype), tf_model(config, name, dtype)


def assert_outputs_agree(models: tuple[Any, Any], given: dict[str, Any], dtype: str = "float64", **options: Any) -> Any:
    """Run both; the outputs have to be the same. Gives PyTorch's."""
    pt, tf = models
    output = run_pt(pt, given, **options)
    assert_same(output, run_tf(tf, given, **options), tolerances.OUTPUTS[dtype])
    return output


def assert_agree(
    models: tuple[Any, Any], given: dict[str, Any], dtype: str = "float64", also: tuple[str, ...] = (), **options: Any
) -> tuple[Any, dict[str, Any]]:
    """Run both with labels; outputs and gradients have to be the same. Gives PyTorch's; `also` as in `gradients_pt`."""
    pt, tf = models
    expected, expected_gradients = gradients_tf(tf, given, also, **options)
    output, found = gradients_pt(pt, given, also, **options)
    assert_same(output, expected, tolerances.OUTPUTS[dtype])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])
    return output, found

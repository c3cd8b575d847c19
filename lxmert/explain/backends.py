"""Choose PyTorch or Keras; a backend is imported on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lxmert.inference.backends import backend_of

from .gradients import GradientModel

if TYPE_CHECKING:
    from lxmert.inference.backends import AnyModel


def gradient_model(model: AnyModel) -> GradientModel:
    """A model that returns maps and gradients as NumPy arrays; see `GradientModel` of its backend.

    Raises:
        TypeError: not a model of this package.
    """
    if backend_of(model) == "pt":
        from .pt import GradientModel as TorchGradientModel

        return TorchGradientModel(model)
    from .tf import GradientModel as KerasGradientModel

    return KerasGradientModel(model)

"""Choose PyTorch or Keras; a backend is imported on first use."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from lxmert.inference import pt as torch_inference
    from lxmert.inference import tf as keras_inference
    from lxmert.pt.pretrained import PreTrainedModel as TorchModel
    from lxmert.tf.pretrained import PreTrainedModel as KerasModel

    AnyModel: TypeAlias = TorchModel | KerasModel
    NumpyModel: TypeAlias = torch_inference.NumpyModel | keras_inference.NumpyModel
    SplitEncoder: TypeAlias = torch_inference.SplitEncoder | keras_inference.SplitEncoder


def model_class(backend: str, architecture: str) -> type[AnyModel]:
    """A model class of a backend.

    Args:
        backend: "pt" or "tf".
        architecture: the name of the class without the prefix TF.

    Raises:
        ValueError: another backend.
        ImportError: its framework is not installed.
    """
    found: type[AnyModel]
    if backend == "pt":
        from lxmert import pt

        found = getattr(pt, architecture)
    elif backend == "tf":
        from lxmert import tf

        found = getattr(tf, f"TF{architecture}")
    else:
        raise ValueError(f'backend must be "pt" (PyTorch) or "tf" (Keras); got {backend!r}.')
    return found


def backend_of(model: object) -> str:
    """The backend of a model: "pt" or "tf".

    Raises:
        TypeError: not a model of this package.
    """
    for backend in ("pt", "tf"):
        module = sys.modules.get(f"lxmert.{backend}.pretrained")  # imported with the model's class
        if module is not None and isinstance(model, module.PreTrainedModel):
            return backend
    inside = next((name for name in _WRAPPED if hasattr(model, name.removesuffix("()"))), None)
    hint = "" if inside is None else f" Give the model that it wraps: its {inside}."
    raise TypeError(f"model must be a model of lxmert.pt or lxmert.tf; got {type(model).__name__}.{hint}")


# Where wrappers keep the model: torch.compile, DataParallel and DDP, peft.
_WRAPPED = ("_orig_mod", "module", "get_base_model()")


def numpy_model(model: AnyModel, pack_weights: bool = True) -> NumpyModel:
    """A model that takes and returns NumPy arrays; see `NumpyModel` of its backend."""
    found: NumpyModel = _inference_of(model).NumpyModel(model, pack_weights)
    return found


def split_encoder(model: AnyModel, head: Any) -> SplitEncoder:
    """A model with one of its heads, whose encoders run separately; see `SplitEncoder` of its backend."""
    found: SplitEncoder = _inference_of(model).SplitEncoder(model, head)
    return found


def _inference_of(model: AnyModel) -> Any:
    if backend_of(model) == "pt":
        from lxmert.inference import pt

        return pt
    from lxmert.inference import tf

    return tf

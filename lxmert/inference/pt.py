"""Run PyTorch models on NumPy arrays, in full or encoder by encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lxmert.pt.cpu_kernels.packing import PackedWeights
from lxmert.pt.pretrained import PreTrainedModel


class NumpyModel:
    """A model that takes and returns NumPy arrays, in evaluation mode and without gradients.

    Several threads may call it at once, as long as the model is in evaluation mode: then it is not changed.

    Args:
        model: any model of this package. It keeps the mode that it is in.
        pack_weights: whether to pack the weights for the CPU, as by default (`lxmert.pt.use_packed_weights`).
    """

    def __init__(self, model: PreTrainedModel, pack_weights: bool = True):
        self.model = model
        self.pack_weights = pack_weights

    def __call__(self, inputs: Mapping[str, np.ndarray], **options: Any) -> dict[str, Any]:
        """Run the model.

        Args:
            inputs: arrays by argument name. Floating-point ones take the model's dtype.
            options: further arguments, such as `output_attentions`.

        Returns:
            The outputs by name, as arrays or tuples of arrays.
        """
        parameter = next(self.model.parameters())

        def tensor(array: np.ndarray) -> Tensor:
            values = torch.as_tensor(np.asarray(array), device=parameter.device)
            return values.to(parameter.dtype) if values.is_floating_point() else values

        given = {name: tensor(array) for name, array in inputs.items()}
        packing = nullcontext() if self.pack_weights else PackedWeights(0)
        with evaluation_mode(self.model), torch.inference_mode(), packing:
            outputs = self.model(**given, **options)
        return {name: _array(value) for name, value in outputs.items()}


class SplitEncoder:
    """A model with one of its heads, whose encoders run separately.

    Args:
        model: an LXMERT with heads; it is set to evaluation mode at every call.
        head: the head.
        autocast: a context in which everything is computed.
    """

    def __init__(
        self, model: PreTrainedModel, head: nn.Module, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    ):
        self.model, self.backbone, self.head = model, model.backbone, head
        self.autocast = autocast
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def encode_language(self, ids: np.ndarray) -> Tensor:  # [T, L] -> [T, L, D]
        """Encode texts of one length."""
        with self._computing():
            return self.backbone.encode_language(self._tensor(ids))

    @torch.inference_mode()
    def encode_vision(self, regions: Mapping[str, np.ndarray]) -> Tensor:  # [P, R, F] -> [P, R, D]
        """Encode images from their regions by argument name."""
        with self._computing():
            return self.backbone.encode_vision(**{name: self._tensor(array) for name, array in regions.items()})

    @torch.inference_mode()
    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """Concatenate the outputs of several calls along the first axis."""
        return torch.cat(list(parts)) if len(parts) > 1 else parts[0]

    @torch.inference_mode()
    def scores(
        self, language: Tensor, texts: np.ndarray, visual: Tensor, images: np.ndarray, mask: np.ndarray | None
    ) -> np.ndarray:  # [T, L, D], [B], [P, R, D], [B], [B, R] -> [B, ...]
        """The head's scores of pairs, each a row of the texts and a row of the images."""
        with self._computing():
            states = self.backbone.cross(
                language[self._tensor(texts)],
                visual[self._tensor(images)],
                None,
                None if mask is None else self._tensor(mask),
                language_output=False,
                vision_output=False,
            )
            scores = self.head(states.pooled_output)
        return (scores if scores.dtype == torch.float64 else scores.float()).cpu().numpy()

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Evaluation mode and autocast."""
        if self.model.training:  # since the last call
            self.model.eval()
        with self.autocast():
            yield

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Set a model to evaluation mode in this block; a model in evaluation mode is not changed."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _array(value: Any) -> Any:
    """A tensor, or a tuple of tensors, in NumPy, which has no bfloat16: as float32."""
    if isinstance(value, tuple):
        return tuple(_array(part) for part in value)
    return (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()

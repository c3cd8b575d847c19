"""What a grid detector asks of a backbone, which is PyTorch's or Keras'."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from .input import BackboneInput


class Backbone(NamedTuple):
    """A backbone with what its source says about it.

    Attributes:
        model: an `nn.Module` or a `keras.Model`.
        input: what it reads.
        revision: the commit of a repository on the hub; None of anything else.
    """

    model: Any
    input: BackboneInput
    revision: str | None = None


class GridNetwork(Protocol):
    """A backbone with NumPy arrays at its doors.

    Attributes:
        backend: "pt" or "tf".
        patch: height and width of the patches of which it gives tokens; None if it gives a map, or does not say.
        leading_tokens: how many tokens come before those of the patches; None if it does not say.
        image_size: height and width that it was made for; None if it does not say.
        precision: the dtype that it computes in.
    """

    backend: str
    patch: tuple[int, int] | None
    leading_tokens: int | None
    image_size: tuple[int, int] | None
    precision: str

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """The output for images, float32: ``[B, H, W, 3]`` to maps ``[B, h, w, C]`` or tokens ``[B, T, C]``."""

    def weights(self) -> Iterator[np.ndarray]:
        """The weights that the features depend on, in order."""


def arrays_sha256(arrays: Iterable[np.ndarray]) -> str:
    """The SHA-256 of dtypes, shapes and bytes of arrays, in their order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def pair(sides: Any) -> tuple[int, int] | None:
    """Height and width of a size that a model may write as one number; None of None."""
    return (sides, sides) if isinstance(sides, int) else None if sides is None else (sides[0], sides[1])

"""What a tokenizer returns: named rows, as lists, arrays or tensors. A framework is imported when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TENSOR_KINDS = ("np", "pt", "tf")


class BatchEncoding(dict[str, Any]):
    """A dict whose entries are attributes too: `encoding["input_ids"]` is `encoding.input_ids`.

    Entries are lists of int for one text, lists of lists for several, or arrays [B, L] with `return_tensors`.
    """

    def __getattr__(self, name: str) -> Any:
        if name in self:
            return self[name]
        raise AttributeError(f"this BatchEncoding has no {name!r}; it has {', '.join(self)}")

    def to(self, device: Any) -> BatchEncoding:
        """Return a copy with the PyTorch tensors moved to `device`.

        Raises:
            TypeError: an entry is not a PyTorch tensor.
        """
        for name, value in self.items():
            if not hasattr(value, "to"):
                raise TypeError(
                    f'to() moves PyTorch tensors; {name} is a {type(value).__name__}. Use return_tensors="pt".'
                )
        return BatchEncoding({name: value.to(device) for name, value in self.items()})


def as_tensors(rows: Mapping[str, list[Any]], kind: str, padded: bool) -> dict[str, Any]:
    """Make one array of every entry: int64 in NumPy and PyTorch, int32 in TensorFlow (as `transformers` does).

    Args:
        rows: for every name one row per text, each of length L ([L, 2] for offsets; one int for lengths).
        kind: "np", "pt" or "tf".
        padded: whether the rows were padded, to word the error.

    Raises:
        ValueError: rows of different lengths, or an unknown kind.
        ImportError: the framework is not installed.
    """
    if kind not in TENSOR_KINDS:
        raise ValueError(f'return_tensors must be "np", "pt", "tf" or None; got {kind!r}.')
    lengths = sorted({len(row) for row in rows["input_ids"]})
    if len(lengths) > 1:
        hint = "truncation=True with a max_length as well" if padded else "padding=True"
        raise ValueError(
            f"return_tensors={kind!r} needs rows of one length; got rows of {lengths[0]} to {lengths[-1]} tokens. "
            f"Pass {hint}."
        )
    # Without texts the arrays are empty, but have the expected axes.
    shapes = {"length": (0,), "offset_mapping": (0, 0, 2)}
    arrays = {
        name: np.asarray(row, dtype=np.int64) if row else np.zeros(shapes.get(name, (0, 0)), dtype=np.int64)
        for name, row in rows.items()
    }
    return as_framework_arrays(arrays, kind)


def as_framework_arrays(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, Any]:
    """Convert NumPy arrays to those of a framework; integers are int32 in TensorFlow (as `transformers` does).

    Raises:
        ImportError: the framework is not installed.
    """
    if kind == "np":
        return dict(arrays)
    if kind == "pt":
        try:
            import torch
        except ImportError as error:
            raise _missing("pt", "PyTorch") from error
        return {name: torch.from_numpy(array) for name, array in arrays.items()}
    try:
        import tensorflow
    except ImportError as error:
        raise _missing("tf", "TensorFlow") from error
    return {
        name: tensorflow.constant(array, dtype=tensorflow.int32 if array.dtype.kind in "iu" else None)
        for name, array in arrays.items()
    }


def _missing(kind: str, framework: str) -> ImportError:
    return ImportError(f'return_tensors="{kind}" needs {framework}. Install it with: pip install "lxmert[{kind}]".')

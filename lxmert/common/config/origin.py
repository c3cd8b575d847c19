"""What a configuration notes about where its model came from, beside the fields."""

from __future__ import annotations

import sys
from typing import Any

from .values import dtype_name

# It does not take part in comparisons.
NOTES = frozenset(("architectures", "dtype", "transformers_version", "_name_or_path", "_commit_hash"))


class Origin:
    """The class, the dtype and the place that a model was loaded from."""

    architectures: Any = None
    transformers_version: str | None = None  # that of the file
    _name_or_path: str = ""
    _dtype: str | None = None

    @property
    def dtype(self) -> Any:
        """The dtype that the weights were saved in: PyTorch's where PyTorch is loaded, else its name; or None."""
        torch = sys.modules.get("torch")  # a configuration is of no framework, and does not load one
        found = getattr(torch, self._dtype or "", None)
        return found if torch is not None and isinstance(found, torch.dtype) else self._dtype

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self._dtype = dtype_name(value)

    @property
    def torch_dtype(self) -> Any:
        """The older name of `dtype`."""
        return self.dtype

    @torch_dtype.setter
    def torch_dtype(self, value: Any) -> None:
        self.dtype = value

    @property
    def name_or_path(self) -> str:
        """Where the model was loaded from; "" if it was not."""
        return self._name_or_path

    @name_or_path.setter
    def name_or_path(self, value: Any) -> None:
        self._name_or_path = str(value)

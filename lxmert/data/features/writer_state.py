"""How far a store is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import layout

NAME_LIST = "names.txt"  # the names in their order, while the store is written


@dataclass(frozen=True)
class WriterState:
    """What was written so far; it never changes, a new one replaces it.

    The counts are those in regions.json. `largest_ids` is None if an older version of this package did not record them;
    `name_bytes` is the length of the list of names, and `note` is what the caller saved with the last image.
    """

    images: int = 0
    regions: int = 0
    feature_size: int | None = None
    most_regions: int = 0
    with_objects: int = 0
    with_attributes: int = 0
    largest_ids: Sequence[int] | None = (layout.NO_ID, layout.NO_ID)
    name_bytes: int = 0
    note: Any = None

    def arrays(self, dtype: np.dtype) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        """See `layout.array_shapes`."""
        return layout.array_shapes(self.images, self.regions, self.feature_size or 0, dtype)

    def file_sizes(self, dtype: np.dtype) -> dict[str, int]:
        """The length of each file in bytes."""
        arrays = self.arrays(dtype).items()
        sizes = {name: layout.HEADER + math.prod(shape) * kind.itemsize for name, (kind, shape) in arrays}
        return {**sizes, NAME_LIST: self.name_bytes}

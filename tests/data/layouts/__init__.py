"""A tiny file for every layout of region features, with the values that a reader must give.

Three images, "0", "1" and "2", 320 wide and 300 high, have 4 regions of 6 numbers. A row says where a file is, or how
it is written, and with which options it is imported.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lxmert.data.features.image_regions import ImageRegions

DATA = Path(__file__).parents[2] / "golden" / "cases" / "data"
EXPECTED = dict(np.load(DATA / "expected.npz"))
NAMES = ["0", "1", "2"]
HEIGHT, WIDTH = 300, 320
IMAGES = [
    ImageRegions(name, EXPECTED["features"][i], EXPECTED["boxes"][i], (HEIGHT, WIDTH)) for i, name in enumerate(NAMES)
]


@dataclass(frozen=True)
class Case:
    """A row of the table.

    Attributes:
        name: of the layout.
        source: a path in tests/golden/cases/data, or a function that writes files into a folder, and gives the source
            or a list of sources.
        options: of `ImportOptions`; paths among them are relative to tests/golden/cases/data, or to the folder.
        names: the images' names in the store.
        size: height and width in the store; another one for sources that have boxes from 0 to 1 and no sizes.
        tolerance: of features, boxes (as fractions of the image).
        labels: what `RegionStore.batch(labels=True)` gives of the first image, by name.
    """

    name: str
    source: str | Callable[[Path], Path | list[Path]]
    options: dict = field(default_factory=dict)
    names: list[str] = field(default_factory=lambda: NAMES)
    size: tuple[int, int] = (HEIGHT, WIDTH)
    tolerance: tuple[float, float] = (0.0, 1e-6)
    labels: dict = field(default_factory=dict)

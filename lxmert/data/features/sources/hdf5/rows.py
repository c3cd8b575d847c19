"""HDF5 files with a row per image, or with the regions of all images in one row.

image_features [P, R, F], image_bb [P, R, 4] and spatial_features [P, R, 6]; or these without the axis P, and pos_boxes
[P, 2], where each image's regions start and end. The ids are in another file, or in an array image_ids.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, SourceOptions
from lxmert.data.features.sources.ids import check_every_row, ids_beside
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.messages import shown

from .file import Hdf5FeatureFile, Hdf5Source


class Hdf5Rows(Hdf5Source):
    """A row per image.

    Raises:
        ValueError: no ids, or ids that do not fit the rows.
    """

    def __init__(self, file: Hdf5FeatureFile, options: SourceOptions):
        names = file.names
        if "spatial_features" not in names:
            raise ValueError(f"{file.path} must have spatial_features: only they give the images' sizes.")
        self._arrays = [file.array(name) for name in ("image_features", "image_bb", "spatial_features")]
        self._spans = file.whole(file.array("pos_boxes")) if "pos_boxes" in names else None
        shapes = [array.shape for array in self._arrays] + ([] if self._spans is None else [self._spans.shape])
        if () in shapes:
            raise ValueError(f"{file.path} must have a row per image; its arrays are {shown(shapes)}.")
        count = shapes[-1][0] if self._spans is not None else shapes[0][0]
        if self._spans is not None:
            _check_spans(self._spans, shapes[0][0], file.path)
        ids = _ids_in_file(file, count) if options.ids is None else ids_beside(options.ids, file.path, count)
        self._rows = [row for _, row in ids]
        super().__init__(file, [name for name, _ in ids], count - len(set(self._rows)))

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        row = self._rows[number]
        if self._spans is None:
            features, boxes, spatial = (self.file.row(array, row) for array in self._arrays)
        else:
            start, stop = (int(value) for value in self._spans[row])
            total = self._arrays[0].shape[0]
            if not 0 <= start <= stop <= total:
                raise DamagedImage(f"its regions must be in 0 to {total}; they are {start} to {stop}.")
            features, boxes, spatial = (self.file.rows(array, start, stop) for array in self._arrays)
        if spatial.ndim != 2 or spatial.shape[1] < 4 or boxes.shape != (len(spatial), 4):
            raise DamagedImage(f"boxes {list(boxes.shape)} and spatial_features {list(spatial.shape)} do not fit.")
        return ImageRegions(self.names[number], features, boxes, image_size(boxes, spatial))


def _check_spans(spans: np.ndarray, total: int, path: Path) -> None:
    """Refuse spans [P, 2] that give the same regions to many images: a small file would be read without an end."""
    if spans.ndim != 2 or spans.shape[1] != 2 or spans.dtype.kind not in "iuf":
        raise InvalidFileError(f"{path}: pos_boxes must be [images, 2]; it is {list(spans.shape)}.")
    ends = np.nan_to_num(np.clip(spans.astype(np.float64), 0, total))
    claimed = float((ends[:, 1] - ends[:, 0]).clip(0).sum())
    if claimed > total:
        raise InvalidFileError(
            f"{path}: pos_boxes gives {claimed:,.0f} regions to images, of the {total:,} that there are."
        )


def image_size(boxes: np.ndarray, spatial: np.ndarray) -> tuple[int, int]:
    """Height and width: the quotient of a box in pixels and as fractions, of the largest box, as it is most exact."""
    sides = []
    for column in (3, 2):
        at = int(np.argmax(spatial[:, column]))
        fraction = float(spatial[at, column])
        side = float(boxes[at, column]) / fraction if fraction > 0 else math.nan
        if not math.isfinite(side) or side < 0.5 or abs(side - round(side)) > 0.02 + 1e-4 * side:
            raise DamagedImage("the size of the image does not follow from image_bb and spatial_features.")
        sides.append(round(side))
    return sides[0], sides[1]


def _ids_in_file(file: Hdf5FeatureFile, count: int) -> list[tuple[str, int]]:
    ids = file.ids()
    if ids is None:
        raise ValueError(
            f"{file.path} does not hold the ids of its images; pass them with --ids FILE: a JSON object of ids and "
            "rows, a pickle of the same, as it was published, a JSON list of ids row by row, or text with one id per "
            "line."
        )
    check_every_row(len(ids), count, f"{file.path}: its ids", file.path)
    return [(name, row) for row, name in enumerate(ids)]

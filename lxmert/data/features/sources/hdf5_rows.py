"""HDF5 files with a row per image, or with the regions of all images in one row.

image_features [P, R, F], image_bb [P, R, 4] and spatial_features [P, R, 6]; or these without the axis P, and pos_boxes
[P, 2], where each image's regions start and end. The ids are in another file, or in an array image_ids.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from lxmert.data.features.image_regions import ImageRegions

from .base import DamagedImage, SourceOptions
from .hdf5_file import Hdf5FeatureFile, Hdf5Source, read_large_json

_AS_JSON = (
    "If you trust it, write it as JSON yourself: json.dump({str(id): row for id, row in "
    "pickle.load(open(...)).items()}, open(...))."
)


class Hdf5Rows(Hdf5Source):
    """A row per image.

    Raises:
        ValueError: no ids, or ids that do not fit the rows.
    """

    def __init__(self, file: Hdf5FeatureFile, options: SourceOptions):
        names = file.first_names()
        if "spatial_features" not in names:
            raise ValueError(f"{file.path} must have spatial_features: only they give the images' sizes.")
        self._arrays = [file.array(name) for name in ("image_features", "image_bb", "spatial_features")]
        self._spans = file.array("pos_boxes")[()] if "pos_boxes" in names else None
        count = len(self._arrays[0] if self._spans is None else self._spans)
        ids = _ids_in_file(file, names, count) if options.ids is None else _ids_beside(options.ids, file.path, count)
        self._rows = [row for _, row in ids]
        super().__init__(file, [name for name, _ in ids], count - len(set(self._rows)))

    def read_image(self, number: int) -> ImageRegions:
        """The regions of an image."""
        where: int | slice = self._rows[number]
        if self._spans is not None:
            start, stop = (int(value) for value in self._spans[where])
            total = len(self._arrays[0])
            if not 0 <= start <= stop <= total:
                raise DamagedImage(f"its regions must be in 0 to {total}; they are {start} to {stop}.")
            where = slice(start, stop)
        features, boxes, spatial = (self.file.values(array, where) for array in self._arrays)
        if spatial.ndim != 2 or spatial.shape[1] < 4 or boxes.shape != (len(spatial), 4):
            raise DamagedImage(f"boxes {list(boxes.shape)} and spatial_features {list(spatial.shape)} do not fit.")
        return ImageRegions(self.names[number], features, boxes, _image_size(boxes, spatial))


def _image_size(boxes: np.ndarray, spatial: np.ndarray) -> tuple[int, int]:
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


def _ids_in_file(file: Hdf5FeatureFile, names: set[str], count: int) -> list[tuple[str, int]]:
    for name in ("image_ids", "image_id", "ids"):
        if name in names:
            values = file.array(name)[()].reshape(-1).tolist()
            _check_every_row(len(values), count, f"{file.path}: {name}", file.path)
            return [(v.decode() if isinstance(v, bytes) else str(v), i) for i, v in enumerate(values)]
    raise ValueError(
        f"{file.path} does not hold the ids of its images; pass them with --ids FILE: a JSON object of ids and rows, a "
        f"JSON list of ids row by row, or text with one id per line. They were published as a pickle, a program that "
        f"would run when it is read. {_AS_JSON}"
    )


def _ids_beside(path: Path, features: Path, count: int) -> list[tuple[str, int]]:
    """Ids and rows of a file of ids, sorted by rows. An object may leave out rows; lists and text have them all."""
    ids, every_row = _read_ids(path)
    if every_row:
        _check_every_row(len(ids), count, str(path), features)
    wrong = [(name, row) for name, row in ids if not 0 <= row < count]
    if wrong:
        raise ValueError(
            f"{path}: the rows must be 0 to {count - 1:,}, those of {features}; that of {wrong[0][0]!r} is "
            f"{wrong[0][1]:,}."
        )
    return sorted(ids, key=lambda pair: pair[1])


def _check_every_row(given: int, count: int, where: str, features: Path) -> None:
    """Refuse another number of ids than rows: they would belong to other rows, or images would be lost."""
    if given != count:
        raise ValueError(
            f"{where} must have one id for each of the {count:,} rows of {features}; it has {given:,}. To import only "
            "some of the rows, pass --ids a JSON object of ids and rows."
        )


def _read_ids(path: Path) -> tuple[list[tuple[str, int]], bool]:
    """Ids and rows of a file: a JSON object or list, or text with one id per line.

    Returns:
        The ids with their rows, and whether the file must have one for every row, as it has no row numbers.

    Raises:
        ValueError: anything else, for example a pickle.
    """
    with path.open("rb") as file:
        start = file.read(64).lstrip()[:1]
    if start == b"\x80":
        raise ValueError(f"{path} is a pickle, a program that would run when it is read; it is not read. {_AS_JSON}")
    if start in (b"{", b"["):
        values = read_large_json(path, (dict, list))
        pairs = list(values.items()) if isinstance(values, dict) else [(value, i) for i, value in enumerate(values)]
    else:
        try:
            pairs = [(line, i) for i, line in enumerate(path.read_text("utf-8").splitlines())]
        except UnicodeDecodeError:
            raise ValueError(f"{path} must hold ids as JSON, or as text with one id per line; it is neither.") from None
    result = []
    for name, row in pairs:
        if isinstance(name, bool) or not isinstance(name, (str, int)) or not isinstance(row, int):
            raise ValueError(f"{path} must hold ids (strings or integers) and rows; it holds {name!r}: {row!r}.")
        result.append((str(name).strip(), row))
    return result, start != b"{"

"""Arrays with a row per image: features [N, R, F], boxes [N, R, 4], ids [N], and maybe sizes [N, 2], num_boxes [N], …

In one .npz, in a folder of .npy files, or in an HDF5 file. Each row is read by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import NumberedSource, SourceOptions
from lxmert.data.features.sources.boxes import LARGEST_FRACTION
from lxmert.data.features.sources.ids import check_every_row, id_texts, ids_beside
from lxmert.data.features.sources.pictures import FIRST, PictureReader, missing_parts, read_first, spelled
from lxmert.utils.foreign_files import read_small
from lxmert.utils.messages import first_few, shown
from lxmert.utils.zip_files import ZipArchive

from .rows import MOST_IDS_BYTES, NpyRows, Rows, member_rows, parse_array

_IDS_FILES = ("ids.json", "ids.txt", "image_ids.json", "image_ids.txt")


class Stack(NumberedSource):
    """The images of arrays that have a row for each.

    Args:
        path: the file or folder.
        arrays: by name, as the file spells them.
        options: the file of ids, of sizes, and the layout of boxes.
        names: the images' ids by row, if the file has them.

    Raises:
        ValueError: something is missing (all of it is named), or arrays do not fit each other.
    """

    def __init__(
        self, path: Path, arrays: Mapping[str, Rows], options: SourceOptions, names: list[str] | None, size: int
    ):
        self._spelled = {part: name for part, name in spelled(arrays).items()}
        found = [*self._spelled, *(["ids"] if names is not None or options.ids else [])]
        missing = missing_parts(found, with_ids=True)
        missing += self._missing_sizes(arrays, options)
        if missing:
            raise ValueError(
                f"{path} lacks {'; '.join(missing)}. It has {first_few(sorted(arrays), 12) or 'no arrays'}; with a "
                "row per image they are features [N, R, F], boxes [N, R, 4], ids [N], sizes [N, 2] (height, width)."
            )
        self._arrays = {name: arrays[name] for name in self._spelled.values()}
        features = self._arrays[self._spelled["features"]]
        boxes = self._arrays[self._spelled.get("normalized", self._spelled.get("boxes", ""))]
        if len(features.shape) != 3 or len(boxes.shape) != 3 or features.shape[0] != boxes.shape[0]:
            raise ValueError(
                f"{path}: features must be [N, R, F] and boxes [N, R, 4]; they are {list(features.shape)} and "
                f"{list(boxes.shape)}."
            )
        self._transposed = _are_transposed(path, features.shape, boxes.shape)
        count = features.shape[0]
        if options.ids is not None:
            ids = ids_beside(options.ids, path, count)
        else:
            check_every_row(len(names or ()), count, f"{path}: its ids", path)
            ids = [(name, row) for row, name in enumerate(names or ())]
        self._check_lengths(path, count)
        self._rows = [row for _, row in ids]
        super().__init__(path, [name for name, _ in ids], size, count - len(set(self._rows)))
        self._reader = PictureReader(options)
        read_first(self._reader, self.entries(None))

    def where(self, number: int) -> str:
        """The file and the image's name."""
        return f"{self.path}, image {shown(self.names[number])}"

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        row = self._rows[number]
        values = {name: self._value(name, rows, row) for name, rows in self._arrays.items()}
        if self._transposed:
            for part in ("features", "boxes", "normalized"):
                if part in self._spelled:
                    name = self._spelled[part]
                    values[name] = np.ascontiguousarray(values[name].T)
        return self._reader.regions(self.names[number], values)

    def _value(self, name: str, rows: Rows, row: int) -> np.ndarray:
        return rows.row(0 if self._is_common(name) else row)

    def _is_common(self, name: str) -> bool:
        """Whether an array holds one size for all images."""
        part = next(part for part, spelling in self._spelled.items() if spelling == name)
        shape = self._arrays[name].shape
        return (part == "size" and shape == (1, 2)) or (part in ("height", "width") and shape == (1,))

    def _missing_sizes(self, arrays: Mapping[str, Rows], options: SourceOptions) -> list[str]:
        """The sizes, where boxes are in pixels by their first rows and nothing says the sizes."""
        boxes = arrays.get(self._spelled.get("boxes", ""))
        has_size = "size" in self._spelled or {"height", "width"} <= self._spelled.keys() or options.sizes
        if "normalized" in self._spelled or has_size or boxes is None or not boxes.shape:
            return []
        first = [boxes.row(number) for number in range(min(FIRST, boxes.shape[0]))]
        if all((values <= LARGEST_FRACTION).all() for values in first):
            return []
        return ["sizes [N, 2] (height, width; or --sizes FILE), as its boxes are in pixels"]

    def _check_lengths(self, path: Path, count: int) -> None:
        for name, rows in self._arrays.items():
            if (not rows.shape or rows.shape[0] != count) and not self._is_common(name):
                raise ValueError(
                    f"{path}: {name} must have {count:,} rows, as the features have; it is {list(rows.shape)}."
                )


def _are_transposed(path: Path, features: tuple[int, ...], boxes: tuple[int, ...]) -> bool:
    """Whether the regions are the last axis: features [N, F, R] and boxes [N, 4, R]."""
    if features[1] == boxes[1]:
        return False
    if features[2] == boxes[2] and boxes[1] == 4:
        return True
    raise ValueError(
        f"{path}: features {list(features)} and boxes {list(boxes)} must have as many regions: [N, R, F] and [N, R, 4]."
    )


def open_npz_stack(path: Path, options: SourceOptions) -> Stack:
    """One .npz file with the arrays of many images."""
    archive = ZipArchive(path)
    known = spelled({name.removesuffix(".npy") for name in archive.members})
    known = {part: name if name in archive.members else f"{name}.npy" for part, name in known.items()}
    ids = known.pop("ids", None)
    names = _names(archive.read(ids, MOST_IDS_BYTES), f"{path}: {ids.removesuffix('.npy')}") if ids else None
    arrays = {name.removesuffix(".npy"): member_rows(archive, name, f"{path}: {name}") for name in known.values()}
    return Stack(path, arrays, options, names, path.stat().st_size)


def open_npy_stack(path: Path, options: SourceOptions) -> Stack:
    """A folder of .npy files, each with one array for all images."""
    files = {file.stem: file for file in sorted(path.iterdir()) if file.suffix == ".npy"}
    known = spelled(files)
    ids = known.pop("ids", None)
    arrays: dict[str, Rows] = {name: NpyRows(files[name], str(files[name])) for name in known.values()}
    beside = next((path / name for name in _IDS_FILES if (path / name).is_file()), None)
    if options.ids is None and ids is None and beside is not None:
        options = options._replace(ids=beside)
    names = _names(read_small(files[ids], MOST_IDS_BYTES, "a list of ids"), str(files[ids])) if ids else None
    return Stack(path, arrays, options, names, sum(files[name].stat().st_size for name in arrays))


def _names(content: bytes, where: str) -> list[str]:
    """The ids in a .npy file: strings, bytes or integers [N]."""
    return id_texts(parse_array(content, where), where)

"""HDF5 files of features, in three layouts, told by the names in them.

    rows       image_features [P, R, F], image_bb [P, R, 4], spatial_features [P, R, 6]; or all regions in one row with
               pos_boxes [P, 2], where an image's begin and end. The ids are not in it.
    groups     a group per image: features, boxes, img_w, img_h, and maybe obj_id, obj_conf, attr_id, attr_conf
    GQA        features [P, 100, F], bboxes [P, 100, 4] in gqa_objects_*.h5, with gqa_objects_info.json beside them

Nothing that a file says is trusted: links out of it and arrays that claim more than the file holds are refused, and
attributes are not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.json_files import parse_json
from lxmert.utils.messages import escaped, first_few

from .base import KNOWN, DamagedImage, Entry, Reading

_LARGEST_IMAGE = 256 * 2**20  # bytes of an image's array, and of a piece in which packed numbers lie
_LARGEST_INFO = 512 * 2**20  # bytes of a JSON file with the ids of images
_DAMAGE = (OSError, RuntimeError, KeyError, IndexError, TypeError, ValueError, OverflowError, SystemError)
_TRIED = 1000  # images that are looked at to find out how boxes are written


def open_hdf5(path: Path, reading: Reading) -> Hdf5Rows | Hdf5Groups | GqaObjects:
    """Open an HDF5 file of features.

    Raises:
        ValueError: damaged, or of no layout that is read.
    """
    file = _Hdf5(path)
    names = file.first_names()
    if {"image_features", "image_bb"} <= names:
        return Hdf5Rows(file, reading)
    if {"features", "bboxes"} <= names:
        return GqaObjects(file, reading)
    if names and file.is_group(min(names)):
        return Hdf5Groups(file)
    file.close()
    raise ValueError(
        f"{path} is an HDF5 file that holds features in no known way; at its top it has {first_few(sorted(names))}. "
        f"Read are {KNOWN}."
    )


class Hdf5Rows:
    """A row per image; the ids come from a file beside it, or from an array of the file.

    An object of ids and rows may name a part of the rows; a list, a text and an array have an id for every row.

    Raises:
        ValueError: no ids, or other than the rows want.
    """

    def __init__(self, file: _Hdf5, reading: Reading):
        self.path, self.title, self._file = file.path, "HDF5 with a row per image", file
        self._features, self._boxes = file.array("image_features"), file.array("image_bb")
        names = file.first_names()
        self._spans = file.array("pos_boxes")[()] if "pos_boxes" in names else None
        if "spatial_features" not in names:
            raise ValueError(f"{self.path} must have spatial_features: the images' sizes are told by them alone.")
        self._spatial = file.array("spatial_features")
        count = len(self._features if self._spans is None else self._spans)
        self._ids = self._read_ids(count, names, reading.ids)
        self.rows_without_id = count - len({row for _, row in self._ids})
        self.size = self.path.stat().st_size
        self._each = self.size / max(1, len(self._ids))

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`. A position is the number of an image and the id of the one before it."""
        return _numbered(self, self._ids, position, lambda i: self._image(*self._ids[i]), self._each)

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return int(position["next"] * self._each) if position else 0

    def _read_ids(self, count: int, names: set[str], path: Path | None) -> list[tuple[str, int]]:
        """Ids and rows, by rows."""
        if path is None:
            for name in ("image_ids", "image_id", "ids"):
                if name in names:
                    values = self._file.array(name)[()].reshape(-1).tolist()
                    self._check_every(len(values), count, f"{self.path}: {name}")
                    return [(v.decode() if isinstance(v, bytes) else str(v), i) for i, v in enumerate(values)]
            raise ValueError(
                f"{self.path} does not hold the ids of its images; give them with --ids FILE: JSON, an object of ids "
                "and rows or a list of ids row by row; or text, an id a line. They were published as a pickle, a "
                "program that would run when it is read. Where you trust it, write it as JSON yourself: "
                "json.dump({str(id): row for id, row in pickle.load(open(...)).items()}, open(...))."
            )
        ids, every = read_ids(path)
        if every:
            self._check_every(len(ids), count, str(path))
        wrong = [(name, row) for name, row in ids if not 0 <= row < count]
        if wrong:
            raise ValueError(
                f"{path}: the rows must be 0 to {count - 1:,}, those of {self.path}; that of {wrong[0][0]!r} is "
                f"{wrong[0][1]:,}."
            )
        return sorted(ids, key=lambda pair: pair[1])

    def _check_every(self, given: int, count: int, where: str) -> None:
        """See that ids without rows are as many as the rows: else they belong to other rows, or images are lost."""
        if given != count:
            raise ValueError(
                f"{where} must have one id for each of the {count:,} rows of {self.path}; it has {given:,}. Where only "
                "some of the rows are wanted, give --ids a JSON object of ids and rows."
            )

    def _image(self, name: str, row: int) -> ImageRegions:
        if self._spans is None:
            where: Any = row
        else:
            begin, end = (int(value) for value in self._spans[row])
            if not 0 <= begin <= end <= len(self._features):
                raise DamagedImage(f"its regions must lie in 0 to {len(self._features)}; they are {begin} to {end}.")
            where = slice(begin, end)
        features, boxes, spatial = (self._file.values(a, where) for a in (self._features, self._boxes, self._spatial))
        if spatial.ndim != 2 or spatial.shape[1] < 4 or boxes.shape != (len(spatial), 4):
            raise DamagedImage(f"boxes {list(boxes.shape)} and spatial_features {list(spatial.shape)} do not fit.")
        return ImageRegions(name, features, boxes, _size(boxes, spatial))


def _size(boxes: np.ndarray, spatial: np.ndarray) -> tuple[int, int]:
    """Height and width, by boxes in pixels and as parts of them: of whole pixels, so the largest box tells them."""
    sides = []
    for column in (3, 2):
        at = int(np.argmax(spatial[:, column]))
        part = float(spatial[at, column])
        side = float(boxes[at, column]) / part if part > 0 else math.nan
        if not math.isfinite(side) or side < 0.5 or abs(side - round(side)) > 0.02 + 1e-4 * side:
            raise DamagedImage("the size of the image does not follow from image_bb and spatial_features.")
        sides.append(round(side))
    return sides[0], sides[1]


class Hdf5Groups:
    """A group per image, named like it."""

    def __init__(self, file: _Hdf5):
        self.path, self.title, self._file = file.path, "HDF5 with a group per image", file
        self._names = file.names()
        self.rows_without_id = 0
        self.size = self.path.stat().st_size
        self._each = self.size / max(1, len(self._names))

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`."""
        pairs = [(name, i) for i, name in enumerate(self._names)]
        return _numbered(self, pairs, position, lambda i: self._image(self._names[i]), self._each)

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return int(position["next"] * self._each) if position else 0

    def _image(self, name: str) -> ImageRegions:
        group = self._file.group(name)
        values = {key: self._file.values(self._file.array(key, group), ()) for key in group if key in _IN_A_GROUP}
        missing = [key for key in ("features", "boxes", "img_h", "img_w") if key not in values]
        if missing:
            raise DamagedImage(f"its group must have {', '.join(missing)}; it has {first_few(group)}.")
        size = tuple(values.pop(key).reshape(-1) for key in ("img_h", "img_w"))
        if any(len(side) != 1 for side in size):
            raise DamagedImage("img_h and img_w must be one number each.")
        features, boxes = values.pop("features"), values.pop("boxes")
        labels = {_IN_A_GROUP[key]: _flat(part, len(features)) for key, part in values.items()}
        if labels.get("object_ids") is None:
            labels.pop("object_confidence", None)
        if labels.get("attribute_ids") is None:
            labels.pop("attribute_confidence", None)
        return ImageRegions(name, features, boxes, (size[0][0], size[1][0]), **labels)


_IN_A_GROUP = {
    "features": "",
    "boxes": "",
    "img_h": "",
    "img_w": "",
    "obj_id": "object_ids",
    "obj_conf": "object_confidence",
    "attr_id": "attribute_ids",
    "attr_conf": "attribute_confidence",
}


def _flat(values: np.ndarray, count: int) -> np.ndarray:
    return values.reshape(count) if values.size == count else values


class GqaObjects:
    """One of GQA's files of objects. Whether its boxes are corners or a corner and a size is found out, or given.

    Raises:
        ValueError: no gqa_objects_info.json beside it, or boxes that could be either.
    """

    def __init__(self, file: _Hdf5, reading: Reading):
        self.path, self.title, self._file = file.path, "HDF5 of GQA's objects", file
        self._features, self._boxes = file.array("features"), file.array("bboxes")
        number = re.search(r"(\d+)\.h(df)?5$", self.path.name)
        if not number:
            raise ValueError(f"{self.path} must end in its number, as in gqa_objects_0.h5: the images are told by it.")
        info = self.path.with_name("gqa_objects_info.json")
        if not info.is_file():
            raise ValueError(f"{self.path} needs {info.name} beside it: it tells which images are in which file.")
        self._info = self._own(info, int(number[1]))
        self._names = sorted(((name, i) for name, (i, *_) in self._info.items()), key=lambda pair: pair[1])
        self.rows_without_id = len(self._features) - len({row for _, row in self._names})
        self.size = self.path.stat().st_size
        self._each = self.size / max(1, len(self._names))
        self.boxes = reading.boxes or self._told_boxes()
        if self.boxes not in ("xyxy", "xywh"):
            raise ValueError(f"boxes must be xyxy or xywh; got {self.boxes!r}.")

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`."""
        return _numbered(self, self._names, position, lambda i: self._image(self._names[i][0]), self._each)

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return int(position["next"] * self._each) if position else 0

    def _own(self, path: Path, number: int) -> dict[str, tuple[int, int, int, int]]:
        """Row, number of objects, height and width of each image that is in this file."""
        own: dict[str, tuple[int, int, int, int]] = {}
        for name, told in _large_json(path, dict).items():
            try:
                values = [told[key] for key in ("file", "idx", "objectsNum", "height", "width")]
            except (KeyError, TypeError):
                raise ValueError(f"{path}: {name!r} must have file, idx, objectsNum, height and width.") from None
            if any(not isinstance(value, int) for value in values):
                raise ValueError(f"{path}: {name!r} must have integers; it has {values}.")
            if values[0] == number:
                own[name] = (values[1], values[2], values[3], values[4])
        most = self._features.shape[1] if len(self._features.shape) == 3 else 0
        for name, (row, count, *_) in own.items():
            if not (0 <= row < len(self._features) and 0 <= count <= most):
                raise ValueError(
                    f"{path}: {name!r} is row {row} with {count} objects, and features of {self.path} are "
                    f"{list(self._features.shape)}."
                )
        return own

    def _told_boxes(self) -> str:
        possible = {"xyxy", "xywh"}
        for name, _ in self._names[:_TRIED]:
            row, count, height, width = self._info[name]
            boxes = self._file.values(self._boxes, (row, slice(0, count)))
            if boxes.shape != (count, 4) or not np.isfinite(boxes).all():
                continue  # said when the image is read
            whole = np.array([width, height])
            if (boxes[:, 2:] < boxes[:, :2]).any():
                possible.discard("xyxy")
            if (boxes[:, :2] + boxes[:, 2:] > whole * (1 + 1e-4) + 1).any():
                possible.discard("xywh")
        if len(possible) != 1:
            state = "could be either" if possible else "are neither"
            raise ValueError(
                f"{self.path}: bboxes {state} of corners (x1, y1, x2, y2) and a corner with width and height; say "
                "which with --boxes xyxy or --boxes xywh."
            )
        return possible.pop()

    def _image(self, name: str) -> ImageRegions:
        row, count, height, width = self._info[name]
        features = self._file.values(self._features, (row, slice(0, count)))
        boxes = self._file.values(self._boxes, (row, slice(0, count)))
        if self.boxes == "xywh" and boxes.ndim == 2 and boxes.shape[1] == 4:
            boxes = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        return ImageRegions(name, features, boxes, (height, width))


def _numbered(
    source: Any,
    names: list[tuple[str, int]],
    position: dict[str, Any] | None,
    image: Callable[[int], ImageRegions],
    each: float,
) -> Iterator[Entry]:
    start = position["next"] if position else 0
    if position and (start > len(names) or names[start - 1][0] != position["last"]):
        raise ValueError(
            f"{source.path} has changed since the import began: image {start} of it was {position['last']!r}. Give "
            "the file as it was, or begin anew (--restart)."
        )
    for number in range(start, len(names)):
        name = names[number][0]
        size = int((number + 1) * each) - int(number * each)
        where = f"{source.path}, image {escaped(name)!r}"
        yield Entry(where, size, {"next": number + 1, "last": name}, partial(_guarded, image, number))


def _guarded(image: Callable[[int], ImageRegions], number: int) -> ImageRegions:
    try:
        return image(number)
    except DamagedImage:
        raise
    except (*_DAMAGE, MemoryError) as error:
        raise DamagedImage(f"it cannot be read: {error}") from None


class _Hdf5:
    """An HDF5 file of which only arrays are read that it holds itself."""

    def __init__(self, path: Path):
        import h5py

        self.path, self._h5py = path, h5py
        try:
            self._file = h5py.File(path, "r", rdcc_nbytes=16 * 2**20)
        except _DAMAGE as error:
            raise ValueError(f"{path} is not a whole HDF5 file: {error}") from None

    def first_names(self) -> set[str]:
        """Some of the names at the top: all of them where they are few."""
        names: set[str] = set()
        for name in self._file:
            names.add(name)
            if len(names) > 20:
                break
        return names

    def names(self) -> list[str]:
        """All names at the top, in order."""
        return sorted(self._file)

    def is_group(self, name: str) -> bool:
        """Whether a name at the top is a group in this file."""
        return isinstance(self._own(self._file, name), self._h5py.Group)

    def group(self, name: str) -> Any:
        """A group at the top."""
        item = self._own(self._file, name)
        if not isinstance(item, self._h5py.Group):
            raise DamagedImage("it was to be a group.")
        return item

    def array(self, name: str, group: Any = None) -> Any:
        """An array that the file holds, seen to claim no more than there is.

        Raises:
            ValueError: links, numbers of another kind, more than the file can hold.
        """
        item = self._own(self._file if group is None else group, name)
        if not isinstance(item, self._h5py.Dataset):
            raise ValueError(f"{self.path}: {name} was to be an array.")
        if item.external or item.is_virtual:
            raise ValueError(f"{self.path}: the values of {name} lie in another file, which is not followed.")
        if item.dtype.kind not in "fiuS" or item.shape is None:
            raise ValueError(f"{self.path}: {name} must hold numbers; it holds {item.dtype}.")
        claimed = math.prod(item.shape) * item.dtype.itemsize
        stored = item.id.get_storage_size()
        packed = bool(item.id.get_create_plist().get_nfilters())
        if claimed > (max_unpacked_size(stored) if packed else stored):
            raise ValueError(
                f"{self.path}: {name} claims {claimed:,} bytes, and {stored:,} are stored of it; it is cut off, or was "
                "never written."
            )
        if packed:
            self._check_pieces(name, item)
        return item

    def values(self, item: Any, where: Any) -> np.ndarray:
        """The values of a part of an array: one image's.

        Raises:
            DamagedImage: they cannot be read, or are far larger than an image's.
        """
        rest = item.shape[1:] if not isinstance(where, tuple) or where else item.shape
        if isinstance(where, slice):
            rest = (max(0, where.stop - where.start), *rest)
        if math.prod(rest) * item.dtype.itemsize > _LARGEST_IMAGE:
            raise DamagedImage(f"an array of {list(rest)} is larger than any image's.")
        return np.asarray(item[where])

    def _check_pieces(self, name: str, item: Any) -> None:
        """Packed numbers lie in pieces; one that is packed into more bytes than it has unpacks to far too many."""
        size = math.prod(item.chunks) * item.dtype.itemsize
        pieces: list[int] = []
        item.id.chunk_iter(lambda piece: pieces.append(piece.size))
        if size > _LARGEST_IMAGE or max(pieces, default=0) > 1.01 * size + 4096:
            raise ValueError(f"{self.path}: {name} lies in pieces that are larger than they are to be.")

    def _own(self, group: Any, name: str) -> Any:
        if not isinstance(group.get(name, getlink=True), self._h5py.HardLink):
            raise ValueError(f"{self.path}: {name} is a link, which is not followed.")
        return group[name]

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def read_ids(path: Path) -> tuple[list[tuple[str, int]], bool]:
    """Ids and rows of a file: JSON, an object of ids and rows or a list of ids; or text, an id a line.

    Returns:
        Them, and whether there has to be one for every row: in all but an object, an id's place tells its row.

    Raises:
        ValueError: anything else, a pickle for one.
    """
    with path.open("rb") as file:
        start = file.read(64).lstrip()
    if start[:1] == b"\x80":
        raise ValueError(
            f"{path} is a pickle, a program that would run when it is read; it is not read. Where you trust it, write "
            "it as JSON yourself: json.dump({str(id): row for id, row in pickle.load(open(...)).items()}, open(...))."
        )
    every = start[:1] != b"{"
    if start[:1] in (b"{", b"["):
        values = _large_json(path, (dict, list))
        pairs = list(values.items()) if isinstance(values, dict) else [(value, i) for i, value in enumerate(values)]
    else:
        try:
            pairs = [(line, i) for i, line in enumerate(path.read_text("utf-8").splitlines())]
        except UnicodeDecodeError:
            raise ValueError(f"{path} must hold ids as JSON or as text, an id a line; it is neither.") from None
    result = []
    for name, row in pairs:
        if isinstance(name, bool) or not isinstance(name, (str, int)) or not isinstance(row, int):
            raise ValueError(f"{path} must hold ids (texts or integers) and rows; it holds {name!r}: {row!r}.")
        result.append((str(name).strip(), row))
    return result, every


def _large_json(path: Path, kind: Any) -> Any:
    if path.stat().st_size > _LARGEST_INFO:
        raise ValueError(f"{path} is larger than {_LARGEST_INFO:,} bytes; that is no list of images.")
    return parse_json(path.read_bytes(), path, kind)

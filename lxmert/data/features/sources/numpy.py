"""Folders with NumPy files for every image, and single .npz files.

ID.npz      features (or x), boxes (or bbox, bboxes), height and width (or image_h, image_w, …), and, if they are
            there, object_ids, object_confidence, attribute_ids, attribute_confidence
ID.npy      features, beside ID_boxes.npy, ID_size.npy (height, width) and, if they are there, ID_object_ids.npy, …
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.layout import stored_array

from .base import KNOWN, DamagedImage, Entry

_LABELS = {
    "object_ids": ("object_ids", "objects_id", "obj_id", "obj_ids"),
    "object_confidence": ("object_confidence", "objects_conf", "obj_conf"),
    "attribute_ids": ("attribute_ids", "attrs_id", "attr_id", "attr_ids"),
    "attribute_confidence": ("attribute_confidence", "attrs_conf", "attr_conf"),
}
_NAMES = {
    "features": ("features", "x"),
    "boxes": ("boxes", "bbox", "bboxes"),
    "height": ("height", "image_height", "image_h", "img_h"),
    "width": ("width", "image_width", "image_w", "img_w"),
    **_LABELS,
}
_BESIDE = ("boxes", "size", *_LABELS)
_LARGEST = 256 * 2**20  # bytes of one array
_ADVICE = (
    "Where you trust the files, load them in Python yourself and write every image as ID.npz with features, boxes, "
    "width and height: numpy.savez(...)"
)


class NumpyFolder:
    """A folder of .npz or .npy files, those in its folders included, or one .npz file.

    Raises:
        ValueError: a folder without such files, or with pickled ones.
    """

    def __init__(self, path: Path):
        self.path = path
        files = _files(path)
        by_suffix = {suffix: [file for file in files if file.suffix == suffix] for suffix in (".npz", ".npy")}
        self.title = "NumPy files" if path.is_dir() else "NumPy file"
        if by_suffix[".npz"] and by_suffix[".npy"]:
            raise ValueError(f"{path} holds .npz and .npy files; give a folder with one kind of them.")
        endings = tuple(f"_{part}.npy" for part in _BESIDE)
        if any(file.name.endswith("_info.npy") for file in by_suffix[".npy"]):
            raise ValueError(
                f"{path} holds _info.npy files, as mmf writes them: pickles, programs that would run when they are "
                f"read. {_ADVICE}."
            )
        self._files = by_suffix[".npz"] or [file for file in by_suffix[".npy"] if not file.name.endswith(endings)]
        if not self._files:
            raise ValueError(f"{path} holds no features: it has no .npz and .npy files. Read are {KNOWN}.")
        self._sizes = [file.stat().st_size for file in self._files]
        self.size = sum(self._sizes)
        self.rows_without_id = 0

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`. A position is the number of a file and the name of the one before it."""
        start = position["next"] if position else 0
        if position and (start > len(self._files) or self._relative(start - 1) != position["last"]):
            raise ValueError(
                f"{self.path} has changed since the import began: file {start} of it was {position['last']!r}. Give "
                "the files as they were, or begin anew (--restart)."
            )
        for number in range(start, len(self._files)):
            file = self._files[number]
            after = {"next": number + 1, "last": self._relative(number)}
            read = _from_npz if file.suffix == ".npz" else _from_npy
            yield Entry(f"{file}", self._sizes[number], after, partial(read, file))

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return sum(self._sizes[: position["next"]]) if position else 0

    def _relative(self, number: int) -> str:
        file = self._files[number]
        return file.relative_to(self.path).as_posix() if file != self.path else file.name


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        found += [Path(folder, name) for name in sorted(names) if name.endswith((".npz", ".npy"))]
    return found


def _from_npz(path: Path) -> ImageRegions:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            found: dict[str, Any] = {}
            for name, spellings in _NAMES.items():
                for spelling in spellings:
                    if spelling in members:
                        found[name] = _member(archive, members[spelling])
                        break
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DamagedImage(f"it is no whole .npz file: {error}.") from None
    missing = [name for name in ("features", "boxes", "height", "width") if name not in found]
    if missing:
        raise DamagedImage(f"it must have {', '.join(missing)}; it has {', '.join(members)}.")
    features, boxes = found["features"], found["boxes"]
    # The extractor whose files have "x" writes features as columns.
    if features.ndim == 2 and "features" not in members and len(features) != len(boxes) == features.shape[1]:
        features = np.ascontiguousarray(features.T)
    size = _number("height", found["height"]), _number("width", found["width"])
    return ImageRegions(path.stem, features, boxes, size, **{name: found.get(name) for name in _LABELS})


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    if info.file_size > _LARGEST:
        raise DamagedImage(f"its {info.filename} is larger than {_LARGEST:,} bytes; that is no image's.")
    with archive.open(info) as file:
        content = file.read(_LARGEST + 1)
    return _array(content, info.filename)


def _array(content: bytes, name: str) -> np.ndarray:
    """The array of a .npy file's bytes; no more memory is taken than the bytes need."""
    import io

    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        reader = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}[version]
        shape, fortran, dtype = reader(stream)
    except (ValueError, KeyError, TypeError, SyntaxError, EOFError, RecursionError) as error:
        raise DamagedImage(f"its {name} is no array: {error}.") from None
    if dtype.hasobject:
        raise DamagedImage(f"its {name} is a pickle, a program that would run when it is read. {_ADVICE}.")
    values = np.frombuffer(content, np.uint8, offset=stream.tell())
    count = 1
    for side in shape:
        count *= side
    if len(values) != count * dtype.itemsize or dtype.kind not in "fiu":
        raise DamagedImage(f"its {name} must hold {dtype} {list(shape)}; it has {len(values):,} bytes.")
    return values.view(dtype).reshape(shape, order="F" if fortran else "C")


def _from_npy(path: Path) -> ImageRegions:
    found: dict[str, Any] = {}
    for part in _BESIDE:
        beside = path.with_name(f"{path.stem}_{part}.npy")
        if beside.is_file():
            found[part] = _file(beside)
        elif part in ("boxes", "size"):
            raise DamagedImage(f"beside it {beside.name} was expected.")
    features, boxes, size = _file(path), found.pop("boxes"), found.pop("size")
    return ImageRegions(path.stem, features, boxes, size, **found)


def _file(path: Path) -> np.ndarray:
    try:
        if (size := path.stat().st_size) > _LARGEST:
            raise DamagedImage(f"{path.name} is larger than {_LARGEST:,} bytes; that is no image's.")
        stored_array(path)
        del size
        return _array(path.read_bytes(), path.name)
    except DamagedImage:
        raise
    except (ValueError, OSError) as error:
        raise DamagedImage(str(error)) from None


def _number(name: str, values: np.ndarray) -> int:
    if values.size != 1 or values.reshape(()) != int(values.reshape(())):
        raise DamagedImage(f"its {name} must be one integer; it is {values.tolist()!r:.60}.")
    return int(values.reshape(()))

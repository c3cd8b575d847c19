"""NumPy files: folders with .npz or .npy files for every image, and single .npz files.

ID.npz      features (or x), boxes (or bbox, bboxes), height and width (or image_h, image_w, …), and optionally
            object_ids, object_confidence, attribute_ids, attribute_confidence
ID.npy      features, next to ID_boxes.npy, ID_size.npy (height, width), and optionally ID_object_ids.npy, …
"""

from __future__ import annotations

import io
import math
import os
import zipfile
import zlib
from itertools import accumulate
from pathlib import Path

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.layout import parse_npy_header

from .base import DamagedImage, NumberedSource

_LABELS = {
    "object_ids": ("object_ids", "objects_id", "obj_id", "obj_ids"),
    "object_confidence": ("object_confidence", "objects_conf", "obj_conf"),
    "attribute_ids": ("attribute_ids", "attrs_id", "attr_id", "attr_ids"),
    "attribute_confidence": ("attribute_confidence", "attrs_conf", "attr_conf"),
}
_SPELLINGS = {
    "features": ("features", "x"),
    "boxes": ("boxes", "bbox", "bboxes"),
    "height": ("height", "image_height", "image_h", "img_h"),
    "width": ("width", "image_width", "image_w", "img_w"),
    **_LABELS,
}
_COMPANIONS = ("boxes", "size", *_LABELS)
_MAX_ARRAY_BYTES = 256 * 2**20
_ADVICE = (
    "If you trust the files, load them in Python yourself and write every image as ID.npz with features, boxes, width "
    "and height: numpy.savez(...)"
)


class NumpyFiles(NumberedSource):
    """A folder of .npz or .npy files, including its subfolders, or one .npz file.

    Raises:
        ValueError: a folder without such files, or with pickled ones.
    """

    def __init__(self, path: Path):
        files = _list_files(path)
        npz = [file for file in files if file.suffix == ".npz"]
        npy = [file for file in files if file.suffix == ".npy"]
        if npz and npy:
            raise ValueError(f"{path} holds .npz and .npy files; pass a folder with one kind of them.")
        if any(file.name.endswith("_info.npy") for file in npy):
            raise ValueError(
                f"{path} holds _info.npy files, as mmf writes them: pickles, programs that would run when they are "
                f"read. {_ADVICE}."
            )
        endings = tuple(f"_{part}.npy" for part in _COMPANIONS)
        self._files = npz or [file for file in npy if not file.name.endswith(endings)]
        if not self._files:
            raise ValueError(f"{path} holds no features: it has no .npz and .npy files.")
        self._starts = list(accumulate((file.stat().st_size for file in self._files), initial=0))
        names = [file.name if file == path else file.relative_to(path).as_posix() for file in self._files]
        super().__init__(path, names, self._starts[-1])

    def bytes_before(self, number: int) -> int:
        """The size of the files before one."""
        return self._starts[number]

    def where(self, number: int) -> str:
        """The file."""
        return str(self._files[number])

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        file = self._files[number]
        return _read_npz(file) if file.suffix == ".npz" else _read_npy(file)


def _list_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        found += [Path(folder, name) for name in sorted(names) if name.endswith((".npz", ".npy"))]
    return found


def _read_npz(path: Path) -> ImageRegions:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            found: dict[str, np.ndarray] = {}
            for name, spellings in _SPELLINGS.items():
                spelling = next((spelling for spelling in spellings if spelling in members), None)
                if spelling is not None:
                    found[name] = _read_member(archive, members[spelling])
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DamagedImage(f"it is not a .npz file, or damaged: {error}.") from None
    missing = [name for name in ("features", "boxes", "height", "width") if name not in found]
    if missing:
        raise DamagedImage(f"it must have {', '.join(missing)}; it has {', '.join(members)}.")
    features, boxes = found["features"], found["boxes"]
    # The extractor that calls features "x" writes them transposed.
    if features.ndim == 2 and "features" not in members and len(features) != len(boxes) == features.shape[1]:
        features = np.ascontiguousarray(features.T)
    size = _integer("height", found["height"]), _integer("width", found["width"])
    return ImageRegions(path.stem, features, boxes, size, **{name: found.get(name) for name in _LABELS})


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    _check_size(info.filename, info.file_size)
    with archive.open(info) as file:
        return _parse_array(file.read(_MAX_ARRAY_BYTES + 1), info.filename)


def _read_npy(path: Path) -> ImageRegions:
    found: dict[str, np.ndarray] = {}
    for part in _COMPANIONS:
        companion = path.with_name(f"{path.stem}_{part}.npy")
        if companion.is_file():
            found[part] = _read_array_file(companion)
        elif part in ("boxes", "size"):
            raise DamagedImage(f"{companion.name} is missing next to it.")
    features, boxes, size = _read_array_file(path), found.pop("boxes"), found.pop("size")
    return ImageRegions(path.stem, features, boxes, size, **found)


def _read_array_file(path: Path) -> np.ndarray:
    try:
        _check_size(path.name, path.stat().st_size)
        return _parse_array(path.read_bytes(), path.name)
    except OSError as error:
        raise DamagedImage(str(error)) from None


def _check_size(name: str, size: int) -> None:
    if size > _MAX_ARRAY_BYTES:
        raise DamagedImage(f"its {name} is larger than {_MAX_ARRAY_BYTES:,} bytes, too large for an image.")


def _parse_array(content: bytes, name: str) -> np.ndarray:
    """The array of a .npy file; it takes no more memory than the content."""
    stream = io.BytesIO(content)
    try:
        shape, fortran, dtype = parse_npy_header(stream)
    except ValueError as error:
        raise DamagedImage(f"its {name} is not an array: {error}.") from None
    if dtype.hasobject:
        raise DamagedImage(f"its {name} is a pickle, a program that would run when it is read. {_ADVICE}.")
    values = np.frombuffer(content, np.uint8, offset=stream.tell())
    if len(values) != math.prod(shape) * dtype.itemsize or dtype.kind not in "fiu":
        raise DamagedImage(f"its {name} must hold {dtype} {list(shape)}; it has {len(values):,} bytes.")
    return values.view(dtype).reshape(shape, order="F" if fortran else "C")


def _integer(name: str, values: np.ndarray) -> int:
    if values.size != 1 or values.reshape(()) != int(values.reshape(())):
        raise DamagedImage(f"its {name} must be one integer; it is {values.tolist()!r:.60}.")
    return int(values.reshape(()))

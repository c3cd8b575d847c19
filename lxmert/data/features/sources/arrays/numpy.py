"""NumPy files with one image each: .npz and .npy files of one's own, of mmf, ViLBERT and UNITER.

ID.npz      features, boxes, and so on, under the names of `pictures.SPELLINGS`
ID.npy      features, next to ID_boxes.npy, ID_size.npy (height, width), and maybe ID_object_ids.npy, …
ID.npy      features, next to ID_info.npy, a pickled dict of the rest (mmf)
ID.npy      a pickled dict of all of it (ViLBERT)
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from typing import Any

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, NumberedSource, SourceOptions
from lxmert.data.features.sources.pictures import LABELS, SPELLINGS, PictureReader, read_first, spelled
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.messages import shown
from lxmert.utils.zip_files import ZipArchive

from .rows import MAX_IMAGE_BYTES, check_image_size, parse_array, read_header

_COMPANIONS = ("boxes", "normalized_boxes", "size", *LABELS)
_INFO = "_info.npy"


class NumpyFiles(NumberedSource):
    """A folder of .npz or .npy files, including its subfolders, or one such file.

    Raises:
        ValueError: a folder without such files, or with both kinds.
    """

    def __init__(self, path: Path, options: SourceOptions | None = None):
        files = list_files(path)
        npz = [file for file in files if file.suffix == ".npz"]
        npy = [file for file in files if file.suffix == ".npy"]
        if npz and npy:
            raise ValueError(f"{path} holds .npz and .npy files; pass a folder with one kind of them.")
        endings = (*(f"_{part}.npy" for part in _COMPANIONS), _INFO)
        self._files = npz or [file for file in npy if not file.name.endswith(endings)]
        if not self._files:
            raise ValueError(f"{path} holds no features: it has no .npz and .npy files.")
        self._starts = list(accumulate((file.stat().st_size for file in self._files), initial=0))
        names = [file.name if file == path else file.relative_to(path).as_posix() for file in self._files]
        super().__init__(path, names, self._starts[-1])
        self._reader = PictureReader(options)
        read_first(self._reader, self.entries(None))

    def bytes_before(self, number: int) -> int:
        """The size of the files before one."""
        return self._starts[number]

    def where(self, number: int) -> str:
        """The file."""
        return str(self._files[number])

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        file = self._files[number]
        given = _read_npz(file) if file.suffix == ".npz" else _read_npy(file)
        features = spelled(given).get("features")
        if features is not None and getattr(given[features], "ndim", 0) == 3 and len(self._files) > 1:
            raise DamagedImage("it holds the features of many images; pass the file itself, not the folder.")
        return self._reader.regions(file.stem, given)


def list_files(path: Path) -> list[Path]:
    """The .npz and .npy files of a folder and its subfolders, sorted; or the file itself."""
    if not path.is_dir():
        return [path]
    found = []
    for folder, folders, names in os.walk(path):
        folders.sort()
        found += [Path(folder, name) for name in sorted(names) if name.endswith((".npz", ".npy"))]
    return found


def holds_info(names: Iterable[str]) -> bool:
    """Whether some of these files are mmf's descriptions of images."""
    return any(name.endswith(_INFO) for name in names)


def holds_many(path: Path) -> bool:
    """Whether an .npz file, or a folder of .npy files, has arrays with a row per image; False for other files."""
    try:
        if path.is_dir():
            stems = {file.stem for file in path.iterdir() if file.suffix == ".npy"}
            name = spelled(stems).get("features")
            if name is None:
                return False
            with (path / f"{name}.npy").open("rb") as file:
                return len(read_header(file, str(path)).shape) == 3
        archive = ZipArchive(path)
        known = spelled(_stems(archive))
        if "features" not in known:
            return "ids" in known
        shapes = {}
        for part in known.keys() & {"features", "ids"}:
            with archive.open(_stems(archive)[known[part]]) as member:
                shapes[part] = read_header(member, str(path)).shape
        return len(shapes["features"]) == 3 or len(shapes.get("ids", ())) == 1
    except InvalidFileError:
        return False  # an error when it is opened


def _stems(archive: ZipArchive) -> dict[str, str]:
    """The members of an .npz file by the names of their arrays."""
    return {name.removesuffix(".npy"): name for name in archive.members}


def _read_npz(path: Path) -> dict[str, Any]:
    """The arrays of an .npz file that have known names; names without arrays for the rest, for messages."""
    known = {spelling for part, spellings in SPELLINGS.items() for spelling in spellings if part != "ids"}
    archive = ZipArchive(path)
    members = _stems(archive)
    chosen = {*spelled(members).values()}  # without second spellings of one array, which need not be read
    return {
        name: _read_member(archive, member) if name in known else None
        for name, member in members.items()
        if name in chosen or name not in known
    }


def _read_member(archive: ZipArchive, name: str) -> Any:
    check_image_size(f"its {shown(name)}", archive.members[name].file_size)
    return parse_array(archive.read(name, MAX_IMAGE_BYTES), f"its {shown(name)}")


def _read_npy(path: Path) -> dict[str, Any]:
    features = _read_array_file(path)
    info = path.with_name(path.stem + _INFO)
    if isinstance(features, dict):
        return features
    if isinstance(features, list):
        raise DamagedImage("it must hold an array or a dict; it holds a list.")
    if info.is_file():
        rest = _read_array_file(info)
        if not isinstance(rest, dict):
            raise DamagedImage(f"{info.name} must hold a dict.")
        return {**rest, "features": features}
    found: dict[str, Any] = {"features": features}
    for part in _COMPANIONS:
        companion = path.with_name(f"{path.stem}_{part}.npy")
        if companion.is_file():
            found[part] = _read_array_file(companion)
    if "boxes" not in found and "normalized_boxes" not in found:
        raise DamagedImage(f"{path.stem}_boxes.npy is missing next to it (or {path.stem}{_INFO}, as mmf writes it).")
    return found


def _read_array_file(path: Path) -> Any:
    check_image_size(f"its {shown(path.name)}", path.stat().st_size)
    return parse_array(path.read_bytes(), f"its {path.name}")

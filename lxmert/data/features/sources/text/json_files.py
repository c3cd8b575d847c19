"""VL-BERT's features: a folder or a ZIP with a JSON file for every image, arrays in base64."""

from __future__ import annotations

import os
from pathlib import Path

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, NumberedSource
from lxmert.data.features.sources.found import Found
from lxmert.data.features.sources.size_order import SizeOrder
from lxmert.utils.foreign_files import InvalidFileError, read_small, reading
from lxmert.utils.zip_files import ZipArchive

from .json_cells import parse_content

_MAX_JSON_BYTES = 64 * 2**20  # of an image


class JsonFiles(NumberedSource):
    """A folder or a ZIP of JSON files; the name of a file is the image's."""

    def __init__(self, path: Path, archive: ZipArchive | None = None):
        self._archive = archive
        if archive is None:
            sizes = {file.relative_to(path).as_posix(): file.stat().st_size for file in _json_files(path)}
        else:
            sizes = {name: info.file_size for name, info in archive.members.items() if name.endswith(".json")}
        self._order = SizeOrder((), stated=True)
        names = sorted(sizes)
        self._starts = [0]
        for name in names:
            self._starts.append(self._starts[-1] + sizes[name])
        super().__init__(path, names, self._starts[-1])

    def bytes_before(self, number: int) -> int:
        """The size of the files before one."""
        return self._starts[number]

    def where(self, number: int) -> str:
        """The file."""
        return f"{self.path}, {self.names[number]}"

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        name = self.names[number]
        content = parse_content(_read(self.path, self._archive, name))
        if content.features is None or content.boxes is None or content.size is None:
            raise DamagedImage("it must have image_h, image_w, num_boxes, boxes and features.")
        image = ImageRegions(Path(name).stem, content.features, content.boxes, content.size)
        self._order.check(image)
        return image


def _json_files(path: Path) -> list[Path]:
    return [Path(folder, name) for folder, _, names in os.walk(path) for name in names if name.endswith(".json")]


def _read(folder: Path, archive: ZipArchive | None, name: str) -> bytes:
    if archive is not None:
        return archive.read(name, _MAX_JSON_BYTES)
    return read_small(folder / name, _MAX_JSON_BYTES, "the JSON of an image")


def holds_features(found: Found) -> bool:
    """Whether the first JSON file of a folder or a ZIP has features."""
    name = next((name for name in found.names if name.endswith(".json")), None)
    if name is None:
        return False
    try:
        with reading(found.path):
            text = _read(found.path, None if found.path.is_dir() else found.archive, name)
            return parse_content(text).features is not None
    except (InvalidFileError, OSError):
        return False

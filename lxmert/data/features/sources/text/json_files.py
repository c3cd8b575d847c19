"""VL-BERT's features: a folder or a ZIP with a JSON file for every image, arrays in base64."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, NumberedSource
from lxmert.data.features.sources.found import Found
from lxmert.data.features.sources.size_order import SizeOrder
from lxmert.utils.foreign_files import InvalidFileError, reading

from .json_cells import parse_content

_MAX_JSON_BYTES = 64 * 2**20  # of an image


class JsonFiles(NumberedSource):
    """A folder or a ZIP of JSON files; the name of a file is the image's."""

    def __init__(self, path: Path):
        with reading(path, "is no ZIP that can be read"):
            self._archive = None if path.is_dir() else zipfile.ZipFile(path)
        if self._archive is None:
            sizes = {file.relative_to(path).as_posix(): file.stat().st_size for file in _json_files(path)}
        else:
            members = [info for info in self._archive.infolist() if info.filename.endswith(".json")]
            sizes = {info.filename: info.file_size for info in members}
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
        if self._starts[number + 1] - self._starts[number] > _MAX_JSON_BYTES:
            raise DamagedImage(f"it is larger than {_MAX_JSON_BYTES:,} bytes, too large for an image.")
        try:
            with (
                reading("it", "cannot be read"),
                (self.path / name).open("rb") if self._archive is None else self._archive.open(name) as file,
            ):
                text = file.read(_MAX_JSON_BYTES)
        except (InvalidFileError, OSError) as error:
            raise DamagedImage(f"{error}.") from None
        content = parse_content(text)
        if content.features is None or content.boxes is None or content.size is None:
            raise DamagedImage("it must have image_h, image_w, num_boxes, boxes and features.")
        image = ImageRegions(Path(name).stem, content.features, content.boxes, content.size)
        self._order.check(image)
        return image


def _json_files(path: Path) -> list[Path]:
    return [Path(folder, name) for folder, _, names in os.walk(path) for name in names if name.endswith(".json")]


def holds_features(found: Found) -> bool:
    """Whether the first JSON file of a folder or a ZIP has features."""
    names = [name for name in found.names if name.endswith(".json")]
    if not names:
        return False
    try:
        with reading(found.path):
            if found.path.is_dir():
                text = (found.path / names[0]).read_bytes()
            else:
                with zipfile.ZipFile(found.path) as archive:
                    text = archive.read(names[0])
            return parse_content(text).features is not None
    except (InvalidFileError, OSError):
        return False

"""How feature files are imported: the options of the command and of `import_regions`."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .image_regions import ImageRegions
from .name_pattern import NamePattern
from .sources.base import SourceOptions
from .sources.text.columns import parse_columns


@dataclass(frozen=True)
class ImportOptions:
    """How feature files are read, and what is stored of them.

    Attributes:
        dtype: of the features in the store. float32 keeps the numbers of all published files exactly; float16 takes
            half the disk and rounds each number to 11 bits, by up to 2^-11 of it (2^-25 below 2^-14).
        ids: the ids of an HDF5 file or of arrays that have none: a JSON object of ids and row numbers, or a pickle of
            the same, which may leave out rows; or an id for each row, as a JSON list, a .npy file, or text with one id
            per line.
        boxes: "xyxy", two corners, or "xywh", a corner with width and height. None is "xyxy"; for GQA's files it is
            inferred.
        sizes: the images' sizes, where arrays have boxes in pixels and no sizes: a JSON object of ids and [height,
            width], or annotations of COCO.
        columns: the names of a TSV's columns, such as "image_id,image_h,image_w,num_boxes,boxes,features" or a list of
            them; None to recognize them. "_" is a column that is not read.
        boxes_from: a TSV with the boxes of features that have none: the image's key and JSON with rect, in the same
            order as the features.
        names: the images' names in the store, with {id} for the id in the source: "COCO_val2014_{id:012}".
        rename: names by id, which take precedence.
        skip_damaged: whether to skip damaged images and list them in the report; otherwise the first one is an error.
        clip_boxes: whether to clip boxes at the border of their image; otherwise such an image is damaged.
    """

    dtype: str = "float32"
    ids: str | Path | None = None
    boxes: str | None = None
    sizes: str | Path | None = None
    columns: str | Sequence[str] | None = None
    boxes_from: str | Path | None = None
    names: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    skip_damaged: bool = False
    clip_boxes: bool = False

    def __post_init__(self) -> None:
        if self.names is not None:
            NamePattern(self.names)
        if self.boxes not in (None, "xyxy", "xywh"):
            raise ValueError(f'boxes must be "xyxy" or "xywh"; got {self.boxes!r}.')
        self.column_names()

    def column_names(self) -> tuple[str, ...] | None:
        """The names of a TSV's columns as they are spelled here; a ValueError for unknown ones."""
        if self.columns is None:
            return None
        return parse_columns(self.columns.split(",") if isinstance(self.columns, str) else self.columns)

    def settings(self) -> dict[str, Any]:
        """The options that an interrupted import must be continued with."""
        table = json.dumps(sorted(self.rename.items()))
        paths = {name: getattr(self, name) for name in ("ids", "sizes", "boxes_from")}
        columns = self.column_names()
        settings = {
            "names": self.names,
            "rename": zlib.crc32(table.encode()) if self.rename else None,
            "boxes": self.boxes,
            "columns": columns and list(columns),
            **{name: None if path is None else str(path) for name, path in paths.items()},
        }
        older = ("names", "rename", "boxes", "ids")  # what older versions saved
        return {name: value for name, value in settings.items() if name in older or value is not None}

    def source_options(self) -> SourceOptions:
        """The options that say what a file does not say itself."""
        paths = (self.ids, self.sizes, self.boxes_from)
        ids, sizes, boxes_from = (None if path is None else Path(path) for path in paths)
        return SourceOptions(ids=ids, boxes=self.boxes, columns=self.column_names(), sizes=sizes, boxes_from=boxes_from)

    def renamed(self, image: ImageRegions) -> ImageRegions:
        """The image with its name in the store."""
        name = self.rename.get(image.name)
        if name is None and self.names is not None:
            name = NamePattern(self.names).name({"id": image.name})
        return image if name is None else dataclasses.replace(image, name=name)

"""Boxes and sizes that are in other files than the features: a row per image, in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from lxmert.data.features.sources.base import SourceOptions, WrongOptions
from lxmert.data.features.sources.base64_arrays import plain_cell
from lxmert.utils.messages import shown

from .json_cells import Content, parse_content
from .records import Record, RecordFile


class BoxRow(NamedTuple):
    """The rows about an image, not parsed yet, and where the next ones begin."""

    records: list[Record | None]
    position: list[dict[str, Any]]


class BoxRows:
    """The rows of one or several files that belong to a file of features."""

    def __init__(self, paths: list[Path]):
        self._files = [RecordFile(path) for path in paths]

    def rows(self, position: list[dict[str, Any]] | None) -> Iterator[BoxRow]:
        """The rows from a position on."""
        positions: list[Any] = list(position) if position else [None] * len(self._files)
        opened = [file.records(at) for file, at in zip(self._files, positions, strict=True)]
        while True:
            records = [next(records, None) for records in opened]
            yield BoxRow(records, [record.position() for record in records if record])

    def content(self, row: BoxRow, name: str) -> Content:
        """What the rows say of the image.

        Raises:
            DamagedImage: the JSON is damaged.
            WrongOptions: a row is about another image.
        """
        content = Content()
        for file, record in zip(self._files, row.records, strict=True):
            if record is None:
                raise WrongOptions(
                    f"{file.path} has no row for it: it must have one for each image, in the same order."
                )
            key = plain_cell(record.cells[0]).decode("utf-8", "replace")
            if key != name:
                raise WrongOptions(
                    f"line {record.line} of {file.path} is about {shown(key)}: the files must have the same images "
                    "in the same order. Sort both by their first column."
                )
            content = content.completed(parse_content(record.cells[-1]))
        return content


def box_files(path: Path, options: SourceOptions) -> list[Path]:
    """The files with the boxes and sizes for a file of features: that of the option, or Oscar's names next to it.

    Raises:
        FileNotFoundError: the file of the option does not exist.
        ValueError: none is given, and none is next to it.
    """
    name = path.name.replace("features", "feature")
    if options.boxes_from is not None:
        given = Path(options.boxes_from)
        if not given.is_file():
            raise FileNotFoundError(f"{given} does not exist; pass a file of boxes (--boxes-from).")
        found = [given]
    else:
        labels = {path.with_name(name.replace("feature", part)) for part in ("label", "labels", "predictions")} - {path}
        found = sorted(file for file in labels if file.is_file())[:1]
    if not found:
        raise ValueError(
            f"{path} has features, but no boxes. Pass the file that has them with --boxes-from FILE: a TSV with a row "
            "for each image in the same order, its key and JSON with rect (label.tsv of Oscar, predictions.tsv of "
            "VinVL)."
        )
    sizes = {path.with_name(name.replace("feature", "hw")), found[0].with_name(found[0].name.replace("label", "hw"))}
    return found + sorted(file for file in sizes - {path, *found} if file.is_file())[:1]

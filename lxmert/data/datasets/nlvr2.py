"""NLVR2: the statements of the original LXMERT, and the official JSON lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lxmert.utils.messages import shown

from .columns import CategoricalColumn, TextColumn
from .examples import Statements
from .json_reader import json_lines, list_items
from .json_writer import write_lines, write_records
from .question_records import is_official
from .record_checks import Paths, RecordFile, check_not_empty, check_unique, list_files

_CONTRAST_DASHES = 4  # in an identifier of the contrast sets, such as test1-769-1-0-2
_LABELS = {"True": 1, "False": 0, 1: 1, 0: 0}  # JSON's true and false equal 1 and 0


def read_nlvr2(paths: Paths) -> Statements:
    """Read statements, each about two images.

    Args:
        paths: one file or several of one layout, which is recognized by content:

            - The original's lists of `identifier`, `sent`, `img0`, `img1` and `label` 0 or 1.
            - The official JSON lines (`dev.json`): `identifier`, `sentence`, `label` "True" or "False". The images'
              names are the identifier without its last part, with `-img0` for the left and `-img1` for the right one.
            - The contrast sets of NLVR2, JSON lines of the same keys. Their identifiers have a fifth part, which the
              images' names keep.

            A hidden test set has no labels.

    Raises:
        OSError: a file cannot be read.
        ValueError: a wrong record or line, which is named; a repeated id; no statements.
    """
    files = list_files(paths)
    official = is_official(files, "the official JSON lines")
    ids, texts, labels = TextColumn(), TextColumn(), []
    images: CategoricalColumn[tuple[str, str]] = CategoricalColumn()
    starts = []
    for path in files:
        starts.append((path, len(ids)))
        file = RecordFile(path, "identifier", "line" if official else "record")
        for number, value in json_lines(path) if official else list_items(path):
            record = file.enter(value, number)
            identifier = file.text(record, "identifier", empty=False)
            ids.append(identifier)
            texts.append(file.text(record, "sentence" if official else "sent"))
            if official:
                images.append(_official_images(file, identifier))
            else:
                images.append((file.name(record, "img0"), file.name(record, "img1")))
            label = _read_label(file, record)
            if label is not None:
                labels.append(label)
            if len(labels) not in (0, len(ids)):
                raise file.error(
                    "some statements have a label and some have none; read statements without labels separately"
                )
    check_not_empty(len(ids), files, "statements")
    check_unique(ids, "identifier", starts)
    return Statements(ids, texts, images.complete(), labels or None, tuple(files))


def _official_images(file: RecordFile, identifier: str) -> tuple[str, str]:
    stem, dash, last = identifier.rpartition("-")
    if not (stem and dash and last):
        raise file.error("identifier must have parts with dashes between them, such as dev-850-0-0")
    if identifier.count("-") == _CONTRAST_DASHES:
        stem = identifier
    return f"{stem}-img0", f"{stem}-img1"


def _read_label(file: RecordFile, record: dict[str, Any]) -> int | None:
    label = record.get("label")
    if label is None:
        return None
    if type(label) not in (str, int, bool) or label not in _LABELS:
        raise file.error(f'label must be "True" or "False", or 1 or 0; got {shown(label)}')
    return _LABELS[label]


def write_nlvr2(path: str | Path, statements: Statements) -> None:
    """Write statements as the original's list of records; the file is replaced when it is complete."""
    write_records(path, _original_records(Path(path).stem, statements))


def _original_records(split: str, statements: Statements) -> Iterator[dict[str, Any]]:
    for row in range(len(statements)):
        left, right = statements.images[row]
        record: dict[str, Any] = {"identifier": statements.ids[row], "img0": left, "img1": right}
        if statements.labels is not None:
            record["label"] = int(statements.labels[row])
        yield {**record, "sent": statements.texts[row], "uid": f"nlvr2_{split}_{row}"}


def write_official_nlvr2(path: str | Path, statements: Statements) -> None:
    """Write statements as the official JSON lines; the file is replaced when it is complete.

    Raises:
        ValueError: an image name that does not follow from the identifier (see `read_nlvr2`).
    """
    write_lines(path, _official_records(statements))


def _official_records(statements: Statements) -> Iterator[dict[str, Any]]:
    for row, (identifier, images) in enumerate(zip(statements.ids, statements.images, strict=True)):
        stem = identifier.rpartition("-")[0]
        wanted = (f"{stem}-img0", f"{stem}-img1")
        if not stem or tuple(images) != wanted:
            raise ValueError(
                f"NLVR2's official files do not name images: those of {shown(identifier)} must be "
                f"{' and '.join(wanted)}; got {' and '.join(images)}."
            )
        record: dict[str, Any] = {"sentence": statements.texts[row], "identifier": identifier}
        if statements.labels is not None:
            record["label"] = "True" if statements.labels[row] else "False"
        yield record

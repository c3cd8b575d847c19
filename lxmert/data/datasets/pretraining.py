"""The original's files for pre-training: all sentences about an image in one record."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.messages import first_few, shown
from lxmert.utils.text_length import LONGEST_TEXT

from .columns import CategoricalColumn, TextColumn
from .examples import Sentences, categorical
from .json_reader import list_items
from .json_writer import write_records
from .record_checks import LabelColumn, Paths, RecordFile, check_not_empty, list_files, origin


def read_pretraining(paths: Paths, sources: Collection[str] | None = None) -> Sentences:
    """Read pairs of a sentence and its image.

    Args:
        paths: one file or several of the original's (`mscoco_train.json`, `vgnococo.json`): lists of `img_id`, `sentf`
            {source: [sentence, ...]} and `labelf` {source: [{answer: score}, ...]}, which has as many labels for a
            source as `sentf` has sentences. An empty label is no answer.
        sources: read only sentences of these, such as {"mscoco", "vqa"}; None reads all.

    Raises:
        OSError: a file cannot be read.
        ValueError: a wrong record, which is named; two records with sentences of one source about one image, as when a
            file is read twice; no sentences; a source that no file has.
    """
    files = list_files(paths)
    wanted = None if sources is None else set(sources)
    texts, labels = TextColumn(), LabelColumn()
    images: CategoricalColumn[str] = CategoricalColumn()
    columns: CategoricalColumn[str] = CategoricalColumn()
    records = _ImageRecords()
    for path in files:
        file = RecordFile(path, "img_id")
        records.start_file(path)
        for number, value in list_items(path):
            record = file.enter(value, number)
            image = images.code_of(file.name(record, "img_id"))
            sentences, answers = _lists_by_source(file, record, "sentf"), _lists_by_source(file, record, "labelf")
            _check_counts(file, sentences, answers)
            records.add(file, image, {columns.code_of(source): source for source in sentences})
            for source, lines in sentences.items():
                if wanted is not None and source not in wanted:
                    continue
                images.append_code(image, len(lines))
                columns.append_code(columns.code_of(source), len(lines))
                for line, label in zip(lines, answers.get(source, [None] * len(lines)), strict=True):
                    _add_text(file, texts, line)
                    labels.append(file, label)
    missing = [] if wanted is None else sorted(wanted - set(columns.categories))
    if missing:
        raise ValueError(
            f"{', '.join(files)}: there are no sentences of {first_few(missing)}; the sources are "
            f"{first_few(columns.categories) or 'none'}."
        )
    check_not_empty(len(texts), files, "sentences")
    # Labels with no score above 0 are no answers either.
    answers_column = labels.column.complete().map_categories(lambda label: label or None)
    return Sentences(texts, _without_unused(images), _without_unused(columns), answers_column, tuple(files))


class _ImageRecords:
    """The first record about each image, and the sources that its records have."""

    def __init__(self) -> None:
        self._starts: list[tuple[str, int]] = []
        self._count = 0
        self._first = array("q")
        self._sources: list[int] = []  # a bit for each source

    def start_file(self, path: str) -> None:
        self._starts.append((path, self._count))

    def add(self, file: RecordFile, image: int, sources: Mapping[int, str]) -> None:
        bits = sum(1 << number for number in sources)
        if image == len(self._first):
            self._first.append(self._count)
            self._sources.append(bits)
        else:
            both = [source for number, source in sources.items() if self._sources[image] >> number & 1]
            if both:
                raise file.error(
                    f"the image has sentences of {first_few(both)} in an earlier record too (the first about it is "
                    f"{origin(self._first[image], self._starts)}); join them in one record, or read each file once"
                )
            self._sources[image] |= bits
        self._count += 1


def _without_unused(column: CategoricalColumn[str]) -> CategoricalColumn[str]:
    """The column without categories that no row has."""
    if len(np.unique(column.codes)) < len(column.categories):
        return column.take(np.arange(len(column)))
    return column.complete()


def _lists_by_source(file: RecordFile, record: dict[str, Any], key: str) -> dict[str, list[Any]]:
    """The lists by source under a key; only the labels may be missing."""
    value = record.get(key, {} if key == "labelf" else None)
    if type(value) is not dict or not all(type(entries) is list for entries in value.values()):
        given = shown(value) if key in record else "none"
        raise file.error(f"{key} must be an object of sources and their lists; got {given}")
    return value


def _check_counts(file: RecordFile, sentences: Mapping[str, list[Any]], labels: Mapping[str, list[Any]]) -> None:
    for source, entries in labels.items():
        if source not in sentences:
            raise file.error(
                f"labelf has the source {shown(source)}, and sentf has only {first_few(sentences) or 'none'}"
            )
        if len(entries) != len(sentences[source]):
            raise file.error(
                f"labelf must have a label for each sentence; the source {shown(source)} has "
                f"{len(sentences[source])} sentences and {len(entries)} labels"
            )


def _add_text(file: RecordFile, texts: TextColumn, line: Any) -> None:
    try:
        texts.append(line)
    except (AttributeError, UnicodeEncodeError, TypeError):
        raise file.error(f"sentf must hold strings; got {shown(line)}") from None
    if len(line) > LONGEST_TEXT:
        file.text({"sentf": line}, "sentf")  # says so


def write_pretraining(path: str | Path, sentences: Sentences) -> None:
    """Write sentences as the original's list of records; the file is replaced when it is complete.

    They are grouped by image, and within an image by source, in the order of first appearance.
    """
    write_records(path, _records(sentences))


def _records(sentences: Sentences) -> Iterator[dict[str, Any]]:
    sources = categorical(sentences.sources)
    order = np.lexsort((sources.codes, sentences.image_numbers))
    numbers = sentences.image_numbers[order]
    for rows in np.split(order, np.flatnonzero(np.diff(numbers)) + 1):
        record: dict[str, Any] = {"img_id": sentences.images[rows[0]], "sentf": {}, "labelf": {}}
        labels: dict[str, list[dict[str, float]]] = {}
        for row in rows.tolist():
            record["sentf"].setdefault(sources[row], []).append(sentences.texts[row])
            labels.setdefault(sources[row], []).append(sentences.answers[row] or {})
        record["labelf"] = {source: entries for source, entries in labels.items() if any(entries)}
        yield record

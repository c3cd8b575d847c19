"""The original's files for pre-training: all sentences about an image in one record."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.utils.messages import first_few

from .columns import Coded, Texts
from .examples import Sentences
from .json_reader import list_items
from .json_writer import write_records
from .record_checks import Labels, Paths, RecordFile, check_some, files_of, origin, shown


def read_pretraining(paths: Paths, sources: Collection[str] | None = None) -> Sentences:
    """Read pairs of a sentence and its image.

    Args:
        paths: one file or several of the original's (`mscoco_train.json`, `vgnococo.json`): lists of `img_id`, `sentf`
            {source: [sentence, ...]} and `labelf` {source: [{answer: score}, ...]}, which has as many labels for a
            source as there are sentences of it. An empty label is none.
        sources: read the sentences of these alone, such as {"mscoco", "vqa"}; None reads all.

    Raises:
        OSError: a file cannot be read.
        ValueError: something is wrong with a record, which is named; sentences of one source about one image in two
            records, as when a file is read twice; no sentences; a source that is in none of the files.
    """
    files = files_of(paths)
    wanted = None if sources is None else set(sources)
    texts = Texts()
    images: Coded[str] = Coded()
    columns: Coded[str] = Coded()
    labels = Labels()
    none = labels.column.number(None)
    records = _RecordsOfImages()
    for path in files:
        file = RecordFile(path, "img_id")
        records.begin(path)
        for number, value in list_items(path):
            record = file.at(value, number)
            image = images.number(file.name(record, "img_id"))
            sentences, answers = _lists(file, record, "sentf"), _lists(file, record, "labelf")
            _check_alike(file, sentences, answers)
            records.add(file, image, {columns.number(source): source for source in sentences})
            for source, lines in sentences.items():
                if wanted is not None and source not in wanted:
                    continue
                for line in lines:
                    _add_text(file, texts, line)
                images.repeat(image, len(lines))
                columns.repeat(columns.number(source), len(lines))
                if source not in answers:
                    labels.column.repeat(none, len(lines))
                    continue
                for label in answers[source]:
                    labels.column.repeat(labels.number(file, label))
    missing = [] if wanted is None else sorted(wanted - set(columns.values))
    if missing:
        raise ValueError(
            f"{', '.join(files)}: there are no sentences of {first_few(missing)}; the sources are "
            f"{first_few(columns.values) or 'none'}."
        )
    check_some(len(texts), files, "sentences")
    # Labels of score 0 alone are none, too.
    answers_column = labels.column.complete().mapped(lambda label: label or None)
    return Sentences(texts, _used(images), _used(columns), answers_column, tuple(files))


class _RecordsOfImages:
    """Which record is the first about each image, and which sources its records have."""

    def __init__(self) -> None:
        self._starts: list[tuple[str, int]] = []
        self._count = 0
        self._first = array("q")
        self._sources: list[int] = []  # a bit for each source

    def begin(self, path: str) -> None:
        self._starts.append((path, self._count))

    def add(self, file: RecordFile, image: int, sources: dict[int, str]) -> None:
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


def _used(column: Coded[str]) -> Coded[str]:
    """The column without values that no row has."""
    return (
        column.take(np.arange(len(column))) if len(np.unique(column.codes)) < len(column.values) else column.complete()
    )


def _lists(file: RecordFile, record: dict[str, Any], key: str) -> dict[str, list[Any]]:
    """The lists by source under a key; only the labels may be missing."""
    value = record.get(key, {} if key == "labelf" else None)
    if type(value) is not dict or not all(type(entries) is list for entries in value.values()):
        given = shown(value) if key in record else "none"
        raise file.error(f"{key} must be an object of sources and their lists; got {given}")
    return value


def _check_alike(file: RecordFile, sentences: dict[str, list[Any]], labels: dict[str, list[Any]]) -> None:
    for source, entries in labels.items():
        if source not in sentences:
            raise file.error(
                f"labelf has the source {shown(source)}, and sentf has only {first_few(sentences) or 'none'}"
            )
        if len(entries) != len(sentences[source]):
            raise file.error(
                f"labelf must have a label for each sentence; the source {shown(source)} has {len(sentences[source])} "
                f"sentences and {len(entries)} labels"
            )


def _add_text(file: RecordFile, texts: Texts, line: Any) -> None:
    try:
        texts.append(line)
    except (AttributeError, UnicodeEncodeError, TypeError):
        raise file.error(f"sentf must hold texts; got {shown(line)}") from None


def write_pretraining(path: str | Path, sentences: Sentences) -> None:
    """Write sentences as the original's list of records; the file is replaced when it is complete.

    Sentences of one image come together, and in them those of one source, in the order in which images and sources
    first appear.

    Raises:
        OSError: it cannot be written.
    """
    write_records(path, _records(sentences))


def _records(sentences: Sentences) -> Iterator[dict[str, Any]]:
    sources = sentences.sources
    assert isinstance(sources, Coded)  # whatever was given; see examples.py
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

"""Recall of phrase grounding on Flickr30K Entities, in percent and not rounded, and its result files.

A result file is a JSON list with an entry for each sentence: `{"id": "1000092795#0", "phrases": [{"entity": "1",
"boxes": [[x1, y1, x2, y2], …]}, …]}`. Phrases are in the order of the sentence, without those that have no box in the
annotations. Boxes are in pixels from 0, the best first: those of all regions, so that the upper bound can be computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lxmert.data.boxes import matches_any
from lxmert.data.datasets.json_reader import list_items
from lxmert.data.datasets.json_writer import write_records
from lxmert.data.datasets.record_checks import RecordFile
from lxmert.utils.foreign_files import reading
from lxmert.utils.messages import shown

from .result_files import check_predictions

if TYPE_CHECKING:
    from lxmert.data.datasets import PhraseSentences

RANKS = (1, 5, 10)

Ranking = Mapping[str, Sequence[np.ndarray]]
"""For each sentence, by its id, and each of its phrases the boxes ``[r, 4]``, the best first."""


@dataclass(frozen=True)
class Flickr30kScores:
    """Scores in percent.

    Attributes:
        recall: for 1, 5 and 10 the phrases with a right box among the first ones: one that overlaps a box of the
            phrase by half or more.
        upper_bound: the phrases with a right box among all boxes.
        per_type: the recall at 1 of the phrases of each type.
        type_counts: their numbers.
        phrases: the number of all phrases.
        left_out: results for other sentences than these.
    """

    recall: dict[int, float]
    upper_bound: float
    per_type: dict[str, float]
    type_counts: dict[str, int]
    phrases: int
    left_out: int = 0

    def rows(self) -> list[tuple[str, float | None, int]]:
        """The scores with a title each, and over how many phrases."""
        found = [(f"recall@{rank}", score, self.phrases) for rank, score in self.recall.items()]
        return [*found, ("upper bound", self.upper_bound, self.phrases)]

    def groups(self) -> dict[str, tuple[dict[str, float], dict[str, int]]]:
        """The scores of the types."""
        return {"recall@1 by type": (self.per_type, self.type_counts)}


def flickr30k_scores(ranking: Ranking, sentences: PhraseSentences) -> Flickr30kScores:
    """Score ranked boxes.

    Raises:
        ValueError: a sentence without a ranking, or with one of other phrases. Rankings of other sentences are left
            out.
    """
    left_out = check_predictions(ranking, dict.fromkeys(sentences.ids), what="sentence")
    ranks: list[float] = []  # of the first right box of each phrase, from 0
    types: dict[str, list[int]] = {}
    for name, phrases in zip(sentences.ids, sentences.phrases, strict=True):
        if len(ranking[name]) != len(phrases):
            raise ValueError(f"the sentence {name} has {len(phrases)} phrases with boxes; got {len(ranking[name])}.")
        for phrase, boxes in zip(phrases, ranking[name], strict=True):
            right = np.flatnonzero(matches_any(boxes, phrase.boxes))
            for kind in phrase.types:
                types.setdefault(kind, []).append(len(ranks))
            ranks.append(float(right[0]) if len(right) else np.inf)
    found = np.array(ranks)
    return Flickr30kScores(
        {rank: 100 * float((found < rank).mean()) for rank in RANKS},
        100 * float(np.isfinite(found).mean()),
        {kind: 100 * float((found[rows] < 1).mean()) for kind, rows in sorted(types.items())},
        {kind: len(rows) for kind, rows in sorted(types.items())},
        len(ranks),
        left_out,
    )


def write_flickr30k_results(path: str | Path, ranking: Ranking, sentences: PhraseSentences) -> None:
    """Write a result file; it is replaced when it is complete.

    Raises:
        OSError: the file cannot be written.
    """

    def entries() -> Any:
        for name, phrases in zip(sentences.ids, sentences.phrases, strict=True):
            ranked = [np.round(boxes.astype(np.float64), 2).tolist() for boxes in ranking[name]]
            own = [{"entity": p.entity, "boxes": boxes} for p, boxes in zip(phrases, ranked, strict=True)]
            yield {"id": name, "phrases": own}

    write_records(path, entries())


def read_flickr30k_results(path: str | Path, sentences: PhraseSentences | None = None) -> dict[str, list[np.ndarray]]:
    """Read a result file.

    Args:
        path: of the file.
        sentences: if given, the entities of their phrases must be those of the file, in the same order.

    Raises:
        OSError: the file cannot be read.
        ValueError: another layout, other entities, or a repeated sentence.
    """
    results: dict[str, list[np.ndarray]] = {}
    rows = () if sentences is None else zip(sentences.ids, sentences.phrases, strict=True)
    wanted = {name: [phrase.entity for phrase in phrases] for name, phrases in rows}
    file = RecordFile(str(path), "id")
    for number, value in list_items(path):
        record = file.enter(value, number)
        name, phrases = file.text(record, "id", empty=False), record.get("phrases")
        if name in results:
            raise file.error("the sentence is there twice")
        if type(phrases) is not list:
            raise file.error("phrases must be a list")
        results[name] = [_boxes(file, phrase) for phrase in phrases]
        entities = [_entity(phrase.get("entity")) for phrase in phrases]
        if name in wanted and entities != wanted[name]:
            raise file.error(
                f"the phrases with boxes are of the entities {shown(wanted[name])}, in this order; got "
                f"{shown(entities)}"
            )
    return results


def _entity(value: Any) -> str:
    return str(value) if isinstance(value, (str, int)) else shown(value)


def _boxes(file: RecordFile, phrase: Any) -> np.ndarray:
    """The boxes of a phrase, [r, 4]."""
    with reading(file.place, "is wrong: each of the phrases must have boxes, a list of [x1, y1, x2, y2] in pixels"):
        boxes = np.array(phrase["boxes"], np.float64)
    if boxes.size == 0:
        return np.zeros((0, 4))
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise file.error("each of the phrases must have boxes, a list of [x1, y1, x2, y2] in pixels")
    return boxes

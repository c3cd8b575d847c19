"""The official accuracy and consistency of NLVR2, in percent and not rounded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .result_files import check_predictions

if TYPE_CHECKING:
    from lxmert.data.datasets import Statements


@dataclass(frozen=True)
class Nlvr2Scores:
    """Scores in percent.

    Attributes:
        accuracy: correct predictions, of the statements about pairs of images.
        consistency: sentences with a correct prediction for each of their pairs, of all sentences; None if identifiers
            do not give the sentence.
        statements: their number.
        sentences: the number of distinct ones; None if identifiers do not give them.
        left_out: predictions for other statements than these.
    """

    accuracy: float
    consistency: float | None
    statements: int
    sentences: int | None
    left_out: int = 0


def nlvr2_scores(
    predictions: Mapping[str, bool], statements: Statements, place: str | Path = "predictions"
) -> Nlvr2Scores:
    """Score predictions for statements.

    An identifier is split-set-pair-sentence, such as test1-0-1-0: statements whose identifiers differ only in the third
    part are one sentence about several pairs (as in the official nlvr2/eval/metrics.py of github.com/lil-lab/nlvr). In
    the contrast sets a fifth part numbers the changed versions of an example, which count together.

    Args:
        predictions: whether each statement is true, by identifier; a ValueError if a statement has none. Those for
            other statements are left out.
        statements: at least one, with labels.
        place: the source of the predictions, for messages.
    """
    if statements.labels is None:
        raise ValueError("statements must have labels to be scored; these are of a test set, which has none.")
    left_out = check_predictions(predictions, dict.fromkeys(statements.ids), place, "statement")
    if not statements.ids:
        raise ValueError("there must be at least one statement to score; there is none.")
    right = [
        bool(predictions[identifier]) == bool(label)
        for identifier, label in zip(statements.ids, statements.labels, strict=True)
    ]
    sentences: dict[tuple[str, ...], bool] = {}
    for identifier, is_right in zip(statements.ids, right, strict=True):
        parts = identifier.split("-")
        if len(parts) < 4:
            sentences.clear()
            break
        sentence = tuple(parts[:4]) if len(parts) > 4 else (*parts[:2], *parts[3:])
        sentences[sentence] = sentences.get(sentence, True) and is_right
    return Nlvr2Scores(
        100 * sum(right) / len(right),
        100 * sum(sentences.values()) / len(sentences) if sentences else None,
        len(right),
        len(sentences) or None,
        left_out,
    )

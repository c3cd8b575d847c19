"""Accuracy and consistency of NLVR2, as its official evaluation counts them. In percent, and as computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .result_files import check_predictions

if TYPE_CHECKING:
    from lxmert.data.datasets import Statements


@dataclass(frozen=True)
class Nlvr2Scores:
    """Scores in percent, 0..100.

    Attributes:
        accuracy: of the statements about pairs of images, how many are judged rightly.
        consistency: of the sentences, each of which is stated of several pairs, how many are judged rightly of every
            pair; None where the identifiers do not tell the sentence.
        statements: how many there are.
        sentences: how many different ones; None where the identifiers do not tell.
    """

    accuracy: float
    consistency: float | None
    statements: int
    sentences: int | None


def nlvr2_scores(predictions: Mapping[str, bool], statements: Statements) -> Nlvr2Scores:
    """Score judgements of statements.

    An identifier is split-set-pair-sentence, such as test1-0-1-0: statements whose identifiers differ in the third part
    alone are one sentence about several pairs (as in the official evaluation, nlvr2/eval/metrics.py of
    github.com/lil-lab/nlvr).

    Args:
        predictions: for each identifier whether the statement is held to be true.
        statements: with their labels.

    Raises:
        ValueError: no statements, statements without labels, or statements without a prediction and the reverse.
    """
    if statements.labels is None:
        raise ValueError("statements must have labels to be scored; these are of a test set, which has none.")
    check_predictions(predictions, dict.fromkeys(statements.ids), what="statement", done="judged")
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
        sentence = (*parts[:2], *parts[3:])
        sentences[sentence] = sentences.get(sentence, True) and is_right
    return Nlvr2Scores(
        100 * sum(right) / len(right),
        100 * sum(sentences.values()) / len(sentences) if sentences else None,
        len(right),
        len(sentences) or None,
    )

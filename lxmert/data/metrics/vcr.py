"""VCR's scores, in percent and not rounded, and its result files: the CSV of the leaderboard, or a part of it.

Columns are `annot_id`, the scores of the answers `answer_0` to `answer_3`, and for each answer, whether right or not,
the scores of its reasons `rationale_conditioned_on_a0_0` to `rationale_conditioned_on_a3_3`. One model writes the
columns of the answers, another one those of the reasons; `join_vcr_results` puts them into one file.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lxmert.utils.atomic_files import write_text
from lxmert.utils.foreign_files import reading
from lxmert.utils.messages import first_few, shown

from .result_files import check_predictions

if TYPE_CHECKING:
    from lxmert.data.datasets import ChoiceQuestions

_ID, _CHOICES = "annot_id", range(4)
ANSWERS = tuple(f"answer_{number}" for number in _CHOICES)
RATIONALES = tuple(f"rationale_conditioned_on_a{answer}_{number}" for answer in _CHOICES for number in _CHOICES)
_GROUPS = (ANSWERS, RATIONALES)

VcrResults = Mapping[str, Mapping[str, float]]
"""For each question, by `annot_id`, its scores by column."""


@dataclass(frozen=True)
class VcrScores:
    """Scores in percent; None for what the results do not hold.

    Attributes:
        answers: questions with the right answer (Q→A).
        rationales: questions with the right reason, given the right answer (QA→R).
        both: questions with both (Q→AR).
        questions: their number.
        left_out: results for other questions than these.
    """

    answers: float | None
    rationales: float | None
    both: float | None
    questions: int
    left_out: int = 0

    def rows(self) -> list[tuple[str, float | None, int]]:
        """The scores with a title each, and over how many questions."""
        found = (("Q→A", self.answers), ("QA→R", self.rationales), ("Q→AR", self.both))
        return [(name, score, self.questions) for name, score in found if score is not None]


def vcr_scores(results: VcrResults, questions: ChoiceQuestions) -> VcrScores:
    """Score results as the leaderboard does: the answer and the reason with the highest scores count.

    Raises:
        ValueError: questions of a test set, or one without a result. Results for other questions are left out.
    """
    if questions.labels is None or questions.rationale_labels is None:
        raise ValueError("questions must have answer_label and rationale_label to be scored; these have not.")
    left_out = check_predictions(results, dict.fromkeys(questions.ids))
    columns = next(iter(results.values()))
    right: dict[str, list[bool]] = {}
    for name, answer, reason in zip(questions.ids, questions.labels, questions.rationale_labels, strict=True):
        scores = results[name]
        if ANSWERS[0] in columns:
            right.setdefault("answers", []).append(_is_best(scores, ANSWERS, answer))
        if RATIONALES[0] in columns:
            given = RATIONALES[len(_CHOICES) * answer :][: len(_CHOICES)]
            right.setdefault("rationales", []).append(_is_best(scores, given, reason))
    if len(right) == len(_GROUPS):
        right["both"] = [one and other for one, other in zip(right["answers"], right["rationales"], strict=True)]
    percent = {name: 100 * sum(several) / len(several) for name, several in right.items()}
    found = percent.get("answers"), percent.get("rationales"), percent.get("both")
    return VcrScores(*found, len(questions.ids), left_out)


def _is_best(scores: Mapping[str, float], columns: Sequence[str], right: int) -> bool:
    return max(_CHOICES, key=lambda number: scores[columns[number]]) == right


def read_vcr_results(paths: Sequence[str | Path]) -> dict[str, dict[str, float]]:
    """Read one result file, or several with different columns of the same questions.

    Raises:
        OSError: a file cannot be read.
        ValueError: other columns, a wrong line, a repeated question, or files about different questions.
    """
    joined: dict[str, dict[str, float]] = {}
    for place, path in enumerate(paths):
        results = _read_file(path)
        if place:
            check_predictions(results, joined, path, exactly=True)
        for name, scores in results.items():
            own = joined.setdefault(name, {})
            twice = own.keys() & scores.keys()
            if twice:
                raise ValueError(f"{path} has columns that {paths[0]} has too: {first_few(sorted(twice), 4)}.")
            own |= scores
    return joined


def _read_file(path: str | Path) -> dict[str, dict[str, float]]:
    with reading(path, "is not a CSV file in UTF-8"):
        lines = list(csv.reader(io.StringIO(Path(path).read_text(encoding="utf-8-sig"))))
    header = lines[0] if lines else []
    groups = [group for group in _GROUPS if set(group) <= set(header)]
    columns = [name for group in groups for name in group]
    if not columns or set(header) != {_ID, *columns} or len(header) != len(columns) + 1:
        raise ValueError(
            f"{path} must have the columns {_ID} and {ANSWERS[0]} to {ANSWERS[-1]} or {RATIONALES[0]} to "
            f"{RATIONALES[-1]}, or all of them; it has {first_few(header) or 'none'}."
        )
    results: dict[str, dict[str, float]] = {}
    for number, line in enumerate(lines[1:], 2):
        if not line:
            continue
        record = dict(zip(header, line, strict=False))
        scores = {name: _number(record.get(name, "")) for name in columns}
        if len(line) != len(header) or not all(map(math.isfinite, scores.values())):
            raise ValueError(f"{path}, line {number:,}: a number is expected in each of {len(columns)} columns.")
        if record[_ID] in results:
            raise ValueError(f"{path}, line {number:,}: {shown(record[_ID])} is there twice.")
        results[record[_ID]] = scores
    if not results:
        raise ValueError(f"{path} has no results below its header.")
    return results


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def vcr_results(ids: Sequence[str], scores: np.ndarray) -> dict[str, dict[str, float]]:
    """Scores of the answers ``[N, 4]``, or of the reasons for each answer ``[4N, 4]``, by question and column."""
    rows = scores.reshape(len(ids), -1).tolist()
    columns = ANSWERS if len(scores) == len(ids) else RATIONALES
    return {name: dict(zip(columns, row, strict=True)) for name, row in zip(ids, rows, strict=True)}


def write_vcr_results(path: str | Path, results: VcrResults) -> None:
    """Write a result file; it is replaced when it is complete.

    Raises:
        OSError: the file cannot be written.
    """
    known = next(iter(results.values()), {})
    columns = [name for group in _GROUPS for name in group if name in known]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_ID, *columns])
    writer.writerows([name, *(f"{scores[column]:.6g}" for column in columns)] for name, scores in results.items())
    write_text(path, text.getvalue())


def join_vcr_results(paths: Sequence[str | Path], path: str | Path) -> None:
    """Write the columns of several result files into one, as the leaderboard takes them.

    Raises:
        OSError, ValueError: as for `read_vcr_results`.
    """
    write_vcr_results(path, read_vcr_results(paths))

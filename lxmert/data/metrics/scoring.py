"""Score a result file of any program, for `lxmert evaluate`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lxmert.data.datasets import read_nlvr2, read_vqa
from lxmert.utils.messages import first_few

from .gqa import GqaScores, gqa_accuracy, read_gqa_answers
from .nlvr2 import Nlvr2Scores, nlvr2_scores
from .result_files import read_predictions
from .vqa import VqaScores, read_vqa_annotations, soft_accuracy, vqa_accuracy

_TASKS = ("vqa", "gqa", "nlvr2")

Paths = Sequence[str | Path]


def score_result_file(
    task: str, predictions: str | Path, annotations: Paths = (), questions: Paths = ()
) -> VqaScores | GqaScores | Nlvr2Scores:
    """Score a result file in the format of its task (result_files.py).

    Args:
        task: "vqa", "gqa" or "nlvr2".
        predictions: the result file.
        annotations: the files with the correct answers. VQA: official annotations, for the official accuracy. GQA:
            question files, whose balanced questions are scored; NLVR2: files of statements; both official or the
            original's.
        questions: VQA: official questions, which must belong to the annotations; or, without annotations, the
            original's labelled questions (minival.json), for the mean soft score. GQA and NLVR2, whose files hold both:
            the same as `annotations`.

    Raises:
        OSError: a file cannot be read.
        ValueError: files of another layout, without answers, or that do not belong together; the message names them.
    """
    if task not in _TASKS:
        raise ValueError(f"task must be one of {', '.join(_TASKS)}; got {task!r}.")
    if task == "vqa":
        return _score_vqa(predictions, annotations, questions)
    if bool(annotations) == bool(questions):
        raise ValueError(
            f"{task}: pass the files with the correct answers once, as annotations or as questions (its question files "
            f"hold both); got {'both' if questions else 'none'}."
        )
    files = list(annotations or questions)
    if task == "gqa":
        return gqa_accuracy(read_predictions("gqa", predictions), read_gqa_answers(files), predictions)
    statements = read_nlvr2(files)
    return nlvr2_scores(read_predictions("nlvr2", predictions, dict.fromkeys(statements.ids)), statements)


def _score_vqa(predictions: str | Path, annotations: Paths, questions: Paths) -> VqaScores:
    if not annotations and not questions:
        raise ValueError(
            "vqa: pass the correct answers: official annotations (v2_mscoco_val2014_annotations.json), or as questions "
            "files of the original with labels (minival.json)."
        )
    if not annotations:
        labelled = read_vqa(list(questions))
        if labelled.answers is None:
            names = ", ".join(map(str, questions))
            raise ValueError(f"{names}: the questions have no answers; pass the annotations that belong to them.")
        return soft_accuracy(read_predictions("vqa", predictions, dict.fromkeys(labelled.ids)), labelled)
    annotated: dict[int, None] = {}

    def recorded() -> Iterator[dict[str, Any]]:
        for annotation in read_vqa_annotations(list(annotations)):
            annotated[annotation["question_id"]] = None
            yield annotation

    scores = vqa_accuracy(read_predictions("vqa", predictions), recorded(), predictions)
    if questions:
        _check_same_ids(annotated, annotations, dict.fromkeys(read_vqa(list(questions)).ids), questions)
    return scores


def _check_same_ids(annotated: dict[Any, None], annotations: Paths, asked: dict[Any, None], questions: Paths) -> None:
    """Refuse questions and annotations that do not belong together."""
    faults = []
    for ids, others, what in ((asked, annotated, "not annotated"), (annotated, asked, "only annotated")):
        alone = [question for question in ids if question not in others]
        if alone:
            faults.append(f"{len(alone):,} {what}: {first_few(map(str, alone), 5)}")
    if faults:
        raise ValueError(
            f"{', '.join(map(str, annotations))} must annotate the questions of {', '.join(map(str, questions))}; "
            f"{'; '.join(faults)}."
        )

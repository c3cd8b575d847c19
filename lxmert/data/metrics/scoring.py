"""Score a result file of any program, for `lxmert evaluate`."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lxmert.data.datasets import Questions, read_flickr30k, read_nlvr2, read_vcr, read_vqa
from lxmert.data.datasets.question_layouts import (
    A_OKVQA,
    HATEFUL_CLASSES,
    HATEFUL_MEMES,
    OFFICIAL,
    ORIGINAL,
    VIZWIZ,
    recognize,
)
from lxmert.data.datasets.record_checks import canonical_id
from lxmert.data.datasets.record_files import container_records, open_container
from lxmert.utils.messages import first_few

from .binary import average_precision, f1_score, roc_auc
from .flickr30k import Flickr30kScores, flickr30k_scores, read_flickr30k_results
from .gqa import GqaScores, gqa_accuracy, read_gqa_answers
from .nlvr2 import Nlvr2Scores, nlvr2_scores
from .result_reader import ResultFile, read_predictions, read_result_file
from .vcr import VcrScores, read_vcr_results, vcr_scores
from .vqa import VqaScores, read_vqa_annotations, soft_accuracy, vqa_accuracy

logger = logging.getLogger(__name__)

_TASKS = ("vqa", "gqa", "nlvr2", "vcr", "flickr30k")

Paths = Sequence[str | Path]
Scores = VqaScores | GqaScores | Nlvr2Scores | VcrScores | Flickr30kScores


def score_result_file(
    task: str,
    predictions: str | Path | Paths,
    annotations: Paths = (),
    questions: Paths = (),
    formula: str = "auto",
) -> Scores:
    """Score a result file in the format of its task (result_reader.py, vcr.py, flickr30k.py).

    The questions may be a part of those that were answered: predictions for others are left out, and counted.

    Args:
        task: "vqa", "gqa", "nlvr2", "vcr" or "flickr30k".
        predictions: the result file. VCR: several where each has a part of the columns.
        annotations: the files with the correct answers. VQA: official annotations, for the official accuracy. GQA:
            question files, whose balanced questions are scored; NLVR2: files of statements; both official or the
            original's.
        questions: VQA: official questions, which must belong to the annotations; or, without annotations, the
            original's labelled questions (minival.json), for the mean soft score. The other tasks, and the data sets
            that `read_vqa` reads from one file: the same as `annotations`.
        formula: how the answers of several people are scored; see `soft_scores`.

    Raises:
        OSError: a file cannot be read.
        ValueError: files of another layout, without answers, or that do not belong together; the message names them.
    """
    if task not in _TASKS:
        raise ValueError(f"task must be one of {', '.join(_TASKS)}; got {task!r}.")
    results = [predictions] if isinstance(predictions, str | Path) else list(predictions)
    if task != "vcr" and len(results) != 1:
        raise ValueError(f"{task}: one result file is scored; got {len(results)}.")
    predictions = results[0]
    if task == "vqa":
        return _score_vqa(predictions, annotations, questions, formula)
    if bool(annotations) == bool(questions):
        raise ValueError(
            f"{task}: pass the files with the correct answers once, as annotations or as questions (its question files "
            f"hold both); got {'both' if questions else 'none'}."
        )
    files = list(annotations or questions)
    if task == "vcr":
        return vcr_scores(read_vcr_results(results), read_vcr(files))
    if task == "flickr30k":
        sentences = read_flickr30k(files)
        return flickr30k_scores(read_flickr30k_results(predictions, sentences), sentences)
    if task == "gqa":
        return gqa_accuracy(read_predictions("gqa", predictions), read_gqa_answers(files), predictions)
    statements = read_nlvr2(files)
    return nlvr2_scores(read_predictions("nlvr2", predictions), statements, predictions)


def _score_vqa(predictions: str | Path, annotations: Paths, questions: Paths, formula: str) -> VqaScores:
    if not annotations and not questions:
        raise ValueError(
            "vqa: pass the correct answers: official annotations (v2_mscoco_val2014_annotations.json), or as questions "
            "files of the original with labels (minival.json)."
        )
    results = read_result_file("vqa", predictions)
    layouts = {layout.name for layout, _ in map(recognize, map(str, annotations)) if layout is not None}
    if annotations and layouts <= {OFFICIAL}:
        return _score_official(results, predictions, annotations, questions, formula)
    labelled = read_vqa([*annotations, *questions], formula)
    if labelled.answers is None:
        names = ", ".join(labelled.files)
        raise ValueError(f"{names}: the questions have no answers; pass the annotations that belong to them.")
    if labelled.layout == VIZWIZ:
        records = read_vqa_annotations(list(labelled.files))
        scores = vqa_accuracy(results.answers, records, predictions, formula, vizwiz=True)
        return replace(scores, further=_unanswerable(results, labelled))
    if labelled.layout == HATEFUL_MEMES:
        classes = dict(zip("01", HATEFUL_CLASSES, strict=True))
        answers = {name: classes.get(answer, answer) for name, answer in results.answers.items()}
        return replace(soft_accuracy(answers, labelled, predictions), further=_hateful(results, labelled))
    if labelled.layout == A_OKVQA:
        return _score_aokvqa(results, labelled, predictions, processed=formula != "auto")
    return soft_accuracy(results.answers, labelled, predictions, processed=labelled.layout != ORIGINAL)


def _score_aokvqa(results: ResultFile, questions: Questions, place: str | Path, processed: bool) -> VqaScores:
    """The accuracy of direct answers: as in the official evaluation, without the questions that are marked as hard."""
    records = (record for path in questions.files for _, record in container_records(path, open_container(path)))
    hard = {canonical_id(record["question_id"]) for record in records if record.get("difficult_direct_answer")}
    rows = [row for row, name in enumerate(questions.ids) if canonical_id(name) not in hard]
    if not rows:
        raise ValueError(
            f"{', '.join(questions.files)}: every question is marked difficult_direct_answer: none counts."
        )
    if hard:
        counts = f"{len(hard):,}", f"{len(questions):,}"
        logger.info("not scored, since they are marked difficult_direct_answer: %s of %s questions", *counts)
    answers = {name: answer for name, answer in results.answers.items() if name not in hard}
    return soft_accuracy(answers, questions.take(rows), place, processed)


def _score_official(
    results: ResultFile, place: str | Path, annotations: Paths, questions: Paths, formula: str
) -> VqaScores:
    annotated: dict[Any, None] = {}

    def recorded() -> Iterator[dict[str, Any]]:
        for annotation in read_vqa_annotations(list(annotations)):
            annotated[annotation["question_id"]] = None
            yield annotation

    scores = vqa_accuracy(results.answers, recorded(), place, formula)
    if questions:
        _check_same_ids(annotated, annotations, dict.fromkeys(read_vqa(list(questions)).ids), questions)
    return scores


def _unanswerable(results: ResultFile, questions: Questions) -> dict[str, float]:
    """VizWiz's scores of telling which questions cannot be answered; empty if the numbers are unknown."""
    given = results.numbers.get("answerable", {})
    if questions.answerable is None or not all(name in given for name in questions.ids):
        return {}
    truth = [not answerable for answerable in questions.answerable]
    scores = [1 - given[name] for name in questions.ids]
    precision = average_precision(truth, scores)
    further = {} if precision is None else {"unanswerable, average precision": precision}
    return further | {"unanswerable, F1": f1_score(truth, [score > 0.5 for score in scores])}


def _hateful(results: ResultFile, questions: Questions) -> dict[str, float]:
    """The area under the ROC curve of the probabilities in a result file; empty without them."""
    given = results.numbers.get("proba", {})
    ids = list(map(canonical_id, questions.ids))
    if not all(name in given for name in ids):
        return {}
    area = roc_auc([HATEFUL_CLASSES[1] in label for label in questions.answers or ()], [given[name] for name in ids])
    return {} if area is None else {"ROC AUC": area}


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

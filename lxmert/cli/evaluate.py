"""`lxmert evaluate`: a result file, or a checkpoint, scored as the official evaluation of its task does."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lxmert.utils.temporary_files import system_folder

from .options import SOURCE_HELP, json_text, plain_json, table
from .predict import add_checkpoint_options, open_trained_model

if TYPE_CHECKING:
    from lxmert.data.metrics.scoring import Scores

SUMMARY = "score a result file or a trained checkpoint as the official evaluation of its task does"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from lxmert.training.recipes import TASKS

    parser.add_argument("task", choices=tuple(TASKS), help="what was answered; pretrain: the losses of a checkpoint")
    scored = parser.add_mutually_exclusive_group(required=True)
    scored.add_argument(
        "--predictions",
        nargs="+",
        metavar="FILE",
        help="the results, in the official format of the task; VCR: also one file of answers and one of reasons",
    )
    scored.add_argument(
        "--checkpoint", metavar="SOURCE", help=f"a checkpoint of `lxmert train`, OUTPUT/best say; or {SOURCE_HELP}"
    )
    parser.add_argument(
        "--annotations",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="the correct answers: VQA's official annotations; the questions, statements or splits of the other tasks; "
        "or one file of questions and answers (VizWiz, TextVQA, SNLI-VE, your own, ...). It may be a part of what was "
        "answered",
    )
    parser.add_argument(
        "--questions",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="VQA: the questions of the annotations, to check that they belong together; without annotations, "
        "questions of the original with labels, whose mean score is taken. Other tasks: the same as --annotations",
    )
    parser.add_argument(
        "--answer-scores",
        choices=("auto", "official", "share"),
        default="auto",
        help="score of an answer that some annotators gave: what VQA's evaluation gives it, or their share (default: "
        "share where there are fewer than ten of them)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with the unrounded scores too")
    parser.add_argument("--per-question", action="store_true", help="VQA: add the score of every question to the JSON")
    add_checkpoint_options(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(arguments: argparse.Namespace) -> int:
    """Score, and print."""
    from lxmert.data.metrics import score_result_file

    if arguments.task == "pretrain":
        return _run_pretrain(arguments)
    with ExitStack() as opened:
        predictions = arguments.predictions
        if predictions is None:
            if arguments.task != "vqa" and not arguments.questions:  # its files hold questions and answers
                arguments.questions, arguments.annotations = arguments.annotations, []
            if not arguments.questions:
                raise ValueError("--questions must be given with --checkpoint: what it is to answer.")
            absent = [path for path in arguments.annotations if not Path(path).is_file()]
            if absent:  # said now, not after the work
                raise FileNotFoundError(f"--annotations: there is no file {absent[0]}.")
            predictions = [opened.enter_context(system_folder("scoring a checkpoint")) / "predictions"]
            model = open_trained_model(arguments)
            model.predict(predictions[0], progress=model.is_main and not arguments.quiet)
            model.close()
            if not model.is_main:  # the main process has all of them
                return 0
        scores = score_result_file(
            arguments.task, predictions, arguments.annotations, arguments.questions, arguments.answer_scores
        )
    print(scores_json(scores, arguments.per_question) if arguments.json else scores_table(scores))
    return 0


def _run_pretrain(arguments: argparse.Namespace) -> int:
    if arguments.checkpoint is None or not arguments.questions:
        raise ValueError("pre-training is evaluated by --checkpoint and --questions, the files of sentences.")
    model = open_trained_model(arguments)
    scores = model.scores(progress=model.is_main and not arguments.quiet)
    model.close()
    if not model.is_main:
        return 0
    print(
        json_text(scores)
        if arguments.json
        else table(("loss", "mean"), [(n, f"{v:.4f}") for n, v in scores.items()], 1)
    )
    return 0


def scores_json(scores: Scores, per_question: bool = False) -> str:
    """Scores as JSON: rounded to two decimals as they are reported, and under "unrounded" as they were computed."""
    values = plain_json(scores)
    if not per_question:
        values.pop("per_question", None)
    exact = {name: value for name, value in values.items() if not name.endswith("counts") and _has_fraction(value)}
    return json_text({**values, **{name: _rounded(value) for name, value in exact.items()}, "unrounded": exact})


def _has_fraction(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, Mapping) and any(map(_has_fraction, value.values())))


def _rounded(value: Any) -> Any:
    return {key: _rounded(part) for key, part in value.items()} if isinstance(value, Mapping) else round(value, 2)


def scores_table(scores: Scores) -> str:
    """Scores as text: what they are of, percent, and over how many; and how many predictions were left out."""
    if not scores.left_out:
        return _scores_table(scores)
    number = f"{scores.left_out:,} predictions" if scores.left_out > 1 else "1 prediction"
    return f"{_scores_table(scores)}\n\n{number} for others than these files have: left out."


def _scores_table(scores: Scores) -> str:
    from lxmert.data.metrics import Flickr30kScores, GqaScores, VcrScores, VqaScores

    if isinstance(scores, VcrScores):
        return _tables(scores.rows(), {})
    if isinstance(scores, Flickr30kScores):
        return _tables(scores.rows(), scores.groups())
    if isinstance(scores, VqaScores):
        return _tables(
            [
                ("overall", scores.overall, len(scores.per_question)),
                *((name, score, len(scores.per_question)) for name, score in scores.further.items()),
            ],
            {
                "answer type": (scores.per_answer_type, scores.answer_type_counts),
                "question type": (scores.per_question_type, scores.question_type_counts),
            },
        )
    if isinstance(scores, GqaScores):
        # Say that the official program does not print these two.
        note = (
            "" if scores.by_type else "\n\nThe files have no types: binary are the questions whose answer is yes or no."
        )
        if scores.counts.get("unbalanced"):
            balanced = scores.counts["accuracy"]
            note += (
                f"\n\nScored are the {balanced:,} balanced questions of the "
                f"{balanced + scores.counts['unbalanced']:,} in the files, as in the official evaluation."
            )
        tables = _tables(
            [
                ("accuracy", scores.accuracy, scores.counts["accuracy"]),
                ("binary", scores.binary, scores.counts["binary"]),
                ("open", scores.open, scores.counts["open"]),
            ],
            {
                "structural type": (scores.per_structural_type, scores.structural_type_counts),
                "semantic type": (scores.per_semantic_type, scores.semantic_type_counts),
            },
        )
        return tables + note
    return _tables(
        [
            ("accuracy, of statements", scores.accuracy, scores.statements),
            ("consistency, of sentences", scores.consistency, scores.sentences),
        ],
        {},
    )


_Row = tuple[str, float | None, int | None]


def _tables(rows: Iterable[_Row], groups: Mapping[str, tuple[Mapping[str, float], Mapping[str, int]]]) -> str:
    """One table after the other, in one width; a group without scores is left out."""
    columns = ("percent", "number")
    lines = [_cells(row) for row in rows]
    starts = []
    for title, (scores, counts) in groups.items():
        if scores:
            starts.append(len(lines) + 1)  # below the first title
            lines.append((title, *columns))
            lines += [_cells((name, score, counts[name])) for name, score in sorted(scores.items())]
    text = table(("score", *columns), lines, left=1).splitlines()
    return "\n".join(f"\n{line}" if i in starts else line for i, line in enumerate(text))


def _cells(row: _Row) -> tuple[str, str, str]:
    from lxmert.utils.messages import escaped

    name, score, count = row
    return escaped(name), "-" if score is None else f"{score:.2f}", "-" if count is None else f"{count:,}"

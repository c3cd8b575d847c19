"""Result files in the official formats, checked against their questions; result_reader.py reads them.

| task  | file | content |
|---|---|---|
| vqa   | JSON | `[{"question_id": 458752000, "answer": "yes"}, …]`; the server expects every question of the test set |
| vqa, Hateful Memes | CSV | a line `8291,0.93,1` for each meme, after the header `id,proba,label` |
| gqa   | JSON | `[{"questionId": "201307251", "prediction": "yes"}, …]` |
| nlvr2 | CSV  | a line `test1-0-1-0,True` for each pair of images, without a header |
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lxmert.utils.atomic_files import write_text
from lxmert.utils.messages import escaped, first_few, shown

KEYS = {"vqa": ("question_id", "answer"), "gqa": ("questionId", "prediction")}
"""The keys of an id and of its answer in JSON result files, by task."""


def write_predictions(
    task: str,
    path: str | Path,
    predictions: Mapping[Any, Any],
    ids: Collection[Any] | None = None,
    id_key: str | None = None,
) -> None:
    """Write a result file, in the order of the mapping; it is replaced when it is complete.

    Args:
        task: "vqa", "gqa" or "nlvr2".
        path: of the file.
        predictions: an answer for each question id, or True or False (1 or 0) for each statement's identifier.
        ids: of all questions or statements; if given, each of them must have a prediction, and nothing else.
        id_key: the key of the ids in JSON if it is another one, "image" for VizWiz.

    Raises:
        OSError: the file cannot be written.
        ValueError: ids or predictions that the format does not allow, or that do not match `ids`; nothing is written.
    """
    if task == "nlvr2":
        text = "".join(f"{name},{bool(value)}\n" for name, value in predictions.items())
        wrong = [
            f"{shown(id_)}: {shown(value)}"
            for id_, value in predictions.items()
            if not _fits(id_) or value not in (0, 1)
        ]
        wanted = "True or False by identifier, a string without a comma or a line feed"
    else:
        key, answer_key = id_key or KEYS[task][0], KEYS[task][1]
        kinds = (int, str) if task == "vqa" else (str,)
        text = json.dumps(
            [{key: question, answer_key: answer} for question, answer in predictions.items()], default=repr
        )
        wrong = [
            shown({key: question, answer_key: answer}, 40)
            for question, answer in predictions.items()
            if type(question) not in kinds or type(answer) is not str
        ]
        wanted = f"strings by question id, and the ids {'integers or strings' if task == 'vqa' else 'strings'}"
    if wrong:
        raise ValueError(f"predictions must be {wanted}; {len(wrong):,} are not: {first_few(wrong, 3)}.")
    if ids is not None:
        check_predictions(predictions, ids, what="statement" if task == "nlvr2" else "question", exactly=True)
    write_text(path, text)


def write_meme_predictions(
    path: str | Path, ids: Sequence[int | str], hateful: Sequence[bool], probabilities: Sequence[float]
) -> None:
    """Write a result file of Hateful Memes, with the probability of "hateful"; it is replaced when it is complete.

    Args:
        path: of the file.
        ids: of the memes.
        hateful: the class that was predicted for each.
        probabilities: of this class, 0 to 1.

    Raises:
        OSError: the file cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("id", "proba", "label"))
    for name, label, probability in zip(ids, hateful, probabilities, strict=True):
        writer.writerow((name, probability if label else 1 - probability, int(label)))
    write_text(path, text.getvalue())


def check_predictions(
    predictions: Collection[Any],
    questions: Collection[Any],
    place: str | Path = "predictions",
    what: str = "question",
    optional: Collection[Any] = (),
    exactly: bool = False,
) -> int:
    """Raise a ValueError for predictions that do not answer each of these questions.

    Args:
        predictions: the ids that have one.
        questions: the ids of the questions.
        place: the source of the predictions, for the message.
        what: "question" or "statement", for the message.
        optional: the ids of other questions that may have a prediction: GQA's unbalanced ones.
        exactly: whether no other question may have one either.

    Returns:
        The number of predictions for other questions than these and the optional ones: the questions are then a part
        of those that were answered.
    """
    known = questions if isinstance(questions, (set, frozenset, dict)) else set(questions)
    missing = [question for question in questions if question not in predictions]
    unknown = [prediction for prediction in predictions if prediction not in known]
    if unknown and optional:
        allowed = set(optional)
        unknown = [prediction for prediction in unknown if prediction not in allowed]
    if not missing and not (unknown and exactly):
        return len(unknown)
    faults = []
    if missing:
        faults.append(f"{_count(missing, what)} not answered: {list_ids(missing)}")
    if unknown:
        faults.append(f"{_count(unknown, 'prediction')} for no {what} of these: {list_ids(unknown)}")
    may = f", and may have one for each of {len(optional):,} unbalanced ones" if optional else ""
    raise ValueError(
        f"{place} must have one prediction for each of the {len(known):,} {what}s{may}; {'; '.join(faults)}. Are these "
        "predictions for the same split?"
    )


def _fits(identifier: object) -> bool:
    """Whether an identifier can be written into a line of CSV."""
    return (
        isinstance(identifier, str)
        and "," not in identifier
        and identifier.splitlines() == [identifier]
        and identifier.strip() == identifier
    )


def list_ids(ids: Iterable[Any]) -> str:
    """The first few ids, for a message."""
    return first_few(map(str, ids), 5)


def _count(ids: Collection[Any], what: str) -> str:
    return f"{len(ids):,} {escaped(what)}{'s are' if len(ids) > 1 else ' is'}"

"""Which score is explained, and which positions of the model's last states it is computed from."""

from __future__ import annotations

from typing import Any

import numpy as np

from lxmert.common.specs import value_ranges
from lxmert.utils.messages import first_few, shown

from .batch import Batch
from .gradients import Target


def find_target(batch: Batch, score: str | None, position: Any, answer: Any) -> Target:
    """Choose the score of each example.

    Args:
        batch: the inputs.
        score: the head, of a class that has several.
        position: of the word or of the phrase: an integer, or [B].
        answer: the class: an integer, or [B]; None for the one with the highest score.

    Raises:
        ValueError: a head, a position or a class that there is not, or that has to be given.
        TypeError: positions or classes that are not integers.
    """
    head, output = _head(batch, score)
    positions = _positions(batch, head, position)
    answers = None if answer is None else _integers(batch, "answer", answer)
    if answers is not None:
        _check_answers(batch, head, answers)
    return Target(output, positions, answers)


def positions_read(batch: Batch, target: Target) -> np.ndarray:  # -> int [rows, n]
    """The positions of the last states that the score of each row is computed from.

    A class from outside of the package is taken to read the pooled output.

    Args:
        batch: the inputs.
        target: the scores, with their answers.
    """
    first = np.zeros((batch.word_mask[..., 0].size, 1), dtype=np.int64)  # what the pooler reads
    if batch.architecture == "VisualBertForQuestionAnswering":
        return answer_position(batch.word_mask)[:, None]
    if target.positions is None:
        return first
    if not _aligns(batch):
        return target.positions[:, None]
    assert target.answers is not None
    phrases = batch.inputs["region_to_phrase_position"][np.arange(batch.size), target.positions]
    return np.stack([phrases, batch.word_mask.shape[1] + target.answers], axis=1)


def answer_position(mask: np.ndarray) -> np.ndarray:  # [B, L] -> [B]
    """The token that VisualBERT's answer is read from: the second-to-last unmasked one.

    It is the only one if there is one, and 0 if there is none.
    """
    remaining = mask[:, ::-1].cumsum(1)[:, ::-1]  # unmasked from here on, this included
    wanted = np.minimum(mask.sum(1, keepdims=True), 2)
    found: np.ndarray = (mask & (remaining == wanted)).argmax(1)
    return found


def _head(batch: Batch, score: str | None) -> tuple[str, str]:
    """The head that is asked for, and its output."""
    switches = batch.spec.optional_heads
    off = [head for head, switch in switches.items() if not getattr(batch.config, switch)]
    losses = batch.spec.losses.values()
    heads = {loss.head: loss.scores for loss in losses if loss.scores is not None and loss.head not in off}
    listed = ", ".join(repr(head) for head in heads)
    if score is None:
        if len(heads) > 1:
            raise ValueError(f"score must be one of {listed}: {batch.architecture} has several heads; got None.")
        return next(iter(heads.items()))
    if score not in heads:
        why = f", and this model has {switches[score]}=False" if score in off else ""
        raise ValueError(f"score must be one of {listed} for {batch.architecture}; got {shown(score)}{why}.")
    return score, heads[score]


def _aligns(batch: Batch) -> bool:
    return batch.spec.task == "alignment"


def _positions(batch: Batch, head: str, position: Any) -> np.ndarray | None:
    """The position of the word, or the number of the phrase, that is explained."""
    if head != "word" and not _aligns(batch):
        if position is not None:
            raise ValueError(f"position must be left out: the score {head!r} has no positions; got {shown(position)}.")
        return None
    what = "of the phrase, its place in region_to_phrase_position" if _aligns(batch) else "of the token"
    if position is None:
        raise ValueError(f"position must be given: the number {what}, an integer or one for each example; got None.")
    positions = _integers(batch, "position", position)
    allowed = _phrases_read(batch) if _aligns(batch) else batch.word_mask
    count = allowed.shape[1]
    _refuse("position", positions, (positions < 0) | (positions >= count), f"0 to {count - 1}")
    padding = ~allowed[np.arange(batch.size), positions]
    _refuse("position", positions, padding, "no padding")
    return positions


def _phrases_read(batch: Batch) -> np.ndarray:  # -> bool [B, P]
    """Which phrases there are: those at a word or a region that is no padding."""
    places = batch.inputs["region_to_phrase_position"]
    read = np.concatenate([batch.word_mask, batch.region_mask], axis=1).astype(bool)
    found: np.ndarray = (places >= 0) & np.take_along_axis(read, np.maximum(places, 0), axis=1)
    return found


def _check_answers(batch: Batch, head: str, answers: np.ndarray) -> None:
    """Refuse classes that there are not, as far as the number of classes is known."""
    if _aligns(batch):
        count = batch.region_mask.shape[1]
    else:
        label = next(loss.label for loss in batch.spec.losses.values() if loss.head == head)
        shapes = {name: array.shape for name, array in batch.inputs.items()}
        known = value_ranges(batch.config, batch.architecture, shapes).get(label)
        if known is None:
            return
        count = known.end
    _refuse("answer", answers, (answers < 0) | (answers >= count), f"0 to {count - 1}")
    if _aligns(batch):
        padding = ~batch.region_mask[np.arange(batch.size), answers]
        _refuse("answer", answers, padding, "a region that visual_attention_mask does not hide")


def _integers(batch: Batch, name: str, value: Any) -> np.ndarray:  # -> int64 [B]
    """An integer for each example, from one for all or for each."""
    array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an integer or [B] integers; got {shown(value)}.")
    if array.shape not in ((), (batch.size,)):
        raise ValueError(
            f"{name} must be an integer or [B] = [{batch.size}], one for each example; got {list(array.shape)}."
        )
    return np.broadcast_to(array, batch.size).astype(np.int64)


def _refuse(name: str, values: np.ndarray, wrong: np.ndarray, wanted: str) -> None:
    """Raise ValueError if any value is wrong, with all of them and their examples."""
    if wrong.any():
        found = first_few(f"{value} for example {row}" for row, value in enumerate(values) if wrong[row])
        raise ValueError(f"{name} must be {wanted}; got {found}.")

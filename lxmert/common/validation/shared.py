"""Checks of arguments that all models share.

They see shapes, dtypes and ranges, never a tensor. So both backends raise the same errors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lxmert.common.config.base import ModelConfig

IGNORED_LABEL = -100
UNKNOWN_KIND = "unknown"  # of a tensor that only has a shape


class TensorSpec(NamedTuple):
    """One argument as the user gave it: its shape (None for a dimension that is not known yet) and its kind."""

    shape: tuple[int | None, ...]
    kind: str  # "int", "float", "bool", or UNKNOWN_KIND


TensorSpecFn = Callable[[str, Any], TensorSpec]  # of an argument, by its name and value; TypeError if it is no tensor


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape as messages write it."""
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def fits(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether two shapes can be the same; an unknown dimension fits any."""
    return len(shape) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True)
    )


def check_dtype(name: str, given: TensorSpec, kinds: Sequence[str], wanted: str) -> None:
    """Refuse an argument of another kind.

    Raises:
        TypeError: naming the argument, what it must hold and what it holds.
    """
    if given.kind not in (*kinds, UNKNOWN_KIND):
        raise TypeError(f"{name} must hold {wanted}; got values of kind {given.kind}.")


def describe_inputs(inputs: Mapping[str, Any], describe: TensorSpecFn) -> dict[str, TensorSpec]:
    """Shape and kind of the arguments that are not None, by name."""
    return {name: describe(name, value) for name, value in inputs.items() if value is not None}


def words_argument(given: Mapping[str, TensorSpec]) -> str:
    """The name of the argument that holds the words.

    Raises:
        ValueError: both that may hold them are given, or neither.
    """
    if ("input_ids" in given) == ("inputs_embeds" in given):
        what = "both" if "input_ids" in given else "neither"
        raise ValueError(f"exactly one of input_ids and inputs_embeds must be given; got {what}.")
    return "input_ids" if "input_ids" in given else "inputs_embeds"


def check_words(name: str, given: TensorSpec, config: ModelConfig, *leads: Sequence[str]) -> Sequence[str]:
    """Refuse words of another rank, or word vectors of another width.

    Args:
        name: `input_ids` or `inputs_embeds`.
        given: the argument.
        config: the model's configuration.
        leads: the axes before L, each a letter or a number; one entry for each allowed shape.

    Returns:
        The matching entry of `leads`.

    Raises:
        ValueError: naming the argument and its shape.
    """
    width: tuple[int, ...] = () if name == "input_ids" else (config.hidden_size,)
    for lead in leads:
        if fits(given.shape, (*(int(axis) if axis.isdecimal() else None for axis in lead), None, *width)):
            return lead
    wanted = " or ".join("[" + ", ".join([*lead, "L", *map(str, width)]) + "]" for lead in leads)
    raise ValueError(f"{name} must be {wanted}{' (hidden_size)' * len(width)}; got {shape_text(given.shape)}.")


def check_not_empty(size: int | None, what: str, hint: str = "") -> None:
    """Refuse an axis of size 0.

    Raises:
        ValueError: naming the argument and the axis; `hint` says what to do.
    """
    if size == 0:
        raise ValueError(f"{what} must be at least 1; got 0.{hint}")


def check_shape(given: Mapping[str, TensorSpec], name: str, shape: Sequence[int | None], letters: str) -> None:
    """Refuse an argument of another shape, if it is given.

    Raises:
        ValueError: naming the argument and both shapes.
    """
    if name in given and not fits(given[name].shape, shape):
        raise ValueError(f"{name} must be [{letters}] = {shape_text(shape)}; got {shape_text(given[name].shape)}.")


def check_length(name: str, length: int | None, config: ModelConfig) -> None:
    """Refuse more tokens than there are positions.

    Raises:
        ValueError: naming the argument and both numbers.
    """
    if length is not None and length > config.max_position_embeddings:
        raise ValueError(
            f"{name} may have at most max_position_embeddings = {config.max_position_embeddings} tokens; "
            f"got {length}. Truncate the text."
        )


class Range(NamedTuple):
    """The integers that an argument may hold: `lowest` … end-1, and -100 for labels to ignore if `ignored`."""

    end: int
    lowest: int = 0
    ignored: bool = False


def check_range(name: str, low: int, high: int, allowed: Range) -> None:
    """Refuse ids or class labels out of range (`low` and `high` do not count -100).

    Raises:
        ValueError: naming the argument, its range and the range that is allowed.
    """
    if low < allowed.lowest or high >= allowed.end:
        also = f", or {IGNORED_LABEL} to be ignored" if allowed.ignored else ""
        raise ValueError(
            f"{name} must be {allowed.lowest} to {allowed.end - 1}{also}; got values from {low} to {high}."
        )


def check_scores(name: str, low: float, high: float) -> None:
    """Refuse rows of scores outside 0 … 1 as labels.

    Raises:
        ValueError: naming the argument and the range it has.
    """
    if not (low >= 0 and high <= 1):
        raise ValueError(f"{name} as rows of scores must be between 0 and 1; got values from {low} to {high}.")


def check_label(name: str, given: TensorSpec, shape: Sequence[int | None], letters: str) -> None:
    """Refuse class labels that are not integers of the given shape.

    Raises:
        ValueError: a wrong shape.
        TypeError: not integers.
    """
    check_dtype(name, given, ("int",), f"integers (a class index, or {IGNORED_LABEL} to be ignored)")
    # A label per example may come as a column, as data sets often write it.
    if not fits(given.shape, shape) and not (len(shape) == 1 and fits(given.shape, (*shape, 1))):
        raise ValueError(f"{name} must be {letters} = {shape_text(shape)}; got {shape_text(given.shape)}.")


def is_soft_answer(name: str, given: TensorSpec, batch: int | None, answers: int) -> bool:
    """Whether answer labels are rows of scores [B, A] rather than class indices [B].

    Raises:
        ValueError: neither shape.
        TypeError: an index that is not an integer.
    """
    if len(given.shape) == 2 and fits(given.shape, (batch, answers)) and (answers > 1 or given.kind == "float"):
        return True
    if len(given.shape) == 1 or (len(given.shape) == 2 and given.shape[1] == 1):
        check_label(name, given, (batch,), "[B]")
        return False
    raise ValueError(
        f"{name} must be [B] = {shape_text((batch,))} (a class index each) or "
        f"[B, A] = {shape_text((batch, answers))} (a score for each answer); got {shape_text(given.shape)}."
    )


def resolve_output_attentions(output_attentions: Any, config: ModelConfig) -> bool | str:
    """Resolve `output_attentions` to False, True, "all" or "used"; None takes the value of the config.

    Raises:
        ValueError: anything else.
    """
    choice = config.output_attentions if output_attentions is None else output_attentions
    if choice not in (False, True, "all", "used"):
        raise ValueError(f'output_attentions must be True, False, None, "all" or "used"; got {choice!r}.')
    return choice if isinstance(choice, str) else bool(choice)

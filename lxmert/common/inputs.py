"""What the models accept: the order of the inputs, and the checks that a user's mistake meets before the model does.

The checks see shapes, kinds and ranges, never a tensor, so both backends refuse the same input with the same words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from .config import LxmertConfig

IGNORED_LABEL = -100

LXMERT_INPUTS = (
    "input_ids",
    "visual_feats",
    "visual_pos",
    "attention_mask",
    "visual_attention_mask",
    "token_type_ids",
    "inputs_embeds",
)
LXMERT_PRETRAINING_LABELS = ("labels", "obj_labels", "matched_label", "ans")
LXMERT_ANSWER_LABELS = ("labels",)


class Given(NamedTuple):
    """One argument as the user gave it: its shape (None for a dimension that is not known yet) and its kind."""

    shape: tuple[int | None, ...]
    kind: str  # "int", "float" or "bool"


Describe = Callable[[str, Any], Given]  # of an argument, by its name and value; TypeError if it is no tensor


def _shape_text(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def _fits(shape: Sequence[int | None], wanted: Sequence[int | None]) -> bool:
    """Whether two shapes can be the same; an unknown dimension fits any."""
    return len(shape) == len(wanted) and all(
        a is None or b is None or a == b for a, b in zip(shape, wanted, strict=True)
    )


def _want_kind(name: str, given: Given, kinds: Sequence[str], wanted: str) -> None:
    if given.kind not in kinds:
        raise TypeError(f"{name} must hold {wanted}; got values of kind {given.kind}.")


def check_lxmert_inputs(config: LxmertConfig, inputs: Mapping[str, Any], describe: Describe) -> None:
    """Refuse inputs that no LXMERT model can read.

    Args:
        config: the model's configuration.
        inputs: arguments by name; None for those not given.
        describe: gives the shape and kind of an argument, as the backend sees it.

    Raises:
        ValueError: a missing argument, or a wrong or disagreeing shape; the message names the argument.
        TypeError: an argument of the wrong kind (floating-point token ids, say).
    """
    given = {}
    for name, value in inputs.items():
        if value is not None:
            given[name] = describe(name, value)
    if ("input_ids" in given) == ("inputs_embeds" in given):
        what = "both" if "input_ids" in given else "neither"
        raise ValueError(f"exactly one of input_ids and inputs_embeds must be given; got {what}.")
    for name in ("visual_feats", "visual_pos"):
        if name not in given:
            raise ValueError(f"{name} must be given: LXMERT reads a picture's regions beside the words; got None.")

    words = "input_ids" if "input_ids" in given else "inputs_embeds"
    rank = 2 if words == "input_ids" else 3
    if len(given[words].shape) != rank or (
        rank == 3 and not _fits(given[words].shape, (None, None, config.hidden_size))
    ):
        wanted = "[B, L]" if rank == 2 else f"[B, L, {config.hidden_size}] (hidden_size)"
        raise ValueError(f"{words} must be {wanted}; got {_shape_text(given[words].shape)}.")
    feats, pos = given["visual_feats"].shape, given["visual_pos"].shape
    for name, shape, size, field in (
        ("visual_feats", feats, config.visual_feat_dim, "visual_feat_dim"),
        ("visual_pos", pos, config.visual_pos_dim, "visual_pos_dim"),
    ):
        if not _fits(shape, (None, None, size)):
            raise ValueError(f"{name} must be [B, R, {size}] ({field}); got {_shape_text(shape)}.")
    if not _fits(feats[:2], pos[:2]):
        raise ValueError(
            f"visual_pos must be [B, R, {config.visual_pos_dim}] with the B and R of visual_feats; "
            f"got visual_feats {_shape_text(feats)} and visual_pos {_shape_text(pos)}."
        )
    batch, length = given[words].shape[:2]
    if not _fits((batch,), feats[:1]):
        raise ValueError(
            f"{words} and visual_feats must have the same batch size; "
            f"got {_shape_text(given[words].shape)} and {_shape_text(feats)}."
        )
    for count, what in ((length, f"{words}: L"), (feats[1], "visual_feats: R"), (batch, f"{words}: B")):
        if count == 0:
            raise ValueError(f"{what} must be at least 1; got 0.")
    if length is not None and length > config.max_position_embeddings:
        raise ValueError(
            f"{words} may have at most max_position_embeddings = {config.max_position_embeddings} tokens; "
            f"got {length}. Truncate the text (the published models were trained on 20 tokens)."
        )
    for name, like, letters in (
        ("attention_mask", (batch, length), "[B, L]"),
        ("visual_attention_mask", feats[:2], "[B, R]"),
        ("token_type_ids", (batch, length), "[B, L]"),
    ):
        if name in given and not _fits(given[name].shape, like):
            raise ValueError(f"{name} must be {letters} = {_shape_text(like)}; got {_shape_text(given[name].shape)}.")
    for name in ("input_ids", "token_type_ids"):
        if name in given:
            _want_kind(name, given[name], ("int",), "whole numbers (token ids)")
    for name in ("visual_feats", "visual_pos", "inputs_embeds"):
        if name in given:
            _want_kind(name, given[name], ("float",), "floating-point numbers")


def check_range(name: str, low: int, high: int, count: int, *, ignored: bool = False) -> None:
    """Refuse ids or class labels outside 0 … count-1 (`ignored`: -100 was left out before the range was taken).

    Raises:
        ValueError: naming the argument, its range and the range that is allowed.
    """
    if low < 0 or high >= count:
        also = f", or {IGNORED_LABEL} to be ignored" if ignored else ""
        raise ValueError(f"{name} must be 0 to {count - 1}{also}; got values from {low} to {high}.")


def check_answer_scores(name: str, low: float, high: float) -> None:
    """Refuse soft answer labels outside 0 … 1.

    Raises:
        ValueError: naming the argument and the range it has.
    """
    if not (low >= 0 and high <= 1):
        raise ValueError(f"{name} as rows of answer scores must be between 0 and 1; got values from {low} to {high}.")


def check_label(name: str, given: Given, shape: Sequence[int | None], letters: str) -> None:
    """Refuse class labels that are not whole numbers of the given shape.

    Raises:
        ValueError: a wrong shape.
        TypeError: not whole numbers.
    """
    _want_kind(name, given, ("int",), f"whole numbers (a class index, or {IGNORED_LABEL} to be ignored)")
    # A label per example may come as a column, as data sets often write it.
    if not _fits(given.shape, shape) and not (len(shape) == 1 and _fits(given.shape, (*shape, 1))):
        raise ValueError(f"{name} must be {letters} = {_shape_text(shape)}; got {_shape_text(given.shape)}.")


def is_soft_answer(name: str, given: Given, batch: int | None, answers: int) -> bool:
    """Whether answer labels are rows of scores [B, A] rather than class indices [B].

    Raises:
        ValueError: neither shape.
        TypeError: an index that is not a whole number.
    """
    if len(given.shape) == 2 and _fits(given.shape, (batch, answers)) and (answers > 1 or given.kind == "float"):
        return True
    if len(given.shape) == 1 or (len(given.shape) == 2 and given.shape[1] == 1):
        check_label(name, given, (batch,), "[B]")
        return False
    raise ValueError(
        f"{name} must be [B] = {_shape_text((batch,))} (a class index each) or "
        f"[B, A] = {_shape_text((batch, answers))} (a score for each answer); got {_shape_text(given.shape)}."
    )


def check_object_labels(
    config: LxmertConfig, obj_labels: Any, regions: Sequence[int | None], describe: Describe
) -> dict[str, tuple[Any, Any]]:
    """Refuse object labels that are not {"obj" | "attr" | "feat": (label, confidence)}; give the enabled ones.

    Args:
        config: the model's configuration.
        obj_labels: any subset of the keys; labels [B, R] (class indices), for "feat" [B, R, F]; confidences [B, R].
        regions: (B, R) of the visual features.
        describe: gives the shape and kind of an argument, as the backend sees it.

    Raises:
        ValueError: an unknown key, not a pair, or a wrong shape.
        TypeError: a value of the wrong kind.
    """
    if not isinstance(obj_labels, Mapping):
        raise TypeError(
            f"obj_labels must be a mapping of obj, attr, feat to (label, confidence); got {type(obj_labels).__name__}."
        )
    for key, pair in obj_labels.items():
        if key not in ("obj", "attr", "feat"):
            raise ValueError(f"obj_labels may have the keys obj, attr and feat; got {key!r}.")
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise ValueError(f"obj_labels[{key!r}] must be a pair (label, confidence); got {type(pair).__name__}.")
        label, confidence = (describe(f"obj_labels[{key!r}][{i}]", part) for i, part in enumerate(pair))
        if key == "feat":
            wanted = (*regions, config.visual_feat_dim)
            if not _fits(label.shape, wanted):
                raise ValueError(
                    f"obj_labels['feat'][0] must be [B, R, F] = {_shape_text(wanted)}; got {_shape_text(label.shape)}."
                )
            _want_kind("obj_labels['feat'][0]", label, ("float",), "floating-point numbers")
        else:
            check_label(f"obj_labels[{key!r}][0]", label, regions, "[B, R]")
        if not _fits(confidence.shape, regions):
            raise ValueError(
                f"obj_labels[{key!r}][1] must be [B, R] = {_shape_text(regions)}; got {_shape_text(confidence.shape)}."
            )
    return {key: tuple(obj_labels[key]) for key in config.visual_losses if key in obj_labels}


def attention_choice(output_attentions: Any, config: LxmertConfig) -> bool | str:
    """What `output_attentions` asks for: False, True, or "all"; None takes the config's choice.

    Raises:
        ValueError: anything else.
    """
    choice = config.output_attentions if output_attentions is None else output_attentions
    if choice not in (False, True, "all"):
        raise ValueError(f'output_attentions must be True, False, None or "all"; got {choice!r}.')
    return choice if isinstance(choice, str) else bool(choice)

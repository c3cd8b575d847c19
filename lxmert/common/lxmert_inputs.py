"""What the LXMERT models refuse, by shape and kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .config import LxmertConfig
from .inputs import (
    Describe,
    check_label,
    check_length,
    check_words,
    describe_given,
    fits,
    shape_text,
    want_kind,
    words_argument,
)


def check_lxmert_inputs(
    config: LxmertConfig, inputs: Mapping[str, Any], describe: Describe, pictures: bool = False
) -> None:
    """Refuse inputs that no LXMERT model can read.

    Args:
        config: the model's configuration.
        inputs: arguments by name; None for those not given.
        describe: gives the shape and kind of an argument, as the backend sees it.
        pictures: whether there is an axis of two pictures behind the batch, in what is about regions; what is about
            words may have one too.

    Raises:
        ValueError: a missing argument, or a wrong or disagreeing shape; the message names the argument.
        TypeError: an argument of the wrong kind (floating-point token ids, say).
    """
    given = describe_given(inputs, describe)
    words = words_argument(given)
    for name in ("visual_feats", "visual_pos"):
        if name not in given:
            raise ValueError(f"{name} must be given: LXMERT reads a picture's regions beside the words; got None.")

    leads = (("B",), ("B", "2")) if pictures else (("B",),)
    lead = check_words(words, given[words], config, *leads)
    text = given[words].shape[: len(lead) + 1]
    text_letters, visual_letters = ", ".join((*lead, "L")), ", ".join((*leads[-1], "R"))
    feats, pos = given["visual_feats"].shape, given["visual_pos"].shape
    axes = (None, 2, None) if pictures else (None, None)
    hint = " Give each sentence the regions of two pictures." if pictures else ""
    for name, shape, size, field in (
        ("visual_feats", feats, config.visual_feat_dim, "visual_feat_dim"),
        ("visual_pos", pos, config.visual_pos_dim, "visual_pos_dim"),
    ):
        if not fits(shape, (*axes, size)):
            raise ValueError(f"{name} must be [{visual_letters}, {size}] ({field}); got {shape_text(shape)}.{hint}")
    regions = feats[:-1]
    if not fits(regions, pos[:-1]):
        raise ValueError(
            f"visual_pos must be [{visual_letters}, {config.visual_pos_dim}] with the B and R of visual_feats; "
            f"got visual_feats {shape_text(feats)} and visual_pos {shape_text(pos)}."
        )
    batch, length = text[0], text[-1]
    if not fits((batch,), feats[:1]):
        raise ValueError(
            f"{words} and visual_feats must have the same batch size; "
            f"got {shape_text(given[words].shape)} and {shape_text(feats)}."
        )
    for count, what in ((length, f"{words}: L"), (regions[-1], "visual_feats: R"), (batch, f"{words}: B")):
        if count == 0:
            raise ValueError(f"{what} must be at least 1; got 0.")
    check_length(words, length, config)
    for name, like, letters in (
        ("attention_mask", text, text_letters),
        ("visual_attention_mask", regions, visual_letters),
        ("token_type_ids", text, text_letters),
    ):
        if name in given and not fits(given[name].shape, like):
            raise ValueError(f"{name} must be [{letters}] = {shape_text(like)}; got {shape_text(given[name].shape)}.")
    for name in ("input_ids", "token_type_ids"):
        if name in given:
            want_kind(name, given[name], ("int",), "whole numbers (token ids)")
    for name in ("visual_feats", "visual_pos", "inputs_embeds"):
        if name in given:
            want_kind(name, given[name], ("float",), "floating-point numbers")


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
            if not fits(label.shape, wanted):
                raise ValueError(
                    f"obj_labels['feat'][0] must be [B, R, F] = {shape_text(wanted)}; got {shape_text(label.shape)}."
                )
            want_kind("obj_labels['feat'][0]", label, ("float",), "floating-point numbers")
        else:
            check_label(f"obj_labels[{key!r}][0]", label, regions, "[B, R]")
        if not fits(confidence.shape, regions):
            raise ValueError(
                f"obj_labels[{key!r}][1] must be [B, R] = {shape_text(regions)}; got {shape_text(confidence.shape)}."
            )
    return {key: tuple(obj_labels[key]) for key in config.visual_losses if key in obj_labels}

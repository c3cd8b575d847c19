"""Checks of the inputs and labels of the LXMERT models: shapes and dtypes."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from lxmert.common.config import LxmertConfig

from .shared import (
    TensorSpec,
    TensorSpecFn,
    check_dtype,
    check_label,
    check_length,
    check_not_empty,
    check_shape,
    check_words,
    describe_inputs,
    fits,
    shape_text,
    words_argument,
)


def check_lxmert_inputs(
    config: LxmertConfig, inputs: Mapping[str, Any], describe: TensorSpecFn, images: bool = False
) -> None:
    """Refuse inputs that no LXMERT model can read.

    Args:
        config: the model's configuration.
        inputs: arguments by name; None for those not given.
        describe: returns the shape and kind of an argument in the backend.
        images: whether there is an axis of two images behind the batch, in what is about regions; what is about
            words may have one too.

    Raises:
        ValueError: a missing argument, or a wrong or disagreeing shape; the message names the argument.
        TypeError: an argument of the wrong kind (floating-point token ids, say).
    """
    given = describe_inputs(inputs, describe)
    words = words_argument(given)
    _require_regions(given)
    leads: tuple[tuple[str, ...], ...] = (("B",), ("B", "2")) if images else (("B",),)
    lead = check_words(words, given[words], config, *leads)
    _check_region_shapes(config, given, leads[-1])
    feats = given["visual_feats"].shape
    if not fits(given[words].shape[:1], feats[:1]):
        raise ValueError(
            f"{words} and visual_feats must have the same batch size; "
            f"got {shape_text(given[words].shape)} and {shape_text(feats)}."
        )
    _check_language(config, given, words, lead)
    _check_vision(given, leads[-1])


def check_language_inputs(config: LxmertConfig, inputs: Mapping[str, Any], describe: TensorSpecFn) -> None:
    """Refuse sentences that no LXMERT model can read, when only they are encoded.

    The arguments and errors are those of `check_lxmert_inputs`.
    """
    given = describe_inputs(inputs, describe)
    words = words_argument(given)
    _check_language(config, given, words, check_words(words, given[words], config, ("B",)))


def check_vision_inputs(config: LxmertConfig, inputs: Mapping[str, Any], describe: TensorSpecFn) -> None:
    """Refuse regions that no LXMERT model can read, when only they are encoded.

    The arguments and errors are those of `check_lxmert_inputs`.
    """
    given = describe_inputs(inputs, describe)
    _require_regions(given)
    _check_region_shapes(config, given, ("B",))
    _check_vision(given, ("B",))


def check_encoded(config: LxmertConfig, inputs: Mapping[str, Any], describe: TensorSpecFn) -> None:
    """Refuse encoded sentences and images that do not belong together.

    Args:
        config: the model's configuration.
        inputs: `language`, `visual` and their masks by name; None for those not given.
        describe: returns the shape and kind of an argument in the backend.

    Raises:
        ValueError, TypeError: as for `check_lxmert_inputs`.
    """
    given = describe_inputs(inputs, describe)
    for name, letter, maker in (("language", "L", "encode_language"), ("visual", "R", "encode_vision")):
        if name not in given:
            raise ValueError(f"{name} must be given: what {maker} returned; got None.")
        if not fits(given[name].shape, (None, None, config.hidden_size)):
            raise ValueError(
                f"{name} must be [B, {letter}, {config.hidden_size}] (hidden_size), what {maker} returned; "
                f"got {shape_text(given[name].shape)}."
            )
        check_dtype(name, given[name], ("float",), "floating-point numbers")
    language, visual = given["language"].shape, given["visual"].shape
    if not fits(language[:1], visual[:1]):
        raise ValueError(
            f"language and visual must have the same batch size; got {shape_text(language)} and {shape_text(visual)}."
        )
    check_shape(given, "attention_mask", language[:2], "B, L")
    check_shape(given, "visual_attention_mask", visual[:2], "B, R")


# Boxes in pixels have larger values than this, and boxes as fractions none that are nearly as large.
_PIXELS = 10
_with_checked_boxes: weakref.WeakSet[Any] = weakref.WeakSet()  # models


def boxes_are_unchecked(model: Any) -> bool:
    """Whether a model that takes boxes of four numbers has not seen their values yet."""
    return model not in _with_checked_boxes and model.config.visual_pos_dim == 4


def warn_of_pixels(model: Any, highest: float) -> None:
    """Warn if the first boxes whose values a model sees are in pixels.

    Args:
        model: which is not asked again.
        highest: the largest value of the boxes.
    """
    _with_checked_boxes.add(model)
    if highest > _PIXELS:
        warnings.warn(
            f"visual_pos has values up to {highest:g}, as boxes in pixels do; the published models expect x1, y1, x2, "
            "y2 over the image's width and height, 0 to 1. Divide them: boxes / (width, height, width, height).",
            UserWarning,
            stacklevel=2,
        )


def _require_regions(given: Mapping[str, TensorSpec]) -> None:
    for name in ("visual_feats", "visual_pos"):
        if name not in given:
            raise ValueError(
                f"{name} must be given: LXMERT reads the regions of an image as well as the words; got None."
            )


def _check_region_shapes(config: LxmertConfig, given: Mapping[str, TensorSpec], lead: Sequence[str]) -> None:
    """Check that features and boxes have the sizes of the config and belong to the same regions."""
    letters = ", ".join((*lead, "R"))
    feats, pos = given["visual_feats"].shape, given["visual_pos"].shape
    axes = (*(int(axis) if axis.isdecimal() else None for axis in lead), None)
    hint = " Pass the regions of two images for each sentence." if len(lead) > 1 else ""
    for name, shape, size, field in (
        ("visual_feats", feats, config.visual_feat_dim, "visual_feat_dim"),
        ("visual_pos", pos, config.visual_pos_dim, "visual_pos_dim"),
    ):
        if not fits(shape, (*axes, size)):
            raise ValueError(f"{name} must be [{letters}, {size}] ({field}); got {shape_text(shape)}.{hint}")
    if not fits(feats[:-1], pos[:-1]):
        raise ValueError(
            f"visual_pos must be [{letters}, {config.visual_pos_dim}] with the B and R of visual_feats; "
            f"got visual_feats {shape_text(feats)} and visual_pos {shape_text(pos)}."
        )


def _check_language(config: LxmertConfig, given: Mapping[str, TensorSpec], words: str, lead: Sequence[str]) -> None:
    """Check the number of tokens, the shapes of the mask and the token types, and the dtypes."""
    text = given[words].shape[: len(lead) + 1]
    check_not_empty(text[-1], f"{words}: L")
    check_not_empty(text[0], f"{words}: B")
    check_length(words, text[-1], config)
    for name in ("attention_mask", "token_type_ids"):
        check_shape(given, name, text, ", ".join((*lead, "L")))
    for name in ("input_ids", "token_type_ids"):
        if name in given:
            check_dtype(name, given[name], ("int",), "integers (token ids)")
    if "inputs_embeds" in given:
        check_dtype("inputs_embeds", given["inputs_embeds"], ("float",), "floating-point numbers")


def _check_vision(given: Mapping[str, TensorSpec], lead: Sequence[str]) -> None:
    """Check the number of regions, the shape of the mask, and the dtypes."""
    regions = given["visual_feats"].shape[:-1]
    check_not_empty(regions[-1], "visual_feats: R")
    check_not_empty(regions[0], "visual_feats: B")
    check_shape(given, "visual_attention_mask", regions, ", ".join((*lead, "R")))
    for name in ("visual_feats", "visual_pos"):
        check_dtype(name, given[name], ("float",), "floating-point numbers")


def check_object_labels(
    config: LxmertConfig, obj_labels: Any, regions: Sequence[int | None], describe: TensorSpecFn
) -> dict[str, tuple[Any, Any]]:
    """Refuse object labels that are not {"obj" | "attr" | "feat": (label, confidence)}; return the enabled ones.

    Args:
        config: the model's configuration.
        obj_labels: any subset of the keys; labels [B, R] (class indices), for "feat" [B, R, F]; confidences [B, R].
        regions: (B, R) of the visual features.
        describe: returns the shape and kind of an argument in the backend.

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
            check_dtype("obj_labels['feat'][0]", label, ("float",), "floating-point numbers")
        else:
            check_label(f"obj_labels[{key!r}][0]", label, regions, "[B, R]")
        if not fits(confidence.shape, regions):
            raise ValueError(
                f"obj_labels[{key!r}][1] must be [B, R] = {shape_text(regions)}; got {shape_text(confidence.shape)}."
            )
    return {key: tuple(obj_labels[key]) for key in config.visual_losses if key in obj_labels}

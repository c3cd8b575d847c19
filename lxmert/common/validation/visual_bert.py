"""Checks of the inputs and labels of the VisualBERT models: shapes and dtypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lxmert.common.config import VisualBertConfig

from .shared import (
    TensorSpec,
    TensorSpecFn,
    check_dtype,
    check_length,
    check_not_empty,
    check_shape,
    check_words,
    describe_inputs,
    fits,
    shape_text,
    words_argument,
)

# The arguments that hold integers, as errors describe them; and those that hold floating-point numbers.
_INTEGERS = {
    "input_ids": "integers (token ids)",
    "token_type_ids": "integers (token types)",
    "position_ids": "integers (positions)",
    "visual_token_type_ids": "integers (token types)",
    "image_text_alignment": "integers (positions of words, -1 for none)",
    "output_positions": "integers (positions in the sequence)",
}
_FLOATS = ("inputs_embeds", "visual_embeds")


def check_visual_bert_inputs(
    config: VisualBertConfig, inputs: Mapping[str, Any], describe: TensorSpecFn, choices: bool = False
) -> None:
    """Refuse inputs that no VisualBERT model can read.

    Args:
        config: the model's configuration.
        inputs: arguments by name; None for those not given.
        describe: returns the shape and kind of an argument in the backend.
        choices: whether there is an axis of choices behind the batch, in every argument but `head_mask`.

    Raises:
        ValueError: a missing argument, or a wrong or disagreeing shape; the message names the argument.
        TypeError: an argument of the wrong kind (floating-point token ids, say).
    """
    given = describe_inputs(inputs, describe)
    words = words_argument(given)
    lead = ("B", "choices") if choices else ("B",)
    check_words(words, given[words], config, lead)
    text = given[words].shape[: len(lead) + 1]
    for size, letter in zip((text[-1], *text[:-1]), ("L", *lead), strict=True):
        check_not_empty(size, f"{words}: {letter}")
    if "position_ids" not in given:
        check_length(words, text[-1], config)
    regions = _check_regions(config, given, words, lead)
    letters = ", ".join(lead)
    one_row = (*(1 for _ in lead), text[-1])
    for name in ("attention_mask", "token_type_ids", "position_ids"):
        if not (name == "position_ids" and name in given and fits(given[name].shape, one_row)):
            check_shape(given, name, text, f"{letters}, L")
    if regions is not None:
        for name in ("visual_attention_mask", "visual_token_type_ids"):
            check_shape(given, name, regions, f"{letters}, R")
    check_shape(given, "output_positions", (text[0], None), "B, P")
    heads, layers = config.num_attention_heads, config.num_hidden_layers
    if "head_mask" in given and not any(fits(given["head_mask"].shape, s) for s in ((heads,), (layers, heads))):
        raise ValueError(
            f"head_mask must be [{heads}] (num_attention_heads) or [{layers}, {heads}] (num_hidden_layers before it); "
            f"got {shape_text(given['head_mask'].shape)}."
        )
    for name, spec in given.items():
        if name in _INTEGERS:
            check_dtype(name, spec, ("int",), _INTEGERS[name])
        elif name in _FLOATS:
            check_dtype(name, spec, ("float",), "floating-point numbers")


def _check_regions(
    config: VisualBertConfig, given: Mapping[str, TensorSpec], words: str, lead: Sequence[str]
) -> tuple[int | None, ...] | None:
    """Refuse regions that do not fit the config or the words, and arguments about regions without any.

    Returns:
        The axes of the regions, (B, R) or (B, choices, R); None without regions.
    """
    if "visual_embeds" not in given:
        for name in ("visual_attention_mask", "visual_token_type_ids", "image_text_alignment"):
            if name in given:
                raise ValueError(f"{name} describes regions, but visual_embeds is not given; leave out {name} too.")
        return None
    embeds, features, letters = given["visual_embeds"].shape, config.visual_embedding_dim, ", ".join(lead)
    if not fits(embeds, (*(None for _ in lead), None, features)):
        raise ValueError(
            f"visual_embeds must be [{letters}, R, {features}] (visual_embedding_dim); got {shape_text(embeds)}."
        )
    if not fits(embeds[: len(lead)], given[words].shape[: len(lead)]):
        raise ValueError(
            f"{words} and visual_embeds must have the same batch size{' and choices' if len(lead) > 1 else ''}; "
            f"got {shape_text(given[words].shape)} and {shape_text(embeds)}."
        )
    regions = embeds[:-1]
    check_not_empty(regions[-1], "visual_embeds: R", " For text alone leave visual_embeds out.")
    # Differs from HF: a longer alignment is silently cut there; it may belong to other regions.
    if "image_text_alignment" in given and not fits(given["image_text_alignment"].shape, (*regions, None)):
        raise ValueError(
            f"image_text_alignment must be [{letters}, R, K] with the regions of visual_embeds, {shape_text(regions)}, "
            f"and K word positions for each; got {shape_text(given['image_text_alignment'].shape)}."
        )
    return regions


def check_alignment_inputs(visual_embeds: Any, positions: Any, describe: TensorSpecFn) -> None:
    """Refuse what region-to-phrase alignment cannot read; the rest of the inputs are the backbone's to check.

    Args:
        visual_embeds: the argument of that name.
        positions: `region_to_phrase_position`.
        describe: returns the shape and kind of an argument in the backend.

    Raises:
        ValueError: no positions, no regions, or a wrong shape.
        TypeError: positions that are not integers.
    """
    for name, value in (("visual_embeds", visual_embeds), ("region_to_phrase_position", positions)):
        if value is None:
            raise ValueError(f"{name} must be given: phrases are aligned with regions; got None.")
    batch = next(iter(describe("visual_embeds", visual_embeds).shape), None)
    given = describe("region_to_phrase_position", positions)
    if not fits(given.shape, (batch, None)) or given.shape[1] == 0:
        raise ValueError(
            f"region_to_phrase_position must be [B, P] = {shape_text((batch, None))}, P positions of phrases; "
            f"got {shape_text(given.shape)}."
        )
    # Differs from HF: its own example passes floating-point positions, and ends in an error inside PyTorch.
    check_dtype("region_to_phrase_position", given, ("int",), "integers (positions in the sequence, -1 for none)")


def check_alignment_labels(labels: Any, shape: tuple[int | None, ...], describe: TensorSpecFn) -> None:
    """Refuse labels of region-to-phrase alignment that are not [B, P, R].

    Raises:
        ValueError: a wrong shape.
    """
    given = describe("labels", labels)
    if not fits(given.shape, shape):
        raise ValueError(
            f"labels must be [B, P, R] = {shape_text(shape)} (for each phrase a score of every region); "
            f"got {shape_text(given.shape)}."
        )

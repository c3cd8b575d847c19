"""What the VisualBERT models refuse, by shape and kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxmert.common.config import VisualBertConfig

from .shared import (
    TensorSpecFn,
    check_dtype,
    check_length,
    check_words,
    describe_given,
    fits,
    shape_text,
    words_argument,
)

# What says something about regions, and nothing without them.
_OF_REGIONS = ("visual_attention_mask", "visual_token_type_ids", "image_text_alignment")


def check_visual_bert_inputs(
    config: VisualBertConfig, inputs: Mapping[str, Any], describe: TensorSpecFn, choices: bool = False
) -> None:
    """Refuse inputs that no VisualBERT model can read.

    Args:
        config: the model's configuration.
        inputs: arguments by name; None for those not given.
        describe: gives the shape and kind of an argument, as the backend sees it.
        choices: whether there is an axis of choices behind the batch, in every argument but `head_mask`.

    Raises:
        ValueError: a missing argument, or a wrong or disagreeing shape; the message names the argument.
        TypeError: an argument of the wrong kind (floating-point token ids, say).
    """
    given = describe_given(inputs, describe)
    words = words_argument(given)
    lead = ("B", "choices") if choices else ("B",)
    batch_letters = ", ".join(lead)
    check_words(words, given[words], config, lead)
    text = given[words].shape[: len(lead) + 1]
    batch, length = text[:-1], text[-1]
    for count, what in ((length, "L"), *zip(batch, lead, strict=True)):
        if count == 0:
            raise ValueError(f"{words}: {what} must be at least 1; got 0.")
    if "position_ids" not in given:
        check_length(words, length, config)
    wanted = {"attention_mask": text, "token_type_ids": text, "position_ids": text}
    letters = dict.fromkeys(wanted, f"[{batch_letters}, L]")

    if "visual_embeds" in given:
        embeds, features = given["visual_embeds"].shape, config.visual_embedding_dim
        if not fits(embeds, (*(None for _ in lead), None, features)):
            raise ValueError(
                f"visual_embeds must be [{batch_letters}, R, {features}] (visual_embedding_dim); "
                f"got {shape_text(embeds)}."
            )
        if not fits(embeds[: len(lead)], batch):
            same = "batch size and choices" if choices else "batch size"
            raise ValueError(
                f"{words} and visual_embeds must have the same {same}; "
                f"got {shape_text(given[words].shape)} and {shape_text(embeds)}."
            )
        regions = embeds[:-1]
        if regions[-1] == 0:
            raise ValueError("visual_embeds: R must be at least 1; got 0. For text alone leave visual_embeds out.")
        wanted |= {"visual_attention_mask": regions, "visual_token_type_ids": regions}
        letters |= dict.fromkeys(_OF_REGIONS, f"[{batch_letters}, R]")
        if "image_text_alignment" in given:
            # Differs from HF: a longer alignment is cut there without a word; it may belong to other regions.
            alignment = given["image_text_alignment"].shape
            if not fits(alignment, (*regions, None)):
                raise ValueError(
                    f"image_text_alignment must be [{batch_letters}, R, K] with the regions of visual_embeds, "
                    f"{shape_text(regions)}, and K word positions for each; got {shape_text(alignment)}."
                )
    else:
        for name in _OF_REGIONS:
            if name in given:
                raise ValueError(f"{name} is about regions, and visual_embeds is not given; leave out {name} too.")

    for name, shape in wanted.items():
        if name not in given or fits(given[name].shape, shape):
            continue
        if name == "position_ids" and fits(given[name].shape, (*(1 for _ in lead), length)):
            continue  # one row for all
        raise ValueError(f"{name} must be {letters[name]} = {shape_text(shape)}; got {shape_text(given[name].shape)}.")
    heads, layers = config.num_attention_heads, config.num_hidden_layers
    if "head_mask" in given and not any(fits(given["head_mask"].shape, s) for s in ((heads,), (layers, heads))):
        raise ValueError(
            f"head_mask must be [{heads}] (num_attention_heads) or [{layers}, {heads}] (num_hidden_layers before it); "
            f"got {shape_text(given['head_mask'].shape)}."
        )
    whole = {
        "input_ids": "integers (token ids)",
        "token_type_ids": "integers (token types)",
        "position_ids": "integers (positions)",
        "visual_token_type_ids": "integers (token types)",
        "image_text_alignment": "integers (positions of words, -1 for none)",
    }
    for name, what in whole.items():
        if name in given:
            check_dtype(name, given[name], ("int",), what)
    for name in ("inputs_embeds", "visual_embeds"):
        if name in given:
            check_dtype(name, given[name], ("float",), "floating-point numbers")


def check_alignment_inputs(visual_embeds: Any, positions: Any, describe: TensorSpecFn) -> None:
    """Refuse what region-to-phrase alignment cannot read; the rest of the inputs are the backbone's to check.

    Args:
        visual_embeds: the argument of that name.
        positions: `region_to_phrase_position`.
        describe: gives the shape and kind of an argument, as the backend sees it.

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
    # Differs from HF: its own example gives floating-point positions, and ends in an error inside PyTorch.
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

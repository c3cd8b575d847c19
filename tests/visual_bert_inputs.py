"""Inputs and labels for small VisualBERT models: NumPy arrays drawn from fixed seeds, for either framework."""

from typing import Any

import numpy as np

from lxmert.common.config import VisualBertConfig

from .inputs import MASKS, Sizes, mask

CHOICES = 3  # neither B, L nor R of any test


def visual_bert_inputs(
    config: VisualBertConfig, sizes: Sizes, masks: str = "ragged", architecture: str = "VisualBertModel", seed: int = 0
) -> dict[str, np.ndarray]:
    """What a model reads. Without masks there are no token types either: then the defaults are compared."""
    draw = np.random.default_rng([seed, *sizes])
    batch, length, regions = sizes
    lead = (batch, CHOICES) if architecture == "VisualBertForMultipleChoice" else (batch,)
    rows = int(np.prod(lead))
    input_ids = draw.integers(0, config.vocab_size, (*lead, length))
    if config.pad_token_id is not None:
        input_ids[..., -1] = config.pad_token_id  # the row of the table that gets no gradient from the lookup
    text, visual = (mask(kind, rows, n) for kind, n in zip(MASKS[masks], (length, regions), strict=True))
    types = masks != "absent"
    given = {
        "input_ids": input_ids,
        "attention_mask": None if text is None else text.reshape(*lead, length),
        "token_type_ids": draw.integers(0, config.type_vocab_size, (*lead, length)) if types else None,
        "visual_embeds": draw.standard_normal((*lead, regions, config.visual_embedding_dim)),
        "visual_attention_mask": None if visual is None else visual.reshape(*lead, regions),
        "visual_token_type_ids": draw.integers(0, config.type_vocab_size, (*lead, regions)) if types else None,
    }
    if architecture == "VisualBertForRegionToPhraseAlignment":
        given["region_to_phrase_position"] = draw.integers(-1, length + regions, (batch, length + regions))
    return {name: values for name, values in given.items() if values is not None}


def visual_bert_labels(config: VisualBertConfig, sizes: Sizes, architecture: str, seed: int = 0) -> dict[str, Any]:
    """Every label that a class takes; some words are ignored, and some rows of scores have zeros."""
    draw = np.random.default_rng([seed + 1, *sizes])
    batch, length, regions = sizes
    if architecture == "VisualBertForPreTraining":
        words = draw.integers(0, config.vocab_size, (batch, length + regions))
        words[:, 1::3] = -100
        return {"labels": words, "sentence_image_labels": draw.integers(0, 2, batch)}
    if architecture == "VisualBertForMultipleChoice":
        return {"labels": draw.integers(0, CHOICES, batch)}
    if architecture == "VisualBertForQuestionAnswering":
        return {"labels": _shares(draw, batch, config.num_labels)}
    if architecture == "VisualBertForVisualReasoning":
        return {"labels": draw.integers(0, config.num_labels, batch)}
    if architecture == "VisualBertForRegionToPhraseAlignment":
        return {"labels": _shares(draw, batch, length + regions, regions)}
    return {}


def _shares(draw: np.random.Generator, *shape: int) -> np.ndarray:
    """Rows that sum to one, with zeros among them."""
    rows = draw.random(shape)
    rows[..., 1:] *= rows[..., 1:] > 0.4
    return rows / rows.sum(-1, keepdims=True)

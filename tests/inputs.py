"""Inputs, masks and labels for small models: NumPy arrays drawn from fixed seeds, to be given to either framework."""

from typing import Any, NamedTuple

import numpy as np

from lxmert.common.config import LxmertConfig


class Sizes(NamedTuple):
    """B, L, R: odd, and never equal, so that no axis can be taken for another."""

    batch: int = 2
    length: int = 5
    regions: int = 7


# For each stream: no mask, all ones, rows of different lengths with a hole, or the last row masked as a whole.
MASKS = {
    "absent": (None, None),
    "ones": ("ones", "ones"),
    "ragged": ("ragged", "ragged"),
    "language row masked": ("row", "ragged"),
    "vision row masked": ("ragged", "row"),
    "language only": ("row", None),
    "vision only": (None, "row"),
}


def mask(kind: str | None, batch: int, count: int) -> np.ndarray | None:
    """A mask [B, count] of 1 (keep) and 0."""
    if kind is None:
        return None
    kept = np.ones((batch, count), dtype=np.int64)
    if kind != "ones":
        for row in range(batch):
            kept[row, max(1, count - row - 1) :] = 0
        if count > 3:
            kept[0, 1] = 0
    if kind == "row":
        kept[-1] = 0
    return kept


def inputs(
    config: LxmertConfig, sizes: Sizes, masks: str = "ragged", seed: int = 0, architecture: str = "LxmertModel"
) -> dict[str, np.ndarray]:
    """What a model reads. Without masks there are no token types either: then the defaults are compared."""
    draw = np.random.default_rng([seed, *sizes])
    batch, length, regions = sizes
    images = (batch, 2) if architecture == "LxmertForVisualReasoning" else (batch,)
    visual = mask(MASKS[masks][1], int(np.prod(images)), regions)
    input_ids = draw.integers(1, config.vocab_size, (batch, length))
    input_ids[-1, -1] = 0  # the row of the table that gets no gradient from the lookup
    given = {
        "input_ids": input_ids,
        "visual_feats": draw.standard_normal((*images, regions, config.visual_feat_dim)),
        "visual_pos": draw.random((*images, regions, config.visual_pos_dim)),
        "attention_mask": mask(MASKS[masks][0], batch, length),
        "visual_attention_mask": None if visual is None else visual.reshape(*images, regions),
        "token_type_ids": None if masks == "absent" else draw.integers(0, config.type_vocab_size, (batch, length)),
    }
    return {name: values for name, values in given.items() if values is not None}


def labels(config: LxmertConfig, sizes: Sizes, seed: int = 0) -> dict[str, Any]:
    """Every label of pre-training; some words, objects and attributes are ignored."""
    draw = np.random.default_rng([seed + 1, *sizes])
    batch, length, regions = sizes

    def classes(count: int, *shape: int) -> np.ndarray:
        ids = draw.integers(0, count, shape)
        ids.reshape(-1)[1::3] = -100
        return ids

    return {
        "labels": classes(config.vocab_size, batch, length),
        "obj_labels": {
            "obj": (classes(config.num_object_labels, batch, regions), draw.random((batch, regions))),
            "attr": (classes(config.num_attr_labels, batch, regions), draw.random((batch, regions))),
            # Wide enough for both branches of smooth L1.
            "feat": (2 * draw.standard_normal((batch, regions, config.visual_feat_dim)), draw.random((batch, regions))),
        },
        "matched_label": draw.integers(0, 2, batch),
        "ans": draw.integers(0, config.num_qa_labels, batch),
    }


def labels_of(config: LxmertConfig, sizes: Sizes, architecture: str, seed: int = 0) -> dict[str, Any]:
    """Every label that a class takes."""
    every = labels(config, sizes, seed)
    taken = {
        "LxmertModel": {},
        "LxmertForPreTraining": every,
        "LxmertForQuestionAnswering": {"labels": every["ans"]},
        "LxmertForVisualReasoning": {"labels": every["matched_label"]},
    }
    return taken[architecture]

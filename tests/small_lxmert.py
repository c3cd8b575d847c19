"""A small LXMERT of odd, unequal sizes and NumPy inputs for it: what the tests of both backends feed their models."""

from typing import Any

import numpy as np

from lxmert.common.config import LxmertConfig

LENGTH, REGIONS = 5, 7
WORDS, ANSWERS, OBJECTS, ATTRIBUTES, FEATURE = 29, 11, 6, 4, 9


def small_config(**changes: Any) -> LxmertConfig:
    """One layer of each kind, 24 wide, 3 heads, no dropout."""
    sizes: dict[str, Any] = dict(
        vocab_size=WORDS,
        hidden_size=24,
        num_attention_heads=3,
        intermediate_size=31,
        num_qa_labels=ANSWERS,
        num_object_labels=OBJECTS,
        num_attr_labels=ATTRIBUTES,
        visual_feat_dim=FEATURE,
        max_position_embeddings=8,
        l_layers=1,
        x_layers=1,
        r_layers=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return LxmertConfig(**{**sizes, **changes})


def small_inputs(batch: int = 3, length: int = LENGTH, regions: int = REGIONS, seed: int = 0) -> dict[str, np.ndarray]:
    """Every input of the models by name, with ragged masks; the last row's are wholly masked."""
    draw = np.random.default_rng(seed)
    attention_mask = (np.arange(length) < draw.integers(1, length + 1, (batch, 1))).astype("int64")
    visual_attention_mask = (np.arange(regions) < draw.integers(1, regions + 1, (batch, 1))).astype("int64")
    attention_mask[-1] = visual_attention_mask[-1] = 0
    return {
        "input_ids": draw.integers(0, WORDS, (batch, length)),
        "visual_feats": draw.normal(size=(batch, regions, FEATURE)).astype("float32"),
        "visual_pos": draw.uniform(size=(batch, regions, 4)).astype("float32"),
        "attention_mask": attention_mask,
        "visual_attention_mask": visual_attention_mask,
        "token_type_ids": draw.integers(0, 2, (batch, length)),
    }


def object_labels(batch: int = 3, regions: int = REGIONS, seed: int = 1) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """The labels of the visual losses, each with its confidences."""
    draw = np.random.default_rng(seed)

    def confidence() -> np.ndarray:
        return draw.uniform(size=(batch, regions)).astype("float32")

    return {
        "obj": (draw.integers(0, OBJECTS, (batch, regions)), confidence()),
        "attr": (draw.integers(0, ATTRIBUTES, (batch, regions)), confidence()),
        "feat": (draw.normal(size=(batch, regions, FEATURE)).astype("float32"), confidence()),
    }


def pretraining_labels(batch: int = 3, length: int = LENGTH, regions: int = REGIONS, seed: int = 1) -> dict[str, Any]:
    """Every label of pre-training by name."""
    draw = np.random.default_rng(seed)
    words = draw.integers(0, WORDS, (batch, length))
    words[:, ::2] = -100
    return {
        "labels": words,
        "obj_labels": object_labels(batch, regions, seed),
        "matched_label": draw.integers(0, 2, batch),
        "ans": draw.integers(0, ANSWERS, batch),
    }


def answer_indices(batch: int = 3, seed: int = 1) -> np.ndarray:
    """[B], an answer for each example."""
    return np.random.default_rng(seed).integers(0, ANSWERS, batch)


def answer_scores(batch: int = 3, seed: int = 1) -> np.ndarray:
    """[B, A], a score for every answer."""
    return np.random.default_rng(seed).uniform(size=(batch, ANSWERS)).astype("float32")

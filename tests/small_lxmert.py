"""One small LXMERT and NumPy inputs for it, in float32: what the tests of a single backend feed their models.

Separate from `tests.models`, which brings both frameworks.
"""

from typing import Any

import numpy as np

from lxmert.common.config import LxmertConfig

from .inputs import Sizes, inputs, labels

WORDS, ANSWERS, OBJECTS, FEATURE = 29, 11, 6, 9


def small_config(**changes: Any) -> LxmertConfig:
    """One layer of each kind, 24 wide, 3 heads, no dropout."""
    sizes: dict[str, Any] = dict(
        vocab_size=WORDS,
        hidden_size=24,
        num_attention_heads=3,
        intermediate_size=31,
        num_qa_labels=ANSWERS,
        num_object_labels=OBJECTS,
        num_attr_labels=4,
        visual_feat_dim=FEATURE,
        max_position_embeddings=8,
        l_layers=1,
        x_layers=1,
        r_layers=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return LxmertConfig(**{**sizes, **changes})


def small_inputs(
    batch: int = 3, length: int = 5, regions: int = 7, seed: int = 0, name: str = "LxmertModel"
) -> dict[str, np.ndarray]:
    """Every input of a class by name, with ragged masks; the last row of words is wholly masked."""
    return _float32(inputs(small_config(), Sizes(batch, length, regions), "language row masked", seed, name))


def small_labels(batch: int = 3, length: int = 5, regions: int = 7, seed: int = 0) -> dict[str, Any]:
    """Every label of pre-training by name."""
    return _float32(labels(small_config(), Sizes(batch, length, regions), seed))


def answer_indices(batch: int = 3, seed: int = 0) -> np.ndarray:
    """[B], an answer for each example."""
    return np.random.default_rng(seed).integers(0, ANSWERS, batch)


def answer_scores(batch: int = 3, seed: int = 0) -> np.ndarray:
    """[B, A], a score for every answer."""
    return np.random.default_rng(seed).uniform(size=(batch, ANSWERS)).astype("float32")


def truths(batch: int = 3, seed: int = 0) -> np.ndarray:
    """[B], whether each sentence is true of its images; both occur."""
    return np.random.default_rng(seed).permutation(np.arange(batch) % 2)


def _float32(tree: Any) -> Any:
    """The same with the fractions in float32."""
    if isinstance(tree, dict):
        return {name: _float32(value) for name, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_float32(value) for value in tree)
    return tree.astype("float32") if tree.dtype.kind == "f" else tree

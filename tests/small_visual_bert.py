"""Small VisualBERT models and NumPy inputs for them, in float32: what the tests of a single backend feed their models.

Separate from `tests.models`, which brings both frameworks.
"""

from typing import Any

import numpy as np

from lxmert.common.config import VisualBertConfig
from lxmert.common.specs import architectures

from .inputs import Sizes
from .visual_bert_inputs import CHOICES, visual_bert_inputs, visual_bert_labels

WORDS, CLASSES, FEATURE = 29, 11, 9
MODEL = "VisualBertModel"
PRETRAINING = "VisualBertForPreTraining"
CHOOSING = "VisualBertForMultipleChoice"
ANSWERING = "VisualBertForQuestionAnswering"
REASONING = "VisualBertForVisualReasoning"
ALIGNING = "VisualBertForRegionToPhraseAlignment"
NAMES = tuple(architectures("visual_bert"))
TASKS = NAMES[1:]
# What a task leaves alone, by the modules of the name table; its weights are frozen.
UNUSED = {
    ANSWERING: {"pooler.dense"},
    ALIGNING: {
        "pooler.dense",
        "heads.word.transform",
        "heads.word.norm",
        "heads.word.bias",
        "heads.match",
        "heads.alignment.value",
    },
}


def small_config(**changes: Any) -> VisualBertConfig:
    """Two layers, 24 wide, 3 heads, no dropout; the padding is word 1."""
    sizes: dict[str, Any] = dict(
        vocab_size=WORDS,
        hidden_size=24,
        visual_embedding_dim=FEATURE,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=31,
        max_position_embeddings=8,
        num_labels=CLASSES,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return VisualBertConfig(**{**sizes, **changes})


def small_inputs(
    name: str = MODEL, batch: int = 2, length: int = 5, regions: int = 7, seed: int = 0
) -> dict[str, np.ndarray]:
    """What a class reads, by name, with ragged masks; the last row of words is wholly masked."""
    return _float32(
        visual_bert_inputs(small_config(), Sizes(batch, length, regions), "language row masked", name, seed)
    )


def small_labels(name: str, batch: int = 2, length: int = 5, regions: int = 7, seed: int = 0) -> dict[str, np.ndarray]:
    """Every label of a class by name."""
    return _float32(visual_bert_labels(small_config(), Sizes(batch, length, regions), name, seed))


def small_options(name: str = MODEL, batch: int = 2, length: int = 5, regions: int = 7) -> dict[str, np.ndarray]:
    """The inputs that may be left out: positions, a mask of heads, and words for the regions."""
    draw = np.random.default_rng([batch, length, regions])
    lead = (batch, CHOICES) if name == CHOOSING else (batch,)
    return {
        "position_ids": draw.integers(0, 8, (*lead, length)),
        "head_mask": draw.random((2, 3)).astype("float32"),
        "image_text_alignment": draw.integers(-1, length, (*lead, regions, 4)),
    }


def wholly_masked(name: str = MODEL) -> dict[str, np.ndarray]:
    """The same inputs with neither a word nor a region to read."""
    given = small_inputs(name)
    return {**given, **{mask: np.zeros_like(given[mask]) for mask in ("attention_mask", "visual_attention_mask")}}


def _float32(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same with the fractions in float32."""
    return {key: values.astype("float32") if values.dtype.kind == "f" else values for key, values in given.items()}

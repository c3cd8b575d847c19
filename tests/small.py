"""One small model of each class, and NumPy inputs for it in float32: what the tests of a single backend feed it.

Separate from `tests.models`, which imports both frameworks.
"""

from typing import Any

import numpy as np

from lxmert.common.config import LxmertConfig, VisualBertConfig

from .inputs import Sizes, inputs, labels_of
from .visual_bert_inputs import CHOICES, visual_bert_inputs, visual_bert_labels

LXMERT = ("LxmertModel", "LxmertForPreTraining", "LxmertForQuestionAnswering", "LxmertForVisualReasoning")
VISUAL_BERT = (
    "VisualBertModel",
    "VisualBertForPreTraining",
    "VisualBertForMultipleChoice",
    "VisualBertForQuestionAnswering",
    "VisualBertForVisualReasoning",
    "VisualBertForRegionToPhraseAlignment",
)
NAMES = LXMERT + VISUAL_BERT
TASKS = tuple(name for name in NAMES if not name.endswith("Model"))
WORDS, LABELS, FEATURE, WIDTH = 29, 11, 9, 24
# What a task leaves unused, by the modules of the name table; its weights are frozen.
_LAST_IMAGE_BRANCH = {
    f"cross_layers.0.visual_{part}"
    for part in (
        *(f"self_attention.{leaf}" for leaf in ("query", "key", "value", "out", "norm")),
        *(f"feed_forward.{leaf}" for leaf in ("up", "down", "norm")),
    )
}
UNUSED = {
    "LxmertForQuestionAnswering": _LAST_IMAGE_BRANCH,
    "LxmertForVisualReasoning": _LAST_IMAGE_BRANCH,
    "VisualBertForQuestionAnswering": {"pooler.dense"},
    "VisualBertForRegionToPhraseAlignment": {
        "pooler.dense",
        "heads.word.transform",
        "heads.word.norm",
        "heads.word.bias",
        "heads.match",
        "heads.alignment.value",
    },
}


def is_visual_bert(name: str) -> bool:
    """Whether a class is one of VisualBERT."""
    return name.startswith("VisualBert")


def backbone_of(name: str) -> str:
    """The class of the backbone of a class."""
    return VISUAL_BERT[0] if is_visual_bert(name) else LXMERT[0]


def small_config(name: str = "LxmertModel", **changes: Any) -> Any:
    """One layer of each kind, or two layers of VisualBERT (its padding is word 1); 24 wide, 3 heads, no dropout."""
    sizes: dict[str, Any] = dict(
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_attention_heads=3,
        intermediate_size=31,
        max_position_embeddings=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    if is_visual_bert(name):
        own: dict[str, Any] = dict(visual_embedding_dim=FEATURE, num_hidden_layers=2, num_labels=LABELS)
        return VisualBertConfig(**{**sizes, **own, **changes})
    own = dict(num_qa_labels=LABELS, num_object_labels=6, num_attr_labels=4, visual_feat_dim=FEATURE)
    layers = dict(l_layers=1, x_layers=1, r_layers=1)
    return LxmertConfig(**{**sizes, **own, **layers, **changes})


def _sizes(name: str, batch: int | None, length: int, regions: int) -> Sizes:
    return Sizes((2 if is_visual_bert(name) else 3) if batch is None else batch, length, regions)


def small_inputs(
    name: str = "LxmertModel", batch: int | None = None, length: int = 5, regions: int = 7, seed: int = 0
) -> dict[str, np.ndarray]:
    """What a class reads, by name, with ragged masks; the last row of words is wholly masked."""
    sizes, config = _sizes(name, batch, length, regions), small_config(name)
    if is_visual_bert(name):
        return _float32(visual_bert_inputs(config, sizes, "language row masked", name, seed))
    return _float32(inputs(config, sizes, "language row masked", seed, name))


def small_labels(
    name: str, batch: int | None = None, length: int = 5, regions: int = 7, seed: int = 0
) -> dict[str, Any]:
    """Every label of a class by name; those of LXMERT's visual reasoning are of both classes."""
    sizes, config = _sizes(name, batch, length, regions), small_config(name)
    if is_visual_bert(name):
        return _float32(visual_bert_labels(config, sizes, name, seed))
    if name == "LxmertForVisualReasoning":
        return {"labels": np.random.default_rng(seed).permutation(np.arange(sizes.batch) % 2)}
    return _float32(labels_of(config, sizes, name, seed))


def small_options(name: str, batch: int | None = None, length: int = 5, regions: int = 7) -> dict[str, np.ndarray]:
    """The inputs that VisualBERT may have besides: positions, a mask of heads, and words for the regions."""
    if not is_visual_bert(name):
        return {}
    batch = 2 if batch is None else batch
    draw = np.random.default_rng([batch, length, regions])
    lead = (batch, CHOICES) if name == "VisualBertForMultipleChoice" else (batch,)
    return {
        "position_ids": draw.integers(0, 8, (*lead, length)),
        "head_mask": draw.random((2, 3)).astype("float32"),
        "image_text_alignment": draw.integers(-1, length, (*lead, regions, 4)),
    }


def everything(name: str, *sizes: int) -> dict[str, Any]:
    """All that a class may be given: inputs, options and labels."""
    return {**small_inputs(name, *sizes), **small_options(name, *sizes), **small_labels(name, *sizes)}


def answer_scores(batch: int = 3, seed: int = 0) -> np.ndarray:
    """[B, A], a score for every answer."""
    return np.random.default_rng(seed).uniform(size=(batch, LABELS)).astype("float32")


def wholly_masked(name: str) -> dict[str, np.ndarray]:
    """The same inputs with neither a word nor a region to read."""
    given = small_inputs(name)
    return {**given, **{mask: np.zeros_like(given[mask]) for mask in ("attention_mask", "visual_attention_mask")}}


def _float32(tree: Any) -> Any:
    """The same with the fractions in float32."""
    if isinstance(tree, dict):
        return {name: _float32(value) for name, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(_float32(value) for value in tree)
    return tree.astype("float32") if tree.dtype.kind == "f" else tree

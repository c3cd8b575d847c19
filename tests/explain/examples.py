"""Every score of every class: models of random configurations, and batches of examples of different lengths."""

from typing import Any, NamedTuple

import numpy as np

from lxmert.common.specs import spec_of
from tests.inputs import Sizes, inputs
from tests.models import small, small_visual_bert
from tests.visual_bert_inputs import visual_bert_inputs

SIZES = ((5, 7), (8, 3), (4, 4))  # words and regions of each example; of all some are masked, and not the last alone


class Score(NamedTuple):
    """A score that can be explained.

    Attributes:
        architecture: the class.
        config: a configuration of it.
        answers: of each example, and no two alike.
        options: which head, and which position.
        extra: further inputs of all examples.
    """

    architecture: str
    config: Any
    answers: tuple[int, ...]
    options: dict[str, Any] = {}
    extra: dict[str, np.ndarray] = {}


_HEADS = {
    "pruned_heads": {
        "language_layers.0.attention": [1],
        "cross_layers.0.cross_attention": [0, 2],
        "cross_layers.1.visual_self_attention": [2],
    }
}
SCORES = {
    "LXMERT: answer": Score("LxmertForQuestionAnswering", small("2/2/1"), (0, 3, 5)),
    "LXMERT, pre-training: answer": Score(
        "LxmertForPreTraining", small("1/3/2", hidden_act="relu", **_HEADS), (2, 0, 4), {"score": "answer"}
    ),
    "LXMERT, pre-training: match": Score(
        "LxmertForPreTraining", small("1/1/0", num_attention_heads=1), (0, 1, 1), {"score": "match"}
    ),
    "LXMERT, pre-training: word": Score(
        "LxmertForPreTraining", small("0/2/1", task_qa=False), (36, 0, 7), {"score": "word", "position": [2, 4, 0]}
    ),
    "LXMERT: two images": Score("LxmertForVisualReasoning", small("1/2/1", hidden_act="silu"), (1, 0, 1)),
    "VisualBERT: answer": Score("VisualBertForQuestionAnswering", small_visual_bert(2), (0, 3, 5)),
    "VisualBERT, pre-training: match": Score(
        "VisualBertForPreTraining", small_visual_bert(1, hidden_act="relu"), (0, 1, 1), {"score": "match"}
    ),
    "VisualBERT, pre-training: word": Score(
        "VisualBertForPreTraining",
        small_visual_bert(3, pruned_heads={0: [1], 2: [0, 3]}),
        (36, 0, 7),
        {"score": "word", "position": [2, 4, 0]},
        {"head_mask": np.array([[1.0, 0.5, 1.5, 1.0], [0.2, 1.0, 1.0, 0.0], [1.0, 0.7, 0.3, 1.0]])},
    ),
    "VisualBERT: choice": Score("VisualBertForMultipleChoice", small_visual_bert(2, type_vocab_size=1), (2, 0, 1)),
    "VisualBERT: reasoning": Score(
        "VisualBertForVisualReasoning", small_visual_bert(2, bypass_transformer=True), (1, 5, 0)
    ),
    "VisualBERT: alignment": Score(
        "VisualBertForRegionToPhraseAlignment",
        small_visual_bert(2),
        (0, 1, 2),
        {"position": [0, 1, 0]},
        {"region_to_phrase_position": np.array([[2, 0]])},
    ),
}


def examples(name: str) -> list[dict[str, np.ndarray]]:
    """The inputs of the examples of a score, each a batch of one."""
    score = SCORES[name]
    found = []
    for seed, sizes in enumerate(SIZES):
        options = {"masks": "ragged", "seed": seed, "architecture": score.architecture}
        make = inputs if score.architecture.startswith("Lxmert") else visual_bert_inputs
        found.append({**make(score.config, Sizes(1, *sizes), **options), **score.extra})
    return found


def padded(name: str) -> dict[str, np.ndarray]:
    """The examples in one batch; padding is at the end of words and of regions, and holds anything."""
    declared, parts = spec_of(SCORES[name].architecture).inputs, examples(name)
    longest = {"L": max(length for length, _ in SIZES), "R": max(regions for _, regions in SIZES)}
    batch = {}
    for key, first in parts[0].items():
        if key == "head_mask":
            batch[key] = first
            continue
        axes = declared[key].axes
        filling = 0 if "mask" in key or "type" in key else 3
        batch[key] = np.concatenate(
            [
                np.pad(
                    part[key],
                    [(0, longest.get(axis, size) - size) for axis, size in zip(axes, part[key].shape, strict=True)],
                    constant_values=filling,
                )
                for part in parts
            ]
        )
    return batch


def options_of(name: str, example: int | None = None) -> dict[str, Any]:
    """The options of `explain` for the batch, or for one example."""
    score = SCORES[name]
    options = {"answer": np.array(score.answers), **score.options}
    if example is None:
        return options
    return {key: [value[example]] if np.ndim(value) else value for key, value in options.items()}

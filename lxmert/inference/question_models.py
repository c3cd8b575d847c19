"""How each kind of model is asked: the names of its inputs, what its scores are called, and where it looked.

The question's journey ends here in the argument names of a model; answering, training and the demo know none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from lxmert.common.specs import spec_of
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.visual_bert_inputs import encode_questions
from lxmert.weights.naming.tables import ANSWERS


class QuestionModel(Protocol):
    """One kind of model that answers questions.

    Attributes:
        architecture: the class name of the model, without the prefix TF.
        features: the config field that tells the size of a region's features.
    """

    architecture: str
    features: str

    def encode(
        self, tokenizer: LxmertTokenizer, questions: Sequence[str], length: int, padding: bool | str = True
    ) -> dict[str, np.ndarray]:
        """The questions by argument name, [B, L], cut to `length` tokens."""

    def name_regions(self, regions: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The regions of a `RegionBatch` by argument name."""

    def region_attention(self, outputs: Mapping[str, Any], tokens: int) -> np.ndarray:
        """How much each token attends to each region, [B, L, R], from the attention maps among the outputs.

        Means over heads and layers; each row sums to one over the regions.
        """


class LxmertQuestions:
    """LXMERT reads a question as it is, and regions with their boxes."""

    architecture = "LxmertForQuestionAnswering"
    features = "visual_feat_dim"

    def encode(
        self, tokenizer: LxmertTokenizer, questions: Sequence[str], length: int, padding: bool | str = True
    ) -> dict[str, np.ndarray]:
        """The questions by argument name."""
        return tokenizer(list(questions), padding=padding, truncation=True, max_length=length, return_tensors="np")

    def name_regions(self, regions: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The regions of a `RegionBatch` by argument name."""
        return {
            "visual_feats": regions["visual_feats"],
            "visual_pos": regions["visual_pos"],
            "visual_attention_mask": regions["visual_attention_mask"],
        }

    def region_attention(self, outputs: Mapping[str, Any], tokens: int) -> np.ndarray:
        """The attention of language to vision in the cross layers."""
        return np.mean([layer.mean(axis=1) for layer in outputs["cross_encoder_attentions"]], axis=0)


class VisualBertQuestions:
    """VisualBERT reads a question that ends in `? [MASK]`, and regions without boxes, of type 0."""

    architecture = "VisualBertForQuestionAnswering"
    features = "visual_embedding_dim"

    def encode(
        self, tokenizer: LxmertTokenizer, questions: Sequence[str], length: int, padding: bool | str = True
    ) -> dict[str, np.ndarray]:
        """The questions by argument name."""
        return encode_questions(tokenizer, questions, length, padding)

    def name_regions(self, regions: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The regions of a `RegionBatch` by argument name."""
        mask = regions["visual_attention_mask"]
        return {
            "visual_embeds": regions["visual_feats"],
            "visual_attention_mask": mask,
            "visual_token_type_ids": np.zeros(mask.shape, np.int64),
        }

    def region_attention(self, outputs: Mapping[str, Any], tokens: int) -> np.ndarray:
        """The part of every layer's attention that goes from words to regions."""
        part = np.mean([layer[:, :, :tokens, tokens:].mean(axis=1) for layer in outputs["attentions"]], axis=0)
        return part / part.sum(axis=-1, keepdims=True)


QUESTION_MODELS: dict[str, QuestionModel] = {"lxmert": LxmertQuestions(), "visual_bert": VisualBertQuestions()}


def scores_name(model_type: str) -> str:
    """The output that holds the scores of the answers."""
    return spec_of(QUESTION_MODELS[model_type].architecture).scores


def answer_count(config: Any) -> int:
    """How many answers a model of this configuration scores."""
    return getattr(config, ANSWERS[config.model_type][1])

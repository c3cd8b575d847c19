"""The inputs of each kind of model that answers questions, and its attention from words to regions.

The question's journey ends here in the argument names of a model; answering, training and the demo know none of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import spec_of
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.visual_bert_inputs import encode_questions
from lxmert.vision.region_batch import visual_bert_regions
from lxmert.weights.naming.tables import ANSWERS

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class QuestionModel:
    """One kind of model that answers questions.

    Attributes:
        architecture: the class name of the model, without the prefix TF.
        features: the config field with the size of a region's features.
        encode: tokenizer, questions, length and padding (True or "max_length") to the questions by argument name,
            [B, L], cut to `length` tokens.
        name_regions: the regions of a `RegionBatch` by argument name.
        region_attention: the outputs of a model with its attention maps, and L, to how much each token attends to each
            region by layer and head, [B, layers, N, L, R], of the layers that have it.
        attention_layers: what these layers are called.
    """

    architecture: str
    features: str
    encode: Callable[..., Arrays]
    name_regions: Callable[[Mapping[str, Any]], Arrays]
    region_attention: Callable[[Mapping[str, Any], int], np.ndarray]
    attention_layers: str


def _encode_lxmert(
    tokenizer: LxmertTokenizer, questions: Sequence[str], length: int, padding: bool | str = True
) -> Arrays:
    return tokenizer(list(questions), padding=padding, truncation=True, max_length=length, return_tensors="np")


def _lxmert_regions(regions: Mapping[str, Any]) -> Arrays:
    return {name: regions[name] for name in ("visual_feats", "visual_pos", "visual_attention_mask")}


def _lxmert_attention(outputs: Mapping[str, Any], tokens: int) -> np.ndarray:
    """The attention of language to vision in the cross layers."""
    return np.stack(outputs["cross_encoder_attentions"], axis=1)


def _visual_bert_attention(outputs: Mapping[str, Any], tokens: int) -> np.ndarray:
    """The attention of words to regions in every layer that reads both."""
    layers = [layer[:, :, :tokens, tokens:] for layer in outputs["attentions"] if layer.shape[-1] > tokens]
    return np.stack(layers, axis=1)


QUESTION_MODELS = {
    "lxmert": QuestionModel(
        "LxmertForQuestionAnswering",
        "visual_feat_dim",
        _encode_lxmert,
        _lxmert_regions,
        _lxmert_attention,
        "cross-modality layers",
    ),
    "visual_bert": QuestionModel(
        "VisualBertForQuestionAnswering",
        "visual_embedding_dim",
        encode_questions,  # with `? [MASK]` at its end
        visual_bert_regions,
        _visual_bert_attention,
        "layers",
    ),
}


def scores_name(model_type: str) -> str:
    """The output that holds the scores of the answers."""
    return spec_of(QUESTION_MODELS[model_type].architecture).scores


def answer_count(config: ModelConfig) -> int:
    """How many answers a model of this configuration scores."""
    count: int = getattr(config, ANSWERS[config.model_type][1])
    return count

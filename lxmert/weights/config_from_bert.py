"""The configuration of a model that is to begin with a plain BERT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lxmert.common.config import LxmertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.weights.naming.key_mapping import BERT
from lxmert.weights.naming.tables import LAYERS

# The fields that mean the same in BERT's configuration.
_OF_BERT = (
    "vocab_size",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
)


def is_bert_config(stored: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a plain BERT."""
    return stored.get("model_type") == BERT.task_prefix.removesuffix(".")


def values_from_bert(stored: Mapping[str, Any], kind: type[ModelConfig], counts: Mapping[str, int]) -> dict[str, Any]:
    """The keys of a config.json of a model that is to begin with a BERT."""
    shared = {name: stored[name] for name in _OF_BERT if name in stored and name in kind.field_names()}
    return shared | layers_from_bert(kind, counts)


def layers_from_bert(kind: type[ModelConfig], counts: Mapping[str, int]) -> dict[str, int]:
    """How many layers a model has that begins with a BERT.

    As in the original: LXMERT's language layers are the first of BERT's, nine of twelve; the others are its own.
    """
    usual = {name: getattr(kind(), name) for name in LAYERS[kind.model_type]}
    language = LAYERS[kind.model_type][0]
    most = usual[language] if kind is LxmertConfig else counts[language]
    return {**usual, language: min(most, counts[language])}

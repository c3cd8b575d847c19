"""What the configurations of LXMERT and VisualBERT share: heads, dropout, labels, and how they are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, ClassVar

from .base import ModelConfig
from .common_attributes import ALIASES, COMMON, CommonAttributes
from .keywords import CommonKeywords, config_fields
from .pruning import PrunedHeads
from .values import MOST_HEADS, MOST_LAYERS, checked_label_count, checked_pruned_heads, require

# What config.json leaves out where it has its default value, as `transformers` does, beside the common attributes.
_FLAGS = {"output_attentions": False, "output_hidden_states": False, "return_dict": True}
_RATES = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@config_fields
class TransformerConfig(ModelConfig, CommonAttributes, PrunedHeads, CommonKeywords):
    """Base class of the configurations of transformers.

    Two configurations are equal if their fields, their labels and `problem_type` are.
    """

    activations: ClassVar[tuple[str, ...]] = ()
    common: ClassVar[Mapping[str, Any]] = COMMON
    aliases: ClassVar[tuple[str, ...]] = ALIASES
    _stored: ClassVar[frozenset[str]] = ModelConfig._stored | {
        "_label_count",
        "_label_names",
        "_label_numbers",
        "_attn_implementation",
    }

    pruned_heads: Mapping[str, tuple[int, ...]] = field(default_factory=dict, kw_only=True)

    @classmethod
    def _in_order(cls, names: Iterable[str]) -> Iterable[str]:
        # The number of labels after their names, which give it where it is not given.
        order = {"id2label": -2, "label2id": -1, "num_labels": 1}
        return sorted(names, key=lambda name: order.get(name, 0))

    @classmethod
    def _often_given(cls) -> tuple[str, ...]:
        return (*super()._often_given(), "num_labels", "id2label", "label2id", "problem_type")

    @classmethod
    def read_once(cls) -> tuple[str, ...]:
        """See `ModelConfig`."""
        counts = (count for count, _ in cls.attentions.values())
        return (*counts, "num_attention_heads", "hidden_act", "layer_norm_eps", "tie_word_embeddings")

    @classmethod
    def _kept_by_layers(cls) -> tuple[str, ...]:
        return (*super()._kept_by_layers(), *_RATES)

    def _checked(self, name: str, value: Any) -> Any:
        if name == "pruned_heads":
            return checked_pruned_heads(value, self.attention_path)
        if name == "num_labels":
            return checked_label_count(value)
        value = super()._checked(name, value)
        if name in _RATES:
            require(0 <= value < 1, name, "in [0, 1)", value)
        elif name in ("initializer_range", "layer_norm_eps"):
            require(0 < value < math.inf, name, "above 0", value)
        elif name == "num_attention_heads":
            require(value <= MOST_HEADS, name, f"at most {MOST_HEADS:,}", value)
        elif any(name == count for count, _ in self.attentions.values()):
            require(value <= MOST_LAYERS, name, f"at most {MOST_LAYERS}", value)
        elif name == "hidden_act":
            require(value in self.activations, name, f"one of {', '.join(self.activations)}", value)
        return value

    def _checked_common(self, name: str, value: Any) -> Any:
        return self._checked_attribute(name, value)

    def validate(self) -> None:
        """Raise ValueError where values do not fit each other."""
        super().validate()
        hidden, heads = self.hidden_size, self.num_attention_heads
        if hidden % heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads; got hidden_size {hidden} and "
                f"num_attention_heads {heads}."
            )
        self._check_pruned_heads()
        if self.problem_type == "single_label_classification" and self.num_labels == 1:
            raise ValueError(
                'problem_type "single_label_classification" needs num_labels of at least 2; got 1. '
                'One score is "regression", or the score of one of two labels.'
            )
        self._check_label_numbers()

    @property
    def untied_words(self) -> bool:
        """Whether the word head has its own decoder instead of the word embedding."""
        return not self.tie_word_embeddings

    def _compared(self) -> dict[str, Any]:
        labels = (self.id2label, self.label2id) if self.has_label_names else None
        also = {"num_labels": self.num_labels, "problem_type": self.problem_type, "labels": labels}
        return {**super()._compared(), **also}

    def attributes(self) -> dict[str, Any]:
        """See `ModelConfig`."""
        return {**super().attributes(), "num_labels": self.num_labels}

    # Reading and writing

    @classmethod
    def _prepared(cls, values: dict[str, Any]) -> dict[str, Any]:
        labels = values.get("id2label")
        if isinstance(labels, Mapping) and values.get("num_labels", len(labels)) != len(labels):
            del values["id2label"]  # as in `transformers`: the number counts, and the names are stale
            values.pop("label2id", None)
        return super()._prepared(values)

    def _written_common(self) -> Iterable[str]:
        named = self.has_label_names or (self.num_labels != 2 and "num_labels" not in self.field_names())
        return [name for name in super()._written_common() if named or name not in ("id2label", "label2id")]

    @classmethod
    def _usual(cls) -> dict[str, Any]:
        return _FLAGS | super()._usual()

    def _values(self, common: Iterable[str]) -> dict[str, Any]:
        values = super()._values(common)
        if not self.pruned_heads:
            del values["pruned_heads"]
        return values

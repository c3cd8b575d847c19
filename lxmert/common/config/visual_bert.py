"""VisualBERT's configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, ClassVar

from .keywords import config_fields
from .transformer import TransformerConfig
from .values import layer_number, require


@config_fields
class VisualBertConfig(TransformerConfig):
    """Sizes, rates and switches of a VisualBERT model; names and defaults as in `transformers`.

    `visual_embedding_dim` is the width of the region features, another one in each published checkpoint.
    `bypass_transformer` sends the words alone through the layers and joins the regions to them in one additional layer.
    `special_visual_initialize` starts the regions' tables of positions and types as copies of the words'. The lookup of
    word `pad_token_id` gets no gradient; None lets every word learn. (The default of 1, unlike BERT's vocabulary, whose
    padding is 0, is what the published models were made with.) `num_labels` counts the classes of question answering
    and visual reasoning: 3129 and 2 in the published models. With `tie_word_embeddings` the word head scores words by
    the word embedding, without it by a decoder of its own. `pruned_heads` names, for each pruned attention by its path
    ("encoder_layers.0.attention"), the pruned heads; a file may name the layer by its number alone.

    Source: Li et al. 2019 (arXiv 1908.03557); the keys are those of `transformers`' VisualBertConfig.

    Raises:
        TypeError: a value of the wrong kind.
        ValueError: a value out of range, or `hidden_size` not a multiple of `num_attention_heads`.
    """

    model_type: ClassVar[str] = "visual_bert"
    activations: ClassVar[tuple[str, ...]] = ("gelu", "relu", "selu", "gelu_new", "silu")
    attentions: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        "encoder_layers": ("num_hidden_layers", ("attention",))
    }

    vocab_size: int = 30522
    hidden_size: int = 768
    visual_embedding_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    bypass_transformer: bool = False
    special_visual_initialize: bool = True
    pad_token_id: int | None = 1
    bos_token_id: int | None = 0
    eos_token_id: int | None = 2
    num_labels: int = field(default_factory=lambda: 2)  # a property of the base class, which a default would hide
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    tie_word_embeddings: bool = True

    def _values(self, common: Iterable[str]) -> dict[str, Any]:
        """What is written; pruned layers are numbered, as `transformers` expects."""
        values = super()._values(common)
        if "pruned_heads" in values:
            values["pruned_heads"] = {
                path.split(".")[1] if path.startswith("encoder_layers.") else path: gone
                for path, gone in values["pruned_heads"].items()
            }
        return values

    @classmethod
    def read_once(cls) -> tuple[str, ...]:
        """See `ModelConfig`."""
        return (*super().read_once(), "bypass_transformer")

    @classmethod
    def _kept_by_layers(cls) -> tuple[str, ...]:
        return (*super()._kept_by_layers(), "pad_token_id")

    def validate(self) -> None:
        """Raise ValueError where values do not fit each other."""
        super().validate()
        pad, last = self.pad_token_id, self.vocab_size - 1
        require(pad is None or 0 <= pad <= last, "pad_token_id", f"a word's id, 0 to {last}, or None", pad)

    def attention_path(self, key: str | int) -> str:
        """The path of the attention that a key of `pruned_heads` names; `transformers` numbers the layers."""
        layer = layer_number(str(key))
        return str(key) if layer is None else f"encoder_layers.{layer}.attention"

    def _has_attention(self, path: str) -> bool:
        return super()._has_attention(path) or (self.bypass_transformer and path == "additional_layer.attention")

    @property
    def attention_paths(self) -> tuple[str, ...]:
        """The path of every attention: the names that `pruned_heads` uses."""
        return (*super().attention_paths, *(("additional_layer.attention",) if self.bypass_transformer else ()))

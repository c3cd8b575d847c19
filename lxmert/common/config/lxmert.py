"""LXMERT's configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

from lxmert.utils.messages import shown, warn_caller

from .keywords import config_fields
from .transformer import TransformerConfig
from .values import layer_number, require


@config_fields
class LxmertConfig(TransformerConfig):
    """Sizes, rates and tasks of an LXMERT model; names and defaults as in `transformers`.

    `l_layers`, `x_layers` and `r_layers` count the language, cross-modality and visual (object-relationship) layers.
    The `task_*` flags switch pre-training losses; `task_qa`, `task_obj_predict` and the `visual_*_loss` flags also
    decide whether their heads exist. `visual_loss_normalizer` multiplies each visual loss. With `tie_word_embeddings`
    the word head scores words by the word embedding, without it by a decoder of its own. `pruned_heads` names, for each
    pruned attention by its path ("language_layers.0.attention"), the pruned heads. As in `transformers`, `num_labels`
    and the names of labels are notes: the answer head has `num_qa_labels` scores.

    Source: Tan and Bansal 2019 (arXiv 1908.07490); the keys are those of `transformers`' LxmertConfig.

    Raises:
        TypeError: a value of the wrong kind.
        ValueError: a value out of range, or `hidden_size` not a multiple of `num_attention_heads`.
    """

    model_type: ClassVar[str] = "lxmert"
    activations: ClassVar[tuple[str, ...]] = ("gelu", "relu", "silu", "gelu_new")
    attentions: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        "language_layers": ("l_layers", ("attention",)),
        "visual_layers": ("r_layers", ("attention",)),
        "cross_layers": ("x_layers", ("cross_attention", "language_self_attention", "visual_self_attention")),
    }
    # A model may do without language or visual layers (the paper's ablations do), not without cross layers.
    may_be_zero: ClassVar[tuple[str, ...]] = ("l_layers", "r_layers")

    vocab_size: int = 30522
    hidden_size: int = 768
    num_attention_heads: int = 12
    num_qa_labels: int = 9500
    num_object_labels: int = 1600
    num_attr_labels: int = 400
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    # Differs from HF: its PyTorch model ignores this value and always takes 1e-12, which every published config holds.
    layer_norm_eps: float = 1e-12
    l_layers: int = 9
    x_layers: int = 5
    r_layers: int = 5
    visual_feat_dim: int = 2048
    visual_pos_dim: int = 4
    visual_loss_normalizer: float = 6.67
    task_matched: bool = True
    task_mask_lm: bool = True
    task_obj_predict: bool = True
    task_qa: bool = True
    visual_obj_loss: bool = True
    visual_attr_loss: bool = True
    visual_feat_loss: bool = True
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    tie_word_embeddings: bool = True

    def _checked(self, name: str, value: Any) -> Any:
        value = super()._checked(name, value)
        if name == "visual_loss_normalizer":
            require(0 <= value < math.inf, name, "at least 0", value)
        return value

    def attention_path(self, key: str | int) -> str:
        """The path of the attention that a key of `pruned_heads` names: a path, or a number that only one layer has."""
        layer = layer_number(str(key))
        if layer is None:
            return str(key)
        kinds = [(kind, names) for kind, (count, names) in self.attentions.items() if layer < getattr(self, count)]
        paths = [f"{kind}.{layer}.{name}" for kind, names in kinds for name in names]
        if len(paths) > 1:
            raise ValueError(
                f"pruned_heads names layer {key}, and LXMERT has several layers of this number. Name one of "
                f"{', '.join(paths)}."
            )
        return paths[0] if paths else str(key)

    @property
    def num_hidden_layers(self) -> dict[str, int]:
        """Layer counts as config.json also stores them.

        Differs from HF: always derived from the three counts, so that it cannot go stale.
        """
        return {"vision": self.r_layers, "cross_encoder": self.x_layers, "language": self.l_layers}

    @num_hidden_layers.setter
    def num_hidden_layers(self, value: Any) -> None:
        if value != self.num_hidden_layers:
            raise ValueError(
                f"num_hidden_layers is derived from l_layers, x_layers and r_layers; set those. Got {shown(value)}."
            )

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **overrides: Any) -> Any:
        """See `ModelConfig.from_dict`."""
        if "num_labels" in overrides and "num_qa_labels" not in overrides:
            warn_caller("num_labels does not change LXMERT's answer head; pass num_qa_labels.")
        return super().from_dict(config_dict, **overrides)

    @classmethod
    def read_once(cls) -> tuple[str, ...]:
        """See `ModelConfig`."""
        heads = ("task_qa", "task_obj_predict", "visual_obj_loss", "visual_attr_loss", "visual_feat_loss")
        return (*super().read_once(), *heads)

    @classmethod
    def _derived(cls) -> tuple[str, ...]:
        return ("num_hidden_layers",)

    @property
    def visual_losses(self) -> dict[str, int]:
        """The enabled visual losses in the order of the object head, each with the width of its prediction."""
        widths = {"obj": self.num_object_labels, "attr": self.num_attr_labels, "feat": self.visual_feat_dim}
        return {key: width for key, width in widths.items() if getattr(self, f"visual_{key}_loss")}

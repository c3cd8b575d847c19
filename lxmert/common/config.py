"""The configurations of the models: plain values with the names and defaults of `transformers`.

Framework-free, so that both backends and the converter share one object.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .model_config import ModelConfig


@dataclass(frozen=True)
class LxmertConfig(ModelConfig):
    """Sizes, rates and tasks of an LXMERT model; names and defaults as in `transformers`.

    `l_layers`, `x_layers` and `r_layers` count the language, cross-modality and visual (object-relationship) layers.
    The `task_*` flags switch pre-training losses; `task_qa`, `task_obj_predict` and the `visual_*_loss` flags also
    decide whether their heads exist. `visual_loss_normalizer` multiplies each visual loss. `pruned_heads` names, for
    each pruned attention by its path ("language_layers.0.attention"), the heads that are gone.

    Source: Tan and Bansal 2019 (arXiv 1908.07490); the keys are those of `transformers`' LxmertConfig.

    Raises:
        TypeError: an unknown keyword, or a value of the wrong kind.
        ValueError: a value out of range, or `hidden_size` not a multiple of `num_attention_heads`.
    """

    model_type: ClassVar[str] = "lxmert"
    activations: ClassVar[tuple[str, ...]] = ("gelu", "relu", "silu", "gelu_new")

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
    pruned_heads: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)

    def _sizes(self) -> tuple[str, ...]:
        whole = [f.name for f in dataclasses.fields(self) if f.type == "int"]
        # A model may do without language or visual layers (the paper's ablations do), not without cross layers.
        return tuple(name for name in whole if name not in ("l_layers", "r_layers"))

    def _validate(self) -> None:
        super()._validate()
        for name in ("l_layers", "r_layers"):
            self._require(getattr(self, name) >= 0, name, "at least 0")
        self._require(0 <= self.visual_loss_normalizer < math.inf, "visual_loss_normalizer", "at least 0")
        for path, heads in self.pruned_heads.items():
            if not self._has_attention(path):
                raise ValueError(
                    f"pruned_heads names attentions by path, as 'language_layers.0.attention'; got {path!r}."
                )
            if not set(heads) < set(range(self.num_attention_heads)):
                raise ValueError(
                    f"pruned_heads[{path!r}] must be some of the heads 0 to {self.num_attention_heads - 1}, not all; "
                    f"got {list(heads)}."
                )

    @property
    def attention_paths(self) -> tuple[str, ...]:
        """The path of every attention: the names that `pruned_heads` uses."""
        return tuple(
            f"{layers}.{i}.{name}"
            for layers, (count, names) in _ATTENTIONS.items()
            for i in range(getattr(self, count))
            for name in names
        )

    def _has_attention(self, path: str) -> bool:
        """Whether `path` is one of `attention_paths`, without listing them: a file may claim any number of layers."""
        layers, _, rest = path.partition(".")
        number, _, name = rest.partition(".")
        count, names = _ATTENTIONS.get(layers, ("", ()))
        return (
            name in names and number.isdecimal() and str(int(number)) == number and int(number) < getattr(self, count)
        )

    @property
    def num_hidden_layers(self) -> dict[str, int]:
        """Layer counts as config.json repeats them.

        Differs from HF: always derived from the three counts, so that it cannot go stale.
        """
        return {"vision": self.r_layers, "cross_encoder": self.x_layers, "language": self.l_layers}

    @classmethod
    def _derived(cls) -> tuple[str, ...]:
        return ("num_hidden_layers",)

    @property
    def visual_losses(self) -> dict[str, int]:
        """The enabled visual losses in the order of the object head, each with the width of its prediction."""
        widths = {"obj": self.num_object_labels, "attr": self.num_attr_labels, "feat": self.visual_feat_dim}
        return {key: width for key, width in widths.items() if getattr(self, f"visual_{key}_loss")}


# The attentions of each kind of layer: the field that counts the layers, and the names inside one.
_ATTENTIONS = {
    "language_layers": ("l_layers", ("attention",)),
    "visual_layers": ("r_layers", ("attention",)),
    "cross_layers": ("x_layers", ("cross_attention", "language_self_attention", "visual_self_attention")),
}


def config_from_dict(values: Mapping[str, Any]) -> ModelConfig:
    """The configuration whose `model_type` the values name.

    Args:
        values: the keys and values of a config.json.

    Raises:
        ValueError: no such model type, or a value out of range.
        TypeError: a value of the wrong kind.
    """
    kinds = {kind.model_type: kind for kind in (LxmertConfig,)}
    model_type = values.get("model_type")
    if model_type not in kinds:
        raise ValueError(f"model_type must be one of {', '.join(kinds)}; got {model_type!r}.")
    return kinds[model_type].from_dict(values)

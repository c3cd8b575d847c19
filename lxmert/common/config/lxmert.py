"""The configurations of the models: plain values with the names and defaults of `transformers`.

Framework-free, so that both backends and the converter share one object.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

from .base import ModelConfig, read_config


@dataclass(frozen=True)
class LxmertConfig(ModelConfig):
    """Sizes, rates and tasks of an LXMERT model; names and defaults as in `transformers`.

    `l_layers`, `x_layers` and `r_layers` count the language, cross-modality and visual (object-relationship) layers.
    The `task_*` flags switch pre-training losses; `task_qa`, `task_obj_predict` and the `visual_*_loss` flags also
    decide whether their heads exist. `visual_loss_normalizer` multiplies each visual loss. With `tie_word_embeddings`
    the word head scores words by the word embedding, without it by a decoder of its own. `pruned_heads` names, for each
    pruned attention by its path ("language_layers.0.attention"), the heads that are gone.

    Source: Tan and Bansal 2019 (arXiv 1908.07490); the keys are those of `transformers`' LxmertConfig.

    Raises:
        TypeError: an unknown keyword, or a value of the wrong kind.
        ValueError: a value out of range, or `hidden_size` not a multiple of `num_attention_heads`.
    """

    model_type: ClassVar[str] = "lxmert"
    activations: ClassVar[tuple[str, ...]] = ("gelu", "relu", "silu", "gelu_new")
    attentions: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {
        "language_layers": ("l_layers", ("attention",)),
        "visual_layers": ("r_layers", ("attention",)),
        "cross_layers": ("x_layers", ("cross_attention", "language_self_attention", "visual_self_attention")),
    }

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

    def _sizes(self) -> tuple[str, ...]:
        whole = [f.name for f in dataclasses.fields(self) if f.type == "int"]
        # A model may do without language or visual layers (the paper's ablations do), not without cross layers.
        return tuple(name for name in whole if name not in ("l_layers", "r_layers"))

    def _validate(self) -> None:
        super()._validate()
        for name in ("l_layers", "r_layers"):
            self._require(getattr(self, name) >= 0, name, "at least 0")
        self._require(0 <= self.visual_loss_normalizer < math.inf, "visual_loss_normalizer", "at least 0")

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
    def untied_words(self) -> bool:
        """Whether the word head has a decoder of its own, rather than the word embedding."""
        return not self.tie_word_embeddings

    @property
    def visual_losses(self) -> dict[str, int]:
        """The enabled visual losses in the order of the object head, each with the width of its prediction."""
        widths = {"obj": self.num_object_labels, "attr": self.num_attr_labels, "feat": self.visual_feat_dim}
        return {key: width for key, width in widths.items() if getattr(self, f"visual_{key}_loss")}


@dataclass(frozen=True)
class VisualBertConfig(ModelConfig):
    """Sizes, rates and switches of a VisualBERT model; names and defaults as in `transformers`.

    `visual_embedding_dim` is the width of the region features, another one in each published checkpoint.
    `bypass_transformer` sends the words alone through the layers and joins the regions to them in one additional layer.
    `special_visual_initialize` starts the regions' tables of positions and types as copies of the words'. The lookup of
    word `pad_token_id` gets no gradient; None lets every word learn. (The default of 1, unlike BERT's vocabulary, whose
    padding is 0, is what the published models were made with.) `num_labels` counts the classes of question answering
    and visual reasoning: 3129 and 2 in the published models. With `tie_word_embeddings` the word head scores words by
    the word embedding, without it by a decoder of its own. `pruned_heads` names, for each pruned attention by its path
    ("encoder_layers.0.attention"), the heads that are gone; a file may name the layer by its number alone.

    Source: Li et al. 2019 (arXiv 1908.03557); the keys are those of `transformers`' VisualBertConfig.

    Raises:
        TypeError: an unknown keyword, or a value of the wrong kind.
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
    num_labels: int = 2
    output_attentions: bool = False
    output_hidden_states: bool = False
    return_dict: bool = True
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        pruned = self.pruned_heads
        if isinstance(pruned, Mapping):
            paths = {key: self.attention_path(key) for key in pruned}
            if len(set(paths.values())) < len(paths):
                raise ValueError(f"pruned_heads must name each attention once; got {', '.join(map(repr, paths))}.")
            object.__setattr__(self, "pruned_heads", {paths[key]: pruned[key] for key in pruned})
        super().__post_init__()
        # transformers takes the number of labels from their names: those of another number of labels are stale.
        labels = self.extra.get("id2label")
        if isinstance(labels, Mapping) and len(labels) != self.num_labels:
            kept = {name: value for name, value in self.extra.items() if name not in ("id2label", "label2id")}
            object.__setattr__(self, "extra", kept)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Make a configuration from the keys of a config.json; `id2label` tells the number of labels if nothing else.

        See `ModelConfig.from_dict`.
        """
        if isinstance(values, Mapping) and "num_labels" not in values:
            labels = values.get("id2label")
            values = {**values, "num_labels": len(labels)} if isinstance(labels, Mapping) and labels else values
        return super().from_dict(values, **overrides)

    def to_dict(self) -> dict[str, Any]:
        """The keys of a config.json; pruned layers are numbered, as `transformers` wants them. See `ModelConfig`."""
        values = super().to_dict()
        if "pruned_heads" in values:
            values["pruned_heads"] = {
                path.split(".")[1] if path.startswith("encoder_layers.") else path: gone
                for path, gone in values["pruned_heads"].items()
            }
        return values

    def _sizes(self) -> tuple[str, ...]:
        return tuple(f.name for f in dataclasses.fields(self) if f.type == "int")

    def _validate(self) -> None:
        super()._validate()
        pad = self.pad_token_id
        self._require(
            pad is None or 0 <= pad < self.vocab_size,
            "pad_token_id",
            f"a word's id, 0 to {self.vocab_size - 1}, or None",
        )

    def attention_path(self, key: str | int) -> str:
        """The path of the attention that a key of `pruned_heads` names; `transformers` numbers the layers."""
        return f"encoder_layers.{int(key)}.attention" if str(key).isdecimal() else str(key)

    def _has_attention(self, path: str) -> bool:
        return super()._has_attention(path) or (self.bypass_transformer and path == "additional_layer.attention")

    @property
    def attention_paths(self) -> tuple[str, ...]:
        """The path of every attention: the names that `pruned_heads` uses."""
        return (*super().attention_paths, *(("additional_layer.attention",) if self.bypass_transformer else ()))

    @property
    def untied_words(self) -> bool:
        """Whether the word head has a decoder of its own, rather than the word embedding."""
        return not self.tie_word_embeddings


CONFIGS: dict[str, type[ModelConfig]] = {kind.model_type: kind for kind in (LxmertConfig, VisualBertConfig)}


def config_class(values: Mapping[str, Any], default: type[ModelConfig] | None = None) -> type[ModelConfig]:
    """The class of the configuration whose `model_type` the keys of a config.json name.

    Args:
        values: the keys and values of a config.json.
        default: what they are taken for if they name no model type.

    Raises:
        ValueError: no such model type.
        TypeError: no mapping.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"a configuration is a mapping of keys to values; got {type(values).__name__}.")
    if default is not None and "model_type" not in values:
        return default
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in CONFIGS:
        raise ValueError(f"model_type must be one of {', '.join(CONFIGS)}; got {model_type!r}.")
    return CONFIGS[model_type]


def config_from_dict(values: Mapping[str, Any], **overrides: Any) -> ModelConfig:
    """The configuration whose `model_type` the values name.

    Args:
        values: the keys and values of a config.json.
        overrides: fields that take other values than the file's.

    Raises:
        ValueError: no such model type, or a value out of range.
        TypeError: a value of the wrong kind.
    """
    return config_class(values).from_dict(values, **overrides)


def config_from_pretrained(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> ModelConfig:
    """Read the config.json of any model, given the folder that holds it, the file itself, or a model on the hub.

    Without a model type it is taken for LXMERT's, as its authors' files have none.

    Args:
        source: a folder or file; a text that names none may be a model on the hub, "owner/name".
        revision, cache_dir, token, local_files_only: of a model on the hub; see `ModelConfig.from_pretrained`.

    Raises:
        As `ModelConfig.from_pretrained`; ValueError for another kind of model too.
    """
    file, values = read_config(source, revision, cache_dir, token, local_files_only)
    try:
        kind = config_class(values, default=LxmertConfig)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return kind.from_pretrained(file)

"""Model configurations: plain values, validated when made, readable from every config.json of `transformers`.

Framework-free, so that both backends and the converter share one object.
"""

from __future__ import annotations

import dataclasses
import json
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

from .files import CONFIG_NAME, write_text
from .messages import check_keywords


@dataclass(frozen=True)
class ModelConfig:
    """What every configuration can do: validate, compare, read and write itself.

    A configuration never changes: `config.replace(task_qa=False)` makes a new one. Keys that a file holds beyond the
    declared ones (`architectures`, `id2label`, ...) are kept in `extra`, read as attributes and written back.
    """

    model_type: ClassVar[str]
    activations: ClassVar[tuple[str, ...]]

    extra: Mapping[str, Any] = field(default_factory=dict, kw_only=True, hash=False, repr=False)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        check_keywords(cls.__name__, kwargs, [f.name for f in dataclasses.fields(cls)])
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            object.__setattr__(self, f.name, _checked_kind(f, getattr(self, f.name)))
        self._validate()

    def _validate(self) -> None:
        """Raise ValueError where values do not fit each other."""
        for name in self._sizes():
            self._require(getattr(self, name) >= 1, name, "at least 1")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            self._require(0 <= getattr(self, name) < 1, name, "in [0, 1)")
        for name in ("initializer_range", "layer_norm_eps"):
            self._require(getattr(self, name) > 0, name, "above 0")
        hidden_act = self.hidden_act  # type: ignore[attr-defined]
        self._require(hidden_act in self.activations, "hidden_act", f"one of {', '.join(self.activations)}")
        hidden, heads = self.hidden_size, self.num_attention_heads  # type: ignore[attr-defined]
        if hidden % heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads; got hidden_size {hidden} and "
                f"num_attention_heads {heads}."
            )

    def _sizes(self) -> tuple[str, ...]:
        """Names of the fields that must be at least 1."""
        raise NotImplementedError

    def _require(self, holds: bool, name: str, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {wanted}; got {getattr(self, name)!r}.")

    def __getattr__(self, name: str) -> Any:
        extra = self.__dict__.get("extra", {})
        if name in extra:
            return extra[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}")

    def replace(self, **changes: Any) -> Self:
        """A new configuration with `changes` in place of the old values.

        Raises:
            TypeError: for a name that is no field, naming the nearest one.
        """
        names = [f.name for f in dataclasses.fields(self)]
        check_keywords(f"{type(self).__name__}.replace", changes, names)
        return dataclasses.replace(self, **changes)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Make a configuration from the keys of a config.json; keys that are not fields are kept in `extra`.

        Args:
            values: the keys and values of a config.json.
            overrides: fields that take other values than the file's.

        Raises:
            ValueError: the keys are another model's.
            TypeError: a value of the wrong kind, or an override that is no field.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"{cls.__name__}.from_dict wants a mapping of keys to values; got {type(values).__name__}.")
        model_type = values.get("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(f"this is the configuration of a {model_type!r} model; {cls.__name__} reads {cls.model_type!r}.")
        names = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        check_keywords(cls.__name__, overrides, sorted(names))
        known = {name: value for name, value in values.items() if name in names}
        extra = {name: value for name, value in values.items() if name not in names | set(cls._derived())}
        return cls(**(known | overrides), extra=extra)

    @classmethod
    def from_pretrained(cls, path: str | Path, **overrides: Any) -> Self:
        """Read a config.json, given the folder that holds it or the file itself.

        Raises:
            FileNotFoundError: no config.json there.
            ValueError: the file is not JSON, or another model's.
        """
        path = Path(path)
        file = path / CONFIG_NAME if path.is_dir() else path
        if not file.is_file():
            raise FileNotFoundError(f"{path} has no {CONFIG_NAME}; give a folder that holds one, or the file itself.")
        try:
            values = json.loads(file.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is not a JSON file: {error}") from None
        if not isinstance(values, dict):
            raise ValueError(f"{file} must hold a JSON object of keys and values; it holds a {type(values).__name__}.")
        return cls.from_dict(values, **overrides)

    def to_dict(self) -> dict[str, Any]:
        """The keys of a config.json: the model type, every field, what is derived from them, and `extra`."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        if not fields["pruned_heads"]:
            del fields["pruned_heads"]
        derived = {name: getattr(self, name) for name in self._derived()}
        return {**self.extra, **fields, **derived, "model_type": self.model_type}

    @classmethod
    def _derived(cls) -> tuple[str, ...]:
        """Names of properties that a config.json repeats."""
        return ()

    def to_json_string(self) -> str:
        """`to_dict` as JSON text, keys in alphabetical order."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json into `folder`, which is made if it is missing."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_text(Path(folder) / CONFIG_NAME, self.to_json_string())


@dataclass(frozen=True)
class LxmertConfig(ModelConfig):
    """Sizes, rates and tasks of an LXMERT model; names and defaults as in `transformers`.

    `l_layers`, `x_layers` and `r_layers` count the language, cross-modality and visual (object-relationship) layers.
    The `task_*` flags switch pre-training losses; `task_qa`, `task_obj_predict` and the `visual_*_loss` flags also decide
    whether their heads exist. `visual_loss_normalizer` multiplies each visual loss. `pruned_heads` names, for each pruned
    attention by its path ("language_layers.0.attention"), the heads that are gone.

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
        self._require(self.visual_loss_normalizer >= 0, "visual_loss_normalizer", "at least 0")
        paths = self.attention_paths
        for path, heads in self.pruned_heads.items():
            if path not in paths:
                raise ValueError(f"pruned_heads names attentions by path, as {paths[0]!r}; got {path!r}.")
            if not set(heads) < set(range(self.num_attention_heads)):
                raise ValueError(
                    f"pruned_heads[{path!r}] must be some of the heads 0 to {self.num_attention_heads - 1}, not all; "
                    f"got {list(heads)}."
                )

    @property
    def attention_paths(self) -> tuple[str, ...]:
        """The path of every attention: the names that `pruned_heads` uses."""
        return (
            *(f"language_layers.{i}.attention" for i in range(self.l_layers)),
            *(f"visual_layers.{i}.attention" for i in range(self.r_layers)),
            *(
                f"cross_layers.{i}.{name}"
                for i in range(self.x_layers)
                for name in ("cross_attention", "language_self_attention", "visual_self_attention")
            ),
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


def _checked_kind(f: dataclasses.Field, value: Any) -> Any:
    """`value` as the kind that field `f` declares, or TypeError."""
    if f.type == "bool" and isinstance(value, bool):
        return value
    if f.type == "int" and isinstance(value, numbers.Integral) and not isinstance(value, bool):
        return int(value)
    if f.type == "float" and isinstance(value, numbers.Real) and not isinstance(value, bool):
        return float(value)
    if f.type == "str" and isinstance(value, str):
        return value
    if f.name == "extra" and isinstance(value, Mapping):
        return dict(value)
    if f.name == "pruned_heads" and isinstance(value, Mapping):
        return {str(path): tuple(sorted({int(head) for head in heads})) for path, heads in value.items() if heads}
    wanted = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "a string"}.get(f.type, "a mapping")
    raise TypeError(f"{f.name} must be {wanted}; got {value!r} ({type(value).__name__}).")


def config_from_dict(values: Mapping[str, Any]) -> ModelConfig:
    """The configuration whose `model_type` the values name.

    Raises:
        ValueError: no such model type.
    """
    kinds = {kind.model_type: kind for kind in (LxmertConfig,)}
    model_type = values.get("model_type")
    if model_type not in kinds:
        raise ValueError(f"model_type must be one of {', '.join(kinds)}; got {model_type!r}.")
    return kinds[model_type].from_dict(values)

"""The base class of the configurations: validation, comparison, reading and writing a config.json."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from lxmert.utils.atomic_files import write_text
from lxmert.utils.messages import check_keywords, signature_names
from lxmert.utils.paths import CONFIG_NAME, check_folder

from .config_file import read_config

_TYPE_NAMES = {
    bool: "true or false",
    int: "an integer",
    int | None: "an integer or null",
    float: "a number",
    str: "a string",
}


@dataclass(frozen=True)
class ModelConfig:
    """Base class of the configurations: it validates, compares, reads and writes them.

    A configuration never changes: `config.replace(task_qa=False)` makes a new one. Keys that a file holds beyond the
    declared ones (`architectures`, `id2label`, ...) are kept in `extra`, read as attributes and written back; two
    configurations that differ only there describe the same model and are equal.
    """

    model_type: ClassVar[str]
    activations: ClassVar[tuple[str, ...]]

    # The attentions of each kind of layer: the field that counts the layers, and the names of its attentions.
    attentions: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]]

    # The layer counts that may be 0.
    may_be_zero: ClassVar[tuple[str, ...]] = ()

    pruned_heads: Mapping[str, tuple[int, ...]] = field(default_factory=dict, kw_only=True, hash=False)
    extra: Mapping[str, Any] = field(default_factory=dict, kw_only=True, compare=False, repr=False)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Refuse keywords that are no fields, naming the nearest one."""
        check_keywords(cls.__name__, kwargs, [f.name for f in dataclasses.fields(cls)])
        return super().__new__(cls)

    def __post_init__(self) -> None:
        for name in self._types():
            object.__setattr__(self, name, self._checked(name))
        self._validate()

    def _validate(self) -> None:
        """Raise ValueError where values do not fit each other."""
        for name in (name for name, kind in self._types().items() if kind is int):
            least = 0 if name in self.may_be_zero else 1
            self._require(getattr(self, name) >= least, name, f"at least {least}")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            self._require(0 <= getattr(self, name) < 1, name, "in [0, 1)")
        for name in ("initializer_range", "layer_norm_eps"):
            self._require(0 < getattr(self, name) < math.inf, name, "above 0")
        hidden_act = self.hidden_act
        self._require(hidden_act in self.activations, "hidden_act", f"one of {', '.join(self.activations)}")
        hidden, heads = self.hidden_size, self.num_attention_heads
        if hidden % heads:
            raise ValueError(
                f"hidden_size must be a multiple of num_attention_heads; got hidden_size {hidden} and "
                f"num_attention_heads {heads}."
            )
        for path, gone in self.pruned_heads.items():
            if not self._has_attention(path):
                example = next(iter(self.attentions))
                counts = ", ".join(f"{count}={getattr(self, count)}" for count, _ in self.attentions.values())
                raise ValueError(
                    f"pruned_heads names attentions by path, as '{example}.0.attention'; got {path!r}. "
                    f"This model has {counts}."
                )
            if len(gone) >= heads or gone[0] < 0 or gone[-1] >= heads:  # they are in order, each once
                raise ValueError(
                    f"pruned_heads[{path!r}] must be some of the heads 0 to {heads - 1}, not all; got {list(gone)}."
                )

    @property
    def untied_words(self) -> bool:
        """Whether the word head has its own decoder instead of the word embedding."""
        return not self.tie_word_embeddings

    @property
    def attention_paths(self) -> tuple[str, ...]:
        """The path of every attention: the names that `pruned_heads` uses."""
        return tuple(
            f"{layers}.{i}.{name}"
            for layers, (count, names) in self.attentions.items()
            for i in range(getattr(self, count))
            for name in names
        )

    def attention_path(self, key: str | int) -> str:
        """The path of the attention that a key of `pruned_heads` names."""
        return str(key)

    def with_pruned_heads(self, heads: Mapping[str, Any]) -> Self:
        """Return a copy with more heads pruned.

        Args:
            heads: for each attention, the indices of the heads to remove, counted as in the unpruned model.

        Raises:
            ValueError: an unknown attention or head, or all heads of an attention.
            TypeError: heads that are not integers.
        """
        if not isinstance(heads, Mapping):
            raise TypeError(f"heads must be a mapping of attentions to lists of heads; got {type(heads).__name__}.")
        pruned: dict[str, set[int]] = {path: set(before) for path, before in self.pruned_heads.items()}
        for key, more in heads.items():
            pruned.setdefault(self.attention_path(key), set()).update(_head_numbers(str(key), more))
        return self.replace(pruned_heads={path: sorted(every) for path, every in pruned.items()})

    def kept_heads(self, path: str) -> list[int]:
        """The indices of the heads that the attention at `path` still has."""
        gone = self.pruned_heads.get(path, ())
        return [head for head in range(self.num_attention_heads) if head not in gone]

    def _has_attention(self, path: str) -> bool:
        """Whether `path` is one of `attention_paths`, without listing them: a file may claim any number of layers."""
        layers, _, rest = path.partition(".")
        number, _, name = rest.partition(".")
        count, names = self.attentions.get(layers, ("", ()))
        return (
            name in names and number.isdecimal() and str(int(number)) == number and int(number) < getattr(self, count)
        )

    @classmethod
    @functools.cache
    def _types(cls) -> dict[str, Any]:
        """The declared types of the fields, by name and in order."""
        hints = get_type_hints(cls)
        return {f.name: hints[f.name] for f in dataclasses.fields(cls)}

    def _checked(self, name: str) -> Any:
        """The value of a field as its declared type, or TypeError."""
        kind, value = self._types()[name], getattr(self, name)
        if (kind is bool and isinstance(value, bool)) or (kind == int | None and value is None):
            return value
        if kind in (int, int | None) and isinstance(value, numbers.Integral) and not isinstance(value, bool):
            return int(value)
        if kind is float and isinstance(value, numbers.Real) and not isinstance(value, bool):
            return float(value)
        if kind is str and isinstance(value, str):
            return value
        if name == "extra" and isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return copy.deepcopy(dict(value))
        if name == "pruned_heads" and isinstance(value, Mapping):
            return {str(path): heads for path, given in value.items() if (heads := _head_numbers(path, given))}
        expected = _TYPE_NAMES.get(kind, "a mapping of names")
        raise TypeError(f"{name} must be {expected}; got {value!r} ({type(value).__name__}).")

    def _require(self, holds: bool, name: str, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {wanted}; got {getattr(self, name)!r}.")

    def __getattr__(self, name: str) -> Any:
        extra = self.__dict__.get("extra", {})
        if name in extra and not name.startswith("__"):  # those are Python's own, which copying and pickling look for
            return extra[name]
        raise AttributeError(f"{type(self).__name__} has no {name!r}; it has {', '.join([*self.__dict__, *extra])}.")

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed.

        Raises:
            TypeError: for a name that is no field, naming the nearest one.
        """
        names = [f.name for f in dataclasses.fields(self)]
        check_keywords(f"{type(self).__name__}.replace", changes, names)
        return dataclasses.replace(self, **changes)

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The names of the fields, without `extra`."""
        return tuple(f.name for f in dataclasses.fields(cls) if f.name != "extra")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Make a configuration from the keys of a config.json; keys that are not fields are kept in `extra`.

        Args:
            values: the keys and values of a config.json.
            overrides: fields to override.

        Raises:
            ValueError: the keys are another model's.
            TypeError: a value of the wrong kind, or an override that is no field.
        """
        if not isinstance(values, Mapping):
            raise TypeError(
                f"{cls.__name__}.from_dict expects a mapping of keys to values; got {type(values).__name__}."
            )
        model_type = values.get("model_type", cls.model_type)
        if model_type != cls.model_type:
            raise ValueError(
                f"this is the configuration of a {model_type!r} model; {cls.__name__} reads {cls.model_type!r}. "
                "Use the classes of that model, or pass the files of this one."
            )
        names = {f.name for f in dataclasses.fields(cls)} - {"extra"}
        check_keywords(cls.__name__, overrides, sorted(names))
        known = {name: value for name, value in values.items() if name in names}
        written = names | {"model_type", *cls._derived()}
        extra = {name: value for name, value in values.items() if name not in written}
        return cls(**(known | overrides), extra=extra)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Read a config.json, given the folder that holds it, the file itself, or a model on the hub.

        Args:
            source: a folder or file; a text that is no path may be a model on the hub, "owner/name".
            revision: of a model on the hub: a branch, a tag, a commit or refs/pr/NUMBER; the main branch by default.
            cache_dir: where files from the hub are kept; the folder of `huggingface_hub` by default.
            token: for the hub; True takes the saved one, False none. By default the saved one or HF_TOKEN, if any.
            local_files_only: whether to use only the cache, not the hub.
            overrides: fields to override.

        Raises:
            FileNotFoundError: no config.json there.
            PermissionError, ConnectionError, OSError: the hub refuses it, cannot be reached, or a download failed.
            ValueError: the file is not JSON, or another model's.
        """
        owner, known = f"{cls.__name__}.from_pretrained", signature_names(cls.from_pretrained)
        check_keywords(owner, overrides, (*known, *sorted(cls.field_names())))
        file, values = read_config(source, revision, cache_dir, token, local_files_only)
        try:
            return cls.from_dict(values, **overrides)
        except (TypeError, ValueError) as error:
            also = " with the overrides" if overrides else ""
            raise type(error)(f"{file}{also}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """The keys of a config.json: the model type, every field, what is derived from them, and `extra`.

        The dict is a copy: changing it does not change the configuration.
        """
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "extra"}
        if not fields["pruned_heads"]:
            del fields["pruned_heads"]
        derived = {name: getattr(self, name) for name in self._derived()}
        return copy.deepcopy({**self.extra, **fields, **derived, "model_type": self.model_type})

    @classmethod
    def _derived(cls) -> tuple[str, ...]:
        """Names of the properties that a config.json also stores."""
        return ()

    def to_json_string(self) -> str:
        """`to_dict` as JSON text, keys in alphabetical order."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json into `folder`, which is made if it is missing.

        Raises:
            NotADirectoryError: `folder` is a file.
        """
        check_folder(Path(folder), CONFIG_NAME)
        Path(folder).mkdir(parents=True, exist_ok=True)
        write_text(Path(folder) / CONFIG_NAME, self.to_json_string())


def _head_numbers(path: str, heads: Any) -> tuple[int, ...]:
    """The indices of the heads pruned from one attention, sorted, or TypeError."""
    heads = heads.tolist() if hasattr(heads, "tolist") else heads  # an array
    if not isinstance(heads, (list, tuple, set, frozenset, range)) or not all(
        isinstance(head, numbers.Integral) and not isinstance(head, bool) for head in heads
    ):
        raise TypeError(f"pruned_heads[{path!r}] must be a list of integers; got {heads!r}.")
    return tuple(sorted({int(head) for head in heads}))

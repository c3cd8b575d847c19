"""The base class of the configurations: as dicts, JSON and files."""

from __future__ import annotations

import copy
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, overload

from lxmert.utils.atomic_files import write_text
from lxmert.utils.json_files import LARGEST_CONFIG, read_json
from lxmert.utils.messages import check_keywords, constructor_names, nearly_known, unknown_keyword_message, warn_caller
from lxmert.utils.neutral_arguments import PUSHING, SHARED, drop_neutral
from lxmert.utils.paths import CONFIG_NAME, check_folder

from .assignment import ConfigValues
from .config_file import read_config
from .keywords import config_fields
from .values import check_values

# How the weights in the folder are stored: their content shows it, and what writes weights writes it.
_STORAGE = "quantization_config"
_WHERE = ("revision", "cache_dir", "token", "local_files_only", "subfolder", "force_download")


@config_fields
class ModelConfig(ConfigValues):
    """Base class of the configurations: it checks, compares, reads and writes them. See `ConfigValues`.

    LXMERT and VisualBERT have `TransformerConfig` in between.
    """

    file_names: ClassVar[tuple[str, ...]] = (CONFIG_NAME,)  # of a configuration in a folder, best first
    needs_every_field: ClassVar[bool] = False  # whether a file must hold every field; else defaults stand in
    _unread: ClassVar[Mapping[str, Any]] = {}  # keys of a file that name something else here; they are written back

    # Reading

    @overload
    @classmethod
    def from_dict(
        cls, config_dict: Mapping[str, Any], *, return_unused_kwargs: Literal[True], **overrides: Any
    ) -> tuple[Self, dict[str, Any]]: ...

    @overload
    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], **overrides: Any) -> Self: ...

    @classmethod
    def from_dict(cls, config_dict: Mapping[str, Any], *, return_unused_kwargs: bool = False, **overrides: Any) -> Any:
        """Make a configuration from the keys of a config.json; keys that are not fields are kept as attributes.

        Args:
            config_dict: the keys and values of a config.json.
            return_unused_kwargs: whether to return the overrides that were not used too.
            overrides: values to override. Names that the configuration does not have are not used; unless they are
                returned, with a warning.

        Returns:
            The configuration; with `return_unused_kwargs` a tuple of it and a dict.

        Raises:
            ValueError: the keys are another model's, a value is out of range, or there are too many to be a model's.
            TypeError: a value of the wrong kind, or an override that is a misspelled name.
        """
        if not isinstance(config_dict, Mapping):
            raise TypeError(
                f"{cls.__name__}.from_dict expects a mapping of keys to values; got {type(config_dict).__name__}."
            )
        check_values(config_dict)
        cls._check_model_type(config_dict.get("model_type", cls.model_type))
        derived = cls._derived()
        values = {name: value for name, value in config_dict.items() if name not in derived and name != _STORAGE}
        known = {*cls.keyword_names(), *constructor_names(cls)}
        unused = {name: value for name, value in overrides.items() if name not in known and name not in values}
        for name in ("dtype", "torch_dtype"):
            if overrides.get(name) == "auto":  # the dtype of the file
                del overrides[name]
        values |= {name: value for name, value in overrides.items() if name not in unused}
        values = cls._prepared(values)
        try:
            config = cls(**copy.deepcopy({name: value for name, value in values.items() if name in known}))
        except AttributeError as error:  # a name that is read only
            raise ValueError(str(error)) from None
        config._keep({name: value for name, value in values.items() if name not in known and name != "model_type"})
        if return_unused_kwargs:
            return config, unused
        _refuse_misspelled(f"{cls.__name__}.from_dict", unused, cls.keyword_names())
        _warn_of_unused(f"{cls.__name__}.from_dict", unused)
        return config

    @classmethod
    def _prepared(cls, values: dict[str, Any]) -> dict[str, Any]:
        """What a configuration is made of, given the values of a file and the overrides.

        Raises:
            ValueError: a field is missing that the file must hold.
        """
        missing = [name for name in cls.field_names() if name not in values] if cls.needs_every_field else []
        if missing:
            raise ValueError(f"the configuration lacks {', '.join(missing)}, and {cls.__name__} needs every field.")
        return values

    def _keep(self, values: Mapping[str, Any]) -> None:
        """Keep what a file holds beside the known names: as attributes, where they mean nothing else here."""
        unread = {name: value for name, value in values.items() if self._is_reserved(name)}
        self.__dict__.update(copy.deepcopy({name: v for name, v in values.items() if name not in unread}))
        if unread:
            self.__dict__["_unread"] = copy.deepcopy(unread)

    @overload
    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, return_unused_kwargs: Literal[True], **options: Any
    ) -> tuple[Self, dict[str, Any]]: ...

    @overload
    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str | Path, **options: Any) -> Self: ...

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        subfolder: str = "",
        force_download: bool = False,
        return_unused_kwargs: bool = False,
        **overrides: Any,
    ) -> Any:
        """Read a config.json, given the folder that holds it, the file itself, or a model on the hub.

        Args:
            pretrained_model_name_or_path: a folder or file; a text that is no path may be a model on the hub,
                "owner/name".
            revision: of a model on the hub: a branch, a tag, a commit or refs/pr/NUMBER; the main branch by default.
            cache_dir: where files from the hub are kept; the folder of `huggingface_hub` by default.
            token: for the hub; True takes the saved one, False none. By default the saved one or HF_TOKEN, if any.
            local_files_only: whether to use only the cache, not the hub.
            subfolder: where config.json is inside of the folder or repository.
            force_download: whether to download a file that is in the cache.
            return_unused_kwargs, overrides: see `from_dict`.

        Raises:
            FileNotFoundError: no config.json there.
            PermissionError, ConnectionError, OSError: the hub refuses it, cannot be reached, or a download failed.
            ValueError: the file is not JSON, or another model's.
        """
        owner = f"{cls.__name__}.from_pretrained"
        if not return_unused_kwargs:
            _refuse_misspelled(owner, overrides, (*_WHERE, *SHARED, *cls.keyword_names(), *constructor_names(cls)))
        where = dict(revision=revision, cache_dir=cache_dir, token=token)
        where |= dict(local_files_only=local_files_only, subfolder=subfolder, force_download=force_download)
        file, values, overrides = cls._read(pretrained_model_name_or_path, {**where, **overrides})
        try:
            config, unused = cls.from_dict(values, return_unused_kwargs=True, **overrides)
        except (TypeError, ValueError) as error:
            also = " with the overrides" if overrides else ""
            raise type(error)(f"{file}{also}: {error}") from None
        if return_unused_kwargs:
            return config, unused
        _warn_of_unused(owner, unused)
        return config

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | Path, **options: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The keys and values of a config.json as they are, and the options that were not used.

        Arguments and errors as those of `from_pretrained`.
        """
        return cls._read(pretrained_model_name_or_path, options)[1:]

    @classmethod
    def _read(cls, source: str | Path, options: dict[str, Any]) -> tuple[Path, dict[str, Any], dict[str, Any]]:
        """The path and the values of a config.json, and the options that do not say where it is."""
        options = dict(options)
        drop_neutral(f"{cls.__name__}.from_pretrained", options)
        where = {name: options.pop(name) for name in _WHERE if name in options}
        file, values = read_config(source, **where, names=cls.file_names)
        return file, values, options

    @classmethod
    def from_json_file(cls, json_file: str | Path) -> Self:
        """Read a JSON file, whatever its name.

        Raises:
            OSError: it cannot be read.
            ValueError: it is not JSON, or another model's.
        """
        values = read_json(json_file, most=LARGEST_CONFIG)
        try:
            return cls.from_dict(values)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{json_file}: {error}") from None

    # Writing

    def __iter__(self) -> Iterator[str]:
        """The names of what `to_dict` holds."""
        yield from self.to_dict()

    def to_dict(self) -> dict[str, Any]:
        """Every value by its name, the model type, and what is derived from the fields.

        The dict is a copy: changing it does not change the configuration.
        """
        return copy.deepcopy(self._values(self.common))

    def to_diff_dict(self) -> dict[str, Any]:
        """`to_dict` without the attributes of every model that have their default values: what config.json holds."""
        values = self._values(self._written_common())
        del values["_name_or_path"]
        usual = self._usual()
        return copy.deepcopy({k: v for k, v in values.items() if k not in usual or v != usual[k]})

    def _written_common(self) -> Iterable[str]:
        """The names of the common attributes that config.json may hold."""
        return self.common

    @classmethod
    def _usual(cls) -> dict[str, Any]:
        """What config.json leaves out where it has this value, as `transformers` does."""
        return {name: value for name, value in cls.common.items() if name not in cls.field_names()}

    def _values(self, common: Iterable[str]) -> dict[str, Any]:
        """What is written, with these of the common attributes."""
        values = {**self._unread, **self.unknown_values(), **self.field_values()}
        values |= {name: getattr(self, name) for name in (*self._derived(), *common)}
        values |= {"dtype": self._dtype, "_name_or_path": self.name_or_path, "model_type": self.model_type}
        if version := self.__dict__.get("transformers_version"):
            values["transformers_version"] = version
        return values

    def to_json_string(self, use_diff: bool = True) -> str:
        """`to_diff_dict`, or `to_dict` without `use_diff`, as JSON text, keys in alphabetical order."""
        values = self.to_diff_dict() if use_diff else self.to_dict()
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    def to_json_file(self, json_file_path: str | Path, use_diff: bool = True) -> None:
        """Write `to_json_string` into a file.

        Raises:
            ValueError: the values do not fit each other.
        """
        self.validate()
        write_text(Path(json_file_path), self.to_json_string(use_diff))

    def save_pretrained(self, save_directory: str | Path, push_to_hub: bool = False, **kwargs: Any) -> None:
        """Write config.json into a folder, which is made if it is missing.

        Args:
            save_directory: the folder.
            push_to_hub: must be False: a model is pushed with its configuration.
            kwargs: `repo_id`, `token` and the like, which only pushing reads.

        Raises:
            NotADirectoryError: it is a file.
            ValueError: the values do not fit each other.
        """
        check_keywords(f"{type(self).__name__}.save_pretrained", kwargs, PUSHING)
        if push_to_hub:
            raise ValueError("push_to_hub must be False: push the model, or upload the folder with `hf upload`.")
        check_folder(Path(save_directory), CONFIG_NAME)
        Path(save_directory).mkdir(parents=True, exist_ok=True)
        self.to_json_file(Path(save_directory) / CONFIG_NAME)


def _refuse_misspelled(owner: str, overrides: Iterable[str], known: Collection[str]) -> None:
    """Refuse names that would not be used, and are misspelled.

    Differs from HF: it ignores them.

    Raises:
        TypeError: naming the known name that was meant.
    """
    for name in overrides:
        if name not in known and nearly_known(name, known):
            raise TypeError(f"{owner}: {unknown_keyword_message(name, known)}")


def _warn_of_unused(owner: str, unused: Iterable[str]) -> None:
    for name in unused:
        warn_caller(f"{owner} does not use {name!r}, which the configuration does not have; assign it afterwards.")

"""Keras' own ways to save a model, and KerasHub's names for ours.

Separate from the models, because PyTorch has no counterpart.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Self

import keras

from lxmert.common.config import config_from_dict
from lxmert.utils.foreign_files import reading
from lxmert.utils.messages import first_few
from lxmert.weights.formats import check_for_keras
from lxmert.weights.save_hdf5 import store_config

from .added_layers import build_added, describe_added, names_without_layer, restore_added
from .named_weights import NamedWeights

# Arguments that every Keras layer has.
_OF_KERAS = ("name", "trainable", "dtype")


class KerasFormats(NamedWeights):
    """A model that is saved by Keras: weight files and archives."""

    def save_weights(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Write a .weights.h5 file, as Keras does, and the config into it, so that the file describes itself."""
        path = Path(filepath)
        before = path.stat() if path.exists() else None
        super().save_weights(filepath, overwrite=overwrite, **kwargs)
        # With overwrite=False Keras asks the user, who may have said no.
        written = path.is_file() and (before is None or path.stat().st_mtime_ns != before.st_mtime_ns)
        if written and path.name.endswith(".weights.h5"):
            store_config(filepath, self.config, self.architecture())

    def load_weights(
        self, filepath: str | Path, skip_mismatch: bool = False, trusted: bool = False, **kwargs: Any
    ) -> None:
        """Read a weight file as Keras does, after checking that it is safe and what it claims to be.

        Args:
            filepath, skip_mismatch, kwargs: as in Keras.
            trusted: whether the file is your own, and may be checked in this process; see `from_pretrained`.
        """
        unread = names_without_layer(self, check_for_keras(Path(filepath), trusted))
        if unread and not skip_mismatch:
            raise ValueError(
                f"{filepath} has weights of layers that this {type(self).__name__} does not have: {first_few(unread)}. "
                "Make the model as it was when it was saved, or pass skip_mismatch=True to leave them out."
            )
        build_added(self)
        with reading(filepath, "is not read by Keras"):
            try:
                super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)
            except ValueError as error:  # in several lines: the first names a layer, the next says what it lacks
                raise ValueError(" ".join(str(error).split())) from None

    @classmethod
    def from_preset(cls, preset: str | Path, load_weights: bool = True, **kwargs: Any) -> Self:
        """`from_pretrained`, as KerasHub calls it.

        Args:
            preset: a folder or a file of weights, or a model on the hub: "owner/name" or "hf://owner/name".
            load_weights: False makes a newly initialized model of the same configuration.
            kwargs: arguments of `from_pretrained`; without weights, fields of the configuration, `dtype` and the like.

        Raises:
            ValueError: a model of another hub.
        """
        source = str(preset).removeprefix("hf://")
        if "://" in source:
            raise ValueError(f'preset must be a path, "owner/name" or "hf://owner/name"; got {str(preset)!r}.')
        if load_weights:
            return cls.from_pretrained(source, **kwargs)
        arguments = {*inspect.signature(cls.__init__).parameters, *_OF_KERAS} - {"config"}
        own = {name: kwargs.pop(name) for name in arguments & set(kwargs)}
        return cls(cls.config_class.from_pretrained(source, **kwargs), **own)

    def save_to_preset(self, preset_dir: str | Path, max_shard_size: float | None = 10) -> None:
        """`save_pretrained`, as KerasHub calls it; `max_shard_size` is in GB."""
        self.save_pretrained(preset_dir, max_shard_size=None if max_shard_size is None else f"{max_shard_size}GB")

    # What Keras saves in addition to the weights

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        self.check_config_is_current()
        values = {**self.config.to_diff_dict(), "architectures": [self.architecture()]}
        config = {**super().get_config(), "config": values}
        added = describe_added(self)
        return {**config, "added_layers": added} if added else config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Make the model from the output of `get_config`."""
        config = {**config, "config": config_from_dict(config["config"])}
        added = config.pop("added_layers", {})
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        parameters = inspect.signature(cls.__init__).parameters
        if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):  # a user's class may take a config alone
            config = {name: value for name, value in config.items() if name in parameters or name not in _OF_KERAS}
        model = cls(**config)
        restore_added(model, added)
        return model

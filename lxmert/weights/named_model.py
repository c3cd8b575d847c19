"""The base of every model, without a framework: its name, and its parameters by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from lxmert.common.config import as_config, describes_model
from lxmert.common.config.base import ModelConfig
from lxmert.utils.messages import shown

from .module_names import ModuleNames
from .naming.key_mapping import Parameter, parameters
from .naming.tables import head_names


class NamedModel(ModuleNames):
    """Base class of the models of both backends, which find their parameters by name."""

    config: Any
    config_class: ClassVar[type[ModelConfig]]
    made_from: ModelConfig  # a copy of the config as it was when the layers were made
    name_or_path: str = ""  # where the weights come from

    @classmethod
    def check_config(cls, config: Any) -> Any:
        """The configuration to make a model from: the same object, or what one of `transformers` describes.

        Raises:
            TypeError: no configuration of this class.
            ValueError: one of another model, or its values do not fit each other.
        """
        ours = isinstance(config, ModelConfig)
        if not describes_model(config) or (ours and not isinstance(config, cls.config_class)):
            hint = f"To load weights use {cls.__name__}.from_pretrained(path)."
            wanted, given = cls.config_class.__name__, type(config).__name__
            raise TypeError(f"{cls.__name__} is made from a {wanted}; got {given}. {hint}")
        config = as_config(config, cls.config_class)
        config.validate()
        config.note_model()
        return config

    def check_config_is_current(self) -> None:
        """Refuse to write a config that says something else than what the model computes.

        Sizes that were changed are found by the shapes of the weights.

        Raises:
            ValueError: a field that decides which layers there are, or what they compute, was changed.
        """
        for name in self.config.read_once():
            before, now = getattr(self.made_from, name), getattr(self.config, name)
            if before != now:
                raise ValueError(
                    f"{name} of the config was changed to {shown(now)}, and this {type(self).__name__} was made with "
                    f"{shown(before)}, which is what it computes. Assign that again, or make a new model."
                )

    @classmethod
    def written_architecture(cls) -> str:
        """The class name that config.json records: that of the row, or the name of a user's own class without one."""
        names = [kind.__name__.removeprefix("TF") for kind in cls.__mro__]
        return cls.architecture() if cls.architecture() in names else names[0]

    @classmethod
    def is_users_class(cls) -> bool:
        """Whether the class is none of this package, and may have layers of its own."""
        return not cls.__module__.startswith("lxmert.")

    @classmethod
    def head_names(cls, config: ModelConfig) -> tuple[str, ...]:
        """The heads that this class has under a config."""
        return head_names(cls.architecture(), config)

    @property
    def base_name(self) -> str:
        """The attribute that holds the backbone; empty in a backbone, and in a model without heads."""
        return ""

    @property
    def base(self) -> Any:
        """The backbone; a backbone is its own."""
        name = self.base_name
        return getattr(self, name) if name else self

    @property
    def base_model(self) -> Any:
        """The backbone, under the name that `transformers` gives it."""
        return self.base

    @property
    def nested(self) -> bool:
        """Whether the backbone is inside of this model."""
        return bool(self.base_name)

    def locate(self, parameter: Parameter) -> tuple[Any, str]:
        """The layer that holds a parameter of the name table, and the attribute under which it does."""
        raise NotImplementedError

    def table_parameters(self) -> Iterator[Parameter]:
        """The rows of the name table that this model has."""
        yield from parameters(self.config, self.head_names(self.config))

    def weights_by_name(self) -> Iterator[tuple[Parameter, Any]]:
        """Every parameter with its row of the name table."""
        for parameter in self.table_parameters():
            layer, attribute = self.locate(parameter)
            yield parameter, getattr(layer, attribute)

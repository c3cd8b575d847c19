"""Construction, assignment and comparison of configurations."""

from __future__ import annotations

import copy
import dataclasses
import functools
import inspect
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, get_type_hints

from lxmert.utils.messages import check_keywords, escaped, nearly_known, shown, warn_caller

from .keywords import OriginKeywords, config_fields
from .origin import NOTES, Origin
from .values import MOST, checked_kind, require

_TRUTH = {"true": True, "1": True, "y": True, "yes": True, "false": False, "0": False, "n": False, "no": False}


@config_fields
class ConfigValues(Origin, OriginKeywords):
    """Holds the values of a configuration, and checks and compares them.

    A value is checked when it is assigned, by itself; whether the values fit each other is checked by `validate`, which
    the constructor, `replace`, saving and every model call. Names that are no fields are kept as attributes and written
    back. A configuration that a model was made from is the model's own: what a call reads (outputs, losses) counts from
    the next call on. Layers keep the sizes, rates and functions that they were made with; a warning says so where no
    shape shows it.

    Two configurations are equal if their fields are: they describe the same model.
    """

    model_type: ClassVar[str] = ""
    may_be_zero: ClassVar[tuple[str, ...]] = ()  # the counts that may be 0
    attribute_map: ClassVar[Mapping[str, str]] = {}  # other names of fields, in a user's subclass

    # Attributes that every configuration of this kind has beside the fields, each with its default.
    common: ClassVar[Mapping[str, Any]] = {"architectures": None, "dtype": None}
    # Other names of attributes, which a file or a keyword may have too.
    aliases: ClassVar[tuple[str, ...]] = ("torch_dtype", "name_or_path")
    # What properties store; a file has no say in it.
    _stored: ClassVar[frozenset[str]] = frozenset(("_dtype", "_unread", "_model_has"))
    _model_has: ClassVar[Mapping[str, Any]] = {}  # what the model that was made from this object keeps

    if TYPE_CHECKING:  # the fields of the subclasses

        def __getattr__(self, name: str) -> Any: ...

    def __init__(self, *args: Any, **values: Any):
        fields = [f for f in dataclasses.fields(self) if not f.kw_only]
        if len(args) > len(fields):
            raise TypeError(f"{type(self).__name__} has {len(fields)} fields; got {len(args)} values.")
        given = {f.name: value for f, value in zip(fields, args, strict=False)}
        if twice := given.keys() & values.keys():
            raise TypeError(f"{type(self).__name__}: {min(twice)} is given twice.")
        self._fill(given | values)
        self.validate()

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        for name, target in cls.__dict__.get("attribute_map", {}).items():
            setattr(cls, name, _alias(target))

    def _fill(self, values: dict[str, Any]) -> None:
        """Set every field, the common attributes that are given, and then what is unknown."""
        self._check_model_type(values.pop("model_type", self.model_type))
        for f in dataclasses.fields(self):
            if f.name in values or isinstance(inspect.getattr_static(type(self), f.name, None), property):
                continue  # a property has its own default
            factory = f.default_factory
            self.__dict__[f.name] = f.default if factory is dataclasses.MISSING else factory()
        dtype = values.pop("torch_dtype", None)
        values |= {"dtype": dtype} if values.get("dtype") is None and dtype is not None else {}
        for name in self._in_order(values):
            if name in self._derived() and isinstance(values[name], Mapping):
                continue  # as it was written; it may be stale
            setattr(self, name, values[name])

    @classmethod
    def _in_order(cls, names: Iterable[str]) -> Iterable[str]:
        """The names in the order in which their values are assigned."""
        return names

    @classmethod
    def _check_model_type(cls, model_type: Any) -> None:
        """Raise ValueError if values are another model's."""
        if model_type != cls.model_type:
            raise ValueError(
                f"this is the configuration of a {shown(model_type)} model; {cls.__name__} reads {cls.model_type!r}. "
                "Use the classes of that model, or pass the files of this one."
            )

    # Names

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """The names of the fields."""
        return tuple(f.name for f in dataclasses.fields(cls))

    @classmethod
    def keyword_names(cls) -> tuple[str, ...]:
        """The names of the fields, and of the attributes that every configuration has."""
        return tuple(dict.fromkeys((*cls.field_names(), *cls.common, *cls.aliases)))

    @classmethod
    @functools.cache
    def _types(cls) -> dict[str, Any]:
        """The declared types of the fields, by name and in order."""
        hints = get_type_hints(cls)
        return {f.name: hints[f.name] for f in dataclasses.fields(cls)}

    @classmethod
    def _often_given(cls) -> tuple[str, ...]:
        """The names that an unknown one is compared with."""
        return (*cls.field_names(), "architectures")

    @classmethod
    def _derived(cls) -> tuple[str, ...]:
        """Names of the properties that a config.json also stores."""
        return ()

    @classmethod
    def _is_reserved(cls, name: str) -> bool:
        """Whether a name means something else in this class: a method, a property that is computed, a private name."""
        if name in cls._stored or (name.startswith("__") and name.endswith("__")):
            return True
        owner = next((kind for kind in cls.__mro__ if name in vars(kind)), None)
        if owner is None or name in cls.common or name in NOTES:
            return False
        found = inspect.getattr_static(cls, name)
        if isinstance(found, property):
            return found.fset is None
        return owner.__module__.startswith("lxmert.") or owner is object or callable(found)

    @classmethod
    def read_once(cls) -> tuple[str, ...]:
        """The fields that count when a model is made and never again, and that no shape of a weight shows."""
        return ()

    @classmethod
    def _kept_by_layers(cls) -> tuple[str, ...]:
        """`read_once`, and what layers keep though another value may be saved."""
        return cls.read_once()

    # Assignment

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._types():
            value = self._checked(name, value)
        elif name in self.common:
            value = self._checked_common(name, value)
        elif name not in self._stored and self._is_reserved(name):
            if name in ("model_type", "use_return_dict") and value == getattr(self, name):
                return
            raise AttributeError(f"{type(self).__name__}.{name} cannot be assigned.", name=name, obj=self)
        elif (
            not name.startswith("_")
            and name not in self.__dict__
            and not hasattr(type(self), name)
            and (nearest := nearly_known(name, self._often_given()))
        ):
            warn_caller(f"{type(self).__name__} has no field {name!r}: did you mean {nearest}? It is kept as it is.")
        kept = self._model_has.get(name, value)
        if kept != value:
            warn_caller(
                f"{name} counts when a model is made: the model that was made from this configuration keeps {kept!r}. "
                f"Make another model from it, or load one with {name}={value!r}."
            )
        super().__setattr__(name, value)

    def note_model(self) -> None:
        """Note what the layers of a model that is made from this object keep; copies are free of it."""
        self.__dict__["_model_has"] = {name: getattr(self, name) for name in self._kept_by_layers()}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_model_has"}

    def update(self, config_dict: Mapping[str, Any], validate: bool = False) -> None:
        """Assign each value; if one is refused, none is changed.

        Args:
            config_dict: the values by name.
            validate: whether the values must then fit each other.
        """
        before = dict(self.__dict__)
        try:
            for name, value in config_dict.items():
                setattr(self, name, value)
            if validate:
                self.validate()
        except BaseException:
            self.__dict__.clear()
            self.__dict__.update(before)
            raise

    def update_from_string(self, update_str: str) -> None:
        """Assign values written as "hidden_size=96,task_qa=false"; if one is refused, none is changed.

        Raises:
            ValueError: a name that the configuration does not have, or a text that is no value of its kind.
            TypeError: the value is no number, truth value or text.
        """
        values: dict[str, Any] = {}
        for name, equals, text in (part.partition("=") for part in update_str.split(",")):
            if not equals or not hasattr(self, name):
                raise ValueError(f"update_str must be NAME=VALUE,... with names of the configuration; got {name!r}.")
            kind = type(getattr(self, name))
            if kind not in (bool, int, float, str):
                raise TypeError(f"{name} is no number, truth value or text; assign it.")
            require(kind is not bool or text.lower() in _TRUTH, name, "true or false", text)
            values[name] = _TRUTH[text.lower()] if kind is bool else kind(text)
        self.update(values)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some values changed.

        Raises:
            TypeError: for a name that the configuration does not have, naming the nearest one.
        """
        known = (*self.keyword_names(), *(name for name in self.__dict__ if not name.startswith("_")))
        check_keywords(f"{type(self).__name__}.replace", changes, known)
        changed = copy.deepcopy(self)
        changed.update(changes, validate=True)
        return changed

    # Checks

    def _checked(self, name: str, value: Any) -> Any:
        """The value of a field, checked by itself.

        Raises:
            TypeError, ValueError: of the wrong kind, or out of range.
        """
        kind = self._types()[name]
        value = checked_kind(name, kind, value)
        if kind is int:
            least = 0 if name in self.may_be_zero else 1
            require(value >= least, name, f"at least {least}", value)
            require(value <= MOST, name, f"at most {MOST:,}", value)
        return value

    def _checked_common(self, name: str, value: Any) -> Any:
        """The value of one of the common attributes, or TypeError or ValueError."""
        return value

    def validate(self) -> None:
        """Raise ValueError where values do not fit each other."""

    # Comparison

    def _compared(self) -> dict[str, Any]:
        """The values that take part in comparisons."""
        return self.field_values()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and type(other) is type(self) and self._compared() == other._compared()

    def __hash__(self) -> int:
        """Of the values of the fields, and another one after an assignment: a key of a dict must not be changed."""
        values = (value for value in self.field_values().values() if not isinstance(value, Mapping))
        return hash((type(self), *values))

    def __repr__(self) -> str:
        parts = [f"{name}={value!r}" for name, value in self.field_values().items()]
        parts += [f"{escaped(name)}={shown(value)}" for name, value in self.unknown_values().items()]
        return f"{type(self).__name__}({', '.join(parts)})"

    def field_values(self) -> dict[str, Any]:
        """The values of the fields by name: what describes the model."""
        return {name: getattr(self, name) for name in self.field_names()}

    def attributes(self) -> dict[str, Any]:
        """The fields and what users have added, by name: what sizes may be named after."""
        return dict(self.__dict__)

    def unknown_values(self) -> dict[str, Any]:
        """What files and users have added: the attributes that are no fields, by name."""
        known = {*self.field_names(), *self.common, *NOTES, *self._stored}
        return {name: value for name, value in self.__dict__.items() if name not in known}


def _alias(target: str) -> property:
    """Another name of an attribute."""

    def write(self: ConfigValues, value: Any) -> None:
        setattr(self, target, value)

    return property(lambda self: getattr(self, target), write, doc=f"The same as `{target}`.")

"""The layers of a model that its class does not make: those that a user added or replaced, and quantized ones.

Keras makes a saved model again from the arguments of its constructor, so these layers are described in addition.

Separate from the models, because PyTorch has no counterpart: it saves values, never how a model was made.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import ExitStack, suppress
from typing import Any
from weakref import WeakKeyDictionary, ref

import keras

from ._compat import own_attributes
from .named_weights import sublayer

# The parent and the place of every layer that a constructor of this package made.
_MADE: WeakKeyDictionary[keras.layers.Layer, tuple[ref[keras.layers.Layer], str]] = WeakKeyDictionary()
# What differs between two layers of one kind: names that Keras counts up, and what follows from a call.
_INCIDENTAL = frozenset(("name", "build_config", "compile_config", "shared_object_id"))


def child_layers(layer: keras.layers.Layer) -> Iterator[tuple[str, keras.layers.Layer]]:
    """The layers that a layer holds, each with the path of its attribute; a number is an index."""
    if isinstance(layer, keras.Sequential) or hasattr(layer, "operations"):  # functional models name no parts either
        yield from _held("layers", layer.layers)
        return
    for name, value in own_attributes(layer):
        yield from _held(name, value)


def _held(path: str, value: Any) -> Iterator[tuple[str, keras.layers.Layer]]:
    if isinstance(value, keras.layers.Layer):
        yield path, value
    elif isinstance(value, (list, tuple, Mapping)):
        members = value.items() if isinstance(value, Mapping) else enumerate(value)
        for name, member in members:
            yield from _held(f"{path}.{name}", member)


def all_layers(layer: keras.layers.Layer, path: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """A layer and everything in it, with paths; a layer comes before its parts."""
    yield path, layer
    for name, part in child_layers(layer):
        yield from all_layers(part, f"{path}.{name}" if path else name)


def mark_made(layer: keras.layers.Layer, others: Set[str] = frozenset()) -> None:
    """Remember the layers in `layer` as made by its constructor, except for the attributes `others`."""
    for name, part in child_layers(layer):
        if name.split(".")[0] not in others:
            mark_replaced(layer, name, part)


def mark_replaced(parent: keras.layers.Layer, name: str, layer: keras.layers.Layer) -> None:
    """Remember a layer at its place as one that the constructor makes from the config, such as a resized one."""
    _MADE[layer] = ref(parent), name
    mark_made(layer)


def added_layers(layer: keras.layers.Layer, path: str = "") -> Iterator[tuple[str, keras.layers.Layer]]:
    """The layers that no constructor of this package made, with their paths; a layer stands for its parts."""
    for name, part in child_layers(layer):
        place = f"{path}.{name}" if path else name
        parent, made_as = _MADE.get(part, (None, ""))
        if parent is None or parent() is not layer or made_as != name or part.quantization_mode is not None:
            yield place, part
        else:
            yield from added_layers(part, place)


def describe_added(model: keras.Model) -> dict[str, Any]:
    """The added layers of a model by their paths, as JSON values, for its config."""
    return {place: _describe(layer) for place, layer in added_layers(model)}


def _describe(layer: keras.layers.Layer) -> dict[str, Any]:
    """How to make a layer, and how it and its parts were built."""
    built = {place: part.get_build_config() for place, part in all_layers(layer) if part.built}
    return json.loads(json.dumps({"layer": _serialized(layer), "built": built}))


def _serialized(layer: keras.layers.Layer) -> dict[str, Any]:
    """A layer as Keras saves it; its class alone, if Keras cannot."""
    try:
        return keras.saving.serialize_keras_object(layer)
    except NotImplementedError:  # no `get_config`: only the constructor of the model can make it
        return {"module": type(layer).__module__, "class_name": type(layer).__name__}


def restore_added(model: keras.Model, described: Mapping[str, Any]) -> None:
    """Make and build the added layers of a model as they were; those that its constructor made are kept.

    Raises:
        TypeError: Keras cannot make a layer; its message says how to register the class.
    """
    for place, record in described.items():
        layer = _layer_at(model, place)
        if layer is not None and _essence(_serialized(layer)) == _essence(record["layer"]):
            if model.built:  # else Keras calls the `build` of a user's class
                _build(layer, record["built"])
        else:
            _put(model, place, record)


def _layer_at(model: keras.Model, place: str) -> keras.layers.Layer | None:
    """The layer at a path; None without one."""
    with suppress(AttributeError, IndexError, KeyError, TypeError):
        found = sublayer(model, place)
        return found if isinstance(found, keras.layers.Layer) else None
    return None


def _essence(serialized: Any) -> Any:
    """A serialized object without what two equal layers may differ in."""
    values = json.loads(json.dumps(serialized)) if isinstance(serialized, dict) else serialized
    if isinstance(values, dict):
        return {name: _essence(value) for name, value in values.items() if name not in _INCIDENTAL}
    return [_essence(value) for value in values] if isinstance(values, list) else values


def _put(model: keras.Model, place: str, record: Mapping[str, Any]) -> None:
    """Make a layer, and put it where it was."""
    if "config" not in record["layer"]:
        raise TypeError(
            f"{type(model).__name__} was saved with {place}, a {record['layer']['class_name']}, which has no "
            "get_config. Give its class one, or make the layer in the constructor of the model."
        )
    owner, names = _owner(model, place.split("."))
    with ExitStack() as scopes:
        for scope in (owner.path or owner.name).split("/"):
            scopes.enter_context(keras.name_scope(scope))
        layer = keras.saving.deserialize_keras_object(_unbuilt(record["layer"]))
        _build(layer, record["built"])
    setattr(owner, names[0], _with_member(getattr(owner, names[0], None), names[1:], layer))


def _unbuilt(serialized: Any) -> Any:
    """A serialized layer without how its parts were built: Keras would build a layer before what is in it."""
    if isinstance(serialized, dict):
        return {name: _unbuilt(value) for name, value in serialized.items() if name != "build_config"}
    return [_unbuilt(value) for value in serialized] if isinstance(serialized, list) else serialized


def _owner(model: keras.Model, names: list[str]) -> tuple[keras.layers.Layer, list[str]]:
    """The layer that is to hold another one at a path, and the rest of the path from there."""
    for count in range(len(names) - 1, 0, -1):
        owner = _layer_at(model, ".".join(names[:count]))
        if owner is not None:
            return owner, names[count:]
    return model, names


def _with_member(value: Any, path: list[str], layer: keras.layers.Layer) -> Any:
    """The value of an attribute with a layer at a path inside of it: Keras does not see that a list changes."""
    if not path:
        return layer
    name, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {**value, name: _with_member(value.get(name), rest, layer)}
    members, index = list(value or ()), int(name)
    members[index : index + 1] = [_with_member(members[index] if index < len(members) else None, rest, layer)]
    return members


def _build(layer: keras.layers.Layer, built: Mapping[str, Any]) -> None:
    """Build a layer as it was."""
    records = [(sublayer(layer, place) if place else layer, config) for place, config in built.items()]
    # A `build` may build the parts of its layer, so it comes before theirs; that of Keras would only look for them.
    own = [record for record in records if type(record[0]).build not in (keras.layers.Layer.build, keras.Model.build)]
    for part, config in (*own, *reversed(records)):
        if not part.built:
            part.build_from_config(config)
            part.built = True


def build_added(model: Any) -> None:
    """Build the added layers that were never called, by a call with symbolic inputs, before weights are loaded."""
    parts = (part for _, layer in added_layers(model) for _, part in all_layers(layer))
    if model.built and all(part.built for part in parts):
        return
    # A call that fails leaves layers without weights. Then loading fails, and names them.
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(model.symbolic_inputs())


def names_without_layer(model: keras.Model, names: Iterable[str]) -> list[str]:
    """The names of a Keras weight file that belong to no layer of the model."""
    return [name for name in names if not _leads_to_layer(model, name.split("/"))]


def _leads_to_layer(layer: keras.layers.Layer, parts: list[str]) -> bool:
    """Whether attributes of layers lead along a name, up to the variables or to a list, whose members are counted."""
    for part in parts:
        if part == "vars" or not isinstance(layer, keras.layers.Layer):
            return True
        layer = getattr(layer, part, None)
        if layer is None:
            return False
    return True

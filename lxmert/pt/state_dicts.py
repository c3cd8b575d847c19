"""State dicts: Hugging Face's names translated when one is loaded, and what a model writes to files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lxmert.utils.messages import first_few
from lxmert.utils.paths import PICKLE_NAME
from lxmert.utils.write_errors import library_writes
from lxmert.weights.base_model import StoredModel
from lxmert.weights.formats.int8_file import SCALE
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.formats.safetensors import NamedArray
from lxmert.weights.naming.key_mapping import DECODER_BIAS, TIED_DECODER, Parameter, published
from lxmert.weights.save_folder import FileKind, LazyTensor
from lxmert.weights.saving import Saved

from .int8_weights import are_scales, fit_state_dict
from .named_weights import array_of, tensor_of

_WORD = "embeddings.word.weight"
_FORWARDS = tuple(kind.forward for kind in (nn.Linear, nn.LayerNorm, nn.Embedding, nn.Conv2d, nn.Module))


def table_names(model: StoredModel) -> dict[str, Parameter]:
    """The rows of the name table by the names that `state_dict()` uses."""
    prefix = _base_prefix(model)
    return {p.name if p.head else prefix + p.name: p for p in model.table_parameters()}


def _base_prefix(model: StoredModel) -> str:
    """What stands before the names of the backbone."""
    return f"{model.base_name}." if model.nested else ""


# Loading


def translate_names(
    module: Any,
    state_dict: dict[str, Any],
    prefix: str,
    local_metadata: Any,
    strict: bool,
    missing_keys: list[str],
    unexpected_keys: list[str],
    error_msgs: list[str],
) -> None:
    """A hook of `load_state_dict`: the published names, those of Hugging Face, become those of this package.

    Names of this package stay; they are recognized by the first, which no published file has. Weights become int8 where
    those of the model are.
    """
    _translate(module, state_dict, prefix, error_msgs)
    fit_state_dict(module, state_dict, prefix, lambda: table_names(module))


def _translate(module: Any, state_dict: dict[str, Any], prefix: str, error_msgs: list[str]) -> None:
    """Give the tensors in a state dict the names of this package."""
    first = next(module.table_parameters(), None)
    if first is None or f"{prefix}{_base_prefix(module)}{first.name}" in state_dict:
        return
    table, mapping = table_names(module), published(module.config.model_type)
    word = f"{prefix}{_base_prefix(module)}{_WORD}"
    names = {prefix + key: prefix + name for name, p in table.items() if (key := mapping.key(p, module.nested)) != name}
    names |= {key + SCALE: name + SCALE for key, name in names.items() if key + SCALE in state_dict}
    if not any(name in state_dict for name in names):
        return
    for name in [name for name in state_dict if name.startswith(prefix)]:
        if name in names:
            state_dict[names[name]] = state_dict.pop(name)
        elif mapping.is_unused(name.removeprefix(prefix)):  # position ids, say
            del state_dict[name]
    bias = f"{prefix}heads.word.bias"
    if bias in names.values():
        untied = module.config.untied_words
        if not untied:
            _take_copy(state_dict, prefix + TIED_DECODER, word, error_msgs)
        _take_copy(state_dict, prefix + DECODER_BIAS, bias, error_msgs, replaces=untied)


def _take_copy(state_dict: dict[str, Any], copy: str, name: str, error_msgs: list[str], replaces: bool = False) -> None:
    """Take a second copy of a tensor out of a state dict; it is the tensor where that is missing or replaced."""
    if copy not in state_dict:
        return
    values, own = state_dict.pop(copy), state_dict.get(name)
    if own is None or replaces:
        state_dict[name] = values
    elif own.shape != values.shape or not torch.equal(own, values.to(own)):
        error_msgs.append(
            f"{copy} has other values than {name}, and the two are one tensor in this model. Take {copy} out of the "
            "state dict, or make the model with tie_word_embeddings=False."
        )


# Saving


def saved_tensors(model: StoredModel, state_dict: Mapping[str, Any] | None) -> Saved:
    """What a model writes: the tensors of the name table, and the others under their own names.

    Raises:
        ValueError: something of the model cannot be written so that it is read again; the message names it.
    """
    given = _state_of(model) if state_dict is None else _translated(model, state_dict)
    table = table_names(model)
    scales = {name: given[name + SCALE] for name in table if name + SCALE in given and _is_int8(given.get(name))}
    own = {name: value for name, value in given.items() if name not in table and name.removesuffix(SCALE) not in scales}
    inside = _inside(table, own)
    problems = [f"{path} holds {first_few(names, 3)}" for path, names in inside.items()]
    problems += [*_missing(model, table, given, inside, state_dict is not None), *_altered(table, given, scales)]
    problems += [] if problems else _other_kinds(model, table)
    problems += [
        f"{name} is {_described(value)}"
        for name, value in own.items()
        if not (_is_plain(value) or any(name.startswith(f"{path}.") for path in inside))
    ]
    if not table:
        problems.append("it has no backbone of this package")
    if problems:
        raise ValueError(
            f"this {type(model).__name__} cannot be saved as what its config says: {first_few(problems, 4)}. "
            "Merge adapters first (peft: merge_and_unload), or save them alone (peft: save_pretrained of the "
            "PeftModel); save what another library quantizes before it is quantized, or torch.save its state_dict(); "
            "gather sharded or offloaded tensors, and pass them as state_dict=. A layer of another kind or size "
            "belongs in a subclass, beside the layers of the model; resize_num_qa_labels and resize_token_embeddings "
            "change the sizes of those."
        )
    items = [LazyTensor(p, array_of(given[name][:0]).dtype, _reader(given[name])) for name, p in table.items()]
    mapping = published(model.config.model_type)
    own |= {mapping.key(table[name], model.nested) + SCALE: scale.reshape(-1, 1) for name, scale in scales.items()}
    others: list[NamedArray] = [
        (name, array_of(value.reshape(-1)[:0]).dtype, tuple(value.shape), _reader(value)) for name, value in own.items()
    ]
    return Saved(items, others)


def pickles(save: Callable[..., Any]) -> FileKind:
    """Pickled state dicts as weight files, written by `torch.save` or a function like it."""

    def write(path: Path, tensors: Sequence[NamedArray]) -> dict[str, int]:
        values = {name: tensor_of(read()) for name, _, _, read in tensors}
        with library_writes(path):
            save(values, path)
        return {}

    return FileKind(PICKLE_NAME, write)


def own_shapes(model: StoredModel) -> dict[str, tuple[int, ...]]:
    """The tensors of a user's class that are in no name table: names and shapes.

    Raises:
        TypeError: the class has other layers in the place of those of the name table.
    """
    table, given = table_names(model), _state_of(model)
    gone = [*_missing(model, table, given, (), False)]
    if gone:
        raise TypeError(
            f"{type(model).__name__} has other layers in the place of its model's: {first_few(gone, 6)}. Add layers "
            "under names of their own."
        )
    return {name: tuple(value.shape) for name, value in given.items() if name not in table and _is_plain(value)}


def _state_of(model: Any) -> dict[str, Any]:
    """The state dict of a model."""
    state: dict[str, Any] = model.state_dict()
    return state


def _translated(model: StoredModel, state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """A given state dict with the names of this package."""
    given, errors = dict(state_dict), list[str]()
    _translate(model, given, "", errors)
    if errors:
        raise ValueError(errors[0])
    return given


def _missing(
    model: Any, table: Mapping[str, Parameter], given: Collection[str], known: Collection[str], is_given: bool
) -> Iterator[str]:
    """What is in the place of tensors that are not there, but for modules that are known to be others."""
    seen = set(known)
    for name in table:
        if name in given:
            continue
        if is_given:
            yield f"the state_dict has no {name}"
            continue
        path = name.rpartition(".")[0]
        while path and not _has(model, path):
            path = path.rpartition(".")[0]
        if path not in seen:
            seen.add(path)
            yield f"{path} is a {type(model.get_submodule(path)).__name__} without {name.removeprefix(f'{path}.')}"


def _has(model: nn.Module, path: str) -> bool:
    """Whether a model has a module at a path."""
    try:
        model.get_submodule(path)
    except AttributeError:
        return False
    return True


def _altered(table: Mapping[str, Parameter], given: Mapping[str, Any], scales: Mapping[str, Any]) -> Iterator[str]:
    """Tensors of the name table that are not plain, or of another shape; or whose scales are none."""
    for name, p in table.items():
        value = given.get(name)
        if value is None:
            continue
        if not _is_plain(value) or not (value.is_floating_point() or name in scales):
            yield f"{name} is {_described(value)}"
        elif tuple(value.shape) != p.shape:
            yield f"{name} is {list(value.shape)}, and its config says {list(p.shape)}"
        elif name in scales and not (scales[name].numel() == p.shape[0] and are_scales(scales[name])):
            yield f"{name}{SCALE} holds numbers that are not positive and finite"


def _other_kinds(model: Any, table: Collection[str]) -> Iterator[str]:
    """Layers with the tensors of the model's own that compute something else; a user's class makes its own again."""
    if model.is_users_class():
        return
    paths = {name[:end] for name in table for end, character in enumerate(name) if character == "."}
    for path in sorted(paths):
        module = model.get_submodule(path)
        forward = type(module).forward
        if forward not in _FORWARDS and not forward.__module__.startswith("lxmert."):
            yield f"{path} is a {type(module).__name__}, which this class does not make"


def _inside(table: Mapping[str, Parameter], own: Collection[str]) -> dict[str, list[str]]:
    """Tensors that were added inside of the model's own layers, by the paths of these."""
    layers = {name.rpartition(".")[0] for name, p in table.items() if p.leaf.torch}
    found: dict[str, list[str]] = {}
    for name in own:
        path = name
        while path := path.rpartition(".")[0]:
            if path in layers:
                found.setdefault(path, []).append(name.removeprefix(f"{path}."))
                break
    return found


def _is_plain(value: Any) -> bool:
    """Whether a value is an ordinary tensor with values, of a dtype that files have."""
    return (
        type(value) in (Tensor, nn.Parameter)
        and value.layout is torch.strided
        and not (value.is_quantized or value.is_meta or value.is_complex())
        and (not value.is_floating_point() or str(value.dtype).removeprefix("torch.") in FLOATS)
    )


def _is_int8(value: Any) -> bool:
    return isinstance(value, Tensor) and value.dtype == torch.int8


def _described(value: Any) -> str:
    """What a value is, for a message."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}, and no tensor"
    kind = "a tensor" if type(value) in (Tensor, nn.Parameter) else f"a {type(value).__name__}"
    return f"{kind} of {value.dtype} on {value.device}"


def _reader(value: Tensor) -> Any:
    return lambda: array_of(value.detach())

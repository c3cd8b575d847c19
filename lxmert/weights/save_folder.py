"""Writing weights into folders that every library reads, tensor by tensor, with little memory.

A tensor that overflows its dtype is written, and its number of new infinite values is returned.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.utils.atomic_files import ensure_folder, replacing_files, write_text
from lxmert.utils.json_files import LARGEST_CONFIG, read_json
from lxmert.utils.paths import CONFIG_NAME, SAFETENSORS_NAME, check_folder, with_variant
from lxmert.utils.setting_names import setting
from lxmert.weights.formats.open import FOLDER_WEIGHTS
from lxmert.weights.formats.safetensors import NamedArray, write_safetensors
from lxmert.weights.formats.sharded import shard_names
from lxmert.weights.naming.key_mapping import DECODER_BIAS, Parameter, published
from lxmert.weights.naming.tables import MODELS, is_task_model
from lxmert.weights.quantization_config import QUANTIZATION_CONFIG, quantization_config

FOLDER_CONTENT = f"{CONFIG_NAME} and {SAFETENSORS_NAME}"
Overflowed = dict[str, int]  # values by name of the parameter


class LazyTensor(NamedTuple):
    """A parameter to write: the dtype to write, and a function that returns its values in PyTorch's layout."""

    parameter: Parameter
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    @property
    def size(self) -> int:
        """How many bytes it takes."""
        return math.prod(self.parameter.shape) * self.dtype.itemsize


Tensors = Sequence[LazyTensor]


class FileKind(NamedTuple):
    """A kind of weight file: its name, and a function that writes one; the function returns what overflowed."""

    name: str
    write: Callable[[Path, Sequence[NamedArray]], Overflowed]


SAFETENSORS = FileKind(SAFETENSORS_NAME, lambda path, tensors: write_safetensors(path, tensors, {"format": "pt"}))


def write_folder(
    folder: str | Path,
    config: ModelConfig,
    architecture: str,
    items: Tensors,
    max_shard_size: int | str | None = None,
    write_others: Callable[[Path], None] | None = None,
    *,
    nested: bool | None = None,
    own: Sequence[NamedArray] = (),
    kind: FileKind = SAFETENSORS,
    variant: str | None = None,
) -> tuple[Overflowed, list[str]]:
    """Write config.json and model.safetensors with Hugging Face's names.

    The files appear together, when all are complete; other files in the folder stay.

    Args:
        folder: created if missing.
        config: the model's configuration.
        architecture: the model's class name without the prefix TF.
        items: every parameter of the model.
        max_shard_size: of one file in bytes ("2GB", "500MB", or an integer); larger weights are sharded, with an
            index. A tensor is never divided. None writes one file.
        write_others: writes further files into a folder; they appear together with the others.
        nested: whether the backbone is inside of a task model; by default what the row of the class says.
        own: further tensors, under their own names.
        kind: of the weight files.
        variant: a part of their names: "fp16" writes model.fp16.safetensors.

    Returns:
        Which parameters overflowed, and the names of the weight files.

    Raises:
        NotADirectoryError: `folder` is a file.
        ValueError: an invalid size or variant.
    """
    folder = Path(folder)
    largest = math.inf if max_shard_size is None else byte_count(max_shard_size)
    file, index_name = with_variant(kind.name, variant), with_variant(f"{kind.name}.index.json", variant)
    check_folder(folder, FOLDER_CONTENT)
    check_neighbours(folder, config, _replaced(kind, variant))
    nested = is_task_model(architecture) if nested is None else nested
    named: list[NamedArray] = [
        (name, item.dtype, item.parameter.shape, item.read)
        for item in items
        for name in _names_in_folder(item.parameter, config, nested)
    ]
    shards = _shards([*named, *own], largest)
    names = [file]
    if len(shards) > 1:
        stem, _, ending = file.rpartition(".")
        names = [f"{stem}-{i:05}-of-{len(shards):05}.{ending}" for i in range(1, len(shards) + 1)]
    written = [*names, *([index_name] if len(shards) > 1 else [])]
    with ensure_folder(folder), replacing_files(folder, lambda: _stale_files(folder, kind, variant, written)) as new:
        overflowed: Overflowed = {}
        homes = {}
        for name, shard in zip(names, shards, strict=True):
            overflowed |= kind.write(new / name, shard)
            homes.update({tensor: name for tensor, *_ in shard})
        if len(shards) > 1:
            total = sum(map(_size, (*named, *own)))
            index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(homes.items()))}
            write_text(new / index_name, json.dumps(index, indent=2) + "\n")
        described = with_architecture(config, architecture, [dtype for _, dtype, *_ in named])
        quantization = quantization_config({item.parameter: item.dtype for item in items}, nested)
        if quantization is not None:
            setattr(described, QUANTIZATION_CONFIG, quantization)
        write_text(new / CONFIG_NAME, described.to_json_string())
        if write_others is not None:
            write_others(new)
    return overflowed, names


def check_neighbours(folder: Path, config: ModelConfig, replaced: Sequence[str]) -> None:
    """Refuse to write config.json and weights that replace some files next to other weights with another config."""
    file = folder / CONFIG_NAME
    others = [name for name in FOLDER_WEIGHTS if name not in replaced and (folder / name).is_file()]
    if not others or not file.is_file():
        return
    try:
        same = type(config).from_dict(read_json(file, most=LARGEST_CONFIG)) == config
    except (TypeError, ValueError):
        same = False
    if not same:
        raise ValueError(
            f"{folder} holds {others[0]}, whose {CONFIG_NAME} is of another model than the {replaced[0]} to be written "
            "next to it; pass another folder, or remove the old weights."
        )


def byte_count(size: int | str) -> int:
    """A size in bytes: 5000000, "5MB", "5 GB", "512MiB"; an error if it is invalid or below 1."""
    units = {"": 1, **{f"{c}B": 1000**i for i, c in enumerate("KMGT", 1)}}
    units |= {f"{c}IB": 1024**i for i, c in enumerate("KMGT", 1)} | {"B": 1}
    text = str(size).strip().upper()
    number = text.rstrip("KMGTIB ")
    unit = text[len(number) :].strip()
    try:
        count = int(float(number) * units[unit])
    except (KeyError, ValueError, OverflowError):
        count = 0
    if count < 1 or isinstance(size, bool):
        raise ValueError(
            f'{setting("max_shard_size")} must be a number of bytes, such as 500000000, "500MB" or "2GB"; got {size!r}.'
        )
    return count


def _names_in_folder(parameter: Parameter, config: ModelConfig, nested: bool) -> tuple[str, ...]:
    """The names under which `transformers`, or the port of a detector, reads a parameter."""
    name = published(config.model_type).key(parameter, nested)
    has_copy = MODELS[config.model_type].decoder_bias and config.untied_words
    twice = has_copy and parameter.module == "heads.word.bias"
    return (name, DECODER_BIAS) if twice else (name,)


def _size(tensor: NamedArray) -> int:
    """How many bytes a tensor takes."""
    _, dtype, shape, _ = tensor
    return math.prod(shape) * dtype.itemsize


def _shards(named: Sequence[NamedArray], largest: float) -> list[list[NamedArray]]:
    """The tensors by name in shards of at most `largest` bytes, or of one larger tensor."""
    shards: list[list[NamedArray]] = [[]]
    held = 0
    for tensor in sorted(named, key=lambda tensor: tensor[0]):
        if shards[-1] and held + _size(tensor) > largest:
            shards.append([])
            held = 0
        shards[-1].append(tensor)
        held += _size(tensor)
    return shards


def _replaced(kind: FileKind, variant: str | None) -> list[str]:
    """The names of weights and indices that new weights take the place of; readers prefer safetensors to a pickle."""
    names = dict.fromkeys((kind.name, SAFETENSORS_NAME))
    return [with_variant(f"{name}{end}", variant) for name in names for end in ("", ".index.json")]


def _stale_files(folder: Path, kind: FileKind, variant: str | None, written: Sequence[str]) -> set[str]:
    """Weights in a folder that readers would take instead of, or with, those about to be written."""
    stale = set(_replaced(kind, variant))
    for index in [name for name in stale if name.endswith(".json") and (folder / name).is_file()]:
        with suppress(ValueError):  # an invalid index
            named = shard_names(read_json(folder / index), index).values()
            stale |= {name for name in named if name.endswith((".safetensors", ".bin"))}  # it may name anything
    # The files that will be replaced stay until then.
    return {name for name in stale - set(written) if (folder / name).exists()}


def with_architecture(config: ModelConfig, architecture: str, dtypes: Sequence[np.dtype] = ()) -> ModelConfig:
    """The config with the name of the model class, as config.json records it, and the dtype if it names one."""
    stated = {"dtype": dtypes[0].name} if dtypes and config.dtype is not None else {}
    return config.replace(architectures=[architecture], **stated)

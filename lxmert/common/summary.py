"""What a weight file is: which model, which heads, whose names; and what its tensors hold, read one by one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .checkpoint import Checkpoint, open_checkpoint
from .names import TIED_DECODER, Parameter, layer_counts, parameters
from .tables import ARCHITECTURES, LAYERS, TITLES, head_names
from .weight_files import WeightFile
from .weight_files.raw_arrays import is_float

Done = TypeVar("Done")
# As many tensors are in memory at a time.
_READERS = 2
_PIECE = 2**20


@dataclass(frozen=True)
class Module:
    """A module of the model, or the same module of several layers.

    Attributes:
        path: its attribute path; the numbers of several layers are in braces, "language_layers.{0-8}.attention.query".
        layers: of how many layers.
        shapes: of the weight, PyTorch's way round; several where the layers differ, by pruned heads.
        dtypes: the number formats of its tensors.
        parameters: how many numbers it holds.
        size: their bytes.
        nan: how many of them are no numbers; None where the values were not read.
        inf: how many of them are infinite; None where the values were not read.
    """

    path: str
    layers: int
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    parameters: int
    size: int
    nan: int | None
    inf: int | None


@dataclass(frozen=True)
class Unused:
    """A tensor that the model has no use for: its name in the file, its shape as it is stored, its number format."""

    name: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Summary:
    """What a weight file is and holds.

    Attributes:
        source: as it was given.
        path: the file, or the index of several.
        format: what kind of file it is.
        spelling: whose names it uses.
        model_type: "lxmert" or "visual_bert"; "bert" for a plain BERT, which is a part of both.
        model: what people call it.
        architectures: the model classes that the file may be, without the prefix TF: one; several where their heads
            are alike; none of a plain BERT.
        heads: the heads that it holds, whole or in part.
        config_source: where the configuration is from: "config.json" or "told by the shapes".
        config: its values.
        tensors: how many are in the file.
        parameters: how many numbers, in all tensors.
        size: their bytes.
        dtypes: how many tensors have which number format.
        decoder: the word head's decoder: "tied, stored once", "tied, stored twice" (beside the word embedding), or "its
            own"; None without a word head.
        missing: names of parameters that the model needs and the file lacks.
        wrong_shape: names of parameters that the file has in another shape than the configuration says.
        unused: tensors that the model has no use for, or no model has.
        modules: what the file holds of the model, in the model's order.
    """

    source: str
    path: str
    format: str
    spelling: str
    model_type: str
    model: str
    architectures: tuple[str, ...]
    heads: tuple[str, ...]
    config_source: str
    config: Mapping[str, Any]
    tensors: int
    parameters: int
    size: int
    dtypes: Mapping[str, int]
    decoder: str | None
    missing: tuple[str, ...]
    wrong_shape: tuple[str, ...]
    unused: tuple[Unused, ...]
    modules: tuple[Module, ...]

    @property
    def nan(self) -> int:
        """How many values are no numbers, as far as values were read."""
        return sum(module.nan or 0 for module in self.modules)

    @property
    def inf(self) -> int:
        """How many values are infinite, as far as values were read."""
        return sum(module.inf or 0 for module in self.modules)


def summarize(
    source: str | Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    values: bool = True,
    folded: bool = True,
    hub: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Summary:
    """Find out what a file is, and what it holds; tensors are read one by one, from two threads.

    Nothing is asked of the file but that it holds weights of a model of this package: tensors that are missing or too
    many are told, not refused.

    Args:
        source: a file or folder of weights, told by its content, or a model on the hub ("owner/name").
        progress: called after each tensor with its bytes and those of all tensors, from several threads.
        values: whether values are read, and NaN and infinite ones counted.
        folded: whether the same module of several layers is one entry of `modules`.
        hub: see `checkpoint.open_checkpoint`.
        overrides: config fields that take other values than the source's.

    Raises:
        FileNotFoundError, ValueError, TypeError: see `checkpoint.open_checkpoint`.
    """
    with open_checkpoint(source, hub=hub, **overrides) as opened:
        checkpoint = with_all_layers(opened, overrides) if opened.is_bert else opened
        file = checkpoint.file
        found = held_parameters(checkpoint)
        counts: Iterable[_Counted] = (_Counted(None, None) for _ in found)
        if values:
            counts = read_each(
                found, lambda p: _counted(file, checkpoint.stored(p)), _sizes(checkpoint, found), progress
            )
        held = [_Held(p, checkpoint, counted) for p, counted in zip(found, counts, strict=True)]
        missing, wrong = _misfits(checkpoint)
        used = {checkpoint.stored(p) for p in found}
        copies = [n for n in checkpoint.spelling.copies() if n in checkpoint.held and checkpoint.held[n] not in used]
        used |= {checkpoint.held[name] for name in copies}
        decoder = None
        if "word" in checkpoint.heads:
            is_own = any(p.module == "heads.word.decoder" for p in found)
            stored = "twice" if checkpoint.spelling.heads + TIED_DECODER in copies else "once"
            decoder = "its own" if is_own else f"tied, stored {stored}"
        is_bert = checkpoint.is_bert
        return Summary(
            source=str(source),
            path=str(file.path),
            format=file.title,
            spelling=checkpoint.spelling.title,
            model_type="bert" if is_bert else checkpoint.config.model_type,
            model="a plain BERT" if is_bert else TITLES[checkpoint.config.model_type],
            architectures=() if is_bert else possible_architectures(checkpoint),
            heads=checkpoint.heads,
            config_source=checkpoint.config_source,
            config=checkpoint.config.to_dict(),
            tensors=len(file.shapes),
            parameters=sum(map(math.prod, file.shapes.values())),
            size=sum(math.prod(shape) * file.dtypes[name].itemsize for name, shape in file.shapes.items()),
            dtypes=dict(Counter(dtype.name for dtype in file.dtypes.values()).most_common()),
            decoder=decoder,
            missing=missing,
            wrong_shape=wrong,
            unused=tuple(
                Unused(name, shape, file.dtypes[name].name) for name, shape in file.shapes.items() if name not in used
            ),
            modules=tuple(_modules(held, folded)),
        )


def possible_architectures(checkpoint: Checkpoint) -> tuple[str, ...]:
    """The model classes that a file's heads make up: one, or several that the config does not choose from."""
    classes = ARCHITECTURES[checkpoint.config.model_type]
    fitting = tuple(name for name in classes if head_names(name, checkpoint.config) == checkpoint.heads)
    stated = checkpoint.config.extra.get("architectures")
    named = [name.removeprefix("TF") for name in stated if isinstance(name, str)] if isinstance(stated, list) else []
    if len(fitting) > 1 and not set(named[:1]) & set(fitting):
        return fitting
    return (checkpoint.architecture,)


def held_parameters(checkpoint: Checkpoint) -> list[Parameter]:
    """What a file holds of its model, in the order of the table, whatever tasks the config has switched off."""
    config = checkpoint.config
    if config.model_type == "lxmert":
        config = config.replace(visual_obj_loss=True, visual_attr_loss=True, visual_feat_loss=True)
    return [p for p in parameters(config, checkpoint.heads) if checkpoint.holds(p)]


def read_each(
    items: Sequence[Any],
    work: Callable[[Any], Done],
    sizes: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Done]:
    """Work on tensors from two threads, and give the results in order: what is read stays in memory for that long only.

    Args:
        items: what the work is given.
        work: reads a tensor, and gives a result that is small.
        sizes: the bytes that the work on each of the items reads.
        progress: called after each of them with its bytes and those of all.
    """
    total = sum(sizes)

    def told(item: Any, size: int) -> Done:
        result = work(item)
        if progress is not None:
            progress(size, total)
        return result

    with ThreadPoolExecutor(_READERS) as pool:
        jobs = [pool.submit(told, item, size) for item, size in zip(items, sizes, strict=True)]
        try:
            for job in jobs:
                yield job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class _Counted(NamedTuple):
    nan: int | None
    inf: int | None


class _Held(NamedTuple):
    """A parameter in a file, and what was counted of its values."""

    parameter: Parameter
    checkpoint: Checkpoint
    counted: _Counted


def _sizes(checkpoint: Checkpoint, found: Sequence[Parameter]) -> list[int]:
    return [math.prod(checkpoint.shape(p) or ()) * checkpoint.dtype(p).itemsize for p in found]


def _counted(file: WeightFile, name: str) -> _Counted:
    """How many values of a tensor are NaN, and how many infinite."""
    nan = inf = 0
    if is_float(file.dtypes[name]):
        values = file.read(name).reshape(-1)
        for start in range(0, values.size, _PIECE):  # so that nothing of the tensor's own size is made beside it
            piece = values[start : start + _PIECE]
            if not np.isfinite(piece).all():
                nan += int(np.count_nonzero(np.isnan(piece)))
                inf += int(np.count_nonzero(np.isinf(piece)))
    return _Counted(nan, inf)


def with_all_layers(checkpoint: Checkpoint, overrides: Mapping[str, Any]) -> Checkpoint:
    """A plain BERT with all of its layers, of which a model may take the first only."""
    model_type = checkpoint.config.model_type
    field = LAYERS[model_type][0]
    if field in overrides:
        return checkpoint
    count = layer_counts(model_type, checkpoint.spelling, checkpoint.nested, checkpoint.held)[field]
    return replace(checkpoint, config=checkpoint.config.replace(**{field: count}))


def _misfits(checkpoint: Checkpoint) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parameters of its model that a file lacks, and those that it has in another shape."""
    if checkpoint.is_bert:
        wanted = held_parameters(checkpoint)
    else:
        architecture = possible_architectures(checkpoint)[0]
        heads = head_names(architecture, checkpoint.config)
        wanted = list(parameters(checkpoint.config, heads, checkpoint.pooler))
    missing = tuple(p.name for p in wanted if not checkpoint.holds(p))
    return missing, tuple(p.name for p in wanted if checkpoint.shape(p) not in (None, p.shape))


_LAYER = re.compile(r"\.(\d+)\.")


def row_of(module: str) -> str:
    """The row of the name table that a module is of: its path without the layer's number, "{i}" in its place."""
    return _LAYER.sub(".{i}.", module)


def path_of(modules: Iterable[str]) -> str:
    """One path for the same module of several layers: "language_layers.{0-8}.attention.query"."""
    modules = list(dict.fromkeys(modules))
    if len(modules) == 1:
        return modules[0]
    numbers = sorted(int(match[1]) for module in modules if (match := _LAYER.search(module)))
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    text = ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in spans)
    return _LAYER.sub(f".{{{text}}}.", modules[0])


def _modules(held: Sequence[_Held], folded: bool) -> Iterator[Module]:
    groups: dict[str, list[_Held]] = {}
    for one in held:
        module = one.parameter.module
        groups.setdefault(row_of(module) if folded else module, []).append(one)
    for group in groups.values():
        shapes = {one.parameter: one.checkpoint.shape(one.parameter) or () for one in group}
        dtypes = [one.checkpoint.dtype(one.parameter) for one in group]
        # The first tensor of a module is its weight, unless the file lacks that.
        weights: dict[str, tuple[int, ...]] = {}
        for parameter, shape in shapes.items():
            weights.setdefault(parameter.module, shape)
        counts = [math.prod(shape) for shape in shapes.values()]
        read = [one.counted for one in group if one.counted.nan is not None]
        yield Module(
            path=path_of(weights),
            layers=len(weights),
            shapes=tuple(dict.fromkeys(weights.values())),
            dtypes=tuple(dict.fromkeys(dtype.name for dtype in dtypes)),
            parameters=sum(counts),
            size=sum(count * dtype.itemsize for count, dtype in zip(counts, dtypes, strict=True)),
            nan=sum(counted.nan or 0 for counted in read) if read else None,
            inf=sum(counted.inf or 0 for counted in read) if read else None,
        )

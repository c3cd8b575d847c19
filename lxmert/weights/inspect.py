"""What a weight file is: which model, which heads, whose names; and what its tensors hold, read one by one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.weights.formats.raw_io import is_float
from lxmert.weights.naming.key_mapping import TIED_DECODER, Parameter, parameters
from lxmert.weights.naming.tables import TITLES, head_names

from .checkpoint import Checkpoint
from .formats import WeightFile
from .open import open_checkpoint
from .weight_iteration import grouped, held_parameters, other_names, path_of, pieces, read_each, with_all_layers


@dataclass(frozen=True)
class Module:
    """A module of the model, or the same module of several layers.

    Attributes:
        path: its attribute path; the numbers of several layers are in braces, "language_layers.{0-8}.attention.query".
        layers: of how many layers.
        shapes: of the weight, PyTorch's way round; several where the layers differ, by pruned heads.
        dtypes: the dtypes of its tensors.
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
class StoredTensor:
    """A tensor of a file that is no parameter of the model.

    Attributes:
        name: in the file.
        shape: as it is stored.
        dtype: its dtype.
        size: its bytes.
        nan: how many of its values are no numbers; None where they were not read.
        inf: how many of its values are infinite; None where they were not read.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    nan: int | None
    inf: int | None

    @property
    def parameters(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Summary:
    """What a weight file is and holds.

    Attributes:
        source: as it was given.
        path: the file, or the index of several.
        format: what kind of file it is.
        naming: whose names it uses.
        model_type: "lxmert" or "visual_bert"; "bert" for a plain BERT, which is a part of both.
        model: what people call it.
        architectures: the model classes that the file may be, without the prefix TF: one; several where their heads
            are alike; none of a plain BERT.
        heads: the heads that it holds, whole or in part.
        config_source: where the configuration is from: "config.json" or "inferred from the shapes".
        config: its values.
        tensors: how many are in the file.
        parameters: how many numbers, in all tensors.
        size: their bytes.
        dtypes: how many tensors have which dtype.
        decoder: the word head's decoder: "tied, stored once", "tied, stored twice" (beside the word embedding), or "its
            own"; None without a word head.
        missing: names of parameters that the model needs and the file lacks.
        wrong_shape: names of parameters that the file has in another shape than the configuration says.
        unused: tensors that the model has no use for, or no model has.
        copies: tensors that the file stores a second time, beside those that they are tied to: the word head's decoder.
        modules: what the file holds of the model, in the model's order.
    """

    source: str
    path: str
    format: str
    naming: str
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
    unused: tuple[StoredTensor, ...]
    copies: tuple[StoredTensor, ...]
    modules: tuple[Module, ...]

    @property
    def nan(self) -> int:
        """How many values in the file are no numbers, as far as values were read."""
        return sum(part.nan or 0 for part in self._parts)

    @property
    def inf(self) -> int:
        """How many values in the file are infinite, as far as values were read."""
        return sum(part.inf or 0 for part in self._parts)

    @property
    def _parts(self) -> Iterator[Module | StoredTensor]:
        yield from self.modules
        yield from self.copies
        yield from self.unused


def summarize(
    source: str | Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    values: bool = True,
    folded: bool = True,
    hub: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Summary:
    """Find out what a file is, and what it holds; all of its tensors are read, one by one, from two threads.

    Nothing is asked of the file but that it holds weights of a model of this package: tensors that are missing or too
    many are told, not refused.

    Args:
        source: a file or folder of weights, told by its content, or a model on the hub ("owner/name").
        progress: called after each tensor with its bytes and those of all tensors, from several threads.
        values: whether values are read, and NaN and infinite ones counted.
        folded: whether the same module of several layers is one entry of `modules`.
        hub: see `open.open_checkpoint`.
        overrides: config fields that take other values than the source's.

    Raises:
        FileNotFoundError, ValueError, TypeError: see `open.open_checkpoint`.
    """
    with open_checkpoint(source, hub=hub, **overrides) as opened:
        checkpoint = with_all_layers(opened, overrides) if opened.is_bert else opened
        file = checkpoint.file
        found = held_parameters(checkpoint)
        copies, unused = other_names(checkpoint, found)
        names = [*map(checkpoint.stored_name, found), *copies, *unused]
        sizes = [math.prod(file.shapes[name]) * file.dtypes[name].itemsize for name in names]
        counts = [_Counted(None, None)] * len(names)
        if values:
            counts = list(read_each(names, lambda name: _counted(file, name), sizes, progress))
        held = [_Held(p, checkpoint, counted) for p, counted in zip(found, counts, strict=False)]
        others = {
            name: StoredTensor(name, file.shapes[name], file.dtypes[name].name, size, *counted)
            for name, size, counted in list(zip(names, sizes, counts, strict=True))[len(found) :]
        }
        missing, wrong = _misfits(checkpoint)
        decoder = None
        if "word" in checkpoint.heads:
            is_own = any(p.module == "heads.word.decoder" for p in found)
            twice = checkpoint.names.get(checkpoint.mapping.head_prefix + TIED_DECODER) in copies
            stored = "twice" if twice else "once"
            decoder = "its own" if is_own else f"tied, stored {stored}"
        is_bert = checkpoint.is_bert
        return Summary(
            source=str(source),
            path=str(file.path),
            format=file.title,
            naming=checkpoint.mapping.title,
            model_type="bert" if is_bert else checkpoint.config.model_type,
            model="a plain BERT" if is_bert else TITLES[checkpoint.config.model_type],
            architectures=() if is_bert else checkpoint.architectures,
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
            unused=tuple(others[name] for name in unused),
            copies=tuple(others[name] for name in copies),
            modules=tuple(_modules(held, folded)),
        )


class _Counted(NamedTuple):
    nan: int | None
    inf: int | None


class _Held(NamedTuple):
    """A parameter in a file, and what was counted of its values."""

    parameter: Parameter
    checkpoint: Checkpoint
    counted: _Counted


def _counted(file: WeightFile, name: str) -> _Counted:
    """How many values of a tensor are NaN, and how many infinite."""
    nan = inf = 0
    if is_float(file.dtypes[name]):
        for (piece,) in pieces(file.read(name)):
            if not np.isfinite(piece).all():
                nan += int(np.count_nonzero(np.isnan(piece)))
                inf += int(np.count_nonzero(np.isinf(piece)))
    return _Counted(nan, inf)


def _misfits(checkpoint: Checkpoint) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The parameters of its model that a file lacks, and those that it has in another shape."""
    if checkpoint.is_bert:
        wanted = held_parameters(checkpoint)
    else:
        architecture = checkpoint.architectures[0]
        heads = head_names(architecture, checkpoint.config)
        wanted = list(parameters(checkpoint.config, heads, checkpoint.pooler))
    missing = tuple(p.name for p in wanted if not checkpoint.has(p))
    return missing, tuple(p.name for p in wanted if checkpoint.shape(p) not in (None, p.shape))


def _modules(held: Sequence[_Held], folded: bool) -> Iterator[Module]:
    for group in grouped(held, lambda one: one.parameter.module, folded):
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

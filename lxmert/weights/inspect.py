"""What a weight file is: which model, which heads, whose names; and what its tensors hold, read one by one."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.hub import HubOptions

from .checkpoint import Checkpoint
from .checksums import weights_sha256
from .formats import WeightFile
from .formats.raw_io import is_float
from .naming.key_mapping import TIED_DECODER, Parameter, parameters
from .naming.tables import MODELS, head_names
from .open import open_checkpoint
from .weight_iteration import (
    blocks,
    folded_path,
    group_by_module,
    map_tensors,
    other_tensors,
    stored_parameters,
    with_all_layers,
)


@dataclass(frozen=True)
class FileDescription:
    """What a weight file is.

    Attributes:
        source: as given.
        path: the file, or the index of several.
        format: the file format.
        naming: whose parameter names it uses.
        model: the name of the model.
        architectures: the model classes that its heads belong to, without the prefix TF: one, or several with the same
            heads; none for a plain BERT.
        config_source: where the configuration comes from: "config.json" or "inferred from the shapes".
    """

    source: str
    path: str
    format: str
    naming: str
    model: str
    architectures: tuple[str, ...]
    config_source: str


@dataclass(frozen=True)
class Module:
    """A module of the model, or the same module of several layers.

    Attributes:
        path: its attribute path, with the numbers of several layers in braces: "language_layers.{0-8}.attention.query".
        layers: in how many layers.
        shapes: of the weight in PyTorch's layout; several if pruned heads make the layers differ.
        dtypes: of its tensors; "int8" and "float32" of int8 matrices and their scales.
        parameters: how many numbers it has, without scales.
        size: the bytes of its tensors.
        nan: how many of them are NaN; None if the values were not read.
        inf: how many of them are infinite; None if the values were not read.
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
    """A tensor of a file that is no parameter of the model; the attributes are those of `Module`."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    size: int
    nan: int | None
    inf: int | None

    @property
    def parameters(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Summary(FileDescription):
    """What a weight file is and holds.

    Attributes:
        model_type: that of the configuration; "bert" for a plain BERT, which is a part of LXMERT and VisualBERT.
        heads: its heads, complete or in part.
        config: the values of the configuration.
        tensors: how many are in the file.
        parameters: how many numbers, in all tensors.
        size: their bytes.
        dtypes: how many tensors have which dtype.
        decoder: the word head's decoder: "tied, stored once", "tied, stored twice" (with the word embedding), or "its
            own"; None without a word head.
        missing: names of parameters that the model needs and the file lacks.
        wrong_shape: names of parameters whose shape in the file is not that of the configuration.
        unused: tensors that the model, or any model, does not use.
        copies: tensors that are stored next to those that they are tied to: the word head's decoder.
        modules: the modules of the model that the file has, in the model's order.
        buffers: how many numbers of them are buffers, which are never trained.
        sha256: of the weight file, if it was asked for; see `checksums.weights_sha256`.
    """

    model_type: str
    heads: tuple[str, ...]
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
    buffers: int
    sha256: str | None = None

    @property
    def nan(self) -> int:
        """How many values in the file are NaN, as far as values were read."""
        return sum(part.nan or 0 for part in self._parts)

    @property
    def inf(self) -> int:
        """How many values in the file are infinite, as far as values were read."""
        return sum(part.inf or 0 for part in self._parts)

    @property
    def _parts(self) -> tuple[Module | StoredTensor, ...]:
        return (*self.modules, *self.copies, *self.unused)


def describe(source: str | Path, checkpoint: Checkpoint) -> FileDescription:
    """What an open file is."""
    return FileDescription(
        source=str(source),
        path=str(checkpoint.file.path),
        format=checkpoint.file.title,
        naming=checkpoint.mapping.title,
        model="a plain BERT" if checkpoint.is_bert else MODELS[checkpoint.config.model_type].title,
        architectures=() if checkpoint.is_bert else checkpoint.architectures,
        config_source=checkpoint.config_source,
    )


def summarize(
    source: str | Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    values: bool = True,
    folded: bool = True,
    sha256: bool = False,
    hub: HubOptions | None = None,
    **overrides: Any,
) -> Summary:
    """Find out what a weight file is and holds; its tensors are read one by one, in two threads.

    The file only has to hold weights of a model of this package: missing and unused tensors are reported, not refused.

    Args:
        source: a weight file or folder, recognized by its content, or a model on the hub ("owner/name").
        progress: called from several threads after each tensor, with its bytes and those of all tensors.
        values: whether to read the values, and to count NaN and infinite ones.
        folded: whether the same module of several layers is one entry of `modules`.
        sha256: whether to compute that of the weight file.
        hub: see `open.open_checkpoint`.
        overrides: config fields that replace those of the source.

    Raises:
        FileNotFoundError, ValueError, TypeError: see `open.open_checkpoint`.
    """
    with open_checkpoint(source, hub=hub, **overrides) as opened:
        checkpoint = with_all_layers(opened, overrides) if opened.is_bert else opened
        file = checkpoint.stored
        found = stored_parameters(checkpoint)
        copies, unused = other_tensors(checkpoint, found)
        names = [*map(checkpoint.stored_name, found), *copies, *unused]
        sizes = {name: math.prod(shape) * file.dtypes[name].itemsize for name, shape in file.shapes.items()}
        counts = [_Counted(None, None)] * len(names)
        if values:
            work = [sizes[name] for name in names]
            counts = list(map_tensors(names, lambda name: _count(file, name), work, progress))
        counted = dict(zip(names, counts, strict=True))
        stored = [_Stored(p, checkpoint, counts[i]) for i, p in enumerate(found)]
        missing, wrong_shape = _misfits(checkpoint)
        is_bert = checkpoint.is_bert

        def tensors(names: Sequence[str]) -> tuple[StoredTensor, ...]:
            return tuple(StoredTensor(n, file.shapes[n], file.dtypes[n].name, sizes[n], *counted[n]) for n in names)

        return Summary(
            **vars(describe(source, checkpoint)),
            model_type="bert" if is_bert else checkpoint.config.model_type,
            heads=checkpoint.heads,
            config=checkpoint.config.to_diff_dict(),
            tensors=len(file.shapes),
            parameters=sum(map(math.prod, file.shapes.values())),
            size=sum(sizes.values()),
            dtypes=dict(Counter(dtype.name for dtype in file.dtypes.values()).most_common()),
            decoder=_decoder(checkpoint, found, copies),
            missing=missing,
            wrong_shape=wrong_shape,
            unused=tensors(unused),
            copies=tensors(copies),
            modules=tuple(_modules(stored, folded)),
            buffers=sum(math.prod(checkpoint.shape(p) or ()) for p in found if p.leaf.is_buffer),
            sha256=weights_sha256(checkpoint.file.path) if sha256 else None,
        )


class _Counted(NamedTuple):
    nan: int | None
    inf: int | None


class _Stored(NamedTuple):
    """A parameter in a file, and what was counted of its values."""

    parameter: Parameter
    checkpoint: Checkpoint
    counted: _Counted


def _decoder(checkpoint: Checkpoint, found: Sequence[Parameter], copies: Sequence[str]) -> str | None:
    if "word" not in checkpoint.heads:
        return None
    if any(p.module == "heads.word.decoder" for p in found):
        return "its own"
    twice = checkpoint.names.get(checkpoint.mapping.head_prefix + TIED_DECODER) in copies
    return f"tied, stored {'twice' if twice else 'once'}"


def _count(file: WeightFile, name: str) -> _Counted:
    """How many values of a tensor are NaN, and how many infinite."""
    nan = inf = 0
    if is_float(file.dtypes[name]):
        for (block,) in blocks(file.read(name)):
            if not np.isfinite(block).all():
                nan += int(np.count_nonzero(np.isnan(block)))
                inf += int(np.count_nonzero(np.isinf(block)))
    return _Counted(nan, inf)


def _misfits(checkpoint: Checkpoint) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the parameters of its model that a file lacks, and of those that it has in another shape."""
    if checkpoint.is_bert:
        wanted = stored_parameters(checkpoint)
    else:
        architecture = checkpoint.architectures[0]
        heads = head_names(architecture, checkpoint.config)
        wanted = list(parameters(checkpoint.config, heads, checkpoint.pooler))
    missing = tuple(p.name for p in wanted if not checkpoint.has(p))
    return missing, tuple(p.name for p in wanted if checkpoint.shape(p) not in (None, p.shape))


def _modules(stored: Sequence[_Stored], folded: bool) -> Iterator[Module]:
    for group in group_by_module(stored, lambda one: one.parameter.module, folded):
        shapes = {one.parameter: one.checkpoint.shape(one.parameter) or () for one in group}
        file = group[0].checkpoint.stored
        tensors = [name for one in group for name in one.checkpoint.stored_tensors(one.parameter)]
        dtypes = [file.dtypes[name] for name in tensors]
        # The first tensor of a module is its weight, unless the file lacks that.
        weights: dict[str, tuple[int, ...]] = {}
        for parameter, shape in shapes.items():
            weights.setdefault(parameter.module, shape)
        counts = [math.prod(shape) for shape in shapes.values()]
        read = [one.counted for one in group if one.counted.nan is not None]
        yield Module(
            path=folded_path(weights),
            layers=len(weights),
            shapes=tuple(dict.fromkeys(weights.values())),
            dtypes=tuple(dict.fromkeys(dtype.name for dtype in dtypes)),
            parameters=sum(counts),
            size=sum(math.prod(file.shapes[name]) * file.dtypes[name].itemsize for name in tensors),
            nan=sum(counted.nan or 0 for counted in read) if read else None,
            inf=sum(counted.inf or 0 for counted in read) if read else None,
        )

"""Compare two weight files of any format and mapping, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.common.config import ALL_CONFIGS
from lxmert.hub import HubOptions

from .checkpoint import Checkpoint
from .inspect import FileDescription, describe
from .naming.key_mapping import Parameter, parameters
from .naming.tables import MODELS
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
class Side(FileDescription):
    """One of the two files.

    Attributes:
        unused: names in the file that no model of its kind has; they are not compared.
    """

    unused: tuple[str, ...]


@dataclass(frozen=True)
class ModuleDifference:
    """How a module that both files have differs, or the same module of several layers.

    Attributes:
        path: as in `inspect.Module`.
        layers: in how many layers.
        dtypes: the dtypes of its tensors, in the first file and in the second.
        parameters: how many values were compared.
        differing: how many of them differ.
        largest: the largest absolute difference, NaN if one of two values is; 0 if only signs of zeros differ.
        shapes: the parameters whose shapes differ, with both shapes; their values are not compared.
    """

    path: str
    layers: int
    dtypes: tuple[tuple[str, ...], tuple[str, ...]]
    parameters: int
    differing: int
    largest: float
    shapes: tuple[tuple[str, tuple[int, ...], tuple[int, ...]], ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not (self.differing or self.shapes)


@dataclass(frozen=True)
class Comparison:
    """The result of comparing two weight files.

    Attributes:
        first: one file.
        second: the other.
        comparable: whether they are weights of the same model; if not, all that follows is empty.
        tolerance: the largest absolute difference that counts as equal; None where every bit counts.
        config: the config fields that differ, with both values.
        only_first: names of parameters that only the first has.
        only_second: names of parameters that only the second has.
        modules: the modules that both have.
    """

    first: Side
    second: Side
    comparable: bool
    tolerance: float | None
    config: Mapping[str, tuple[Any, Any]]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]
    modules: tuple[ModuleDifference, ...]

    @property
    def same(self) -> bool:
        """Whether all weights are the same; the configurations may differ."""
        return (
            self.comparable
            and not (self.only_first or self.only_second)
            and all(module.same for module in self.modules)
        )


def compare(
    first: str | Path,
    second: str | Path,
    progress: Callable[[int, int], None] | None = None,
    *,
    tolerance: float | None = None,
    folded: bool = True,
    hub: HubOptions | None = None,
    **overrides: Any,
) -> Comparison:
    """Compare two weight files, parameter by parameter; a few tensors are in memory at a time.

    Values of different dtypes are compared exactly: float16 and bfloat16 after conversion to float32.

    Args:
        first: a weight file or folder, recognized by its content, or a model on the hub ("owner/name").
        second: another one.
        progress: called from several threads after each parameter, with its bytes in both files and those of all.
        tolerance: the largest absolute difference that counts as equal; by default every bit counts.
        folded: whether the same module of several layers is one entry of `modules`.
        hub: for models on the hub; see `open.open_checkpoint`.
        overrides: config fields that replace those of both files.

    Raises:
        FileNotFoundError, ValueError, TypeError: see `open.open_checkpoint`; or an invalid tolerance.
    """
    if tolerance is not None and not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance must be a number of at least 0; got {tolerance!r}.")
    with ExitStack() as stack:
        a = stack.enter_context(open_checkpoint(first, hub=hub, **overrides))
        b = stack.enter_context(open_checkpoint(second, hub=hub, **overrides))
        whole = (b if a.is_bert else a).config.model_type
        if a.config.model_type != b.config.model_type and a.is_bert != b.is_bert and MODELS[whole].beyond_bert:
            # A plain BERT is a part of either model.
            kind = ALL_CONFIGS[whole]
            if a.is_bert:
                a = stack.enter_context(open_checkpoint(first, kind=kind, hub=hub, **overrides))
            else:
                b = stack.enter_context(open_checkpoint(second, kind=kind, hub=hub, **overrides))
        a, b = (with_all_layers(checkpoint, overrides) if checkpoint.is_bert else checkpoint for checkpoint in (a, b))
        held = [{p.name: p for p in _held(checkpoint)} for checkpoint in (a, b)]
        sides = [_side(*each) for each in ((first, a, held[0]), (second, b, held[1]))]
        if a.config.model_type != b.config.model_type:
            return Comparison(sides[0], sides[1], False, tolerance, {}, (), (), ())
        shared = [_Pair(p, held[1][name], a, b) for name, p in held[0].items() if name in held[1]]
        differences = map_tensors(shared, lambda pair: pair.difference(tolerance), [p.size for p in shared], progress)
        values = [checkpoint.config.to_dict() for checkpoint in (a, b)]
        fields = [name for name in a.config.field_names() if values[0].get(name) != values[1].get(name)]
        return Comparison(
            first=sides[0],
            second=sides[1],
            comparable=True,
            tolerance=tolerance,
            config={name: (values[0].get(name), values[1].get(name)) for name in fields},
            only_first=tuple(name for name in held[0] if name not in held[1]),
            only_second=tuple(name for name in held[1] if name not in held[0]),
            modules=tuple(_modules(shared, list(differences), folded)),
        )


def _held(checkpoint: Checkpoint) -> list[Parameter]:
    """The parameters of its model that a file has, and those that are computed."""
    if not checkpoint.computed:
        return stored_parameters(checkpoint)
    computed = [p for p in parameters(checkpoint.config, ()) if p.name in checkpoint.computed]
    return [*stored_parameters(checkpoint), *computed]


def _side(source: str | Path, checkpoint: Checkpoint, held: Mapping[str, Parameter]) -> Side:
    _, unused = other_tensors(checkpoint, held.values())
    return Side(**vars(describe(source, checkpoint)), unused=tuple(unused))


class _Difference(NamedTuple):
    differing: int
    largest: float


class _Pair(NamedTuple):
    """A parameter of both files."""

    first: Parameter
    second: Parameter
    a: Checkpoint
    b: Checkpoint

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Its shape in each file, in PyTorch's layout."""
        return self.a.shape(self.first) or (), self.b.shape(self.second) or ()

    @property
    def dtypes(self) -> tuple[np.dtype, np.dtype]:
        """Its dtype in each."""
        return self.a.dtype(self.first), self.b.dtype(self.second)

    @property
    def stored_dtypes(self) -> tuple[str, str]:
        """Its dtype in each file as it is: int8 too, which is compared as the numbers that it stands for."""
        a, b = (dtype.name for dtype in self.dtypes)
        return "int8" if self.a.is_int8(self.first) else a, "int8" if self.b.is_int8(self.second) else b

    @property
    def size(self) -> int:
        """The bytes of both."""
        return sum(math.prod(s) * d.itemsize for s, d in zip(self.shapes, self.dtypes, strict=True))

    def difference(self, tolerance: float | None) -> _Difference:
        """Read both, and compare them."""
        if self.shapes[0] != self.shapes[1]:
            return _Difference(0, 0.0)
        return difference(self.a.read(self.first), self.b.read(self.second), tolerance)


def difference(x: np.ndarray, y: np.ndarray, tolerance: float | None = None) -> _Difference:
    """How many values of two arrays of one shape differ, and the largest absolute difference; NaN if one value is NaN.

    Without a tolerance every bit counts. Where the dtypes differ, it is every bit of the wider one, and NaN equals NaN.
    """
    differing, largest = 0, 0.0
    for p, q in blocks(x, y):
        one_format = p.dtype == q.dtype
        if one_format and p.tobytes() == q.tobytes():
            continue
        # float64 holds every value of the other float dtypes exactly, and integers up to 2**53.
        with np.errstate(invalid="ignore"):  # NaN of the kind that tells of itself
            wide, other = p.astype("float64"), q.astype("float64")
        if one_format:
            bits = f"u{p.dtype.itemsize}"
            differ = p.view(bits) != q.view(bits)
        else:
            differ = (wide.view("u8") != other.view("u8")) & ~(np.isnan(wide) & np.isnan(other))
        wide, other = wide[differ], other[differ]
        with np.errstate(invalid="ignore"):
            gap = np.abs(wide - other)
        gap[np.isnan(wide) & np.isnan(other)] = 0
        if tolerance is not None:
            gap = gap[~(gap <= tolerance)]  # NaN compares false
        differing += gap.size
        largest = float(np.max(gap, initial=largest))  # NaN if there is one
    return _Difference(differing, largest)


def _modules(pairs: Sequence[_Pair], differences: Sequence[_Difference], folded: bool) -> Iterator[ModuleDifference]:
    for group in group_by_module(zip(pairs, differences, strict=True), lambda item: item[0].first.module, folded):
        modules = {pair.first.module for pair, _ in group}
        compared = [pair for pair, _ in group if pair.shapes[0] == pair.shapes[1]]
        formats = [tuple(dict.fromkeys(pair.stored_dtypes[side] for pair, _ in group)) for side in (0, 1)]
        yield ModuleDifference(
            path=folded_path(pair.first.module for pair, _ in group),
            layers=len(modules),
            dtypes=(formats[0], formats[1]),
            parameters=sum(math.prod(pair.shapes[0]) for pair in compared),
            differing=sum(gap.differing for _, gap in group),
            largest=float(np.max([gap.largest for _, gap in group])),
            shapes=tuple((p.first.name, *p.shapes) for p, _ in group if p.shapes[0] != p.shapes[1]),
        )

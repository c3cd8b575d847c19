"""What `inspect` and `compare` share: the parameters in a file, read one by one, and modules folded over layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from lxmert.weights.naming.key_mapping import Parameter, all_parameters, layer_counts
from lxmert.weights.naming.tables import MODELS

from .checkpoint import READERS, Checkpoint

Result = TypeVar("Result")
Item = TypeVar("Item")
_BLOCK = 2**20  # values


def stored_parameters(checkpoint: Checkpoint) -> list[Parameter]:
    """The parameters of its model that a file has, in the order of the table, also of heads that are switched off."""
    heads = checkpoint.heads
    every = all_parameters(checkpoint.config)
    return [p for p in every if (p.head is None or p.head in heads) and checkpoint.stores(p)]


def other_tensors(checkpoint: Checkpoint, held: Iterable[Parameter]) -> tuple[list[str], list[str]]:
    """The names in a file other than its parameters `held`: copies of tied tensors, and what no such model has."""
    used = {checkpoint.stored_name(p) for p in held if checkpoint.stores(p)}
    names = (checkpoint.names[name] for name in checkpoint.mapping.tied_copies() if name in checkpoint.names)
    copies = [name for name in names if name not in used]
    return copies, [name for name in checkpoint.file.shapes if name not in used and name not in copies]


def with_all_layers(checkpoint: Checkpoint, overrides: Mapping[str, Any]) -> Checkpoint:
    """A plain BERT with all of its layers, though a model may take only the first ones."""
    model_type = checkpoint.config.model_type
    field = MODELS[model_type].layers[0]
    if field in overrides:
        return checkpoint
    count = layer_counts(model_type, checkpoint.mapping, checkpoint.nested, checkpoint.names)[field]
    return replace(checkpoint, config=checkpoint.config.replace(**{field: count}))


def map_tensors(
    items: Sequence[Any],
    work: Callable[[Any], Result],
    sizes: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Result]:
    """Apply a function that reads a tensor and returns something small, in two threads; the results are in order.

    `sizes` are the bytes that it reads for each item; `progress` is called after each item with these and their sum.
    """
    total = sum(sizes)

    def run(item: Any, size: int) -> Result:
        result = work(item)
        if progress is not None:
            progress(size, total)
        return result

    with ThreadPoolExecutor(READERS) as pool:
        jobs = [pool.submit(run, item, size) for item, size in zip(items, sizes, strict=True)]
        try:
            for job in jobs:
                yield job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def blocks(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Arrays of one shape, flat, block by block, so that no temporary array is as large as they are."""
    flat = [values.reshape(-1) for values in arrays]
    for start in range(0, flat[0].size, _BLOCK):
        yield tuple(values[start : start + _BLOCK] for values in flat)


def group_by_module(items: Iterable[Item], module_of: Callable[[Item], str], folded: bool) -> list[list[Item]]:
    """Items by their modules, in order; if `folded`, those of the same module in several layers are one group."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        module = module_of(item)
        groups.setdefault(row_path(module) if folded else module, []).append(item)
    return list(groups.values())


_LAYER = re.compile(r"\.(\d+)\.")


def row_path(module: str) -> str:
    """The path of a module in the table of names: with "{i}" instead of the layer number."""
    return _LAYER.sub(".{i}.", module)


def folded_path(modules: Iterable[str]) -> str:
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

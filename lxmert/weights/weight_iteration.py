"""What summaries and comparisons share: the weights that a file holds, read one by one; modules folded over layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from lxmert.weights.naming.key_mapping import Parameter, all_parameters, layer_counts
from lxmert.weights.naming.tables import LAYERS

from .checkpoint import READERS, Checkpoint

Done = TypeVar("Done")
Item = TypeVar("Item")
_PIECE = 2**20


def held_parameters(checkpoint: Checkpoint) -> list[Parameter]:
    """What a file holds of its model, in the order of the table, whatever tasks the config has switched off."""
    heads = checkpoint.heads
    every = all_parameters(checkpoint.config)
    return [p for p in every if (p.head is None or p.head in heads) and checkpoint.has(p)]


def other_names(checkpoint: Checkpoint, held: Iterable[Parameter]) -> tuple[list[str], list[str]]:
    """The names in a file that are of none of its parameters.

    Args:
        checkpoint: the file.
        held: its parameters.

    Returns:
        The second copies of tensors that some writers store twice; and what no model of this kind has.
    """
    used = {checkpoint.stored_name(p) for p in held}
    names = (checkpoint.names[name] for name in checkpoint.mapping.tied_copies() if name in checkpoint.names)
    copies = [name for name in names if name not in used]
    return copies, [name for name in checkpoint.file.shapes if name not in used and name not in copies]


def with_all_layers(checkpoint: Checkpoint, overrides: Mapping[str, Any]) -> Checkpoint:
    """A plain BERT with all of its layers, of which a model may take the first only."""
    model_type = checkpoint.config.model_type
    field = LAYERS[model_type][0]
    if field in overrides:
        return checkpoint
    count = layer_counts(model_type, checkpoint.mapping, checkpoint.nested, checkpoint.names)[field]
    return replace(checkpoint, config=checkpoint.config.replace(**{field: count}))


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

    with ThreadPoolExecutor(READERS) as pool:
        jobs = [pool.submit(told, item, size) for item, size in zip(items, sizes, strict=True)]
        try:
            for job in jobs:
                yield job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def pieces(*arrays: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Arrays of one shape, flat, piece by piece, so that nothing of their own size is made beside them."""
    flat = [values.reshape(-1) for values in arrays]
    for start in range(0, flat[0].size, _PIECE):
        yield tuple(values[start : start + _PIECE] for values in flat)


def grouped(items: Iterable[Item], module_of: Callable[[Item], str], folded: bool) -> list[list[Item]]:
    """Items by their modules, in order; those of the same module of several layers together where `folded`."""
    groups: dict[str, list[Item]] = {}
    for item in items:
        module = module_of(item)
        groups.setdefault(row_of(module) if folded else module, []).append(item)
    return list(groups.values())


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

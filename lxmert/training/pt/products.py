"""The library of a run's float32 products on CPUs; a resumed run goes on with it, as others round differently."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch

from lxmert.pt.cpu_kernels.dispatch import kernels_are_on
from lxmert.pt.cpu_kernels.product_choice import cpu_products, products_are_set, use_cpu_products


@contextmanager
def products_of_run(recorded: str) -> Iterator[str]:
    """Compute float32 products in this block with one library, in all processes of the run.

    Args:
        recorded: the library of the run until now, of `cpu_products`; empty for a new run. It is used, unless the user
            has set another one (`use_cpu_products`), or it is not available here. Then a warning says so.

    Yields:
        The library.
    """
    with use_cpu_products(recorded) if recorded and not products_are_set() else nullcontext():
        library = _of_main_process(cpu_products() if kernels_are_on() else "pytorch")
    if recorded and library != recorded:
        why = "was set for it now" if kernels_are_on() and products_are_set() else "is what is available here"
        warnings.warn(
            f'the run computed its float32 products on CPUs by "{recorded}", and continues with "{library}", which '
            f"{why}: sums are rounded differently than if it had never been stopped.",
            RuntimeWarning,
            stacklevel=2,
        )
    with use_cpu_products(library):
        yield library


def _of_main_process(value: str) -> str:
    """The value that the main process has."""
    values = [value]
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(values, 0)
    return values[0]

"""Which library computes float32 products on this CPU: oneDNN, or the one that PyTorch's `F.linear` calls, such as MKL.

Which one is faster depends on the CPU and on the build of PyTorch. So both are measured when a product is first needed.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from threading import Lock
from time import perf_counter

import torch
import torch.nn.functional as F

from lxmert.pt._compat import HAS_ONEDNN, linear_pointwise, reorder_linear_weight


class use_cpu_products:
    """Set which library computes the float32 products of linear layers on CPUs, in all threads.

    ::

        lxmert.pt.use_cpu_products("onednn")  # from here on
        with lxmert.pt.use_cpu_products("pytorch"): ...  # in this block

    By default ("auto") the choice is made once per process, by a measurement of about 10 ms when the first product is
    computed. It is PyTorch's own products where they are a tenth faster, oneDNN where they are much slower, and "mixed"
    in between: oneDNN copies the gradient of a layer's output to compute that of its weight, so PyTorch's own product
    is taken for that if the output is not narrower than the input, and oneDNN for all others. LXMERT_CPU_PRODUCTS in
    the environment sets another default. The libraries round differently. So `lxmert train` writes the choice into its
    checkpoints, and a resumed run goes on with it.

    Args:
        library: "onednn" or "mixed", where this build of PyTorch has oneDNN; "pytorch" for what
            `torch.nn.functional.linear` calls; or "auto".
    """

    def __init__(self, library: str):
        global _setting
        if library not in _LIBRARIES:
            raise ValueError(f"use_cpu_products expects {_EXPECTED}; got {library!r}.")
        self._before, _setting = _setting, library

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        global _setting
        _setting = self._before


def cpu_products() -> str:
    """The library of float32 products, "onednn", "mixed" or "pytorch"; the first call may measure."""
    if not HAS_ONEDNN:
        return "pytorch"
    return _setting if _setting != "auto" else _measured or _measure()


def products_are_set() -> bool:
    """Whether the environment or a caller has set the library."""
    return _setting != "auto"


def _measure() -> str:
    """The faster library, measured once for all threads."""
    global _measured
    with _LOCK:
        if not _measured:
            # Another program may disturb a measurement: only three of three are believed. Near ties go to oneDNN.
            times = (_onednn_time() for _ in range(3))
            found = next((each for each in times if each <= _NEARLY), None)
            _measured = "pytorch" if found is None else "mixed" if found > _HALF else "onednn"
        return _measured


def _onednn_time() -> float:
    """The time of oneDNN's products, as a multiple of that of PyTorch's own: the mean of a small and a larger one."""
    ratios = []
    with ExitStack() as plainly:
        for context in (torch.inference_mode(False), torch.no_grad(), torch.autocast("cpu", enabled=False)):
            plainly.enter_context(context)
        weight = torch.linspace(-1, 1, 768 * 768, device="cpu", dtype=torch.float32).view(768, 768)
        # The tokens and regions of a question, whose weights are packed; and some of a training step, with plain ones.
        for rows, given in ((36, reorder_linear_weight(weight)), (96, weight)):
            x = weight[:rows]
            best = [float("inf")] * 2
            for number in range(4):
                start = perf_counter()
                F.linear(x, weight)
                middle = perf_counter()
                linear_pointwise(x, given, None, "none", [], "")
                times = middle - start, perf_counter() - middle
                if number:  # the first products make buffers and kernels
                    best = list(map(min, best, times))
            ratios.append(best[1] / best[0])
    return sum(ratios) / len(ratios)


_LIBRARIES = ("auto", "pytorch", "onednn", "mixed")
_EXPECTED = '"auto" (measure), "pytorch", "onednn" or "mixed"'
_NEARLY = 1.1
_HALF = 0.65  # Zen 5: 0.45; Zen 4: 0.8 to 0.9
_LOCK = Lock()
_measured = ""
_setting = os.environ.get("LXMERT_CPU_PRODUCTS") or "auto"
if _setting not in _LIBRARIES:
    raise ValueError(f"the environment variable LXMERT_CPU_PRODUCTS must be {_EXPECTED}; got {_setting!r}.")

"""What the machine is, and how fast its own large matrix products are: `python benchmarks/machine.py` prints both."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clock import in_turns

SIZE = 2048  # of the square products
# What products depend on, as /proc/cpuinfo names it.
_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")
# Servers of cloud providers do not tell the generation of their processor in its name.
_GENERATIONS = {
    ("AuthenticAMD", 23): [(0, "Zen"), (48, "Zen 2")],
    ("AuthenticAMD", 25): [(0, "Zen 3"), (16, "Zen 4"), (32, "Zen 3"), (96, "Zen 4")],
    ("AuthenticAMD", 26): [(0, "Zen 5")],
    ("GenuineIntel", 6): [
        (85, "Skylake or Cascade Lake"),
        (106, "Ice Lake"),
        (143, "Sapphire Rapids"),
        (173, "Granite Rapids"),
        (207, "Emerald Rapids"),
    ],
}


def processor(info: str | None = None, cores: int | None = None) -> dict[str, Any]:
    """The processor: its name, what its products depend on, and how many cores there are.

    Args:
        info: the text of /proc/cpuinfo; by default that of this machine.
        cores: by default those of this machine.
    """
    if info is None:
        path = Path("/proc/cpuinfo")
        info = path.read_text() if path.exists() else ""
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines())}
    name = re.sub(r"\(R\)|\(TM\)", "", fields.get("model name", "")) or platform.processor() or platform.machine()
    family, model = (int(fields.get(key, -1)) for key in ("cpu family", "model"))
    known = _GENERATIONS.get((fields.get("vendor_id", ""), family), [])
    generation = next((name for first, name in reversed(known) if model >= first), "")
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    return {
        "name": f"{name} ({generation})" if generation else name,
        "family": family,
        "model": model,
        "instructions": [flag for flag in _FLAGS if flag in flags],
        "cores": cores or os.cpu_count(),
    }


def key(found: dict[str, Any]) -> str:
    """What tells machines apart in a file of results: processor and cores."""
    return f"{found['name']}, family {found['family']}, model {found['model']}, {found['cores']} cores"


def products(rounds: int = 15, size: int = SIZE) -> dict[str, dict[str, float]]:
    """GFLOP/s of large products, by dtype and by who computes them; those that this PyTorch lacks are left out."""
    import torch

    found = {}
    with torch.inference_mode():
        for dtype in ("float32", "bfloat16", "int8"):
            jobs = {}
            for name, make in _PRODUCTS[dtype].items():
                try:
                    job = make(dtype, size)
                    job()
                except (AttributeError, RuntimeError, NotImplementedError):
                    continue
                jobs[name] = job
            times = in_turns(jobs, rounds, warm=2)
            found[dtype] = {name: 2 * size**3 / seconds / 1e9 for name, seconds in times.items()}
    return found


def best(rates: dict[str, dict[str, float]], dtype: str) -> float:
    """The fastest of the products of a dtype, in GFLOP/s."""
    return max(rates[dtype].values())


def _floats(dtype: str, size: int) -> list[Any]:
    import torch

    return [torch.randn(size, size).to(getattr(torch, dtype)) for _ in range(2)]


def _bytes(size: int) -> Any:
    import torch

    return torch.randint(-127, 128, (size, size), dtype=torch.int8)


def _pytorch(dtype: str, size: int) -> Callable[[], Any]:
    import torch

    a, b = _floats(dtype, size)
    return lambda: torch.nn.functional.linear(a, b)


def _onednn(dtype: str, size: int) -> Callable[[], Any]:
    import torch

    a, b = _floats(dtype, size)
    return lambda: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")


def _packed(dtype: str, size: int) -> Callable[[], Any]:
    import torch

    a, b = _floats(dtype, size)
    packed = torch.ops.mkldnn._reorder_linear_weight(b)
    return lambda: torch.ops.mkldnn._linear_pointwise(a, packed, None, "none", [], "")


def _int_mm(dtype: str, size: int) -> Callable[[], Any]:
    import torch

    a, b = _bytes(size), _bytes(size).t()
    return lambda: torch._int_mm(a, b)


def _qlinear(dtype: str, size: int) -> Callable[[], Any]:
    """Of bytes without signs, as oneDNN has a fast product for them on every processor."""
    import torch

    packed = torch.ops.onednn.qlinear_prepack(_bytes(size), None)
    a, scales, zeros = _bytes(size).view(torch.uint8), torch.ones(size), torch.zeros(size, dtype=torch.int64)

    def run() -> Any:
        return torch.ops.onednn.qlinear_pointwise(
            a, 1.0, 128, packed, scales, zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )

    return run


_PRODUCTS: dict[str, dict[str, Callable[[str, int], Callable[[], Any]]]] = {
    "float32": {"PyTorch": _pytorch, "oneDNN": _onednn, "oneDNN, packed": _packed},
    "bfloat16": {"PyTorch": _pytorch, "oneDNN": _onednn, "oneDNN, packed": _packed},
    "int8": {"PyTorch": _int_mm, "oneDNN, packed": _qlinear},
}


if __name__ == "__main__":
    print(json.dumps({"processor": processor(), "gflops": products()}))

"""What single pieces of the fast paths bring on this processor, each beside what it replaces.

    python benchmarks/pieces.py [--rounds 5]

The pieces of one comparison take turns in one process. Printed and kept are the medians, in milliseconds. The results
go to benchmarks/results/pieces.json, under the name of the processor. benchmarks/NOTES.md says what was expected.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
import torch
import torch.nn.functional as F
from clock import in_turns
from inputs import inputs, tensors

from lxmert import LxmertConfig
from lxmert.pt import LxmertForQuestionAnswering, PackedWeights, use_cpu_kernels
from lxmert.pt.cpu_kernels.dropout import dropout

RESULTS = Path(__file__).parent / "results" / "pieces.json"
ROWS, WIDTH, HEADS = 32 * 36, 768, 12
Jobs = dict[str, Callable[[], Any]]


def forward(batch: int, dtype: torch.dtype) -> Jobs:
    """A forward pass: as it is, without packed weights, without all kernels, with the whole last layer."""
    torch.manual_seed(0)
    model = LxmertForQuestionAnswering(LxmertConfig()).to(dtype).eval()
    given, none = tensors(inputs(batch), dtype), PackedWeights(0)

    def kernels_off() -> None:
        with use_cpu_kernels(False):
            model(**given)

    def plain_weights() -> None:
        with none:
            model(**given)

    def whole() -> None:
        model.backbone(**given, language_output=True, vision_output=True)

    return {
        "as it is": lambda: model(**given),
        "not packed": plain_weights,
        "kernels off": kernels_off,
        "whole last layer": whole,
    }


def projections(dtype: torch.dtype) -> Jobs:
    """Query, key and value as one product, and as three."""
    x = torch.randn(ROWS, WIDTH).to(dtype)
    weights = [torch.randn(WIDTH, WIDTH).to(dtype) for _ in range(3)]
    packed = [torch.ops.mkldnn._reorder_linear_weight(weight) for weight in (*weights, torch.cat(weights))]

    def product(weight: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, weight, None, "none", [], "")

    return {"three": lambda: [product(weight) for weight in packed[:3]], "one": lambda: product(packed[3])}


def activation(dtype: torch.dtype) -> Jobs:
    """The first product of a feed-forward layer, with GELU inside of it, and after it."""
    x, weight = torch.randn(ROWS, WIDTH).to(dtype), torch.randn(4 * WIDTH, WIDTH).to(dtype)
    packed = torch.ops.mkldnn._reorder_linear_weight(weight)

    def product(kind: str, how: str) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(x, packed, None, kind, [], how)

    return {"inside": lambda: product("gelu", "none"), "after": lambda: F.gelu(product("none", ""))}


def attention(dtype: torch.dtype) -> Jobs:
    """Attention of a batch of images: PyTorch's fused one, and plain products."""
    query, key, value = (torch.randn(32, HEADS, 36, WIDTH // HEADS).to(dtype) for _ in range(3))

    def plain() -> torch.Tensor:
        return (query @ key.mT * (WIDTH // HEADS) ** -0.5).softmax(-1) @ value

    return {"fused": lambda: F.scaled_dot_product_attention(query, key, value), "plain": plain}


def masks() -> Jobs:
    """Dropout of the states of a batch."""
    x = torch.randn(32, 36, WIDTH)
    return {"bits": lambda: dropout(x, 0.1, True), "PyTorch": lambda: F.dropout(x, 0.1, True)}


def optimizer() -> Jobs:
    """A step of AdamW over 47 million weights."""

    def step(fused: bool) -> Callable[[], Any]:
        weights = [torch.nn.Parameter(torch.randn(WIDTH, WIDTH)) for _ in range(80)]
        for weight in weights:
            weight.grad = torch.randn_like(weight)
        return torch.optim.AdamW(weights, 1e-5, fused=fused).step

    return {"fused": step(True), "default": step(False)}


COMPARISONS: dict[str, Callable[[], Jobs]] = {
    f"forward, batch {batch}, {name}": (lambda batch=batch, dtype=dtype: forward(batch, dtype))
    for batch in (32, 1)
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
}
for _name, _dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
    COMPARISONS |= {
        f"query, key and value, {_name}": (lambda dtype=_dtype: projections(dtype)),
        f"GELU, {_name}": (lambda dtype=_dtype: activation(dtype)),
        f"attention, {_name}": (lambda dtype=_dtype: attention(dtype)),
    }
COMPARISONS |= {"dropout": masks, "AdamW": optimizer}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="how often each piece runs (default: 5)")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS, default=list(COMPARISONS), help="some comparisons")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    found = results.setdefault(machine.key(machine.processor()), {})
    for name in arguments.only:
        is_large = name.startswith("forward, batch 32")
        with torch.set_grad_enabled(name in ("dropout", "AdamW")):
            times = in_turns(COMPARISONS[name](), arguments.rounds * (1 if is_large else 6), warm=4)
        found[name] = {piece: seconds * 1000 for piece, seconds in times.items()}
        print(name, {piece: float(f"{value:.4g}") for piece, value in found[name].items()}, flush=True)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

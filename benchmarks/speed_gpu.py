"""The speed of question answering on a CUDA GPU, compared with `transformers` and with the limits of the GPU.

    python benchmarks/speed_gpu.py [--rounds 20] [--batches 1 256 1024]

A forward pass of the base model (20 tokens, 36 regions) in float32, TF32 and bfloat16: as it is, by `torch.compile`,
and for the smallest batch replayed as a CUDA graph. The peer is `transformers` 5, eager, in the same dtype. The
card's limits are measured first: its matrix rate in each format, and how fast it copies memory. The results go to
benchmarks/results/speed_gpu.json, under the card's name.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from inputs import inputs, tensors
from torch.utils.flop_counter import FlopCounterMode

RESULTS = Path(__file__).parent / "results" / "speed_gpu.json"
FORMATS = {"float32": torch.float32, "tf32": torch.float32, "bfloat16": torch.bfloat16}


def pair(name: str, dtype: str = "float32", **config: int) -> dict[str, Any]:
    """A model of ours, the base model by default, and the peer's with the same weights, if it is installed."""
    import lxmert.pt
    from lxmert import LxmertConfig

    torch.manual_seed(0)
    found = {"ours": getattr(lxmert.pt, name)(LxmertConfig(**config))}
    if importlib.util.find_spec("transformers"):
        import transformers

        with tempfile.TemporaryDirectory() as folder:
            found["ours"].save_pretrained(folder)
            found["theirs"] = getattr(transformers, name).from_pretrained(folder)
    return {who: model.to(getattr(torch, dtype)).eval() for who, model in found.items()}


def seconds(job: Callable[[], Any], rounds: int, device: torch.device) -> float:
    """The median time of a job, from an idle card to an idle card."""

    def finished() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    for _ in range(3):
        job()
    taken = []
    for _ in range(rounds):
        start = finished()
        job()
        taken.append(finished() - start)
    return statistics.median(taken)


def limits(rounds: int, device: torch.device, size: int) -> dict[str, float]:
    """TFLOP/s of a large matrix product in each format, and GB/s of a copy."""
    found = {}
    for name, dtype in FORMATS.items():
        use(name)
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        found[f"{name}_tflops"] = 2 * size**3 / seconds(lambda a=a, b=b: a @ b, rounds, device) / 1e12
    source = torch.empty(size, size, 16, device=device, dtype=torch.bfloat16)
    target = torch.empty_like(source)
    found["copy_gbs"] = 2 * source.nbytes / seconds(lambda: target.copy_(source), rounds, device) / 1e9
    return found


def use(name: str) -> None:
    """Products of float32 in full, or by TF32."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = name == "tf32"


def replayed(model: Any, given: dict[str, Any]) -> Callable[[], Any]:
    """A forward pass as a CUDA graph: one launch in place of hundreds."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            model(**given)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model(**given)
    return graph.replay


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20, help="how often each job runs (default: 20)")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 256, 1024], help="default: 1 256 1024")
    parser.add_argument("--device", default="cuda", help="cpu tries the script itself, on a small model")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    arguments = parser.parse_args()
    device, on_card = torch.device(arguments.device), arguments.device != "cpu"
    if on_card and not torch.cuda.is_available():
        raise SystemExit("PyTorch finds no CUDA card here.")
    small = dict(hidden_size=64, num_attention_heads=4, intermediate_size=128, l_layers=1, x_layers=1, r_layers=1)
    config = {} if on_card else small
    card = torch.cuda.get_device_name(device) if on_card else "cpu"
    results = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    measured = results[card] = {
        "torch": torch.__version__,
        "limits": limits(arguments.rounds, device, 8192 if on_card else 256),
    }
    print(card, measured["limits"])
    for name, dtype in FORMATS.items():
        use(name)
        kind = str(dtype).removeprefix("torch.")
        both = {who: model.to(device) for who, model in pair("LxmertForQuestionAnswering", kind, **config).items()}
        for batch in arguments.batches:
            given = {n: x.to(device) for n, x in tensors(inputs(batch), dtype).items()}
            found = {}
            with torch.inference_mode():
                jobs: dict[str, Callable[[], Any]] = {who: partial(model, **given) for who, model in both.items()}
                with FlopCounterMode(display=False) as counter:
                    both["ours"](**given)
                if on_card:
                    torch.compiler.reset()
                    jobs["compiled"] = partial(torch.compile(both["ours"]), **given)
                    if batch == min(arguments.batches):
                        jobs["graph"] = replayed(both["ours"], given)
                for who, job in jobs.items():
                    found[who] = seconds(job, arguments.rounds, device)
            best = min(found[who] for who in found if who != "theirs")
            found["part_of_limit"] = counter.get_total_flops() / best / 1e12 / measured["limits"][f"{name}_tflops"]
            measured[f"{name}, batch {batch}"] = found
            print(f"{name}, batch {batch}: {found}", flush=True)
            arguments.output.parent.mkdir(exist_ok=True)
            arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

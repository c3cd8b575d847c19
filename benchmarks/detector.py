"""The Visual Genome detector on one photograph: how near its speed is to that of large matrix products.

    python benchmarks/detector.py [--rounds 5] [--only pt-float32 ...]

The network has its full size and random weights. The photograph is 800 x 1067 after resizing and has 300 proposals.
Each backend and precision is a process of its own, in which a large product, the fastest of the framework in that
dtype, and the detector take turns; the figures are medians. The work is counted from the shapes of the network's
convolutions, once as they are written down ("written") and once without what is computed once for several proposals:
those that round to the same cells of the map, and the first products of bins of the same cells ("done"). "peak" is the
most memory that the process had. The results go to benchmarks/results/detector.json, and by benchmarks/report.py into
docs/speed.md.
"""

from __future__ import annotations

import json
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from clock import memory
from processes import run_in_processes

RESULTS = Path(__file__).parent / "results" / "detector.json"
RUNS = ("pt-float32", "pt-bfloat16", "tf-float32", "tf-bfloat16")
ASKED = {"share": {"pt-float32": 0.7, "tf-float32": 0.6}, "ratio": 1.6, "gigabytes": 3.0}
STAGES = {
    "propose": "first stage",
    "region_features": "second stage",
    "object_scores": "scores",
    "attribute_scores": "scores",
    "box_deltas": "scores",
}


class Timed:
    """A network whose methods note the seconds that they take."""

    def __init__(self, network: Any):
        self.network, self.config, self.anchors = network, network.config, network.anchors
        self.seconds: dict[str, float] = defaultdict(float)
        self.regions = np.zeros((0, 4), int)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def run(*given: Any) -> Any:
            start = time.perf_counter()
            found = getattr(self.network, name)(*given)
            self.seconds[STAGES[name]] += time.perf_counter() - start
            if name == "region_features":
                self.regions = given[2]
            return found

        return run


def gigaflop(config: Any, size: tuple[int, int], regions: np.ndarray, apart: bool) -> dict[str, float]:
    """Multiplications and additions of each stage, in 10^9.

    Args:
        config: of the network.
        size: height and width of its input.
        regions: those of the second stage, in cells of the map.
        apart: whether equal regions, and equal bins of regions, are counted each time.
    """
    from lxmert.vision.faster_rcnn.pooling_windows import pooling_windows

    height, width = (-(-side // 2) for side in size)
    first = height * width * 49 * 3 * config.stem_channels
    height, width = height // 2, width // 2
    inputs = config.stem_channels
    for number in (2, 3, 4):
        if number > 2:
            height, width = -(-height // 2), -(-width // 2)
        inner, outputs = config.width_per_group * 2 ** (number - 2), config.res2_channels * 2 ** (number - 2)
        for block in range(getattr(config, f"res{number}_blocks")):
            before = inputs if block == 0 else outputs
            shortcut = before * outputs if before != outputs else 0
            first += height * width * (before * inner + 9 * inner * inner + inner * outputs + shortcut)
        inputs = outputs
    first += height * width * config.proposal_channels * (9 * inputs + 5 * config.num_anchors)
    inner, outputs = 8 * config.width_per_group, config.feature_size
    places = pooling_windows(regions, (height, width), config.pool_size, "float32").places
    cells = config.num_proposals * config.pool_size**2 if apart else places.size
    bins = cells if apart else int(places.max()) + 1
    second = bins * inputs * (inner + outputs) + cells * (
        config.res5_blocks * (9 * inner * inner + inner * outputs) + (config.res5_blocks - 1) * outputs * inner
    )
    return {"first stage": 2 * first / 1e9, "second stage": 2 * second / 1e9}


def product(backend: str, precision: str) -> Callable[[], Any]:
    """The fastest large product of a framework: 137 GFLOP."""
    if backend == "pt":
        import torch

        from lxmert.pt._compat import HAS_ONEDNN, linear_pointwise

        a, b = (torch.randn(4096, 4096).to(getattr(torch, precision)) for _ in range(2))

        def run() -> Any:
            with torch.inference_mode():
                return linear_pointwise(a, b, None, "none", [], "") if HAS_ONEDNN else a @ b

        return run
    import tensorflow as tf

    a, b = (tf.cast(tf.random.normal((4096, 4096)), precision) for _ in range(2))
    graph = tf.function(lambda: tf.matmul(a, b)[:1])
    return lambda: graph().numpy()


def network_of(backend: str, precision: str) -> Any:
    """The network with random weights."""
    from lxmert import DetectorConfig

    if backend == "pt":
        import torch

        from lxmert.pt import VisualGenomeDetector

        torch.manual_seed(0)
        network = VisualGenomeDetector(DetectorConfig()).eval()
    else:
        import keras

        from lxmert.tf import TFVisualGenomeDetector

        keras.utils.set_random_seed(0)
        network = TFVisualGenomeDetector(DetectorConfig())
    network.precision = precision
    return network


def measure(backend: str, precision: str, rounds: int) -> dict[str, Any]:
    """Medians of seconds, counted work, and the peak of memory."""
    from skimage.data import coffee

    from lxmert.vision.faster_rcnn.detect import find_regions
    from lxmert.vision.faster_rcnn.preprocess import network_input
    from lxmert.vision.faster_rcnn.profiles import make_profile

    network = Timed(network_of(backend, precision))
    image = network_input(coffee()[:399, 34:566], network.config, 800, 1333)
    profile = make_profile("hf", network.config)
    multiply = product(backend, precision)

    def detect() -> None:
        find_regions(network, network.propose(image.pixels[None]), 0, image, profile)

    taken: dict[str, list[float]] = defaultdict(list)
    multiply()
    detect()  # graphs are made
    for _ in range(rounds):
        start = time.perf_counter()
        multiply()
        taken["product"].append(time.perf_counter() - start)
        network.seconds.clear()
        start = time.perf_counter()
        detect()
        taken["all"].append(time.perf_counter() - start)
        for stage, seconds in network.seconds.items():
            taken[stage].append(seconds)
        taken["decisions"].append(taken["all"][-1] - sum(network.seconds.values()))
    return {
        "size": image.size,
        "regions": len(network.regions),
        "seconds": {name: statistics.median(values) for name, values in taken.items()},
        "gflops of products": 2 * 4096**3 / 1e9 / statistics.median(taken["product"]),
        "written": gigaflop(network.config, image.size, network.regions, apart=True),
        "done": gigaflop(network.config, image.size, network.regions, apart=False),
        "peak": memory("VmHWM") / 1024,
    }


def share(found: dict[str, Any], rate: float, work: str = "written") -> float:
    """The speed as a part of that of large products."""
    return sum(found[work].values()) / found["seconds"]["all"] / rate


def main() -> None:
    """Measure in processes, print, write."""
    measured = run_in_processes(
        __file__, __doc__, RUNS, RESULTS, 5, lambda name, rounds: measure(*name.split("-"), rounds)
    )
    if measured is None:
        return
    results, output = measured
    runs = results["runs"]
    # Both frameworks are measured by the faster one's products.
    results["gflops"] = {
        precision: max(found["gflops of products"] for name, found in runs.items() if name.endswith(precision))
        for precision in {name.partition("-")[2] for name in runs}
    }
    for name, found in runs.items():
        rate = results["gflops"][name.partition("-")[2]]
        found["share"], found["share of what is done"] = share(found, rate), share(found, rate, "done")
        asked = ASKED["share"].get(name)  # type: ignore[attr-defined]
        print(
            f"{name}: {found['seconds']['all']:.2f} s, {found['share']:.0%} of {rate:.0f} GFLOP/s"
            f"{f' (asked {asked:.0%})' if asked else ''}, {found['share of what is done']:.0%} by what is done, peak "
            f"{found['peak']:.2f} GB (asked {ASKED['gigabytes']}); "
            + ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in found["seconds"].items())
        )
    for backend in ("pt", "tf"):
        if {f"{backend}-float32", f"{backend}-bfloat16"} <= set(runs):
            wide, narrow = (runs[f"{backend}-{p}"]["seconds"]["all"] for p in ("float32", "bfloat16"))
            print(f"{backend}: bfloat16 is {wide / narrow:.2f} x as fast as float32 (asked {ASKED['ratio']})")
    output.parent.mkdir(exist_ok=True)
    output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

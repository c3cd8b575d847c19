"""The tables of docs/speed.md and the image of benchmarks/results/speed.json.

    python benchmarks/report.py

What stands in docs/speed.md between two comments that name a table is replaced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detector import RESULTS as DETECTOR_RESULTS
from explanation_cost import RESULTS as EXPLANATION_RESULTS
from pages import put
from plots import save, subplots
from speed import RESULTS, WORKLOADS

PAGE = Path(__file__).parents[1] / "docs/speed.md"
PLOT = RESULTS.with_suffix(".svg")


def amount(name: str, value: float) -> str:
    """Seconds or megabytes, with three digits."""
    if name == "activations":
        return f"{value:,.0f} MB"
    return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.3g} s"


def table(results: dict[str, Any]) -> str:
    """Ours, the peer's, and how many times faster or smaller."""
    rows = ["| workload | `lxmert` | peer | times better |", "|---|---|---|---|"]
    for name, (title, _, _) in WORKLOADS.items():
        found = results["workloads"].get(name)
        if found is None:
            continue
        theirs = found.get("theirs")
        peer, ratio = ("", "") if theirs is None else (amount(name, theirs), f"{theirs / found['ours']:.2f}")
        rows.append(f"| {title} | {amount(name, found['ours'])} | {peer} | {ratio} |")
    reached = ", ".join(f"{value:.0f} in {name.replace('_', ' by ')}" for name, value in results["gflops"].items())
    rows += [
        "",
        f"Measured on {results['processors']} cores of {results['processor']}, whose largest matrix products reach, in "
        f"GFLOP/s: {reached.replace('pytorch', 'PyTorch').replace('onednn', 'oneDNN')}.",
    ]
    return "\n".join(rows)


def detector_table(results: dict[str, Any]) -> str:
    """Seconds of one photograph, by stage, and the parts of the machine's rate."""
    names = {"pt": "PyTorch", "tf": "Keras"}
    stages = ("first stage", "second stage", "scores", "decisions")
    rows = [
        "| | a photograph | "
        + " | ".join(stages)
        + " | of the rate of large products | of what is done | peak memory |",
        "|---" * (len(stages) + 5) + "|",
    ]
    for name, found in results["runs"].items():
        backend, precision = name.split("-")
        cells = [f"{names[backend]}, {precision}", *(amount("", found["seconds"][each]) for each in ("all", *stages))]
        cells += [f"{found['share']:.0%}", f"{found['share of what is done']:.0%}", f"{found['peak']:.2f} GB"]
        rows.append(f"| {' | '.join(cells)} |")
    reached = ", ".join(f"{value:.0f} in {precision}" for precision, value in results["gflops"].items())
    return "\n".join([*rows, "", f"Large products reached, in GFLOP/s: {reached}."])


def explanation_table(results: dict[str, Any]) -> str:
    """Seconds, and beside a forward pass and the published code."""
    backends, kinds = {"pt": "PyTorch", "tf": "Keras"}, {"lxmert": "LXMERT", "visual_bert": "VisualBERT"}
    rows = [
        "| | a batch | of a forward pass | peer | times faster | peak memory | of a forward pass | of the peer |",
        "|---" * 8 + "|",
    ]
    for name, found in results["runs"].items():
        backend, kind = name.split("-")
        if backend not in backends:
            continue
        peer = results["runs"][f"peer-{kind}"]
        for batch, figures in found["batches"].items():
            theirs = peer["example"] * int(batch)
            cells = [f"{kinds[kind]}, {backends[backend]}, batch {batch}", amount("", figures["explain"])]
            cells += [f"{figures['explain'] / figures['forward']:.2f}", amount("", theirs)]
            cells += [f"{theirs / figures['explain']:.1f}"]
            peaks = (found["peak, explain"], found["peak, forward"], peer["peak"]) if int(batch) > 1 else ()
            cells += [f"{gigabytes:.2f} GB" for gigabytes in peaks] or [""] * 3
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def draw(results: dict[str, Any], path: Path) -> None:
    """A bar for each ratio."""
    known = {n: r for n, r in results["workloads"].items() if "theirs" in r and n in WORKLOADS}
    names = [name for name in WORKLOADS if name in known][::-1]
    ratios = [known[name]["theirs"] / known[name]["ours"] for name in names]
    figure, axes = subplots(figsize=(9, 0.34 * len(names) + 0.9))
    bars = axes.barh([WORKLOADS[name][0] for name in names], ratios, color="#1d4ed8", height=0.6)
    axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=4)
    axes.axvline(1, color="#444", linewidth=0.8)
    axes.set(xlabel="times faster than the peer (for memory: times less)", xlim=(0, max(ratios, default=1) * 1.12))
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def main() -> None:
    """Write what there are results of."""
    if RESULTS.exists():
        results = json.loads(RESULTS.read_text())
        put(PAGE, "speed", table(results), "report")
        draw(results, PLOT)
    if DETECTOR_RESULTS.exists():
        put(PAGE, "detector", detector_table(json.loads(DETECTOR_RESULTS.read_text())), "report")
    if EXPLANATION_RESULTS.exists():
        put(PAGE, "explanations", explanation_table(json.loads(EXPLANATION_RESULTS.read_text())), "report")


if __name__ == "__main__":
    main()

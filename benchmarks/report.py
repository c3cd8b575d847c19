"""The tables of docs/speed.md and README.md, and the image of benchmarks/results/speed.json.

    python benchmarks/report.py

What stands in a page between two comments that name a table is replaced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detector import RESULTS as DETECTOR_RESULTS
from explanation_cost import RESULTS as EXPLANATION_RESULTS
from pages import put
from report_speed import amount, draw, newest_first, summary, tables
from speed import RESULTS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/speed.md"
PLOT = RESULTS.with_suffix(".svg")


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
        cells = [f"{names[backend]}, {precision}", *(amount(found["seconds"][each]) for each in ("all", *stages))]
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
            cells = [f"{kinds[kind]}, {backends[backend]}, batch {batch}", amount(figures["explain"])]
            cells += [f"{figures['explain'] / figures['forward']:.2f}", amount(theirs)]
            cells += [f"{theirs / figures['explain']:.1f}"]
            peaks = (found["peak, explain"], found["peak, forward"], peer["peak"]) if int(batch) > 1 else ()
            cells += [f"{gigabytes:.2f} GB" for gigabytes in peaks] or [""] * 3
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Write what there are results of."""
    if RESULTS.exists():
        results = newest_first(json.loads(RESULTS.read_text()))
        put(PAGE, "speed", tables(results), "report")
        put(ROOT / "README.md", "speed", summary(results), "report")
        draw(results, PLOT)
    if DETECTOR_RESULTS.exists():
        put(PAGE, "detector", detector_table(json.loads(DETECTOR_RESULTS.read_text())), "report")
    if EXPLANATION_RESULTS.exists():
        put(PAGE, "explanations", explanation_table(json.loads(EXPLANATION_RESULTS.read_text())), "report")


if __name__ == "__main__":
    main()

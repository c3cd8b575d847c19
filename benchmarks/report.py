"""The table of docs/speed.md and the image of benchmarks/results/speed.json.

    python benchmarks/report.py

What stands in docs/speed.md between the two comments that name this table is replaced.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from plots import save, subplots
from speed import RESULTS, WORKLOADS

PAGE = Path(__file__).parents[1] / "docs/speed.md"
BEGIN, END = "<!-- speed: made by benchmarks/report.py -->", "<!-- speed: end -->"
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
    """Write both."""
    if not RESULTS.exists():
        raise SystemExit(f"{RESULTS} is not there: run benchmarks/speed.py first.")
    results = json.loads(RESULTS.read_text())
    text = PAGE.read_text()
    if BEGIN not in text or END not in text:
        raise SystemExit(f"{PAGE} has no place for the table: two lines, {BEGIN} and {END}.")
    found = f"{BEGIN}\n{table(results)}\n{END}"
    PAGE.write_text(re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: found, text, flags=re.DOTALL))
    draw(results, PLOT)


if __name__ == "__main__":
    main()

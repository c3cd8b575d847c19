"""The tables of speed.json: a long one for each processor, and a short one of all."""

from __future__ import annotations

from typing import Any

from plots import save, subplots
from rows import PEERS, Row, ratio, rows, share

_DTYPES = ("float32", "bfloat16", "int8")
_COLUMNS = (
    "| work | `lxmert` | of the limit | `transformers` | times | ONNX Runtime | times | peak memory |",
    "|---" * 8,
)


def amount(value: float, unit: str = "s") -> str:
    """Seconds or megabytes, with three digits."""
    if unit == "MB":
        return f"{value:,.0f} MB"
    return f"{value * 1000:.3g} ms" if value < 0.9995 else f"{value:.3g} s" if value < 999.5 else f"{value:,.0f} s"


def newest_first(results: dict[str, Any]) -> dict[str, Any]:
    """The processors in the order of their latest measurements."""
    return dict(
        sorted(results.items(), key=lambda item: max(r["date"] for r in item[1]["rows"].values()), reverse=True)
    )


def tables(results: dict[str, Any]) -> str:
    """A table for each processor, and below it what its large products reach."""
    return "\n\n".join(_table(found) for found in results.values())


def _table(found: dict[str, Any]) -> str:
    processor, rates = found["processor"], found["gflops"]
    lines = [f"**{processor['name']}, {processor['cores']} cores**", "", _COLUMNS[0], f"{_COLUMNS[1]}|"]
    for name, row in rows().items():
        if name in found["rows"]:
            lines.append(_line(row, found["rows"][name]))
    reached = "; ".join(
        f"{', '.join(f'{value:.0f} by {who}' for who, value in rates[dtype].items())} in {dtype}"
        for dtype in _DTYPES
        if dtype in rates
    )
    measured = dict.fromkeys(f"{each['code']}, {each['date']}" for each in found["rows"].values())
    instructions = ", ".join(f"`{flag}`" for flag in processor["instructions"])
    lines += [
        "",
        f"Large matrix products reach, in GFLOP/s: {reached}. Instructions: {instructions}. Code: "
        f"{'; '.join(measured)}.{' ' + found['note'] if 'note' in found else ''}",
    ]
    return "\n".join(lines)


def _line(row: Row, found: dict[str, Any]) -> str:
    values, peaks = found["values"], found.get("peaks", {})
    cells = [f"{row.title}{f' ({row.note})' if row.note else ''}", _cell(values, "ours", row.unit)]
    part = share(found)
    cells.append("" if part is None else f"{part:.0%}")
    for peer in PEERS:
        times = ratio(found, peer)
        cells += [_cell(values, peer, row.unit), "" if times is None else f"{times:.2f}"]
    if row.unit == "s" and any(peaks.values()):
        sides = [who for who in ("ours", *PEERS) if who in row.sides]
        cells.append(" / ".join(f"{peaks[who] / 1000:.1f}" if who in peaks else "-" for who in sides) + " GB")
    else:
        cells.append("")
    return "|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|"


def _cell(values: dict[str, float], who: str, unit: str) -> str:
    return amount(values[who], unit) if who in values else ""


def summary(results: dict[str, Any]) -> str:
    """For each processor and dtype: time, share of the limit, and how many times faster than the fastest peer."""
    kinds = ("forward-32", "forward-1", "training-32")
    lines = ["| processor | | 32 questions | one question | training step of 32 |", "|---|---|---|---|---|"]
    for found in results.values():
        for dtype in _DTYPES:
            cells = [_short(found, f"{kind}-{dtype}") for kind in kinds]
            if any(cells):
                lines.append(f"| {found['processor']['name']} | {dtype} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _short(found: dict[str, Any], name: str) -> str:
    row = found["rows"].get(name)
    if row is None or "ours" not in row["values"]:
        return ""
    part, times = share(row), _fastest(found, name)
    told = ([] if part is None else [f"{part:.0%}"]) + ([] if times is None else [f"{times:.2f} x"])
    return f"{amount(row['values']['ours'])} ({', '.join(told)})"


def _fastest(found: dict[str, Any], name: str) -> float | None:
    """How many times faster than the fastest peer of a row ours is."""
    times = [ratio(found["rows"][name], peer) for peer in PEERS] if name in found["rows"] else []
    return min((each for each in times if each is not None), default=None)


def draw(results: dict[str, Any], path: Any) -> None:
    """Bars, for each row and processor: how many times faster than the fastest peer."""
    shown = list(results.values())
    names = [n for n in rows() if any(_fastest(each, n) for each in shown)][::-1]
    figure, axes = subplots(figsize=(9, 0.36 * len(names) + 0.9))
    height, largest = 0.8 / max(len(shown), 1), 1.0
    for number, (found, color) in enumerate(zip(shown, ("#1d4ed8", "#d97706", "#059669", "#7c3aed"), strict=False)):
        places = [place + 0.4 - height * (number + 0.5) for place, name in enumerate(names) if _fastest(found, name)]
        ratios = [ratio for name in names if (ratio := _fastest(found, name))]
        bars = axes.barh(places, ratios, color=color, height=height, label=found["processor"]["name"])
        axes.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=4, fontsize=7)
        largest = max([largest, *ratios])
    axes.set_yticks(range(len(names)), [rows()[name].title for name in names], fontsize=8)
    axes.axvline(1, color="#444", linewidth=0.8)
    axes.set(xlabel="times faster than the fastest peer (for memory: times less)", xlim=(0, largest * 1.12))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right")
    save(figure, path)

"""A picture of the test by removal: the accuracy by the fraction removed, one line for each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lxmert.utils.pictures import COLOURS, new_figure

from .curves import RANDOM
from .methods import METHODS
from .removal import ORDERS, STREAMS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Lines = Mapping[str, tuple[Sequence[float], Sequence[float]]]
"""Fractions and accuracies in percent by method."""

_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")  # lines that meet, or whose colours look alike to some, stay apart
_REMOVED_FIRST = dict(zip(ORDERS, ("most relevant", "least relevant"), strict=True))


def panel_title(stream: str, order: str, model: str = "") -> str:
    """What is above one picture: of which model, what is removed, and what of it first."""
    of_model = f"{model}, " if model else ""
    return f"{of_model}{stream}, the {_REMOVED_FIRST[order]} first"


def method_title(method: str) -> str:
    """How tables and plots name a method or the random order."""
    return "Random order" if method == RANDOM else METHODS[method].title


def draw_perturbation(panels: Mapping[str, Lines], columns: int = len(ORDERS)) -> Figure:
    """A figure with a picture for each title, and one legend for all.

    Args:
        panels: the lines of each picture, by its title.
        columns: pictures beside each other.

    Raises:
        ImportError: matplotlib is not installed.
    """
    rows = -(-len(panels) // columns)
    figure = new_figure("a plot of the test by removal", (4.6 * columns, 3.3 * rows + 0.9))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    for axes, (title, lines) in zip(grid, panels.items(), strict=False):
        _draw_lines(axes, lines)
        axes.set_title(title, fontsize="medium")
        axes.label_outer()
    handles, titles = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, titles, loc="outside lower center", ncols=2 * columns - 1, fontsize="small")
    return figure


def summary_panels(summary: Mapping[str, Any], model: str = "") -> dict[str, Lines]:
    """The pictures of one model.

    Args:
        summary: of `PerturbationCurves.summary`, or a mean of several.
        model: its name in the titles.
    """
    fractions, methods = summary["fractions"], summary["methods"]
    return {
        panel_title(stream, order, model): {
            method: (fractions[stream], found[stream][order]["accuracies"]) for method, found in methods.items()
        }
        for stream in STREAMS
        for order in ORDERS
    }


def _draw_lines(axes: Axes, lines: Lines) -> None:
    styles = dict(zip(METHODS, zip(COLOURS, _MARKERS, strict=True), strict=True))
    for method, (fractions, accuracies) in lines.items():
        is_random = method == RANDOM
        colour, marker = ("black", ".") if is_random else styles[method]
        axes.plot(
            fractions,
            accuracies,
            color=colour,
            linestyle="--" if is_random else "-",
            linewidth=2.0 if is_random or method == "relevancy" else 1.2,
            marker=marker,
            markersize=6,
            markerfacecolor=colour if is_random else "none",  # what is below stays visible
            label=method_title(method),
        )
    axes.set_xlabel("fraction removed")
    axes.set_ylabel("accuracy, %")
    axes.grid(alpha=0.3)

"""Draw the losses and scores of runs from their logs, of finished runs and of those that are still going on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lxmert.utils.messages import first_few
from lxmert.utils.optional_imports import import_extra
from lxmert.utils.pictures import COLOURS, check_picture, new_figure, save_picture

from .checkpoints import LOGS
from .logs import LOG_NAME, parse_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = dict[str, list[tuple[int, float]]]
"""Steps and values by name: "train/loss", "valid/accuracy", ..."""

_COLUMNS = 2
_LARGEST = 1e100  # matplotlib computes with the squares of what it draws
_LONGEST = 200  # characters of a name
_MOST = 200  # pictures in a file; GQA has a hundred types of questions
_SMOOTHED = 60  # points from which on a curve of training is drawn with its mean over a twentieth of it


def plot_runs(runs: Sequence[str | Path], output: str | Path, every: bool = False) -> list[str]:
    """Draw the losses and the scores of runs, one picture for each by step, into a PNG or an SVG file.

    Args:
        runs: output folders of `lxmert train`, or their log files.
        output: the file; its ending decides its format.
        every: whether to draw the scores of each type of question too.

    Returns:
        The names of what is drawn.

    Raises:
        OSError: a run has no log, or the file cannot be written.
        ValueError: a damaged log, one without a line, or another ending.
        ImportError: matplotlib is not installed.
    """
    check_picture(output)
    curves = {str(run): read_curves(run) for run in runs}
    figure = draw_curves(curves, every)
    save_picture(figure, output)
    return [axes.get_title() for axes in figure.axes]


def read_curves(run: str | Path) -> Curves:
    """The curves in the log of a run.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: it is damaged, or has no line yet.
    """
    path = Path(run)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {str(path)!r}; pass output folders of a run.")
    if path.is_dir():
        path = next((p for p in (path / LOGS / LOG_NAME, path / LOG_NAME) if p.is_file()), path / LOGS / LOG_NAME)
        if not path.is_file():
            raise FileNotFoundError(
                f"{run} holds no run: there is no {LOGS}/{LOG_NAME} in it. Pass the folder that `lxmert train` got as "
                "--output."
            )
    curves: Curves = {}
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        if number == len(lines):  # nothing, or what a run is writing just now
            break
        step, values = parse_line(line, f"{path}, line {number}:")
        for name, value in values.items():
            if name.startswith(("train/", "valid/")):
                curves.setdefault(name, []).append((step, value))
    if not curves:
        raise ValueError(f"{path} has no losses and scores yet; a run writes a line every --log-every steps.")
    return curves


def draw_curves(curves: Mapping[str, Curves], every: bool = False) -> Figure:
    """A figure with a picture for each loss and score, in which each run has a colour.

    Args:
        curves: of each run, by the run's name.
        every: whether to draw the scores of each type of question too.

    Raises:
        ImportError: matplotlib is not installed.
    """
    ticks = import_extra("matplotlib.ticker", "plot", "lxmert plot", "matplotlib")
    names = _names(curves, every)
    columns = min(_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = new_figure("lxmert plot", (6.4 * columns, 3.6 * rows + 0.4))
    for place, name in enumerate(names, start=1):
        axes = figure.add_subplot(rows, columns, place)
        for number, (run, own) in enumerate(curves.items()):
            _draw_run(axes, own, name, _text(run), COLOURS[number % len(COLOURS)])
        axes.set_title(_text(name))
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(ticks.MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    return figure


def _text(name: str) -> str:
    """A name as it is drawn: a dollar sign would start a formula."""
    return first_few([name[:_LONGEST]]).replace("$", r"\$")


def _names(curves: Mapping[str, Curves], every: bool) -> list[str]:
    """What is drawn: the loss and its parts, then the scores."""
    found = dict.fromkeys(
        name for own in curves.values() for kind in ("train/", "valid/") for name in own if name.startswith(kind)
    )
    names = list(dict.fromkeys(name.partition("/")[2] for name in found))
    names = [name for name in names if every or "/" not in name]
    if not names:
        raise ValueError(f"{first_few(curves, 2)}: there are scores of types of questions only (--all).")
    if len(names) > _MOST:
        raise ValueError(f"{first_few(curves, 2)}: {len(names):,} names of losses and scores are too many to draw.")
    return names


def _draw_run(axes: Axes, own: Curves, name: str, run: str, colour: str) -> None:
    """The curves of a run for one name: of training as a line, of validation as points."""
    style: dict[str, Any] = {"color": colour}
    if f"train/{name}" in own:
        steps, values = _columns(own[f"train/{name}"])
        smooth = len(steps) >= _SMOOTHED
        axes.plot(
            steps,
            values,
            linewidth=0.8,
            alpha=0.3 if smooth else 1.0,
            label=None if smooth else f"{run}, training",
            **style,
        )
        if smooth:
            axes.plot(steps, _mean(values, len(values) // 40), linewidth=1.6, label=f"{run}, training", **style)
    if f"valid/{name}" in own:
        steps, values = _columns(own[f"valid/{name}"])
        axes.plot(steps, values, linestyle="--", marker="o", markersize=4, label=f"{run}, validation", **style)


def _columns(curve: Sequence[tuple[int, float]]) -> tuple[np.ndarray, np.ndarray]:
    steps, values = zip(*curve, strict=True)
    return np.array(steps), np.array([value if abs(value) < _LARGEST else math.nan for value in values])


def _mean(values: np.ndarray, reach: int) -> np.ndarray:
    """The mean of each value and those up to `reach` before and after it; of fewer at both ends."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    starts, ends = np.maximum(places - reach, 0), np.minimum(places + reach + 1, len(values))
    means: np.ndarray = (sums[ends] - sums[starts]) / (ends - starts)
    return means

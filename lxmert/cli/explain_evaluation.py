"""`lxmert explain --evaluate`: which explanations are right, by removing words and regions in their order."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

from .asking import open_answerer
from .options import json_text, table
from .parser import Instead

if TYPE_CHECKING:
    from lxmert.data.datasets import Questions

OUTPUTS = (".png", ".svg", ".json")
_DEFAULTS = {"samples": 1000, "draws": 5, "seed": 0, "batch_size": 64}
SETTINGS = ("fractions", *_DEFAULTS)  # of `--evaluate` alone, and none of them without it


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `--evaluate` alone; the others that `run` reads are the command's."""
    group = parser.add_argument_group(
        "test by removal",
        "Words and regions are removed, the most or the least relevant first, and right answers are counted. --output "
        "is a picture of the curves (.png, .svg) or their numbers (.json).",
    )
    group.add_argument(
        "--evaluate",
        action=Instead,
        help="test the methods on the questions of --questions and the regions of --features, in place of an image",
    )
    group.add_argument(
        "--questions",
        dest="question_files",
        nargs="+",
        action="extend",
        default=[],
        metavar="FILE",
        help="questions with answers, as `lxmert evaluate vqa` reads them; official ones with their annotations",
    )
    group.add_argument(
        "--fractions",
        nargs="+",
        type=float,
        metavar="F",
        help="removed of words and of regions, ascending from 0 to 1 (default: those of the paper)",
    )
    for name, told in (
        ("samples", "questions, chosen at random"),
        ("draws", "random orders of each question"),
        ("seed", "of the choice and of random orders"),
        ("batch_size", "questions run at once"),
    ):
        option = f"--{name.replace('_', '-')}"
        group.add_argument(option, type=int, metavar="N", help=f"{told} (default: {_DEFAULTS[name]})")


def run(arguments: argparse.Namespace) -> int:
    """Test, and print a table or JSON; draw or write the curves."""
    from lxmert.data.features import open_regions
    from lxmert.explain.curves import check_fractions
    from lxmert.explain.perturbation import perturbation_curves
    from lxmert.utils.counts import check_integer
    from lxmert.utils.setting_names import setting

    if arguments.output is not None:
        _check_output(arguments.output)
    needed = {"--questions": arguments.question_files, "--features": arguments.features}
    missing = [name for name, given in needed.items() if not given]
    if missing:
        raise ValueError(
            f"--evaluate needs {' and '.join(missing)} too: files of questions with answers, and region stores."
        )
    given = {name: getattr(arguments, name) for name in _DEFAULTS}
    settings = {name: _DEFAULTS[name] if value is None else value for name, value in given.items()}
    seed, draws = settings["seed"], settings["draws"]
    for name, value in settings.items():
        check_integer(setting(name), value, 0 if name == "seed" else 1)
    if arguments.fractions is not None:
        check_fractions(arguments.fractions)
    questions = _sample(arguments.question_files, settings["samples"], seed)
    open_regions(arguments.features).places(questions.images)  # missing ones are named before the model is loaded
    answerer = open_answerer(arguments)
    assert questions.answers is not None
    curves = perturbation_curves(
        answerer,
        questions.images,
        questions.texts,
        questions.answers,
        methods=arguments.methods,
        fractions=arguments.fractions,
        draws=draws,
        seed=seed,
        batch_size=settings["batch_size"],
        progress=not arguments.quiet,
    )
    summary = {"model": str(arguments.model), "seed": seed, "draws": draws, **curves.summary()}
    print(json_text(summary) if arguments.json else areas_table(summary))
    if arguments.output is not None:  # last: a full disk costs no figures
        _write(summary, Path(arguments.output))
    return 0


def _sample(files: list[str], count: int, seed: int) -> Questions:
    """Some questions that have answers, in their order.

    Raises:
        ValueError: the files have no answers.
    """
    import numpy as np

    from lxmert.data.datasets import read_vqa

    questions = read_vqa(files)
    if questions.answers is None:
        raise ValueError(
            "--questions must be files with the right answers, which are counted; there are none in "
            f"{', '.join(files)}. Of official files pass the annotations too."
        )
    if count >= len(questions):
        return questions
    return questions.take(np.sort(np.random.default_rng(seed).permutation(len(questions))[:count]))


def _check_output(output: str) -> None:
    from lxmert.utils.optional_imports import import_extra
    from lxmert.utils.pictures import check_picture

    check_picture(output, OUTPUTS)
    if not output.lower().endswith(".json"):
        import_extra("matplotlib", "plot", "a picture of the curves")


def _write(summary: Mapping[str, Any], output: Path) -> None:
    from lxmert.explain.perturbation_plot import draw_perturbation, summary_panels
    from lxmert.utils.atomic_files import write_text
    from lxmert.utils.pictures import save_picture

    if output.suffix.lower() == ".json":
        write_text(output, json_text(summary) + "\n")
    else:
        save_picture(draw_perturbation(summary_panels(summary)), output)


def areas_table(summary: Mapping[str, Any]) -> str:
    """The areas under the curves, and how far each is above that of the random order, with its standard error."""
    from lxmert.explain.curves import RANDOM
    from lxmert.explain.perturbation_plot import method_title
    from lxmert.explain.removal import ORDERS, STREAMS

    methods = summary["methods"]
    rows: list[tuple[str, ...]] = []
    starts = []
    titles = ("removed", "most relevant first", "above random", "least relevant first", "above random")
    for stream in STREAMS:
        starts.append(len(rows) + 1)  # below the titles
        rows.append((stream, "", "", "", ""))
        for method, found in methods.items():
            cells = []
            for order in ORDERS:
                area = found[stream][order]
                above = f"{area['above_random']:+.2f}"
                if summary["questions"] > 1:
                    above += f" ± {area['above_random_error']:.2f}"
                cells += [f"{area['area']:.2f}", "" if method == RANDOM else above]
            rows.append((f"  {method_title(method)}", *cells))
    lines = table(titles, rows, left=1).splitlines()
    text = "\n".join(f"\n{line}" if i in starts else line for i, line in enumerate(lines))
    count = summary["questions"]
    note = (
        "Areas under the accuracy in percent by the fraction removed, over "
        f"{count:,} {'questions' if count > 1 else 'question'}. A good explanation has a small one where the most "
        "relevant goes first, and a large one where the least relevant does."
    )
    if count > 1:
        note += " ± is the standard error of a difference."
    if summary["fractions"]["words"][0] == 0:
        whole = methods[RANDOM]["words"]["positive"]["accuracies"][0]
        note += f" With nothing removed {whole:.2f} % of the answers are right."
    return f"{text}\n\n{fill(note, len(lines[0]))}"

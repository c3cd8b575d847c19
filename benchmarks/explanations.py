"""Which explanations are right: words and regions are removed in their order, on drawn scenes and in both models.

    python benchmarks/explanations.py --work explanations-work --processes 2

A small LXMERT and a small VisualBERT are trained on the questions about 10,000 drawn scenes, with five seeds each
(about ten minutes a model on one core; one that is trained is used again, and one that was stopped goes on). Test
questions are answered while more and more of their words or regions are removed, the most or the least relevant first,
by every method and in random order. `results/explanations.json`, a plot and the tables of docs/explanations.md are
written. Without the training it takes about six minutes on two cores. Each seed has test questions of its own, so that
deviations hold both errors, that of the training and that of the questions. Runs in the results file are kept: delete
it to test the models anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pages import put

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "explanations.json"
PAGE = HERE.parent / "docs" / "explanations.md"

KINDS = {"lxmert": ("LXMERT", "vqa.toml"), "visual-bert": ("VisualBERT", "vqa-visual-bert.toml")}
SEEDS = 5
EPOCHS = 8
IMAGES = 10_000
QUESTIONS = 600
# Beside the fractions of the paper: with three to seven regions most of those above 0.75 leave none.
EVEN = tuple(tenth / 10 for tenth in range(11))
STREAMS, ORDERS = ("regions", "words"), ("positive", "negative")
TITLES = {"positive": "most relevant first", "negative": "least relevant first"}


def train(kind: str, seed: int, work: Path) -> None:
    """Train a model, or go on where its training was stopped; the file `done` says that it is finished."""
    folder = work / "runs" / f"{kind}-{seed}"
    if (folder / "done").exists():
        return
    command = [sys.executable, "-m", "lxmert", "train", "vqa", "--quiet", "--output", str(folder)]
    if (folder / "last").exists():
        command += ["--resume"]
    else:
        command += ["--config", str(work / "scenes" / KINDS[kind][1]), "--seed", str(seed), "--epochs", str(EPOCHS)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    (folder / "done").touch()


def one_run(job: tuple[str, int, str, int, bool]) -> dict[str, Any]:
    """Train a model if it is not there, and test all methods on it."""
    kind, seed, folder, count, with_training = job
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import numpy as np
    import torch

    from lxmert.data.datasets import read_vqa
    from lxmert.explain.curves import REGION_FRACTIONS, WORD_FRACTIONS
    from lxmert.explain.perturbation import perturbation_curves
    from lxmert.inference.answering import VisualQuestionAnswering

    torch.set_num_threads(1)
    work = Path(folder)
    if with_training:
        train(kind, seed, work)
    questions = read_vqa([work / "scenes" / "vqa" / "test.json"])
    questions = questions.take(np.sort(np.random.default_rng(seed).permutation(len(questions))[:count]))
    answerer = VisualQuestionAnswering.from_pretrained(
        work / "runs" / f"{kind}-{seed}" / "best", features=work / "scenes" / "regions"
    )
    published = {"regions": REGION_FRACTIONS[answerer.model.config.model_type], "words": WORD_FRACTIONS}
    fractions = sorted({*EVEN, *published["regions"], *published["words"]})
    curves = perturbation_curves(
        answerer, questions.images, questions.texts, questions.answers, fractions=fractions, seed=seed
    )
    return {
        "kind": kind,
        "seed": seed,
        "questions": count,
        "accuracy": round(float(curves.curve("random", "words", "positive")[0]), 2),
        "fractions": published,
        "methods": {
            method: {
                stream: {order: figures(curves, published[stream], method, stream, order) for order in ORDERS}
                for stream in STREAMS
            }
            for method in curves.methods
        },
        "gaps": gaps(curves.at(EVEN), np.array(questions.question_types)),
    }


def figures(curves: Any, published: Sequence[float], *curve: str) -> dict[str, Any]:
    """The curve at the published fractions, its area and that above random; and these two at even fractions."""
    own, even = curves.at(published), curves.at(EVEN)
    return {
        "accuracies": [round(value, 2) for value in own.curve(*curve).tolist()],
        "area": round(own.area(*curve).mean, 3),
        "above_random": round(own.above_random(*curve).mean, 3),
        "even_area": round(even.area(*curve).mean, 3),
        "even_above_random": round(even.above_random(*curve).mean, 3),
    }


def gaps(curves: Any, types: Any) -> dict[str, Any]:
    """The areas of the least relevant first minus those of the most relevant first, by type of question."""
    found: dict[str, Any] = {}
    for method in curves.methods[:-1]:  # of a random order it is 0
        for stream in STREAMS:
            gap = curves.areas(method, stream, "negative") - curves.areas(method, stream, "positive")
            by_type = {kind: round(float(gap[types == kind].mean()), 3) for kind in sorted(set(types.tolist()))}
            found.setdefault(method, {})[stream] = by_type
    return found


def over_seeds(values: Sequence[float], form: str = ".1f") -> str:
    """The mean over the seeds, and its standard deviation if there are several."""
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):{form}}{deviation}"


def table(runs: Sequence[dict[str, Any]]) -> str:
    """The areas of one kind of model, and in parentheses what they are above random."""
    from lxmert.explain.perturbation_plot import method_title

    columns = [(stream, order) for stream in STREAMS for order in ORDERS]
    lines = ["| method | " + " | ".join(f"{stream}, {TITLES[order]}" for stream, order in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for method in runs[0]["methods"]:
        cells = []
        for stream, order in columns:
            found = [run["methods"][method][stream][order] for run in runs]
            area = over_seeds([own["area"] for own in found])
            above = over_seeds([own["above_random"] for own in found], "+.1f")
            cells.append(area if method == "random" else f"{area} ({above})")
        lines.append(f"| {method_title(method)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def gap_table(runs: Sequence[dict[str, Any]]) -> str:
    """The gaps of one kind of model, by type of question."""
    from lxmert.explain.perturbation_plot import method_title

    first = next(iter(runs[0]["gaps"].values()))
    columns = [(stream, kind) for stream in STREAMS for kind in first[stream]]
    lines = ["| method | " + " | ".join(f"{stream}, {kind}" for stream, kind in columns) + " |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for method in runs[0]["gaps"]:
        cells = [over_seeds([run["gaps"][method][stream][kind] for run in runs], "+.1f") for stream, kind in columns]
        lines.append(f"| {method_title(method)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tables(runs: Sequence[dict[str, Any]]) -> str:
    """The tables of docs/explanations.md."""
    parts = []
    for kind, (title, _) in KINDS.items():
        own = [run for run in runs if run["kind"] == kind]
        if own:
            accuracy = over_seeds([run["accuracy"] for run in own])
            seeds = f"{len(own)} seeds" if len(own) > 1 else "one seed"
            parts += [
                f"{title}, {seeds}, {own[0]['questions']} questions, {accuracy} % right with nothing removed. Areas, "
                "and in parentheses how far above those of a random order:",
                table(own),
                "By the kind of question, at fractions of 0, 0.1, … 1, the area with the least relevant first minus "
                "that with the most relevant first, which is 0 for a random order:",
                gap_table(own),
            ]
    return "\n\n".join(parts)


def draw(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """The mean curves of both kinds of model."""
    from lxmert.explain.perturbation_plot import draw_perturbation, panel_title
    from lxmert.utils.pictures import save_picture

    panels = {}
    for kind, (title, _) in KINDS.items():
        own = [run for run in runs if run["kind"] == kind]
        for stream in STREAMS if own else ():
            for order in ORDERS:
                panels[panel_title(stream, order, title)] = {
                    method: (own[0]["fractions"][stream], mean_curve(own, method, stream, order))
                    for method in own[0]["methods"]
                }
    save_picture(draw_perturbation(panels), path)


def mean_curve(runs: Sequence[dict[str, Any]], method: str, stream: str, order: str) -> list[float]:
    """The mean accuracy over the seeds at each fraction."""
    found = [run["methods"][method][stream][order]["accuracies"] for run in runs]
    return [statistics.mean(values) for values in zip(*found, strict=True)]


def write(runs: Sequence[dict[str, Any]], path: Path) -> None:
    """The results, a line for each run."""
    lines = ",\n".join(json.dumps(run) for run in runs)
    path.write_text(f'{{"epochs": {EPOCHS}, "images": {IMAGES}, "even": {list(EVEN)}, "runs": [\n{lines}\n]}}\n')


def main() -> int:
    """Do what is not done yet; write the results, the tables and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, default=Path("explanations-work"), help="the scenes and the trained models"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--questions", type=int, default=QUESTIONS, help="test questions")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--trained-only", action="store_true", help="test the models that are trained, and train none")
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    work = arguments.work.resolve()
    if not (work / "scenes" / "summary.json").exists():
        from lxmert.data.synthetic.scenes.generate import make_scenes

        make_scenes(work / "scenes", IMAGES, seed=0, processes=os.cpu_count() or 1)
    results = json.loads(arguments.results.read_text())["runs"] if arguments.results.exists() else []
    runs = {(run["kind"], run["seed"]): run for run in results if run["questions"] == arguments.questions}
    jobs = [
        (kind, seed, str(work), arguments.questions, not arguments.trained_only)
        for seed in range(arguments.seeds)
        for kind in KINDS
        if (kind, seed) not in runs
        and (not arguments.trained_only or (work / "runs" / f"{kind}-{seed}" / "done").exists())
    ]
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for run in pool.imap_unordered(one_run, jobs):
            runs[run["kind"], run["seed"]] = run
            print(f"{run['kind']}, seed {run['seed']}: {run['accuracy']:.1f} % right", file=sys.stderr, flush=True)
            write([runs[key] for key in sorted(runs)], arguments.results)
        pool.close()
        pool.join()
    counted = [runs[key] for key in sorted(runs)]
    draw(counted, arguments.results.with_suffix(".svg"))
    if arguments.results == RESULTS:
        put(PAGE, "removal", tables(counted), "explanations")
    print(tables(counted))
    return 0


if __name__ == "__main__":
    sys.exit(main())

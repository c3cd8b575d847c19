"""The gain from pre-training on a small scale: drawn scenes, few questions, with and without each loss.

    python benchmarks/pretraining_gains.py --processes 2

A small LXMERT is pre-trained on captions and questions of 4,000 images, with all losses and with each left out in
turn (the labels of regions, objects and attributes, count as one, as in the paper). From each of these, and from
scratch, a model is fine-tuned on 200, 1,000 and 5,000 questions about other images, and answers the test questions
about others again. Five seeds each; `results/pretraining_gains.json` and a plot are written. About two hours on two
cores; a second call goes on where a first was stopped.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from plots import save, subplots

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "pretraining_gains.json"
PLOT = HERE / "results" / "pretraining_gains.svg"

LOSSES = ("words", "match", "objects", "attributes", "features", "answers")
STARTS: dict[str, tuple[str, ...] | None] = {
    "from scratch": None,
    "all losses": LOSSES,
    "without words": tuple(loss for loss in LOSSES if loss != "words"),
    "without match": tuple(loss for loss in LOSSES if loss != "match"),
    "without labels": tuple(loss for loss in LOSSES if loss not in ("objects", "attributes")),
    "without features": tuple(loss for loss in LOSSES if loss != "features"),
    "without answers": tuple(loss for loss in LOSSES if loss != "answers"),
}
SIZES = (200, 1000, 5000)
SEEDS = 5
IMAGES = 10_000
PRETRAINING_IMAGES = 4_000  # of the 8,000 for training

MODEL = {
    "hidden_size": 64,
    "num_attention_heads": 2,
    "intermediate_size": 128,
    "l_layers": 1,
    "x_layers": 2,
    "r_layers": 1,
    "max_position_embeddings": 32,
    "num_object_labels": 4,
    "num_attr_labels": 6,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.125,
}
SHARED: dict[str, Any] = {
    "recipe": "adamw",
    "max_grad_norm": 1.0,
    "learning_rate": 1.5e-3,
    "text_length": 14,  # the longest has 13 tokens
    "batch_size": 64,
    "log_every": 50,
    "evaluate_batch_size": 512,
}
PRETRAINING = {"epochs": 10}
# Passes over the questions: fewer questions are seen more often.
FINE_TUNING = {200: {"epochs": 30}, 1000: {"epochs": 12}, 5000: {"epochs": 5}}
TESTED = 4_000  # test questions, for time's sake


def prepare(data: Path) -> None:
    """The scenes, and their texts parted by images: those to pre-train on, those to fine-tune on."""
    from lxmert.data.datasets import read_pretraining, read_vqa, write_pretraining, write_vqa
    from lxmert.data.synthetic.scenes.generate import make_scenes

    if not (data / "summary.json").exists():
        make_scenes(data, IMAGES, seed=0, processes=os.cpu_count() or 1)
    parts = data / "parts"
    if (parts / "questions.json").exists():
        return
    parts.mkdir(exist_ok=True)
    first = {f"scenes_train_{number:012d}" for number in range(PRETRAINING_IMAGES)}
    for kind in ("captions", "questions"):
        texts = read_pretraining([data / "pretrain" / f"{kind}_train.json"])
        rows = [row for row, image in enumerate(texts.images) if image in first]
        write_pretraining(parts / f"pretrain_{kind}.json", texts.take(rows))
    asked = read_vqa([data / "vqa" / "train.json"])
    rows = [row for row, image in enumerate(asked.images) if image not in first]
    write_vqa(parts / "test.json", read_vqa([data / "vqa" / "test.json"]).first(TESTED))
    write_vqa(parts / "questions.json", asked.take(rows))


def one_start(job: tuple[str, int, str, str]) -> dict[str, Any]:
    """Pre-train in one way with one seed, fine-tune on each number of questions, and answer the test questions."""
    name, seed, data, work = job
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import torch

    from lxmert.data.datasets import read_vqa, write_vqa
    from lxmert.training.run import train
    from lxmert.training.settings import make_settings
    from lxmert.training.trained_model import TrainedModel

    torch.set_num_threads(1)
    folder = Path(work) / f"{name.replace(' ', '-')}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    features = (f"{data}/regions",)
    shared = {**SHARED, "features": features, "vocabulary": f"{data}/vocab.txt", "seed": seed}
    start: dict[str, Any] = {"model_config": MODEL}
    losses = STARTS[name]
    if losses is not None:
        texts = tuple(f"{data}/parts/pretrain_{kind}.json" for kind in ("captions", "questions"))
        settings = make_settings(
            "pretrain",
            shared,
            PRETRAINING,
            start,
            {
                "train": texts,
                "answers": f"{data}/pretrain/all_ans.json",
                "losses": losses,
                "output": f"{folder}/pretrain",
            },
        )
        train(settings)
        start = {"model": f"{folder}/pretrain/best", "vocabulary": None}
    asked = read_vqa([f"{data}/parts/questions.json"])
    found = {}
    for size in SIZES:
        import numpy as np

        # Other questions for each seed, the same for every start.
        rows = np.random.default_rng([seed, size]).permutation(len(asked))[:size]
        questions = folder / f"questions-{size}.json"
        questions.parent.mkdir(parents=True, exist_ok=True)
        write_vqa(questions, asked.take(rows))
        settings = make_settings(
            "vqa",
            shared,
            FINE_TUNING[size],
            start,
            {
                "train": (str(questions),),
                "answers": f"{data}/vqa/trainval_label2ans.json",
                "output": f"{folder}/{size}",
            },
        )
        train(settings)
        checkpoint = TrainedModel(f"{folder}/{size}/best", "vqa", [f"{data}/parts/test.json"])
        found[str(size)] = checkpoint.scores()
    shutil.rmtree(folder)
    return {"start": name, "seed": seed, "accuracy": found}


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """The mean accuracy over the seeds for each start and number of questions, with the spread."""
    figure, axes = subplots(figsize=(7.5, 4.2))
    for place, name in enumerate(STARTS):
        points = [accuracies(results, name, size) for size in SIZES]
        means = [statistics.mean(point) for point in points]
        spread = [statistics.stdev(point) if len(point) > 1 else 0.0 for point in points]
        strong = name in ("from scratch", "all losses")
        axes.errorbar(
            [size * 1.03 ** (place - 3) for size in SIZES],
            means,
            spread,
            label=name,
            marker="o",
            capsize=2,
            linewidth=2.2 if strong else 1.2,
            linestyle="-" if strong else "--",
        )
    axes.set_xscale("log")
    axes.set_xticks(SIZES, [f"{size:,}" for size in SIZES])
    axes.minorticks_off()
    axes.set_xlabel("questions to fine-tune on")
    axes.set_ylabel("right answers, %")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, frameon=False)
    save(figure, path)


def accuracies(results: list[dict[str, Any]], name: str, size: int) -> list[float]:
    """The accuracy of every seed."""
    return [found["accuracy"][str(size)]["accuracy"] for found in results if found["start"] == name]


def table(results: list[dict[str, Any]]) -> str:
    """The table of docs/data.md."""
    lines = ["| start | " + " | ".join(f"{size:,} questions" for size in SIZES) + " |", "|---" * 4 + "|"]
    for name in STARTS:
        cells = []
        for size in SIZES:
            found = accuracies(results, name, size)
            spread = statistics.stdev(found) if len(found) > 1 else 0.0
            cells.append(f"{statistics.mean(found):.1f} ± {spread:.1f}" if found else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """Do what is not done yet; print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="scenes-10000", help="the folder of the scenes, made if it is not there")
    parser.add_argument("--work", default="gains-work", help="folder for checkpoints, which are removed again")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    data = Path(arguments.data).resolve()
    prepare(data)
    arguments.results.parent.mkdir(exist_ok=True)
    results = json.loads(arguments.results.read_text())["runs"] if arguments.results.exists() else []
    done = {(found["start"], found["seed"]) for found in results}
    jobs = [
        (name, seed, str(data), str(Path(arguments.work).resolve()))
        for seed in range(arguments.seeds)
        for name in STARTS
        if (name, seed) not in done
    ]
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for found in pool.imap_unordered(one_start, jobs):
            results.append(found)
            scored = ", ".join(f"{size}: {scores['accuracy']:.1f}" for size, scores in found["accuracy"].items())
            print(f"{found['start']}, seed {found['seed']}: {scored}", file=sys.stderr, flush=True)
            results.sort(key=lambda run: (run["seed"], list(STARTS).index(run["start"])))
            text = {"model": MODEL, "pretraining": PRETRAINING, "fine_tuning": FINE_TUNING, "runs": results}
            arguments.results.write_text(json.dumps(text, indent=1) + "\n")
    counted = [found for found in results if found["seed"] < arguments.seeds]
    draw(counted, arguments.results.with_suffix(".svg"))
    print(table(counted))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a training step of the base model costs: time and memory, for each task and backend.

    python benchmarks/training_cost.py [--steps 6]

Random features of 36 regions with 2048 numbers, and batches of 32 questions, as the authors have them (in pre-training
256). Each job is a process of its own; the first two steps, in which graphs are traced and memory is taken, do not
count. The results go to benchmarks/results/training_cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results" / "training_cost.json"
IMAGES, REGIONS, FEATURES = 128, 36, 2048
BATCH = 32
LEFT_OUT = 2  # steps in which graphs are traced and memory is taken
JOBS = [(task, "pt") for task in ("vqa", "nlvr2", "pretrain")] + [(task, "tf") for task in ("vqa", "nlvr2", "pretrain")]
ANSWERS = {"vqa": 3129, "gqa": 1842, "pretrain": 9500}


def main() -> None:
    """Make the data, run the jobs, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6, help="steps of each job")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--job", nargs=3, metavar=("TASK", "BACKEND", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(one(*arguments.job, arguments.steps)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        make_data(Path(folder), arguments.steps * BATCH)
        for task, backend in JOBS:
            job = ["--job", task, backend, folder, "--steps", str(arguments.steps)]
            done = subprocess.run([sys.executable, __file__, *job], check=True, capture_output=True, text=True)
            rows.append({"task": task, "backend": backend, **json.loads(done.stdout.splitlines()[-1])})
            print(
                f"{task:<9} {backend}  {rows[-1]['seconds_per_step']:6.2f} s a step of {BATCH}, "
                f"{rows[-1]['peak_mb']:6,.0f} MB at most, checkpoints {rows[-1]['checkpoint_mb']:,.0f} MB",
                flush=True,
            )
    found = {"batch": BATCH, "regions": REGIONS, "processors": os.cpu_count(), "jobs": rows}
    arguments.output.write_text(json.dumps(found, indent=1) + "\n")


def make_data(folder: Path, count: int) -> None:
    """A store of random features, and examples of every task."""
    from lxmert.data.datasets import (
        Questions,
        Sentences,
        Statements,
        write_gqa,
        write_nlvr2,
        write_pretraining,
        write_vqa,
    )
    from lxmert.data.features import RegionWriter

    random = np.random.default_rng(0)
    names = [f"image{number:05d}" for number in range(IMAGES)]
    with RegionWriter(folder / "regions", dtype="float16") as writer:
        for name in names:
            corners = np.sort(random.uniform(0, 400, (REGIONS, 2, 2)), axis=1)
            labels: dict[str, Any] = {
                "object_ids": random.integers(0, 1600, REGIONS),
                "object_confidence": random.uniform(0.2, 1, REGIONS),
                "attribute_ids": random.integers(0, 400, REGIONS),
                "attribute_confidence": random.uniform(0.2, 1, REGIONS),
            }
            features = np.maximum(random.normal(size=(REGIONS, FEATURES)), 0).astype(np.float32)
            writer.add(name, features, corners.reshape(REGIONS, 4).astype(np.float32), (400, 400), **labels)
    images = [names[number] for number in random.integers(0, IMAGES, count)]
    texts = ["what color is the small dog on the left of the old wooden table?"] * count
    answers = [{f"answer{number}": 1.0} for number in random.integers(0, 1000, count)]
    ids = list(range(count))
    write_vqa(folder / "vqa.json", Questions(ids, texts, images, answers))
    write_gqa(folder / "gqa.json", Questions([str(number) for number in ids], texts, images, answers))
    pairs = [(one, names[0]) for one in images]
    write_nlvr2(folder / "nlvr2.json", Statements([f"a-{n}-0-0" for n in ids], texts, pairs, [n % 2 for n in ids]))
    write_pretraining(folder / "pretrain.json", Sentences(texts, images, ["vqa"] * count, answers))
    for task, size in ANSWERS.items():
        (folder / f"{task}_answers.json").write_text(json.dumps([f"answer{number}" for number in range(size)]))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(set(texts[0].rstrip("?").split())), "?"]
    words += [f"word{number}" for number in range(30522 - len(words))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")


def one(task: str, backend: str, folder: str, steps: int) -> dict[str, float]:
    """Train so many steps, and tell the median time of one and the most memory."""
    from lxmert.training import run
    from lxmert.training.settings import make_settings
    from lxmert.utils.malloc import keep_memory

    keep_memory()  # as `lxmert train` does
    output = Path(folder) / f"{task}-{backend}"
    settings = make_settings(
        task,
        {
            "backend": backend,
            "train": [f"{folder}/{task}.json"],
            "features": [f"{folder}/regions"],
            "answers": f"{folder}/{task}_answers.json" if task in ANSWERS else None,
            "vocabulary": f"{folder}/vocab.txt",
            "output": str(output),
            "batch_size": BATCH,
            "epochs": 1,
            "log_every": 1,
        },
    )
    times = [time.perf_counter()]

    class Timed(run.Logs):
        def step(self, *given: Any) -> None:
            times.append(time.perf_counter())
            super().step(*given)

    run.Logs = Timed  # type: ignore[misc]
    run.train(settings)
    spans = np.diff(times)[LEFT_OUT:]
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds_per_step": statistics.median(spans.tolist()), "peak_mb": peak, "checkpoint_mb": size / 1e6}


if __name__ == "__main__":
    main()

"""How time and memory of the base model grow: with the batch, the length of the text, the regions, the questions.

    python benchmarks/linear_cost.py [--rounds 3]

Each row of the image has one of them grow while the others stay as they are in the authors' recipe (batch 8, 20
tokens, 36 regions). Time is the median of a forward pass in PyTorch and in Keras, of question answering in float32;
memory is what PyTorch takes at its peak beyond the model and its inputs. Questions are answered in bulk by
`answer_questions`, 5.4 for each image. The figures go to benchmarks/results/linear_cost.json, with the straight line
that fits them best and how far the farthest point is from it, and the image to linear_cost.svg.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from clock import in_turns, peak
from inputs import inputs, sentences, store_of, tokenizer_of
from plots import save, subplots

RESULTS = Path(__file__).parent / "results" / "linear_cost.json"
PLOT = RESULTS.with_suffix(".svg")
USUAL = {"batch": 8, "tokens": 20, "regions": 36}
GROWING = {
    "batch": [1, 2, 4, 8, 16, 32, 64],
    "tokens": [5, 10, 20, 40, 80, 160],
    "regions": [9, 18, 36, 72, 144],
}
QUESTIONS = [135, 270, 540, 1080]
TITLES = {
    "batch": "examples in a batch",
    "tokens": "tokens of a text",
    "regions": "regions of an image",
    "questions": "questions answered in bulk",
}


def forward(backend: str) -> Callable[..., Callable[[], Any]]:
    """What makes a forward pass of a given size."""
    from lxmert import LxmertConfig

    if backend == "pt":
        import torch

        from lxmert.pt import LxmertForQuestionAnswering

        torch.manual_seed(0)
        model = LxmertForQuestionAnswering(LxmertConfig()).eval()

        def of_size(**size: int) -> Callable[[], Any]:
            given = {name: torch.from_numpy(array) for name, array in inputs(**size).items()}

            def run() -> Any:
                with torch.inference_mode():
                    return model(**given).question_answering_score

            return run

        return of_size
    import keras
    import tensorflow as tf

    from lxmert.tf import TFLxmertForQuestionAnswering

    keras.utils.set_random_seed(0)
    network = TFLxmertForQuestionAnswering(LxmertConfig())
    graph = tf.function(lambda given: network(given, training=False).question_answering_score, reduce_retracing=True)

    def of_size_in_keras(**size: int) -> Callable[[], Any]:
        given = {name: tf.constant(array) for name, array in inputs(**size).items()}
        return lambda: graph(given).numpy()

    return of_size_in_keras


def answering(backend: str) -> Callable[[int], Callable[[], Any]]:
    """What answers so many questions in bulk."""
    from lxmert import LxmertConfig
    from lxmert.inference.backends import model_class
    from lxmert.inference.bulk import answer_questions

    folder = Path(tempfile.mkdtemp())
    images = -(-QUESTIONS[-1] * 10 // 54)
    store, tokenizer = store_of(folder / "regions", images), tokenizer_of(folder)
    texts = sentences(QUESTIONS[-1])
    config = LxmertConfig(num_qa_labels=3129)
    model = model_class(backend, "LxmertForQuestionAnswering")(config)
    table = [str(number) for number in range(3129)]

    def of_size(count: int) -> Callable[[], Any]:
        asked = [(f"image{number * 10 // 54:05d}", texts[number]) for number in range(count)]
        return lambda: list(answer_questions(model, tokenizer, asked, store, table))

    return of_size


def measure(backend: str, kind: str, rounds: int) -> dict[str, list[float]]:
    """Seconds or megabytes, by what grows."""
    make, make_answering = forward(backend), answering(backend)
    rows: dict[str, list[Callable[[], Any]]] = {
        name: [make(**{**USUAL, name: size}) for size in sizes] for name, sizes in GROWING.items()
    }
    rows["questions"] = [make_answering(count) for count in QUESTIONS]
    found = {}
    for name, jobs in rows.items():
        if kind == "megabytes":
            jobs[0]()  # what the framework keeps is there then
            found[name] = [peak(job) for job in jobs]
        else:
            several = rounds if name != "questions" else 1
            found[name] = list(in_turns({str(n): job for n, job in enumerate(jobs)}, several, several > 1).values())
    return found


def line(sizes: list[int], values: list[float]) -> dict[str, float]:
    """The straight line nearest to the values, by the square of the ratio, and its largest error as a part of them."""
    weights = 1 / np.array(values)
    slope, start = np.polyfit(sizes, values, 1, w=weights)
    return {
        "slope": slope,
        "start": start,
        "error": float(np.max(np.abs((slope * np.array(sizes) + start) * weights - 1))),
    }


def draw(results: dict[str, Any], path: Path) -> None:
    """Four rows of time and memory."""
    figure, axes = subplots(len(TITLES), 2, figsize=(9, 11))
    kinds = {"seconds": ("time, s", ("pt", "tf")), "megabytes": ("memory, MB", ("pt",))}
    names, colours = {"pt": "PyTorch", "tf": "Keras"}, {"pt": "#c2410c", "tf": "#1d4ed8"}
    for row, (name, title) in zip(axes, TITLES.items(), strict=True):
        sizes = results["sizes"][name]
        for axis, (kind, (label, backends)) in zip(row, kinds.items(), strict=True):
            for backend in backends:
                fitted = results[backend][name][kind]
                axis.plot(sizes, fitted["values"], "o", color=colours[backend], label=names[backend], markersize=4)
                ends = np.array([0, sizes[-1]])
                axis.plot(ends, fitted["slope"] * ends + fitted["start"], "-", color=colours[backend], linewidth=0.8)
            axis.set(xlabel=title, ylabel=label, xlim=(0, None), ylim=(0, None))
            axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].legend(frameon=False)
    save(figure, path)


def main() -> None:
    """Measure in processes, fit, draw, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="how often each job runs (default: 3)")
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    parser.add_argument("--kind", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.backend:
        print(json.dumps(measure(arguments.backend, arguments.kind, arguments.rounds)))
        return
    results: dict[str, Any] = {"sizes": GROWING | {"questions": QUESTIONS}}
    # For the peak of each job, glibc gives back at once what is freed; that takes time, which is measured without it.
    for backend, kind, setting in (
        ("pt", "seconds", {}),
        ("tf", "seconds", {"TF_CPP_MIN_LOG_LEVEL": "3"}),
        ("pt", "megabytes", {"MALLOC_MMAP_THRESHOLD_": "65536"}),
    ):
        command = [sys.executable, __file__, "--backend", backend, "--kind", kind, "--rounds", str(arguments.rounds)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | setting)
        for name, values in json.loads(done.stdout.splitlines()[-1]).items():
            fitted = line(results["sizes"][name], values)
            results.setdefault(backend, {}).setdefault(name, {})[kind] = {"values": values, **fitted}
            print(f"{backend} {kind} by {name}: at most {fitted['error']:.0%} off a straight line", flush=True)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    draw(results, PLOT)


if __name__ == "__main__":
    main()

"""The speed of single questions through `VisualQuestionAnswering`, compared with another version of this package.

    git worktree add ../before COMMIT
    python benchmarks/single_questions.py --baseline ../before [--rounds 9] [--questions 20]

A base-size LXMERT with random weights answers questions about a drawn image, one at a time, on the CPU. Each version is
a process of its own, and they take turns; compared are the medians of all rounds. The answers have to be the same. The
results go to benchmarks/results/single_questions.json, with the load of the machine: measure when nothing else runs.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from workers import Worker, serve, time_workers

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results" / "single_questions.json"
TEXTS = ("what color is the circle?", "is there not a red shape in the image?", "what shape is it?", "is it blue?")
ANSWERS = 3129  # as many as models of VQA v2 score
WARM_UP = 20  # questions before anything is measured: the weights are packed by then


def make_model(folder: Path) -> None:
    """Write a base-size model for the regions of this package, with a tokenizer and answers."""
    import torch

    from lxmert import LxmertConfig, LxmertForQuestionAnswering, VisualQuestionAnswering
    from lxmert.vision.shapes.regions import FEATURE_SIZE

    torch.manual_seed(0)
    tokenizer = VisualQuestionAnswering.from_pretrained("easy-vqa").tokenizer
    model = LxmertForQuestionAnswering(LxmertConfig(visual_feat_dim=FEATURE_SIZE, num_qa_labels=ANSWERS))
    VisualQuestionAnswering(model, tokenizer, [f"answer {n}" for n in range(ANSWERS)]).save_pretrained(folder)


def work(folder: str, name: str, questions: int) -> None:
    """Answer so many questions whenever asked to; runs in a process that imports one version of the package."""
    from PIL import Image, ImageDraw

    from lxmert import VisualQuestionAnswering

    image = Image.new("RGB", (160, 60), "white")
    for place, colour in zip((10, 60, 110), ("red", "blue", "teal"), strict=True):
        ImageDraw.Draw(image).ellipse([place, 15, place + 30, 45], fill=colour)
    answerer = VisualQuestionAnswering.from_pretrained(folder)
    first = [answerer(image, TEXTS[number % len(TEXTS)], top_k=3) for number in range(WARM_UP)]
    Path(folder, f"{name}.json").write_text(json.dumps(first))

    def job() -> None:
        for number in range(questions):
            answerer(image, TEXTS[number % len(TEXTS)])

    serve(job)


def check_answers(folder: Path, names: list[str]) -> float:
    """The largest difference of a score between the versions.

    Raises:
        SystemExit: they give different answers.
    """
    found = [json.loads((folder / f"{name}.json").read_text()) for name in names]
    largest = 0.0
    for ours, theirs in zip(*found, strict=True):
        if [each["answer"] for each in ours] != [each["answer"] for each in theirs]:
            raise SystemExit(f"the versions give different answers: {ours} and {theirs}")
        largest = max(largest, *(abs(a["score"] - b["score"]) for a, b in zip(ours, theirs, strict=True)))
    return largest


def main() -> None:
    """Measure both versions, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baseline", type=Path, metavar="PATH", help="a checkout of the version to compare with")
    parser.add_argument("--rounds", type=int, default=9, help="how often each version is measured (default: 9)")
    parser.add_argument("--questions", type=int, default=20, help="questions in a round (default: 20)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--worker", nargs=2, metavar=("FOLDER", "NAME"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker, arguments.questions)
        return
    load = [os.getloadavg()[0]]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_model(folder)
        versions = {"now": ROOT} | ({"baseline": arguments.baseline.resolve()} if arguments.baseline else {})
        workers = {}
        for version, path in versions.items():
            command = [sys.executable, __file__, "--worker", name, version, "--questions", str(arguments.questions)]
            workers[version] = Worker(command, {"PYTHONPATH": str(path)})
        difference = check_answers(folder, list(versions)) if arguments.baseline else None
        times = time_workers(workers, arguments.rounds)
    load.append(os.getloadavg()[0])
    results = {
        "milliseconds_a_question": {version: 1000 * time / arguments.questions for version, time in times.items()},
        "rounds": arguments.rounds,
        "questions": arguments.questions,
        "processors": os.cpu_count(),
        "load_before_and_after": load,
    }
    if arguments.baseline:
        results |= {"times_as_fast": times["baseline"] / times["now"], "largest_difference_of_a_score": difference}
    print(json.dumps(results, indent=1))
    arguments.output.parent.mkdir(exist_ok=True)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

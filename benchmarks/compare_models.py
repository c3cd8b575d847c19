"""LXMERT and VisualBERT on easy-VQA, in both backends: accuracy, parameters, training time.

Each model is trained from scratch as `lxmert train easy-vqa` does it, each run in a process of its own, one after the
other. Prints the table of docs/training.md, and writes the figures to benchmarks/results/compare_models.json.

    python benchmarks/compare_models.py [--seed N] [--epochs N] [--save FOLDER]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
from pathlib import Path
from typing import Any

from lxmert.data.synthetic.recipe import RECIPES
from lxmert.demo.compare_backends import TITLES as BACKEND_TITLES
from lxmert.utils.atomic_files import write_text
from lxmert.weights.naming.tables import TITLES

RESULTS = Path(__file__).parent / "results" / "compare_models.json"


def measure(model_type: str, backend: str, epochs: int | None, seed: int | None, save: Path | None) -> dict[str, Any]:
    """Train one model in one backend, and ask it the test questions.

    Args:
        model_type: "lxmert" or "visual_bert".
        backend: "pt" or "tf".
        epochs: passes over the data; the recipe's by default.
        seed: the recipe's by default.
        save: where the checkpoint goes, if it is to be kept.
    """
    from lxmert.data.synthetic.easy_vqa import load
    from lxmert.training.easy_vqa import accuracy, scores_of_split, train_easy_vqa, with_changes

    recipe = with_changes(RECIPES[model_type], epochs, seed)
    start = time.perf_counter()
    answerer = train_easy_vqa(backend, recipe, progress=False)
    seconds = time.perf_counter() - start
    data = load("test")
    right = accuracy(answerer, data, scores_of_split(answerer, data))
    if save is not None:
        answerer.save_pretrained(save / f"{model_type}-{backend}")
    return {
        "model": model_type,
        "backend": backend,
        "parameters": answerer.model.num_parameters(),
        "questions": len(data),
        "right": round(right * len(data)),
        "training_seconds": round(seconds, 1),
        "epochs": recipe.epochs,
        "seed": recipe.seed,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as docs/training.md shows them."""
    lines = ["| | parameters | right | training |", "|---|---|---|---|"]
    for row in rows:
        name = f"{TITLES[row['model']]}, {BACKEND_TITLES[row['backend']]}"
        part = row["right"] / row["questions"]
        right = f"{row['right']:,} of {row['questions']:,} ({part:.2%})"
        lines.append(f"| {name} | {row['parameters']:,} | {right} | {row['training_seconds']:.0f} s |")
    return "\n".join(lines)


def main() -> None:
    """Measure all four, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help="passes over the data (default: the recipe's)")
    parser.add_argument("--seed", type=int, help="of weights and data order (default: the recipe's)")
    parser.add_argument("--save", type=Path, help="keep the four checkpoints in this folder")
    arguments = parser.parse_args()
    rows = []
    # A fresh process each: the two frameworks' threads would stand in each other's way.
    context = multiprocessing.get_context("spawn")
    for model_type in RECIPES:
        for backend in BACKEND_TITLES:
            with context.Pool(1) as pool:
                given = (model_type, backend, arguments.epochs, arguments.seed, arguments.save)
                rows.append(pool.apply(measure, given))
            print(table(rows[-1:]).splitlines()[-1], flush=True)
    print(f"\n{table(rows)}")
    RESULTS.parent.mkdir(exist_ok=True)
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    write_text(RESULTS, json.dumps({"machine": machine, "runs": rows}, indent=2) + "\n")
    print(f"wrote {RESULTS}")


if __name__ == "__main__":
    main()

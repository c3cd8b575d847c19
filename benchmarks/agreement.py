"""Whether a trained model answers in bfloat16 as it does in float32, in both backends; and how it would in int8.

    lxmert data easy-vqa easy
    python benchmarks/agreement.py --data easy [--checkpoint FOLDER]

All test questions are answered in bulk; counted are those with the same answer in both dtypes, and those with the
correct one. The default checkpoint is the one that the package carries. In int8, which the package does not
compute in, PyTorch's products are rounded as such a product would: each row of a weight, and each input as a whole, to
255 steps. The results go to benchmarks/results/agreement.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.datasets import read_vqa
from lxmert.data.features import open_regions
from lxmert.inference.answering import checkpoint_answers
from lxmert.inference.backends import model_class
from lxmert.inference.bulk import answer_questions
from lxmert.weights.model_files import find_model

RESULTS = Path(__file__).parent / "results" / "agreement.json"


def answers(backend: str, dtype: str, folder: Path, questions: Any, store: Any) -> list[str]:
    """The answers of the model to all questions."""
    model: Any = model_class(backend, "LxmertForQuestionAnswering").from_pretrained(folder, dtype=dtype)
    tokenizer = LxmertTokenizer.from_pretrained(folder)
    found = answer_questions(model, tokenizer, questions, store, checkpoint_answers(folder), progress=True)
    return [answer.answer for answer in found]


@contextmanager
def rounded_products() -> Iterator[None]:
    """PyTorch's linear layers with values rounded to eight bits."""
    import torch
    from torch.nn import functional

    own = functional.linear

    def eight_bits(x: torch.Tensor, largest: torch.Tensor) -> torch.Tensor:
        step = (largest / 127).clamp(min=1e-30)
        return (x / step).round() * step

    def product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
        return own(eight_bits(x, x.abs().max()), eight_bits(weight, weight.abs().amax(1, keepdim=True)), bias)

    functional.linear = product
    try:
        yield
    finally:
        functional.linear = own


def main() -> None:
    """Answer, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="what `lxmert data` wrote")
    parser.add_argument("--checkpoint", default="easy-vqa", help="a folder with a trained LXMERT (default: easy-vqa)")
    parser.add_argument("--name", default="easy-vqa", help="under which the results are kept")
    arguments = parser.parse_args()
    folder = find_model(arguments.checkpoint)
    questions = read_vqa(arguments.data / "vqa" / "test.json")
    right = [next(iter(label), None) for label in questions.answers or ()]
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    store = open_regions(arguments.data / "regions")
    for backend in ("pt", "tf"):
        exact, rounded = (answers(backend, dtype, folder, questions, store) for dtype in ("float32", "bfloat16"))
        found = {
            "questions": len(exact),
            "same": sum(a == b for a, b in zip(exact, rounded, strict=True)),
            "right_in_float32": sum(a == b for a, b in zip(exact, right, strict=True)),
            "right_in_bfloat16": sum(a == b for a, b in zip(rounded, right, strict=True)),
        }
        if backend == "pt":
            with rounded_products():
                eight = answers(backend, "float32", folder, questions, store)
            found["same_in_int8"] = sum(a == b for a, b in zip(exact, eight, strict=True))
        results.setdefault(arguments.name, {})[backend] = found
        print(backend, found)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

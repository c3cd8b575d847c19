"""Whether a trained model answers in bfloat16 and in int8 as it does in float32.

    lxmert data easy-vqa easy
    lxmert data scenes scenes
    python benchmarks/agreement.py --data easy --checkpoint easy-vqa easy-vqa-visual-bert
    python benchmarks/agreement.py --data scenes --checkpoint scenes scenes-visual-bert

All test questions are answered, in bfloat16 by both backends, in int8 by PyTorch; counted are those with the
same answer as in float32, and those with the correct one. The checkpoints of these names are in the package. The error
of an int8 layer is the root mean square of its difference from the floating-point layer with the same input, over that
of the layer's output without its bias; given is the largest of each kind of layer. The results go to
benchmarks/results/agreement.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.datasets import Questions, read_vqa
from lxmert.data.features import open_regions
from lxmert.inference.answering import checkpoint_answers
from lxmert.inference.backends import model_class, numpy_model
from lxmert.inference.bulk import answer_questions
from lxmert.inference.question_models import QUESTION_MODELS, scores_name
from lxmert.weights.model_files import find_model

RESULTS = Path(__file__).parent / "results" / "agreement.json"
CLASSES = {"lxmert": "LxmertForQuestionAnswering", "visual_bert": "VisualBertForQuestionAnswering"}


def load(backend: str, folder: Path, **options: Any) -> Any:
    """The model in a folder."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    return model_class(backend, CLASSES[kind]).from_pretrained(folder, **options)


def answers(model: Any, folder: Path, questions: Any, store: Any) -> list[str]:
    """The answers of the model to all questions: LXMERT's in bulk, VisualBERT's in batches with padding."""
    tokenizer, table = LxmertTokenizer.from_pretrained(folder), checkpoint_answers(folder)
    kind = model.config.model_type
    if kind == "lxmert":
        return [answer.answer for answer in answer_questions(model, tokenizer, questions, store, table)]
    run, reads, found = numpy_model(model, True), QUESTION_MODELS[kind], list[str]()
    for start in range(0, len(questions.texts), 64):
        part = slice(start, start + 64)
        text = reads.encode(tokenizer, questions.texts[part], 20)
        regions = store.batch(store.places(questions.images[part]))
        scores = run({**text, **reads.name_regions(regions)})[scores_name(kind)]
        found += [table[number] for number in scores.argmax(1)]
    return found


def layer_errors(folder: Path, questions: Any, store: Any) -> dict[str, float]:
    """The largest error of the int8 layers of each kind, by its name."""
    import torch

    from lxmert.pt.quantization import Int8Linear

    model, rounded = load("pt", folder), load("pt", folder, quantize="int8")
    sums: dict[str, list[float]] = {}

    def watch(path: str, layer: Int8Linear) -> None:
        def add(linear: Any, given: Any, out: torch.Tensor) -> None:
            apart = (layer(given[0]) - out).square().sum()
            total = (out - linear.bias).square().sum()
            sums[path] = [a + float(b) for a, b in zip(sums.get(path, (0.0, 0.0)), (apart, total), strict=True)]

        model.get_submodule(path).register_forward_hook(add)

    for path, layer in rounded.named_modules():
        if isinstance(layer, Int8Linear):
            watch(path, layer)
    answers(model, folder, questions, store)
    errors: dict[str, float] = {}
    for path, (apart, total) in sums.items():
        kind = path.rpartition(".")[2]
        errors[kind] = max(errors.get(kind, 0.0), round((apart / total) ** 0.5, 4))
    return errors


def compare(folder: Path, data: Path, backends: list[str]) -> dict[str, Any]:
    """The counts of a checkpoint."""
    questions, store = read_vqa(data / "vqa" / "test.json"), open_regions(data / "regions")
    right = [next(iter(label), None) for label in questions.answers or ()]

    def same(one: list[Any], other: list[Any]) -> int:
        return sum(a == b for a, b in zip(one, other, strict=True))

    results = {}
    for backend in backends:
        exact = answers(load(backend, folder, dtype="float32"), folder, questions, store)
        found = {"questions": len(exact), "right_in_float32": same(exact, right)}
        for name, options in {"bfloat16": {"dtype": "bfloat16"}, "int8": {"quantize": "int8"}}.items():
            if (backend, name) != ("tf", "int8"):
                rounded = answers(load(backend, folder, **options), folder, questions, store)
                found |= {f"same_in_{name}": same(exact, rounded), f"right_in_{name}": same(rounded, right)}
        results[backend] = found
        print(folder.name, backend, found)
    if "pt" in backends:
        few = Questions(questions.ids[:640], questions.texts[:640], questions.images[:640])
        results["int8_errors"] = layer_errors(folder, few, store)
        print(results["int8_errors"])
    return results


def main() -> None:
    """Answer, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="what `lxmert data` wrote")
    parser.add_argument("--checkpoint", nargs="+", required=True, help="folders with trained models, or their names")
    parser.add_argument("--backend", nargs="+", default=["pt", "tf"], choices=["pt", "tf"], help="default: both")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for checkpoint in arguments.checkpoint:
        found = compare(find_model(checkpoint), arguments.data, arguments.backend)
        results.setdefault(Path(checkpoint).name, {}).update(found)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

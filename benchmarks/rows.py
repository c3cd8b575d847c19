"""The rows of the table of docs/speed.md: who computes what, how much work it is, and what is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import work
from inputs import IMAGES, QUESTIONS, REGIONS, TOKENS, labels, lengths
from prepare import PART_OF_IMAGES, config
from sides import PAIRS as PART_OF_PAIRS
from sides import PART_OF_QUESTIONS, PART_OF_SENTENCES, PART_ONE_BY_ONE, SENTENCES

PEERS = ("transformers", "onnx")  # beside "ours"


@dataclass(frozen=True)
class Side:
    """A process of a row.

    Attributes:
        job: what `sides.py` reads: the function, and its arguments.
        part: which part of the row's work it does; its time is divided by that.
    """

    job: dict[str, Any]
    part: float = 1.0


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        title: what is done.
        sides: who does it: "ours", and peers.
        dtype: the products that set the limit; None: there is none.
        flops: the floating-point operations that the answer needs.
        asked: the least share of the limit, and the least ratio to each peer.
        unit: of what is measured: "s", or "MB".
        apart: how far the scores may be from those of `transformers` or ONNX Runtime, where they are compared; None
            where both are rounded, so that only their answers are.
        note: what the title does not say: the dtype of a peer, where it is another one.
    """

    title: str
    sides: dict[str, Side]
    dtype: str | None
    flops: Callable[[], int] | None
    asked: dict[str, float]
    unit: str = "s"
    apart: float | None = None
    note: str = ""


def _side(job: str, who: str, part: float = 1.0, **arguments: Any) -> Side:
    return Side({"job": job, "who": who, **arguments}, part)


_APART = {"float32": 2e-4, "bfloat16": 0.3, "int8": None}
_NAMES = {"lxmert": "LXMERT", "visual_bert": "VisualBERT"}
_COUNTS = {"lxmert": work.lxmert_answer, "visual_bert": work.visual_bert_answer}


def _answer_work(model: str, batch: int) -> int:
    return batch * _COUNTS[model](config(model), TOKENS, REGIONS)


def _forward(model: str, batch: int, dtype: str, **asked: float) -> Row:
    whom = {"float32": ("transformers", "onnx"), "bfloat16": ("transformers",), "int8": ("onnx",)}[dtype]
    return Row(
        f"{_NAMES[model]}: answers, batch {batch}, {dtype}",
        {who: _side("forward", who, model=model, dtype=dtype, batch=batch) for who in ("ours", *whom)},
        dtype,
        lambda: _answer_work(model, batch),
        asked,
        apart=_APART[dtype],
    )


def _training(model: str, autocast: bool, **asked: float) -> Row:
    name = f"{_NAMES[model].replace('LXMERT', 'Lxmert').replace('BERT', 'Bert')}ForQuestionAnswering"
    dtype = "bfloat16" if autocast else "float32"
    return Row(
        f"{_NAMES[model]}: training step, batch 32, {dtype}{' autocast' if autocast else ''}",
        {who: _side("training", who, name=name, batch=32, autocast=autocast) for who in ("ours", "transformers")},
        dtype,
        lambda: work.training(_answer_work(model, 32)),
        asked,
    )


def _pretraining(batch: int) -> Row:
    def flops() -> int:
        given = labels("LxmertForPreTraining", batch)
        words, features = int((given["labels"] != -100).sum()), int((given["obj_labels"]["feat"][1] != 0).sum())
        return work.training(work.pretraining(config("lxmert"), batch, TOKENS, REGIONS, words, features))

    return Row(
        f"LXMERT: pre-training step, batch {batch}, all losses, float32",
        {
            who: _side("training", who, name="LxmertForPreTraining", batch=batch, autocast=False)
            for who in ("ours", "transformers")
        },
        "float32",
        flops,
        {"share": 0.8, "transformers": 1.6},
    )


def _answering(dtype: str, share: float, ratio: float) -> Row:
    whole, part = (
        work.answering(config("lxmert"), lengths(questions), images, REGIONS)
        for questions, images in ((QUESTIONS, IMAGES), (PART_OF_QUESTIONS, PART_OF_IMAGES))
    )
    return Row(
        f"LXMERT: {QUESTIONS:,} questions about {IMAGES:,} images, {dtype}",
        {
            "ours": _side("answering", "ours", part / whole, dtype=dtype),
            "transformers": _side("answering", "transformers", PART_ONE_BY_ONE / QUESTIONS, dtype="float32"),
        },
        dtype,
        lambda: whole,
        {"share": share, "transformers": ratio},
        note="" if dtype == "float32" else "peer: float32",
    )


def _matching() -> Row:
    texts = lengths(SENTENCES)
    whole, part = (
        work.matching(config("lxmert"), texts[:count], 100, REGIONS) for count in (SENTENCES, PART_OF_SENTENCES)
    )
    # The peer encodes every pair anew, and does pairs of the first sentence.
    pairs = [work.lxmert_answer(config("lxmert"), int(length), REGIONS) for length in texts]
    return Row(
        "LXMERT: 100 sentences with 100 images, float32",
        {
            "ours": _side("matching", "ours", part / whole),
            "transformers": _side("matching", "transformers", PART_OF_PAIRS * pairs[0] / (100 * sum(pairs))),
        },
        "float32",
        lambda: whole,
        {"share": 0.85, "transformers": 3.0},
        apart=1e-4,
    )


def _keras(batch: int, dtype: str, share: float) -> Row:
    return Row(
        f"Keras, LXMERT: answers, batch {batch}, {dtype}",
        {
            "ours": _side("keras", "ours", dtype=dtype, batch=batch),
            "transformers": _side("keras", "transformers", dtype="float32", batch=batch),
        },
        dtype,
        lambda: _answer_work("lxmert", batch),
        {"share": share, "transformers": 1.2},
        note="" if dtype == "float32" else "peer: float32",
    )


def _plain(job: str, title: str, ratio: float, unit: str = "s") -> Row:
    sides = {who: _side(job, who) for who in ("ours", "transformers")}
    return Row(title, sides, None, None, {"transformers": ratio}, unit=unit)


@cache
def rows() -> dict[str, Row]:
    """All rows by name."""
    found = {}
    for model, short in (("lxmert", ""), ("visual_bert", "visual-bert-")):
        found |= {
            f"{short}forward-32-float32": _forward(model, 32, "float32", share=0.92, onnx=1.1),
            f"{short}forward-1-float32": _forward(model, 1, "float32", share=0.7, onnx=1.2),
            f"{short}forward-32-bfloat16": _forward(model, 32, "bfloat16", share=0.85, transformers=1.35),
            f"{short}forward-1-bfloat16": _forward(model, 1, "bfloat16", share=0.5, transformers=1.9),
            f"{short}forward-32-int8": _forward(model, 32, "int8", share=0.6, onnx=1.25),
            f"{short}forward-1-int8": _forward(model, 1, "int8", share=0.45, onnx=1.25),
            f"{short}training-32-float32": _training(model, False, share=0.85, transformers=1.25),
            f"{short}training-32-bfloat16": _training(model, True, share=0.8, transformers=1.25),
        }
    found |= {f"pretraining-{batch}": _pretraining(batch) for batch in (8, 32)}
    found |= {
        f"answering-{dtype}": _answering(dtype, share, ratio)
        for dtype, share, ratio in (("float32", 0.85, 2.5), ("bfloat16", 0.8, 4.5), ("int8", 0.6, 8.0))
    }
    found["matching"] = _matching()
    for batch in (32, 1):
        found |= {
            f"keras-forward-{batch}-{dtype}": _keras(batch, dtype, share)
            for dtype, share in (("float32", 0.85), ("bfloat16", 0.8), ("int8", 0.5))
        }
    found["first-answer"] = _plain("first_answer", "`import` to the first answer", 1.5)
    found["activations"] = _plain("activations", "activation memory of a training step, batch 32", 2.0, "MB")
    return found


def groups(names: list[str]) -> list[list[str]]:
    """Names of rows, of which those with a side in common are measured together."""
    found: list[list[str]] = []
    for name in names:
        jobs = [side.job for side in rows()[name].sides.values()]
        for group in found:
            if any(side.job in jobs for other in group for side in rows()[other].sides.values()):
                group.append(name)
                break
        else:
            found.append([name])
    return found


def share(found: dict[str, Any]) -> float | None:
    """The part of the limit that our time reaches, from what is measured of a row; None if that is not known."""
    if "ours" not in found["values"] or "flops" not in found:
        return None
    return found["flops"] / (found["gflops"] * 1e9) / found["values"]["ours"]


def ratio(found: dict[str, Any], peer: str) -> float | None:
    """How many times faster than a peer ours is, or takes less memory; None if one of them was not measured."""
    values = found["values"]
    return values[peer] / values["ours"] if peer in values and "ours" in values else None


def apart(scores: np.ndarray, others: np.ndarray) -> tuple[float, float]:
    """The largest difference of two arrays of scores, and the part of their rows with the same best one."""
    return float(np.abs(scores - others).max()), float((scores.argmax(-1) == others.argmax(-1)).mean())

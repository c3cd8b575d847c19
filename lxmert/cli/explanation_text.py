"""Explanations as the terminal shows them: answers, and tables of words and regions with bars; and as JSON."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .asking import answers_text
from .options import table

if TYPE_CHECKING:
    from lxmert.explain.views import AnswerView, ImageView, ModelView
    from lxmert.inference.answering import ScoredAnswer

_BAR = 10  # characters of the longest
_COLUMNS = 3  # answers beside each other, as 80 characters hold
_REGIONS = 5  # the most of a table
Rows = Sequence[Mapping[str, Any]]  # of `region_rows`


def explanation_text(view: ImageView, regions: Rows) -> str:
    """Each question with its answers, and for each method what words and regions count for them."""
    from lxmert.explain.methods import METHODS
    from lxmert.utils.messages import escaped

    parts = []
    for question in view.questions:
        model = question.models[0]
        parts.append(answers_text([(question.question, scored(model))]))
        for method in model.answers[0].methods:
            if not METHODS[method].depends_on_answer:
                parts += _tables(view, model.tokens, [("every answer", model.answers[0])], method, regions)
                continue
            for start in range(0, len(model.answers), _COLUMNS):
                answers = [(escaped(answer.answer), answer) for answer in model.answers[start : start + _COLUMNS]]
                parts += _tables(view, model.tokens, answers, method, regions)
    return "\n\n".join(parts)


def explanation_json(view: ImageView, regions: Rows) -> dict[str, Any]:
    """The same as JSON: of each answer and method the number of every token and region."""
    answers = [
        {
            "question": question.question,
            "tokens": model.tokens,
            "answers": [
                {
                    "answer": answer.answer,
                    "score": answer.probability,
                    "methods": {
                        name: {"words": one.words.tolist(), "regions": one.regions.tolist()}
                        for name, one in answer.methods.items()
                    },
                }
                for answer in model.answers
            ],
        }
        for question in view.questions
        for model in question.models
    ]
    return {"answers": answers, "regions": list(regions)}


def scored(model: ModelView) -> list[ScoredAnswer]:
    """The answers of a model with their probabilities."""
    return [{"answer": answer.answer, "score": answer.probability} for answer in model.answers]


def _tables(
    view: ImageView, tokens: Sequence[str], answers: Sequence[tuple[str, AnswerView]], method: str, regions: Rows
) -> Iterator[str]:
    """A table of words and one of regions, with a column for each of the answers, with what stands above it."""
    from lxmert.explain.methods import METHODS
    from lxmert.utils.messages import escaped

    names = [name for name, _ in answers]
    shown = [answer.methods[method] for _, answer in answers]
    of_words, of_regions = ([getattr(one, kind).tolist() for one in shown] for kind in ("words", "regions"))
    columns = [_bars(values) for values in of_words]
    yield table(
        (METHODS[method].title, *names),
        [(escaped(token), *(column[row] for column in columns)) for row, token in enumerate(tokens)],
        left=1 + len(names),
    )
    columns = [_bars(values) for values in of_regions]
    shares = [_shares(number, of_regions) for number in range(len(regions))]
    order = sorted(range(len(regions)), key=lambda number: (max(shares[number]), shares[number]), reverse=True)
    rows = []
    for number in order[:_REGIONS]:
        label = view.labels[number] if view.labels is not None else ""
        box = " ".join(f"{side:.0f}" for side in regions[number]["box"])
        rows.append((f"{number} {label}".rstrip(), box, *(column[number] for column in columns)))
    text = table(("region", "x1 y1 x2 y2", *names), rows, left=2 + len(names))
    left_out = len(order) - len(rows)
    yield f"{text}\nand {left_out} weaker" if left_out else text
    if min(map(min, [*of_words, *of_regions])) < 0:
        yield f"{_patterns()[1] * 3} speaks against the answer."


def _shares(number: int, columns: Sequence[Sequence[float]]) -> list[float]:
    """How strong a region is in each column, as a part of the strongest."""
    return [abs(values[number]) / (max(map(abs, values)) or 1) for values in columns]


def _bars(values: Sequence[float]) -> list[str]:
    """A bar and the number of each value: the longest has `_BAR` characters, what is below 0 another pattern."""
    most = max(map(abs, values)) or 1
    digits = max(0, 2 - math.floor(math.log10(most)))
    positive, negative = _patterns()
    numbers = [f"{round(value, digits) + 0.0:.{digits}f}" for value in values]  # + 0.0: without "-0.00"
    width = max(map(len, numbers))
    return [
        f"{(positive if value >= 0 else negative) * round(_BAR * abs(value) / most):<{_BAR}} {number:>{width}}"
        for value, number in zip(values, numbers, strict=True)
    ]


def _patterns() -> tuple[str, str]:
    """The characters of bars for what speaks for an answer and against it, as the terminal can show them."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        "█▒".encode(encoding)
    except UnicodeEncodeError:
        return "#", "-"
    return "█", "▒"

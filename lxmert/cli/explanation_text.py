"""Explanations as the terminal shows them: answers, and tables of words and regions with their shares; and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .asking import answers_text
from .options import table
from .process import can_print

if TYPE_CHECKING:
    import numpy as np

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
    """The same as JSON: of each answer and method the number of every token and region, which are no shares yet."""
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
    from lxmert.explain.shares import strengths
    from lxmert.utils.messages import escaped

    names, signed = [name for name, _ in answers], METHODS[method].signed
    shown = [answer.methods[method] for _, answer in answers]
    columns = [_bars(one.words, signed) for one in shown]
    yield table(
        (METHODS[method].title, *names),
        [(escaped(token), *(column[row] for column in columns)) for row, token in enumerate(tokens)],
        left=1 + len(names),
    )
    columns = [_bars(one.regions, signed) for one in shown]
    strong = list(zip(*(strengths(one.regions).tolist() for one in shown), strict=True))  # of each region
    order = sorted(range(len(regions)), key=lambda number: (max(strong[number]), strong[number]), reverse=True)
    rows = []
    for number in order[:_REGIONS]:
        label = view.labels[number] if view.labels is not None else ""
        box = " ".join(f"{side:.0f}" for side in regions[number]["box"])
        rows.append((f"{number} {label}".rstrip(), box, *(column[number] for column in columns)))
    text = table(("region", "x1 y1 x2 y2", *names), rows, left=2 + len(names))
    left_out = len(order) - len(rows)
    yield f"{text}\nand {left_out} weaker" if left_out else text
    if signed:
        yield f"{_patterns()[1] * 3} speaks against the answer."


def _bars(values: np.ndarray, signed: bool) -> list[str]:
    """A bar and the share of each value: the longest has `_BAR` characters, what is below 0 another pattern."""
    from lxmert.explain.shares import formatted, shares, strengths

    positive, negative = _patterns()
    numbers = [formatted(share, signed).replace("\N{MINUS SIGN}", "-") for share in shares(values)]  # ASCII
    width = max(map(len, numbers))
    return [
        f"{(negative if value < 0 else positive) * round(_BAR * strength):<{_BAR}} {number:>{width}}"
        for value, strength, number in zip(values, strengths(values), numbers, strict=True)
    ]


def _patterns() -> tuple[str, str]:
    """The characters of bars for what speaks for an answer and against it, as the terminal can show them."""
    return ("█", "▒") if can_print("█▒") else ("#", "-")

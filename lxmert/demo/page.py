"""A page with images, their regions, and each question's attention to them. One HTML file without other files."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from lxmert.utils.atomic_files import write_text
from lxmert.utils.optional_imports import require


@dataclass
class ModelAnswers:
    """One model's answers to a question.

    Attributes:
        model: its title.
        answers: for each backend's title the answer and its score.
        tokens: the tokens as the model read them, L of them.
        region_attention: [L, R], how much each token attends to each region.
    """

    model: str
    answers: dict[str, tuple[str, float]]
    tokens: list[str]
    region_attention: np.ndarray


@dataclass
class QuestionResult:
    """A question about an image, the true answer if it is known, and the answers of each model."""

    question: str
    truth: str | None
    models: list[ModelAnswers] = field(default_factory=list)


@dataclass
class ImageResult:
    """An image [H, W, 3] (uint8), its regions' boxes [R, 4] in 0 … 1, and the questions about it."""

    name: str
    image: np.ndarray
    boxes: np.ndarray
    questions: list[QuestionResult] = field(default_factory=list)


_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #c62828; --attention: 230 90 20 }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem; margin-bottom: 0 }
p.lead { margin-top: .3rem; opacity: .8 }
table.figures { border-collapse: collapse; margin: 1rem 0 }
.figures td, .figures th { padding: .2rem 1rem .2rem 0; text-align: left }
section { display: flex; flex-wrap: wrap; gap: 1.5rem; border-top: 1px solid var(--line); padding: 1.2rem 0 }
figure { margin: 0; flex: 0 0 240px }
figcaption { font-size: .85rem; opacity: .75; margin-top: .3rem }
.questions { flex: 1 1 26rem; min-width: 0 }
.questions > div { margin-bottom: 1.1rem }
.question { font-weight: 600 }
.truth { font-weight: 400; opacity: .75; margin-left: .6rem }
.model { display: inline-block; min-width: 6.5rem; opacity: .75 }
.answer { margin-right: 1rem; white-space: nowrap }
.right { color: var(--good) }
.wrong { color: var(--bad) }
.attention { display: flex; gap: 1rem; align-items: flex-start; margin-top: .4rem }
.tokens span { display: inline-block; padding: .05rem .35rem; margin: .1rem }
.tokens span { border-radius: .3rem; border: 1px solid var(--line) }
svg { display: block; border-radius: .4rem; image-rendering: pixelated }
"""


def write_page(
    path: str | Path, title: str, lead: str, figures: Sequence[Sequence[str]], images: Sequence[ImageResult]
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: its heading.
        lead: a sentence below the heading.
        figures: rows of a small table: a name, and a value for each model; the first row is the heading.
        images: the images.
    """
    heading, *others = ([html.escape(cell) for cell in row] for row in figures)
    rows = f"<tr>{''.join(f'<th>{cell}</th>' for cell in heading)}</tr>" + "".join(
        f"<tr><th>{name}</th>{''.join(f'<td>{value}</td>' for value in values)}</tr>" for name, *values in others
    )
    text = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{html.escape(title)}</h1><p class="lead">{html.escape(lead)}</p>
<table class="figures">{rows}</table>
<p>The large image shows the regions that the models read: region 0 is the whole image. Below each question, for
each model, the darker a region, the more the question's words attend to it (attention from language to vision, mean
over heads and layers); and the darker a word, the more that word attends to the shapes rather than to the whole
image.</p>
{"".join(_section(image) for image in images)}
</body></html>
"""
    write_text(path, text)


def _section(image: ImageResult) -> str:
    data_uri = _data_uri(image.image)
    height, width = image.image.shape[:2]
    questions = "".join(_question(image, result, data_uri) for result in image.questions)
    return f"""<section><figure>{_drawing(data_uri, image.boxes, None, 240)}
<figcaption>{html.escape(image.name)}, {width} by {height} pixels, {len(image.boxes)} regions</figcaption>
</figure><div class="questions">{questions}</div></section>
"""


def _question(image: ImageResult, result: QuestionResult, data_uri: str) -> str:
    truth = "" if result.truth is None else f' <span class="truth">true: {html.escape(result.truth)}</span>'
    models = "".join(_answers(image, result.truth, model, data_uri) for model in result.models)
    return f"""<div><div class="question">{html.escape(result.question)}{truth}</div>{models}</div>
"""


def _answers(image: ImageResult, truth: str | None, model: ModelAnswers, data_uri: str) -> str:
    answers = []
    for backend, (answer, score) in model.answers.items():
        mark = "" if truth is None else " right" if answer == truth else " wrong"
        answers.append(
            f'<span class="answer{mark}">{html.escape(backend)}: <b>{html.escape(answer)}</b> {score:.2%}</span>'
        )
    shapes = model.region_attention[:, 1:].sum(axis=1)
    span = shapes.max() - shapes.min()
    tokens = "".join(
        f'<span style="background: rgb(var(--attention) / {0.05 + 0.6 * (value - shapes.min()) / (span or 1):.2f})" '
        f'title="{value:.0%} of its attention to the shapes">{html.escape(token)}</span>'
        for token, value in zip(model.tokens, shapes, strict=True)
    )
    drawing = _drawing(data_uri, image.boxes, model.region_attention.mean(axis=0), 80)
    return f"""<div class="attention">{drawing}<div><div><span class="model">{html.escape(model.model)}</span>
{"".join(answers)}</div><div class="tokens">{tokens}</div></div></div>
"""


def _drawing(data_uri: str, boxes: np.ndarray, region_attention: np.ndarray | None, size: int) -> str:
    """The image with its boxes: numbered, or tinted by the attention to each, [R]."""
    shapes = []
    for i, (x1, y1, x2, y2) in enumerate(boxes * 100):
        tint = 0 if region_attention is None else float(region_attention[i])
        share = "" if region_attention is None else f"<title>region {i}: {tint:.0%} of the attention</title>"
        shapes.append(
            f'<rect x="{x1:.2f}" y="{y1:.2f}" width="{x2 - x1:.2f}" height="{y2 - y1:.2f}" fill="rgb(230 90 20)" '
            f'fill-opacity="{0.4 * tint:.2f}" stroke="rgb(230 90 20)" stroke-width="1.5">{share}</rect>'
        )
        if region_attention is None and i:
            shapes.append(
                f'<text x="{x1 + 1.5:.2f}" y="{max(y1 - 2, 7):.2f}" font-size="7" fill="rgb(230 90 20)">{i}</text>'
            )
    return (
        f'<svg width="{size}" height="{size}" viewBox="0 0 100 100">'
        f'<image href="{data_uri}" width="100" height="100" preserveAspectRatio="none"/>{"".join(shapes)}</svg>'
    )


def _data_uri(image: np.ndarray) -> str:
    """An image as a PNG inside the page."""
    buffer = io.BytesIO()
    require("PIL.Image", "Writing the page").fromarray(image).save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

"""A run of the demo: each checkpoint in both backends on the questions that it knows, a comparison, and a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lxmert.demo.compare_backends import TITLES, BackendComparison, compare, figures, load_both
from lxmert.demo.examples import WRONG, Example, choose_examples
from lxmert.demo.questions import questions_for
from lxmert.explain.page import write_page
from lxmert.explain.questions import explain_questions
from lxmert.explain.views import ImageView, QuestionView
from lxmert.utils.progress import tracked
from lxmert.utils.temporary_files import system_folder
from lxmert.vision.images import open_image

CHECKPOINTS = ("easy-vqa", "easy-vqa-visual-bert", "scenes", "scenes-visual-bert")
"""Those that come with the package, LXMERT's and VisualBERT's."""

_NO_PLACES = "VisualBERT does not read where a region is, so it guesses at what is left, right or near. "


@dataclass
class Demo:
    """The results: a comparison for each model, and the images of the page with the answers about them."""

    comparisons: list[BackendComparison]
    images: list[ImageView]


def run_demo(
    sources: Sequence[str | Path] = CHECKPOINTS,
    page: str | Path = "lxmert-demo.html",
    show: Callable[[str], None] = print,
    progress: bool = True,
) -> Demo:
    """Answer questions in PyTorch and in Keras, show how the answers agree, and write a page that explains some.

    Args:
        sources: for each model the name of a checkpoint of the package, or a folder that
            `VisualQuestionAnswering.from_pretrained` takes. Its answers decide whether it is asked the test questions
            of easy-VQA or questions about scenes.
        page: the HTML file to write. It shows the images that the last model was asked about, with the answers of all
            models that were asked about them.
        show: is called with each line for the user.
        progress: whether to show progress bars.

    Raises:
        ValueError: a model that has the answers of neither.
    """
    comparisons = _compare_all(sources, show, progress)
    show("")
    for name, *values in figures(comparisons):
        show(f"{name:<24}" + "".join(f"{value:>20}" for value in values))
    of_page = [comparison for comparison in comparisons if comparison.asked is comparisons[-1].asked]
    images = explained_examples(of_page, progress)
    _show_answers(images, show)
    titles = " and ".join(dict.fromkeys(comparison.title for comparison in of_page))
    write_page(
        page, f"Why {titles} give these answers", images, lead=_lead(of_page, comparisons), figures=figures(comparisons)
    )
    show(f"\nWrote {page}: open it to see which words and which regions each answer came from.")
    return Demo(comparisons, images)


def _compare_all(sources: Sequence[str | Path], show: Callable[[str], None], progress: bool) -> list[BackendComparison]:
    """Each checkpoint with the questions that it knows the answers of; models of the same questions share them."""
    with system_folder("converting the checkpoints") as folder:
        models = [load_both(source, folder, show) for source in sources]
    makers = [questions_for(model["pt"].answers, str(source)) for model, source in zip(models, sources, strict=True)]
    asked = {maker: maker(progress) for maker in dict.fromkeys(makers)}
    return [compare(model, asked[maker], progress) for model, maker in zip(models, makers, strict=True)]


def explained_examples(comparisons: Sequence[BackendComparison], progress: bool = True) -> list[ImageView]:
    """Some of the images that these models were asked about, with explanations of their answers in PyTorch.

    Args:
        comparisons: of models that were asked the same questions.
        progress: whether to show progress bars.
    """
    asked = comparisons[0].asked
    right = np.array([comparison.right["pt"] for comparison in comparisons])
    probabilities = np.array([comparison.scores["pt"].max(axis=1) for comparison in comparisons])
    examples = choose_examples(right, probabilities, asked)
    return [
        _explained(example, comparisons)
        for example in tracked(examples, "explaining answers", len(examples), "images", progress)
    ]


def _explained(example: Example, comparisons: Sequence[BackendComparison]) -> ImageView:
    """One image with some of its questions, and one row for each model."""
    asked = comparisons[0].asked
    image = open_image(asked.images[example.image])
    texts = [asked.questions[row] for row in example.rows]
    views = [explain_questions(comparison.answerers["pt"], image, texts) for comparison in comparisons]
    questions = [
        QuestionView(text, [view.questions[place].models[0] for view in views], asked.answers[row])
        for place, (row, text) in enumerate(zip(example.rows, texts, strict=True))
    ]
    return replace(
        views[0],
        name=f"{asked.names[example.image]}: {_reason(example, comparisons)}",
        labels=views[0].labels if asked.labels is None else asked.labels[example.image],
        questions=questions,
    )


def _reason(example: Example, comparisons: Sequence[BackendComparison]) -> str:
    """Why an image is shown."""
    if example.reason != WRONG:
        return example.reason
    wrong = [comparison.title for comparison in comparisons if not comparison.right["pt"][example.rows].all()]
    return f"{' and '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} wrong"


def _lead(of_page: Sequence[BackendComparison], comparisons: Sequence[BackendComparison]) -> str:
    """What the page says of its images and models, and of the backends of all models in its table."""
    asked, difference = of_page[0].asked, max(comparison.difference for comparison in comparisons)
    same = all(comparison.agreeing == len(comparison.asked) for comparison in comparisons)
    kinds = {comparison.answerers["pt"].model.config.model_type for comparison in of_page}
    return (
        "Point at a word to see the shapes that it drew on, or at a shape to see its words. The images are from "
        f"{len(asked.images):,} that the models were not trained on; their headings say why they were chosen. "
        f"{_NO_PLACES if 'visual_bert' in kinds else ''}The explanations are from {TITLES['pt']}; {TITLES['tf']} gives "
        f"{'the same answers' if same else 'other answers to some questions'}, with probabilities that differ by "
        f"{difference:.1e} at most."
    )


def _show_answers(images: Sequence[ImageView], show: Callable[[str], None]) -> None:
    """Show the questions of the page, with each model's likeliest answer and the true one."""
    for image in images:
        titles = [model.title for model in image.questions[0].models]
        show(f"\n{image.name:<54}" + "".join(f"{title:<18}" for title in titles) + "true")
        for question in image.questions:
            answers = [f"{model.answers[0].answer} {model.answers[0].probability:.1%}" for model in question.models]
            show(f"  {question.question:<52}" + "".join(f"{answer:<18}" for answer in answers) + str(question.truth))

"""The models of the package on real questions: each checkpoint in both backends, and their answers compared."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lxmert.data.synthetic import easy_vqa
from lxmert.demo.page import ImageResult, ModelAnswers, QuestionResult, write_page
from lxmert.inference.answering import ImageRegions, VisualQuestionAnswering
from lxmert.inference.backends import model_class
from lxmert.utils.progress import tracked
from lxmert.vision.images import open_image
from lxmert.vision.shapes.regions import image_regions
from lxmert.weights.convert import convert
from lxmert.weights.model_files import find_model
from lxmert.weights.naming.tables import MODELS

CHECKPOINTS = ("easy-vqa", "easy-vqa-visual-bert")  # those that come with the package, LXMERT's and VisualBERT's
TITLES = {"pt": "PyTorch", "tf": "Keras"}
IMAGES = 6  # on the page and on the screen
QUESTIONS = 5  # about each, at most
_BATCH = 512


@dataclass
class BackendComparison:
    """The answers of one model to all test questions, in both backends.

    Attributes:
        title: what people call the model.
        parameters: how many numbers it holds.
        questions: how many were asked.
        accuracy: for each backend the part of them answered rightly.
        difference: the largest difference of any score between the backends.
        agreeing: how many questions got the same answer from both.
        scores: for each backend the probability of every answer, [Q, A].
        answerers: the model in each backend.
    """

    title: str
    parameters: int
    questions: int
    accuracy: dict[str, float]
    difference: float
    agreeing: int
    scores: dict[str, np.ndarray]
    answerers: dict[str, VisualQuestionAnswering]


@dataclass
class Demo:
    """The results of the demo: a comparison for each model, and some of the images with the answers about them."""

    comparisons: list[BackendComparison]
    images: list[ImageResult]


def run_demo(
    sources: Sequence[str | Path] = CHECKPOINTS,
    page: str | Path = "lxmert-demo.html",
    show: Callable[[str], None] = print,
    progress: bool = True,
) -> Demo:
    """Answer the test questions of easy-VQA in PyTorch and in Keras, show how they agree, and write a page.

    Args:
        sources: for each model "easy-vqa", "easy-vqa-visual-bert", or a folder that
            `VisualQuestionAnswering.from_pretrained` takes.
        page: the HTML file to write.
        show: is called with each line for the user.
        progress: whether to show progress bars.
    """
    data = easy_vqa.load("test")
    with tempfile.TemporaryDirectory() as folder:
        models = [load_both(source, Path(folder), show) for source in sources]
    paths = tracked(data.image_paths, "finding regions", len(data.image_paths), "images", progress)
    regions = [image_regions(path) for path in paths]
    comparisons = [compare(answerers, data, regions, progress) for answerers in models]
    demo = Demo(comparisons, _images(comparisons, data, regions))
    _show(demo, show)
    titles = " and ".join(comparison.title for comparison in comparisons)
    lead = "Each checkpoint in two frameworks, on images and questions of the easy-VQA test split."
    write_page(page, f"{titles} in PyTorch and in Keras", lead, _figures(comparisons), demo.images)
    show(f"\nWrote {page}: open it to see the regions, and how much each question attends to them.")
    return demo


def load_both(source: str | Path, folder: Path, show: Callable[[str], None]) -> dict[str, VisualQuestionAnswering]:
    """Load a checkpoint in PyTorch, convert it to Keras' format, and load that in Keras.

    Args:
        source: the checkpoint.
        folder: where the converted file goes.
        show: is called with each line for the user.
    """
    origin = find_model(source)
    in_torch = VisualQuestionAnswering.from_pretrained(origin, backend="pt")
    keras_class = model_class("tf", in_torch.kind.architecture)  # a missing framework is an error before the conversion
    title = MODELS[in_torch.model.config.model_type].title
    show(f"Loaded {source} in PyTorch: {title}, {in_torch.model.num_parameters():,} parameters.")
    done = convert(origin, folder / f"{origin.name}.weights.h5")
    show(f"Converted {done.tensors} tensors ({done.size / 1e6:.1f} MB) to {done.target.name}, without a framework.")
    keras_model = keras_class.from_pretrained(done.target)
    show("Loaded the converted file in Keras.")
    return {"pt": in_torch, "tf": VisualQuestionAnswering(keras_model, in_torch.tokenizer, in_torch.answers)}


def compare(
    answerers: dict[str, VisualQuestionAnswering],
    data: easy_vqa.EasyVqa,
    regions: Sequence[ImageRegions],
    progress: bool,
) -> BackendComparison:
    """Ask one model all questions in both backends.

    Args:
        answerers: the model in each backend.
        data: the questions.
        regions: those of each image.
        progress: whether to show progress bars.
    """
    model, scores = answerers["pt"].model, {}
    title = MODELS[model.config.model_type].title
    of_questions = [regions[image] for image in data.image_index]
    for backend, answerer in answerers.items():

        def bar(starts: range, where: str = TITLES[backend]) -> Iterator[int]:
            return tracked(starts, f"{title} in {where}", len(starts), "batches", progress)

        scores[backend] = answerer.scores(of_questions, data.questions, _BATCH, bar)
    truth = np.array([answerers["pt"].answers.index(answer) for answer in data.answers])
    best = {backend: of_backend.argmax(axis=1) for backend, of_backend in scores.items()}
    return BackendComparison(
        title=title,
        parameters=model.num_parameters(),
        questions=len(data),
        accuracy={backend: float((found == truth).mean()) for backend, found in best.items()},
        difference=float(np.abs(scores["pt"] - scores["tf"]).max()),
        agreeing=int((best["pt"] == best["tf"]).sum()),
        scores=scores,
        answerers=answerers,
    )


def _images(
    comparisons: Sequence[BackendComparison], data: easy_vqa.EasyVqa, regions: Sequence[ImageRegions]
) -> list[ImageResult]:
    """A few images that differ, with some of their questions and each model's answers."""
    found = []
    for image in _different(data):
        rows = _varied(data, np.flatnonzero(data.image_index == image))
        path = Path(data.image_paths[image])
        questions = [QuestionResult(data.questions[row], data.answers[row]) for row in rows]
        for comparison in comparisons:
            _add_answers(questions, comparison, rows, regions[image])
        found.append(ImageResult(f"{path.parent.name}/{path.name}", open_image(path), regions[image][1], questions))
    return found


def _add_answers(
    results: Sequence[QuestionResult], comparison: BackendComparison, rows: Sequence[int], regions: ImageRegions
) -> None:
    """Add one model's answers to the questions about one image, and how its attention is spread over the regions."""
    answerer = comparison.answerers["pt"]
    questions = [result.question for result in results]
    attention = answerer.region_attention([regions] * len(rows), questions)
    ids = answerer.inputs([regions] * len(rows), questions)["input_ids"]
    for result, row, region_attention, read in zip(results, rows, attention, ids, strict=True):
        answers = {
            TITLES[backend]: (answerer.answers[int(scores[row].argmax())], float(scores[row].max()))
            for backend, scores in comparison.scores.items()
        }
        tokens = answerer.tokenizer.convert_ids_to_tokens([int(i) for i in read[: len(region_attention)]])
        result.models.append(ModelAnswers(comparison.title, answers, tokens, region_attention))


def _different(data: easy_vqa.EasyVqa) -> list[int]:
    """The first images whose questions have an answer, a colour or a shape, that no image before them has."""
    seen: set[str] = set()
    chosen: list[int] = []
    for image in range(len(data.image_paths)):
        rows = np.flatnonzero(data.image_index == image)
        answers = {data.answers[row] for row in rows} - {"yes", "no"}
        if len(rows) >= QUESTIONS and answers - seen and len(chosen) < IMAGES:
            seen |= answers
            chosen.append(image)
    return chosen


def _varied(data: easy_vqa.EasyVqa, rows: np.ndarray) -> list[int]:
    """Some of an image's questions: those with different answers first."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(data.answers[row], int(row))
    return [*first.values(), *(int(row) for row in rows if row not in first.values())][:QUESTIONS]


def _show(demo: Demo, show: Callable[[str], None]) -> None:
    """Show the images' questions with their answers, and the figures."""
    columns = [f"{comparison.title}: {where}" for comparison in demo.comparisons for where in TITLES.values()]
    show(f"\n{'question':<44}" + "".join(f" {column:<20}" for column in columns) + " true")
    for image in demo.images:
        show(f"{image.name}: {len(image.boxes)} regions")
        for result in image.questions:
            answers = [f"{answer} {score:.4f}" for model in result.models for answer, score in model.answers.values()]
            show(f"  {result.question:<42}" + "".join(f" {answer:<20}" for answer in answers) + f" {result.truth}")
    show("")
    for name, *values in _figures(demo.comparisons):
        show(f"{name:<34}" + "".join(f" {value:<34}" for value in values).rstrip())


def _figures(comparisons: Sequence[BackendComparison]) -> list[tuple[str, ...]]:
    """Rows of a table: a name, and a value for each model."""
    return [
        ("", *(comparison.title for comparison in comparisons)),
        ("parameters", *(f"{comparison.parameters:,}" for comparison in comparisons)),
        *(
            (
                f"right in {title}",
                *(f"{c.accuracy[backend]:.2%} of {c.questions:,} test questions" for c in comparisons),
            )
            for backend, title in TITLES.items()
        ),
        ("same answer in both", *(f"{c.agreeing:,} of {c.questions:,}" for c in comparisons)),
        ("largest difference of any score", *(f"{c.difference:.1e}" for c in comparisons)),
    ]

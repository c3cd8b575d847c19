"""The package's main job on real input: each model's checkpoint in both backends, and their answers compared."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lxmert.data.synthetic import easy_vqa
from lxmert.demo.page import Asked, Said, Shown, write_page
from lxmert.inference.answering import VisualQuestionAnswering, backend_module, checkpoint_folder, question_model_class
from lxmert.training.easy_vqa import accuracy, scores_of_split
from lxmert.vision.images import open_image
from lxmert.vision.regions import image_regions
from lxmert.weights.convert import convert
from lxmert.weights.naming.tables import TITLES as MODEL_TITLES

CHECKPOINTS = ("easy-vqa", "easy-vqa-visual-bert")  # those that come with the package, LXMERT's and VisualBERT's
TITLES = {"pt": "PyTorch", "tf": "Keras"}
IMAGES = 6  # on the page and on the screen
QUESTIONS = 5  # of each at most

Regions = Sequence[tuple[np.ndarray, np.ndarray]]


@dataclass
class Comparison:
    """What the two backends of one model said to all test questions.

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
    """What the demo found: a comparison for each model, and some of the images with what was said about them."""

    comparisons: list[Comparison]
    shown: list[Shown]


def run_demo(
    sources: Sequence[str | Path] = CHECKPOINTS,
    page: str | Path = "lxmert-demo.html",
    say: Callable[[str], None] = print,
    progress: bool = True,
) -> Demo:
    """Answer the test questions of easy-VQA in PyTorch and in Keras, say how they agree, and write a page.

    Args:
        sources: for each model "easy-vqa", "easy-vqa-visual-bert", or a folder that
            `VisualQuestionAnswering.from_pretrained` takes.
        page: the HTML file to write.
        say: gets each line for the user.
        progress: whether to show progress bars.
    """
    data = easy_vqa.load("test")
    with tempfile.TemporaryDirectory() as folder:
        models = [load_both(source, Path(folder), say) for source in sources]
    paths = tqdm(data.image_paths, desc="finding regions", unit=" images", disable=not progress)
    regions = [image_regions(path) for path in paths]
    comparisons = [compare(answerers, data, regions, progress) for answerers in models]
    demo = Demo(comparisons, _shown(comparisons, data, regions))
    _report(demo, say)
    _write(page, demo)
    say(f"\nWrote {page}: open it to see the regions, and where each question looked.")
    return demo


def load_both(source: str | Path, folder: Path, say: Callable[[str], None]) -> dict[str, VisualQuestionAnswering]:
    """Load a checkpoint in PyTorch, convert it to Keras' format, and load that in Keras.

    Args:
        source: the checkpoint.
        folder: where the converted file goes.
        say: gets each line for the user.
    """
    origin = checkpoint_folder(source)
    torch_one = VisualQuestionAnswering.from_pretrained(origin, backend="pt")
    kind = torch_one.model.config.model_type
    say(f"Loaded {source} in PyTorch: {MODEL_TITLES[kind]}, {torch_one.model.num_parameters():,} parameters.")
    backend_module("tf")  # says what is missing, before anything is converted
    done = convert(origin, folder / f"{origin.name}.weights.h5")
    say(f"Converted {done.tensors} tensors ({done.size / 1e6:.1f} MB) to {done.target.name}, without either framework.")
    keras_model = question_model_class("tf", kind).from_pretrained(done.target)
    say("Loaded the converted file in Keras.")
    keras_one = VisualQuestionAnswering(keras_model, torch_one.tokenizer, torch_one.answers, "tf")
    return {"pt": torch_one, "tf": keras_one}


def compare(
    answerers: dict[str, VisualQuestionAnswering],
    data: easy_vqa.EasyVqa,
    regions: Regions,
    progress: bool,
) -> Comparison:
    """Ask one model in both backends all questions.

    Args:
        answerers: the model in each backend.
        data: the questions.
        regions: those of each image.
        progress: whether to show progress bars.
    """
    model, scores = answerers["pt"].model, {}
    title = MODEL_TITLES[model.config.model_type]
    for backend, answerer in answerers.items():

        def bar(starts: range, where: str = TITLES[backend]) -> tqdm:
            return tqdm(starts, desc=f"{title} in {where}", disable=not progress)

        scores[backend] = scores_of_split(answerer, data, bar, regions)
    return Comparison(
        title=title,
        parameters=model.num_parameters(),
        questions=len(data),
        accuracy={backend: accuracy(answerers[backend], data, scores[backend]) for backend in answerers},
        difference=float(np.abs(scores["pt"] - scores["tf"]).max()),
        agreeing=int((scores["pt"].argmax(1) == scores["tf"].argmax(1)).sum()),
        scores=scores,
        answerers=answerers,
    )


def _shown(comparisons: Sequence[Comparison], data: easy_vqa.EasyVqa, regions: Regions) -> list[Shown]:
    """A few images that differ, with some of their questions and what each model said to them."""
    shown = []
    for image in _different(data):
        rows = _varied(data, np.flatnonzero(data.image_index == image))
        path = Path(data.image_paths[image])
        asked = [Asked(data.questions[row], data.answers[row]) for row in rows]
        for comparison in comparisons:
            _add_said(asked, comparison, rows, regions[image])
        shown.append(Shown(f"{path.parent.name}/{path.name}", open_image(path), regions[image][1], asked))
    return shown


def _add_said(
    asked: Sequence[Asked], comparison: Comparison, rows: Sequence[int], regions: tuple[np.ndarray, np.ndarray]
) -> None:
    """Add what one model said to the questions about one image, and where it looked."""
    answerer = comparison.answerers["pt"]
    questions = [one.question for one in asked]
    maps = answerer.maps([regions] * len(rows), questions)
    ids = answerer.inputs([regions] * len(rows), questions)["input_ids"]
    for one, row, region_attention, read in zip(asked, rows, maps, ids, strict=True):
        answers = {
            TITLES[backend]: (answerer.answers[int(of_split[row].argmax())], float(of_split[row].max()))
            for backend, of_split in comparison.scores.items()
        }
        tokens = answerer.tokenizer.convert_ids_to_tokens([int(i) for i in read[: len(region_attention)]])
        one.said.append(Said(comparison.title, answers, tokens, region_attention))


def _different(data: easy_vqa.EasyVqa) -> list[int]:
    """The first images whose questions have an answer, a colour or a shape, that no image before them has."""
    seen: set[str] = set()
    chosen: list[int] = []
    for image in range(len(data.image_paths)):
        rows = np.flatnonzero(data.image_index == image)
        told = {data.answers[row] for row in rows} - {"yes", "no"}
        if len(rows) >= QUESTIONS and told - seen and len(chosen) < IMAGES:
            seen |= told
            chosen.append(image)
    return chosen


def _varied(data: easy_vqa.EasyVqa, rows: np.ndarray) -> list[int]:
    """Some of an image's questions: those with different answers first."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(data.answers[row], int(row))
    return [*first.values(), *(int(row) for row in rows if row not in first.values())][:QUESTIONS]


def _report(demo: Demo, say: Callable[[str], None]) -> None:
    """Print the images' questions with their answers, and the figures."""
    columns = [f"{comparison.title}: {where}" for comparison in demo.comparisons for where in TITLES.values()]
    say(f"\n{'question':<44}" + "".join(f" {column:<20}" for column in columns) + " true")
    for item in demo.shown:
        say(f"{item.name}: {len(item.boxes)} regions")
        for one in item.asked:
            answers = [f"{answer} {score:.4f}" for said in one.said for answer, score in said.answers.values()]
            say(f"  {one.question:<42}" + "".join(f" {answer:<20}" for answer in answers) + f" {one.truth}")
    say("")
    for name, *values in _figures(demo.comparisons):
        say(f"{name:<34}" + "".join(f" {value:<34}" for value in values).rstrip())


def _figures(comparisons: Sequence[Comparison]) -> list[tuple[str, ...]]:
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


def _write(page: str | Path, demo: Demo) -> None:
    titles = " and ".join(comparison.title for comparison in demo.comparisons)
    lead = "Each checkpoint in two frameworks, on images and questions of the easy-VQA test split."
    write_page(page, f"{titles} in PyTorch and in Keras", lead, _figures(demo.comparisons), demo.shown)

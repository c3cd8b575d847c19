"""The package's main job on real input: one checkpoint, both backends, the same answers to real questions."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lxmert.answering import BACKENDS, VisualQuestionAnswering, backend_module, checkpoint_folder
from lxmert.common.convert import convert
from lxmert.data import easy_vqa
from lxmert.data.pictures import open_picture
from lxmert.data.regions import picture_regions
from lxmert.page import Asked, Shown, write_page
from lxmert.training import accuracy, scores_of_split

TITLES = {"pt": "PyTorch", "tf": "Keras"}
PICTURES = 6  # on the page and on the screen
QUESTIONS = 5  # of each at most


@dataclass
class Comparison:
    """What the two backends said to all test questions.

    Attributes:
        questions: how many.
        accuracy: for each backend the part of them answered rightly.
        difference: the largest difference of any score between the backends.
        agreeing: how many questions got the same answer from both.
        shown: some of the pictures, with what each question looked at.
    """

    questions: int
    accuracy: dict[str, float]
    difference: float
    agreeing: int
    shown: list[Shown]


def run_demo(
    source: str | Path, page: str | Path, say: Callable[[str], None] = print, progress: bool = True
) -> Comparison:
    """Answer the test questions of easy-VQA in PyTorch and in Keras, say how they agree, and write a page.

    Args:
        source: "easy-vqa" or a folder, as `VisualQuestionAnswering.from_pretrained` takes it.
        page: the HTML file to write.
        say: gets each line for the user.
        progress: whether to show progress bars.
    """
    data = easy_vqa.load("test")
    with tempfile.TemporaryDirectory() as folder:
        answerers = load_both(source, Path(folder), say)
    paths = tqdm(data.picture_paths, desc="finding regions", unit=" pictures", disable=not progress)
    regions = [picture_regions(path) for path in paths]
    scores = {}
    for backend, answerer in answerers.items():

        def bar(starts: range, title: str = TITLES[backend]) -> tqdm:
            return tqdm(starts, desc=f"answering in {title}", disable=not progress)

        scores[backend] = scores_of_split(answerer, data, bar, regions)
    comparison = Comparison(
        questions=len(data),
        accuracy={backend: accuracy(answerers[backend], data, scores[backend]) for backend in answerers},
        difference=float(np.abs(scores["pt"] - scores["tf"]).max()),
        agreeing=int((scores["pt"].argmax(1) == scores["tf"].argmax(1)).sum()),
        shown=_shown(answerers, data, regions, scores),
    )
    _report(comparison, say)
    _write(page, comparison)
    say(f"\nWrote {page}: open it to see the regions, and where each question looked.")
    return comparison


def load_both(source: str | Path, folder: Path, say: Callable[[str], None]) -> dict[str, VisualQuestionAnswering]:
    """Load a checkpoint in PyTorch, convert it to Keras' format, and load that in Keras.

    Args:
        source: the checkpoint.
        folder: where the converted file goes.
        say: gets each line for the user.
    """
    origin = checkpoint_folder(source)
    torch_one = VisualQuestionAnswering.from_pretrained(origin, backend="pt")
    say(f"Loaded {source} in PyTorch: {torch_one.model.num_parameters():,} parameters.")
    done = convert(origin, folder / "easy-vqa.weights.h5")
    say(f"Converted {done.tensors} tensors ({done.size / 1e6:.1f} MB) to {done.target.name}, without either framework.")
    keras_model = getattr(backend_module("tf"), BACKENDS["tf"]).from_pretrained(done.target)
    say("Loaded the converted file in Keras.")
    keras_one = VisualQuestionAnswering(keras_model, torch_one.tokenizer, torch_one.answers, "tf")
    return {"pt": torch_one, "tf": keras_one}


def _shown(
    answerers: dict[str, VisualQuestionAnswering],
    data: easy_vqa.EasyVqa,
    regions: list[tuple[np.ndarray, np.ndarray]],
    scores: dict[str, np.ndarray],
) -> list[Shown]:
    """A few pictures that differ, with some of their questions."""
    answers, tokenizer = answerers["pt"].answers, answerers["pt"].tokenizer
    shown = []
    for picture in _different(data):
        rows = _varied(data, np.flatnonzero(data.picture_index == picture))
        questions = [data.questions[row] for row in rows]
        maps = answerers["pt"].maps([regions[picture]] * len(rows), questions)
        path = Path(data.picture_paths[picture])
        item = Shown(f"{path.parent.name}/{path.name}", open_picture(path), regions[picture][1])
        for row, question, looked in zip(rows, questions, maps, strict=True):
            said = {
                TITLES[backend]: (answers[int(of_split[row].argmax())], float(of_split[row].max()))
                for backend, of_split in scores.items()
            }
            tokens = tokenizer.convert_ids_to_tokens(tokenizer(question)["input_ids"])
            item.asked.append(Asked(question, data.answers[row], said, tokens, looked))
        shown.append(item)
    return shown


def _different(data: easy_vqa.EasyVqa) -> list[int]:
    """The first pictures whose questions have an answer, a colour or a shape, that no picture before them has."""
    seen: set[str] = set()
    chosen: list[int] = []
    for picture in range(len(data.picture_paths)):
        rows = np.flatnonzero(data.picture_index == picture)
        told = {data.answers[row] for row in rows} - {"yes", "no"}
        if len(rows) >= QUESTIONS and told - seen and len(chosen) < PICTURES:
            seen |= told
            chosen.append(picture)
    return chosen


def _varied(data: easy_vqa.EasyVqa, rows: np.ndarray) -> list[int]:
    """Some of a picture's questions: those with different answers first."""
    first: dict[str, int] = {}
    for row in rows:
        first.setdefault(data.answers[row], int(row))
    return [*first.values(), *(int(row) for row in rows if row not in first.values())][:QUESTIONS]


def _report(comparison: Comparison, say: Callable[[str], None]) -> None:
    """Print the pictures' questions with their answers, and the figures."""
    say(f"\n{'question':<44} {'PyTorch':<18} {'Keras':<18} true")
    for item in comparison.shown:
        say(f"{item.name}: {len(item.boxes)} regions")
        for one in item.asked:
            said = [f"{answer} {score:.4f}" for answer, score in one.answers.values()]
            say(f"  {one.question:<42} {said[0]:<18} {said[1]:<18} {one.truth}")
    say("")
    for name, value in _figures(comparison):
        say(f"{name:<45} {value}")


def _figures(comparison: Comparison) -> list[tuple[str, str]]:
    rows = [
        (f"right in {TITLES[backend]}", f"{part:.2%} of {comparison.questions:,} test questions")
        for backend, part in comparison.accuracy.items()
    ]
    return [
        *rows,
        ("same answer in both", f"{comparison.agreeing:,} of {comparison.questions:,}"),
        ("largest difference of any score", f"{comparison.difference:.1e}"),
    ]


def _write(page: str | Path, comparison: Comparison) -> None:
    lead = "One checkpoint in two frameworks, on pictures and questions of the easy-VQA test split."
    write_page(page, "LXMERT in PyTorch and in Keras", lead, _figures(comparison), comparison.shown)

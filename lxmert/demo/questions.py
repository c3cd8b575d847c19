"""The questions of the demo, with their true answers: easy-VQA's test split, and new scenes of six shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import numpy as np

from lxmert.data.features.layout import NO_LABEL
from lxmert.data.synthetic import easy_vqa
from lxmert.data.synthetic.scenes.balance import Balance
from lxmert.data.synthetic.scenes.drawing import draw, region_labels
from lxmert.data.synthetic.scenes.questions import ANSWERS, FAMILIES, YES_NO, Question, possible_questions
from lxmert.data.synthetic.scenes.scene import COLOURS, MOST, SHAPES, Scene, random_scene
from lxmert.inference.answering import ImageRegions
from lxmert.utils.progress import tracked
from lxmert.vision.images import ImageInput
from lxmert.vision.shapes.regions import image_regions

SCENES = 60
_SEED = 618_033_988  # `lxmert data scenes` draws other scenes: a seed there is seldom so large
_SIDE = 384  # pixels: sharp on a page


@dataclass(frozen=True)
class QuestionSet:
    """Q questions about P images.

    Attributes:
        title: what people call it.
        questions, answers: Q texts; the answers are true.
        kinds: what sort of question each is, as "counting".
        order: the kinds that are shown where all models are right and sure.
        image_index: int64 [Q], which image a question is about.
        names: of the images.
        images: P paths or arrays [H, W, 3].
        regions: of each image.
        labels: for each image what its regions show, as "red circle"; None where it is unknown.
    """

    title: str
    questions: list[str]
    answers: list[str]
    kinds: list[str]
    order: tuple[str, ...]
    image_index: np.ndarray
    names: list[str]
    images: Sequence[ImageInput]
    regions: list[ImageRegions]
    labels: list[list[str]] | None = None

    def __len__(self) -> int:
        return len(self.questions)

    def variety(self, image: int) -> int:
        """How many different words label an image's regions; 0 where they are unknown."""
        return 0 if self.labels is None else len({word for label in self.labels[image] for word in label.split()})


def easy_vqa_questions(progress: bool = True) -> QuestionSet:
    """The test split of easy-VQA; its images show one shape each."""
    data = easy_vqa.load("test")
    paths = tracked(data.image_paths, "finding regions", len(data.image_paths), "images", progress)
    return QuestionSet(
        title="easy-VQA",
        questions=data.questions,
        answers=data.answers,
        kinds=[_easy_vqa_kind(answer) for answer in data.answers],
        order=("shape", "color", "yes or no"),
        image_index=data.image_index,
        names=[f"Image {Path(path).stem}" for path in data.image_paths],
        images=data.image_paths,
        regions=[image_regions(path) for path in paths],
    )


def scene_questions(progress: bool = True) -> QuestionSet:
    """Questions about scenes of six shapes, chosen so that the text of a question does not give its answer away."""
    balance, images, regions, labels, asked, index = Balance(), [], [], [], [], []
    scenes = tracked(first_scenes(SCENES), "drawing scenes", SCENES, "scenes", progress)
    for place, (scene, random) in enumerate(scenes):
        image = draw(scene, _SIDE)
        found = image_regions(image)
        chosen = balance.choose(possible_questions(scene, random), random)
        images.append(image)
        regions.append(found)
        labels.append(_labels(scene, found[1]))
        asked += chosen
        index += [place] * len(chosen)
    return QuestionSet(
        title="scenes",
        questions=[question.text for question in asked],
        answers=[question.answer for question in asked],
        kinds=[_scene_kind(question) for question in asked],
        order=("attribute", "counting", "comparison"),  # VisualBERT guesses at relations
        image_index=np.array(index, np.int64),
        names=[f"Scene {place + 1}" for place in range(SCENES)],
        images=images,
        regions=regions,
        labels=labels,
    )


def first_scenes(number: int) -> Iterator[tuple[Scene, np.random.Generator]]:
    """Scenes of six shapes, each with the random numbers that choose the questions about it."""
    streams = (np.random.default_rng([_SEED, place]) for place in count())
    scenes = ((random_scene(random, _SIDE), random) for random in streams)
    return islice(((scene, random) for scene, random in scenes if len(scene.shapes) == MOST), number)


def questions_for(answers: Sequence[str], model: str) -> Callable[[bool], QuestionSet]:
    """The function that makes the questions which a model was trained to answer.

    Args:
        answers: that the model has.
        model: its name, for the error.

    Raises:
        ValueError: it has not all the answers of either set of questions.
    """
    sets = {"easy-VQA": (easy_vqa_questions, easy_vqa.answer_list()), "scenes": (scene_questions, ANSWERS)}
    missing = {title: sorted(set(all_answers) - set(answers)) for title, (_, all_answers) in sets.items()}
    for title, (questions, _) in sets.items():
        if not missing[title]:
            return questions
    lacks = "; ".join(f"for {title} it lacks {', '.join(map(repr, absent))}" for title, absent in missing.items())
    raise ValueError(
        f"The demo asks the questions of easy-VQA or of scenes. {model} has not all the answers of either: {lacks}. "
        "`lxmert train easy-vqa`, or `lxmert train vqa` on the files of `lxmert data scenes`, trains one that has."
    )


def _easy_vqa_kind(answer: str) -> str:
    return "yes or no" if answer in YES_NO else "shape" if answer in easy_vqa.SHAPES else "color"


def _scene_kind(question: Question) -> str:
    kind = FAMILIES[question.family].kind
    return "yes or no" if question.answer in YES_NO and kind != "comparison" else kind


def _labels(scene: Scene, boxes: np.ndarray) -> list[str]:
    """What the regions of a scene show, as "red circle"."""
    colours = tuple(COLOURS)
    labels = [
        "" if shape == NO_LABEL else f"{colours[colour]} {SHAPES[shape]}"
        for shape, colour in zip(*region_labels(scene, boxes), strict=True)
    ]
    return ["whole image", *labels[1:]]  # what the detector lists first

"""easy-VQA written in every format that the pipelines read, so that each runs on real images without a download.

The data set has questions only. Its captions, and the statements about two images, are made of what its questions
tell about each image.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from lxmert.data.datasets import Questions
from lxmert.data.features.layout import NO_LABEL
from lxmert.data.synthetic.augmentation import image_traits
from lxmert.data.synthetic.dataset_export import (
    SPLITS,
    DataSet,
    ImageEntry,
    SplitTexts,
    sentences,
    writing_every_format,
)
from lxmert.data.synthetic.easy_vqa import COLOURS, SHAPES, EasyVqa, answer_list, load
from lxmert.data.synthetic.statements import SET, set_statements
from lxmert.vision.images import open_image
from lxmert.vision.regions import image_regions

NAME = "easy-vqa"
EPOCHS = {"pretrain": 3, "vqa": 3, "gqa": 3, "nlvr2": 10}
"""Passes over the examples until a small model has learned them."""
_HELD_OUT = 10  # every tenth image of the training split is for validation
_COLOURS = tuple(COLOURS)
_QUESTIONS = 1000  # ids of questions that an image has, as in official VQA


class _Image(NamedTuple):
    """One image: its number in the files, and its shape and colour, "" where no question tells."""

    number: int
    path: str
    shape: str
    colour: str
    questions: list[tuple[str, str]]  # with their answers

    @property
    def known(self) -> bool:
        return bool(self.shape and self.colour)


def write_easy_vqa(
    folder: str | Path,
    seed: int = 0,
    dtype: str = "float32",
    first: int | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Find the regions of all images and write all that is said about them.

    Nine of ten images of the data set's training split are for training and the tenth for validation; its test split
    is for the test.

    Args:
        folder: where the data is to be; nothing, or an empty folder, is there.
        seed: of the statements that are made; equal seeds give equal files.
        dtype: of the features, float32 or float16.
        first: use so many images of each of the data set's splits only, for a quick try; at least 100.
        progress: whether to show progress bars, on standard error.

    Returns:
        The summary that is also written as summary.json: how many there are of what, and the baselines.

    Raises:
        FileExistsError: there is something in `folder`.
        ImportError: the package easy-vqa is not installed.
        ValueError: a negative seed, or too few images.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more; got {seed}.")
    if first is not None and first < 10 * _HELD_OUT:
        raise ValueError(f"first must be {10 * _HELD_OUT} or more, so that every split has pairs; got {first}.")
    given = {split: load(split) for split in ("train", "test")}
    start = len(given["train"].image_paths)
    if first is not None:
        given = {split: data.first(first) for split, data in given.items()}
    learned = _images(given["train"], 0)
    splits = {
        "train": [image for place, image in enumerate(learned) if place % _HELD_OUT != _HELD_OUT - 1],
        "valid": learned[_HELD_OUT - 1 :: _HELD_OUT],
        "test": _images(given["test"], start),
    }
    data = DataSet(NAME, tuple(answer_list()), SHAPES, _COLOURS, EPOCHS, {"seed": seed})
    with writing_every_format(folder, data, dtype) as target:
        for split in SPLITS:
            bar = tqdm(splits[split], desc=f"regions of {split} images", unit="", disable=not progress)
            for image in bar:
                target.add_image(split, _entry(image), image.number, image.known)
            target.add_texts(split, _texts(data, split, splits[split], seed))
    return target.summary


def _images(data: EasyVqa, start: int) -> list[_Image]:
    questions: list[list[tuple[str, str]]] = [[] for _ in data.image_paths]
    for question, answer, place in zip(data.questions, data.answers, data.image_index.tolist(), strict=True):
        questions[place].append((question, answer))
    traits = image_traits(data).tolist()
    return [
        _Image(
            start + place,
            path,
            SHAPES[shape - len(COLOURS)] if shape >= 0 else "",
            _COLOURS[colour] if colour >= 0 else "",
            questions[place],
        )
        for place, (path, (colour, shape)) in enumerate(zip(data.image_paths, traits, strict=True))
    ]


def _entry(image: _Image) -> ImageEntry:
    pixels = open_image(image.path)
    features, boxes = image_regions(pixels, 1)
    objects, attributes = (np.full(len(boxes), NO_LABEL, np.int64) for _ in range(2))
    if image.shape:
        objects[1:] = SHAPES.index(image.shape)
    if image.colour:
        attributes[1:] = _COLOURS.index(image.colour)
    return ImageEntry((pixels.shape[0], pixels.shape[1]), features, boxes, objects, attributes)


def _texts(data: DataSet, split: str, images: Sequence[_Image], seed: int) -> SplitTexts:
    names = [data.image_name(split, image.number) for image in images]
    asked = [
        (image.number * _QUESTIONS + place, name, question, answer)
        for image, name in zip(images, names, strict=True)
        for place, (question, answer) in enumerate(image.questions)
    ]
    kinds = [_question_type(answer) for _, _, _, answer in asked]
    questions = Questions(
        ids=[number for number, _, _, _ in asked],
        texts=[question for _, _, question, _ in asked],
        images=[name for _, name, _, _ in asked],
        answers=[{answer: 1.0} for _, _, _, answer in asked],
        question_types=kinds,
        answer_types=["yes/no" if kind == "presence" else "other" for kind in kinds],
    )
    random = np.random.default_rng([seed, SPLITS.index(split)])
    known = [image for image in images if image.known]
    statements = [
        set_statements(
            [((known[at],), (known[at + 1],)) for at in range(start, start + SET, 2)], SHAPES, _COLOURS, random
        )
        for start in range(0, len(known) - SET + 1, SET)
    ]
    captions = sentences(names, [_captions(image, random) for image in images], f"{NAME}_captions")
    shown = {
        name: {"": 1, **Counter(filter(None, (image.shape, image.colour)))}
        for name, image in zip(names, images, strict=True)
    }
    return SplitTexts(names, questions, statements, captions, shown)


def _question_type(answer: str) -> str:
    return "presence" if answer in ("yes", "no") else "color" if answer in COLOURS else "shape"


def _captions(image: _Image, random: np.random.Generator) -> list[str]:
    """What is there, and something that is not."""
    told = []
    if image.shape or image.colour:
        told.append(" ".join(filter(None, ("a", image.colour, image.shape or "shape"))))
    absent = [f"{colour} shape" for colour in _COLOURS if image.colour and colour != image.colour]
    absent += [shape for shape in SHAPES if image.shape and shape != image.shape]
    if absent:
        told.append(f"there is no {absent[random.integers(len(absent))]} in the image")
    return told

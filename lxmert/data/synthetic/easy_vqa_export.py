"""easy-VQA written in every format that the pipelines read, so that each runs on real pictures without a download.

The data set has questions only. Its captions, and the statements about two pictures, are made of what its questions
tell about each picture.
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
from lxmert.data.synthetic.augmentation import picture_traits
from lxmert.data.synthetic.dataset_export import (
    SPLITS,
    DataSet,
    PictureEntry,
    SplitTexts,
    sentences,
    writing_every_format,
)
from lxmert.data.synthetic.easy_vqa import COLOURS, SHAPES, EasyVqa, answer_list, load
from lxmert.data.synthetic.statements import SET, set_statements
from lxmert.vision.images import open_picture
from lxmert.vision.regions import picture_regions

NAME = "easy-vqa"
EPOCHS = {"pretrain": 3, "vqa": 3, "gqa": 3, "nlvr2": 10}
"""Passes over the examples until a small model has learned them."""
_HELD_OUT = 10  # every tenth picture of the training split is for validation
_COLOURS = tuple(COLOURS)
_QUESTIONS = 1000  # ids of questions that a picture has, as in official VQA


class _Picture(NamedTuple):
    """One picture: its number in the files, and its shape and colour, "" where no question tells."""

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
    """Find the regions of all pictures and write all that is said about them.

    Nine of ten pictures of the data set's training split are for training and the tenth for validation; its test split
    is for the test.

    Args:
        folder: where the data is to be; nothing, or an empty folder, is there.
        seed: of the statements that are made; equal seeds give equal files.
        dtype: of the features, float32 or float16.
        first: use so many pictures of each of the data set's splits only, for a quick try; at least 100.
        progress: whether to show progress bars, on standard error.

    Returns:
        The summary that is also written as summary.json: how many there are of what, and the baselines.

    Raises:
        FileExistsError: there is something in `folder`.
        ImportError: the package easy-vqa is not installed.
        ValueError: a negative seed, or too few pictures.
    """
    if seed < 0:
        raise ValueError(f"seed must be 0 or more; got {seed}.")
    if first is not None and first < 10 * _HELD_OUT:
        raise ValueError(f"first must be {10 * _HELD_OUT} or more, so that every split has pairs; got {first}.")
    given = {split: load(split) for split in ("train", "test")}
    start = len(given["train"].picture_paths)
    if first is not None:
        given = {split: data.first(first) for split, data in given.items()}
    learned = _pictures(given["train"], 0)
    splits = {
        "train": [picture for place, picture in enumerate(learned) if place % _HELD_OUT != _HELD_OUT - 1],
        "valid": learned[_HELD_OUT - 1 :: _HELD_OUT],
        "test": _pictures(given["test"], start),
    }
    data = DataSet(NAME, tuple(answer_list()), SHAPES, _COLOURS, EPOCHS, {"seed": seed})
    with writing_every_format(folder, data, dtype) as target:
        for split in SPLITS:
            bar = tqdm(splits[split], desc=f"regions of {split} pictures", unit="", disable=not progress)
            for picture in bar:
                target.add_picture(split, _entry(picture), picture.number, picture.known)
            target.add_texts(split, _texts(data, split, splits[split], seed))
    return target.summary


def _pictures(data: EasyVqa, start: int) -> list[_Picture]:
    questions: list[list[tuple[str, str]]] = [[] for _ in data.picture_paths]
    for question, answer, place in zip(data.questions, data.answers, data.picture_index.tolist(), strict=True):
        questions[place].append((question, answer))
    traits = picture_traits(data).tolist()
    return [
        _Picture(
            start + place,
            path,
            SHAPES[shape - len(COLOURS)] if shape >= 0 else "",
            _COLOURS[colour] if colour >= 0 else "",
            questions[place],
        )
        for place, (path, (colour, shape)) in enumerate(zip(data.picture_paths, traits, strict=True))
    ]


def _entry(picture: _Picture) -> PictureEntry:
    pixels = open_picture(picture.path)
    features, boxes = picture_regions(pixels, 1)
    objects, attributes = (np.full(len(boxes), NO_LABEL, np.int64) for _ in range(2))
    if picture.shape:
        objects[1:] = SHAPES.index(picture.shape)
    if picture.colour:
        attributes[1:] = _COLOURS.index(picture.colour)
    return PictureEntry((pixels.shape[0], pixels.shape[1]), features, boxes, objects, attributes)


def _texts(data: DataSet, split: str, pictures: Sequence[_Picture], seed: int) -> SplitTexts:
    names = [data.picture_name(split, picture.number) for picture in pictures]
    asked = [
        (picture.number * _QUESTIONS + place, name, question, answer)
        for picture, name in zip(pictures, names, strict=True)
        for place, (question, answer) in enumerate(picture.questions)
    ]
    kinds = [_question_type(answer) for _, _, _, answer in asked]
    questions = Questions(
        ids=[number for number, _, _, _ in asked],
        texts=[question for _, _, question, _ in asked],
        pictures=[name for _, name, _, _ in asked],
        answers=[{answer: 1.0} for _, _, _, answer in asked],
        question_types=kinds,
        answer_types=["yes/no" if kind == "presence" else "other" for kind in kinds],
    )
    random = np.random.default_rng([seed, SPLITS.index(split)])
    known = [picture for picture in pictures if picture.known]
    statements = [
        set_statements(
            [((known[at],), (known[at + 1],)) for at in range(start, start + SET, 2)], SHAPES, _COLOURS, random
        )
        for start in range(0, len(known) - SET + 1, SET)
    ]
    captions = sentences(names, [_captions(picture, random) for picture in pictures], f"{NAME}_captions")
    shown = {
        name: {"": 1, **Counter(filter(None, (picture.shape, picture.colour)))}
        for name, picture in zip(names, pictures, strict=True)
    }
    return SplitTexts(names, questions, statements, captions, shown)


def _question_type(answer: str) -> str:
    return "presence" if answer in ("yes", "no") else "color" if answer in COLOURS else "shape"


def _captions(picture: _Picture, random: np.random.Generator) -> list[str]:
    """What is there, and something that is not."""
    told = []
    if picture.shape or picture.colour:
        told.append(" ".join(filter(None, ("a", picture.colour, picture.shape or "shape"))))
    absent = [f"{colour} shape" for colour in _COLOURS if picture.colour and colour != picture.colour]
    absent += [shape for shape in SHAPES if picture.shape and shape != picture.shape]
    if absent:
        told.append(f"there is no {absent[random.integers(len(absent))]} in the image")
    return told

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

from lxmert.data.datasets import Questions
from lxmert.data.features.layout import NO_LABEL
from lxmert.data.synthetic.augmentation import augment
from lxmert.data.synthetic.dataset_export import (
    SPLITS,
    DatasetInfo,
    ImageEntry,
    SplitTexts,
    captions_column,
    dataset_writer,
)
from lxmert.data.synthetic.easy_vqa import COLOURS, SHAPES, EasyVqaImage, answer_list, load
from lxmert.data.synthetic.statements import SET, set_statements
from lxmert.utils.progress import tracked
from lxmert.vision.images import open_image
from lxmert.vision.shapes.regions import image_regions

NAME = "easy-vqa"
# Passes over the examples until a small model has learned them.
_CONFIGS: dict[str, dict[str, Any]] = {
    task: {"epochs": epochs} for task, epochs in (("pretrain", 3), ("vqa", 3), ("gqa", 3), ("nlvr2", 10))
}
# The settings that learn the questions about images and their changed versions: the shipped checkpoints' recipe.
_VQA: dict[str, Any] = {"batch_size": 128, "text_length": 13}  # no question has more tokens
_WITH_VARIANTS: dict[str, dict[str, Any]] = {
    "vqa": {**_VQA, "epochs": 2},
    "vqa-visual-bert": {**_VQA, "epochs": 3, "model_config": {"initializer_range": 0.05}},
}
_HELD_OUT = 10  # every tenth image of the training split is for validation
_COLOURS = tuple(COLOURS)
_QUESTIONS = 1000  # ids of questions that an image has, as in official VQA


class _Image(NamedTuple):
    """One image: its number in the files, its regions, what they show, and what is asked about it.

    Attributes:
        number: in no other split.
        size: height and width in pixels.
        features: of the whole image and its shapes, float32 `[R, F]`.
        boxes: float32 `[R, 4]`.
        shapes: of each shape its kind and its colour, "" where no question shows it.
        questions: with their answers.
        augmented: whether it is a changed version of an image.
    """

    number: int
    size: tuple[int, int]
    features: np.ndarray
    boxes: np.ndarray
    shapes: list[tuple[str, str]]
    questions: list[tuple[str, str]]
    augmented: bool = False

    @property
    def known(self) -> bool:
        """Whether captions and statements can be made about it."""
        return not self.augmented and all(self.shapes[0])


def write_easy_vqa(
    folder: str | Path,
    seed: int = 0,
    dtype: str = "float32",
    max_images: int | None = None,
    variants: int = 0,
    progress: bool = True,
) -> dict[str, Any]:
    """Find the regions of all images and write all that is said about them.

    Nine of ten images of the data set's training split are for training and the tenth for validation; its test split
    is for the test. With `variants`, changed versions of the training images are further training images: a model
    that learned from them answers about other sizes, places, shades and backgrounds, and about several shapes.

    Args:
        folder: where the data is to be; nothing, or an empty folder, is there.
        seed: of the statements and the variants; the same seed writes the same files.
        dtype: of the features, float32 or float16.
        max_images: use only this many images of each split, for a quick try; at least 100.
        variants: how many changed versions of each training image are added.
        progress: whether to show progress bars, on standard error.

    Returns:
        The summary that is also written as summary.json: how many there are of what, and the baselines.

    Raises:
        FileExistsError: there is something in `folder`.
        ImportError: the package easy-vqa is not installed.
        ValueError: a negative seed or number of variants, or too few images.
    """
    for name, value in (("seed", seed), ("variants", variants)):
        if value < 0:
            raise ValueError(f"{name} must be 0 or more; got {value}.")
    if max_images is not None and max_images < 10 * _HELD_OUT:
        raise ValueError(
            f"max_images must be {10 * _HELD_OUT} or more, so that every split has pairs; got {max_images}."
        )
    given = {split: load(split) for split in ("train", "test")}
    counts = [len(data.image_paths) for data in given.values()]
    if max_images is not None:
        given = {split: data.first(max_images) for split, data in given.items()}
    learned = list(enumerate(given["train"].images()))
    splits = {
        "train": [image for image in learned if image[0] % _HELD_OUT != _HELD_OUT - 1],
        "valid": learned[_HELD_OUT - 1 :: _HELD_OUT],
        "test": list(enumerate(given["test"].images(), start=counts[0])),
    }
    about = {"seed": seed, "variants": variants}
    configs = _CONFIGS if not variants else {**_CONFIGS, **_WITH_VARIANTS}
    data = DatasetInfo(NAME, tuple(answer_list()), SHAPES, _COLOURS, configs, about)
    with dataset_writer(folder, data, dtype) as target:
        for split in SPLITS:
            own, doing = splits[split], f"regions of {split} images"
            images = [_opened(number, image) for number, image in tracked(own, doing, len(own), "images", progress)]
            if split == "train" and variants:
                images += _variants([image for _, image in splits[split]], sum(counts), variants, seed, progress)
            for made in images:
                target.add_image(split, _entry(made), made.number, made.known)
            target.add_texts(split, _texts(data, split, images, seed))
    return target.summary


def _opened(number: int, image: EasyVqaImage) -> _Image:
    pixels = open_image(image.path)
    size = pixels.shape[0], pixels.shape[1]
    return _Image(number, size, *image_regions(pixels, 1), [(image.shape, image.colour)], image.questions)


def _variants(images: Sequence[EasyVqaImage], start: int, count: int, seed: int, progress: bool) -> list[_Image]:
    """Changed versions of the training images, numbered from `start`."""
    random = np.random.default_rng([seed, len(SPLITS)])
    made = [one for versions in augment(images, count, random, progress) for one in versions if one.questions]
    return [
        _Image(start + place, one.size, *one.regions, one.shapes, one.questions, augmented=True)
        for place, one in enumerate(made)
    ]


def _entry(image: _Image) -> ImageEntry:
    objects, attributes = (np.full(len(image.boxes), NO_LABEL, np.int64) for _ in range(2))
    # An image whose shape was not found has one region, the whole.
    for region, (shape, colour) in enumerate(image.shapes[: len(image.boxes) - 1], start=1):
        objects[region] = SHAPES.index(shape) if shape else NO_LABEL
        attributes[region] = _COLOURS.index(colour) if colour else NO_LABEL
    return ImageEntry(image.size, image.features, image.boxes, objects, attributes)


def _texts(data: DatasetInfo, split: str, images: Sequence[_Image], seed: int) -> SplitTexts:
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
    known = [_Shape(*image.shapes[0]) for image in images if image.known]
    statements = [
        set_statements(
            [((known[at],), (known[at + 1],)) for at in range(start, start + SET, 2)], SHAPES, _COLOURS, random
        )
        for start in range(0, len(known) - SET + 1, SET)
    ]
    captions = captions_column(names, [_captions(image, random) for image in images], f"{NAME}_captions")
    shown = {
        name: {"": len(image.shapes), **Counter(word for shape in image.shapes for word in shape if word)}
        for name, image in zip(names, images, strict=True)
    }
    return SplitTexts(names, questions, statements, captions, shown)


class _Shape(NamedTuple):
    shape: str
    colour: str


def _question_type(answer: str) -> str:
    return "presence" if answer in ("yes", "no") else "color" if answer in COLOURS else "shape"


def _captions(image: _Image, random: np.random.Generator) -> list[str]:
    """A sentence about what is there, and one about something that is not; none about an augmented image."""
    if image.augmented:
        return []
    (shape, colour), *_ = image.shapes
    made = []
    if shape or colour:
        made.append(" ".join(filter(None, ("a", colour, shape or "shape"))))
    absent = [f"{other} shape" for other in _COLOURS if colour and other != colour]
    absent += [other for other in SHAPES if shape and other != shape]
    if absent:
        made.append(f"there is no {absent[random.integers(len(absent))]} in the image")
    return made

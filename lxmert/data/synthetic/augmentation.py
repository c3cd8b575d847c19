"""Changed versions of easy-VQA's images, for training: drawn again, and with more shapes next to the one in question.

In the data set every image has one upright shape on a pale background, so nothing teaches a model to look for *which*
shape is meant. Regions of other images are added to an image's own, and an answer is changed where they change it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lxmert.data.synthetic.easy_vqa import COLOURS, EasyVqaImage, trait_in
from lxmert.data.synthetic.variants import vary
from lxmert.utils.progress import tracked
from lxmert.vision.images import open_image
from lxmert.vision.shapes.regions import image_regions

_MOST_ADDED = 2  # the most shapes that are added to an image
_ADDED = 0.5  # the probability that a first one is added, and then a second one
_NO, _YES = "no", "yes"

Regions = tuple[np.ndarray, np.ndarray]  # features [R, F] and boxes [R, 4], of the whole image first


class AugmentedImage(NamedTuple):
    """An image of several shapes.

    Attributes:
        size: height and width in pixels.
        regions: of the whole image, and of each shape.
        shapes: of each shape its kind and its colour, "" where that is not known.
        questions: with their answers.
    """

    size: tuple[int, int]
    regions: Regions
    shapes: list[tuple[str, str]]
    questions: list[tuple[str, str]]


def augment(
    images: Sequence[EasyVqaImage], versions: int, random: np.random.Generator, progress: bool = True
) -> list[list[AugmentedImage]]:
    """Changed versions of each image; a thousand take some seconds.

    Args:
        images: of the training split.
        versions: how many for each image.
        random: decides how they are changed.
        progress: whether to show how far it is, on standard error.
    """
    drawn = [
        _drawn(image, versions, random) for image in tracked(images, "changing images", len(images), "images", progress)
    ]
    known = [place for place, image in enumerate(images) if image.shape and image.colour]
    made: list[list[AugmentedImage]] = []
    for image, own in zip(images, drawn, strict=True):
        made.append([])
        for size, (features, boxes) in own:
            shapes = [(image.shape, image.colour)]
            while len(shapes) <= _MOST_ADDED and random.random() < _ADDED:
                other = known[random.integers(len(known))]
                _, (more, places) = drawn[other][random.integers(versions)]
                features, boxes = np.concatenate([features, more[1:]]), np.concatenate([boxes, places[1:]])
                features[0] += more[0]
                shapes.append((images[other].shape, images[other].colour))
            np.clip(features[0], -1.0, 1.0, out=features[0])
            answers = [(question, _answer(question, answer, shapes)) for question, answer in image.questions]
            kept = [(question, answer) for question, answer in answers if answer]
            made[-1].append(AugmentedImage(size, (features, boxes), shapes, kept))
    return made


def _drawn(image: EasyVqaImage, versions: int, random: np.random.Generator) -> list[tuple[tuple[int, int], Regions]]:
    """The sizes and the regions of changed versions of an image."""
    pixels = open_image(image.path)
    found = []
    for changed in vary(pixels, random, versions):
        features, boxes = image_regions(changed, 1)
        if len(boxes) < 2:  # a changed shape may be lost on a background much like it
            changed, (features, boxes) = pixels, image_regions(pixels, 1)
        found.append(((changed.shape[0], changed.shape[1]), (features, boxes)))
    return found


def _answer(question: str, answer: str, shapes: Sequence[tuple[str, str]]) -> str:
    """The answer to a question about the first shape, now that there are others; "" where there is no certain one.

    "What colour is the circle?" needs one circle, and "what colour is the shape?" one shape.
    """
    (shape, colour), *others = shapes
    if not others:
        return answer
    asked = trait_in(question)
    own = colour if asked in COLOURS else shape
    added = any(asked in other for other in others)
    if not asked or (added and answer not in (_YES, _NO)) or (added and not own):
        return ""
    turns = added and own != asked
    return {_YES: _NO, _NO: _YES}[answer] if turns else answer

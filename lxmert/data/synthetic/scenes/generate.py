"""Generate synthetic scenes in every format: images in several processes, texts in one.

An image depends only on the seed and its number, and questions are chosen in the order of the images; so the files do
not depend on the number of processes.
"""

from __future__ import annotations

import multiprocessing
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lxmert.data.datasets import Questions
from lxmert.data.synthetic.dataset_export import (
    SPLITS,
    DatasetInfo,
    ImageEntry,
    SplitTexts,
    captions_column,
    dataset_writer,
)
from lxmert.data.synthetic.statements import SET, set_statements
from lxmert.utils.optional_imports import require
from lxmert.utils.progress import tracked
from lxmert.utils.write_errors import naming
from lxmert.vision.shapes.regions import image_regions

from .balance import Balance
from .captions import captions
from .drawing import draw, region_labels
from .questions import ANSWERS, FAMILIES, YES_NO, Question, possible_questions
from .scene import COLOURS, LARGEST_SIDE, MOST, SHAPES, SMALLEST_SIDE, Scene, random_scene

NAME = "scenes"
_EPOCHS = {"pretrain": 3, "vqa": 10, "gqa": 10, "nlvr2": 12}
"""Passes over 10,000 images' examples until a small model has learned them."""
FEWEST_IMAGES = 10 * SET
"""Each split then has images for a set of statements."""

_CHUNK = 64  # images that a process makes at a time
_MAX_WAITING = 4  # chunks per process that wait to be written
_IDS_PER_IMAGE = 1000  # question ids, as in official VQA
# Streams of random numbers, so that one use does not change another.
_SCENE, _TEXTS, _STATEMENTS = range(3)


class _Made(NamedTuple):
    scene: Scene
    entry: ImageEntry


def make_scenes(
    folder: str | Path,
    images: int = 10_000,
    seed: int = 0,
    side: int = 128,
    keep_images: bool = False,
    dtype: str = "float32",
    processes: int = 1,
    progress: bool = True,
) -> dict[str, Any]:
    """Draw images, find their regions, ask questions about them, and write all of it.

    Eight of ten images are for training, one for validation, one for the test.

    Args:
        folder: it must not exist, or be empty.
        images: their number.
        seed: the same seed writes the same files, byte for byte.
        side: width and height of an image in pixels.
        keep_images: whether to write the images too, as PNG files.
        dtype: of the features, float32 or float16.
        processes: the number of processes that draw; it does not change the files.
        progress: whether to show a progress bar, on standard error.

    Returns:
        The summary, which is also written as summary.json: counts, and the scores of the baselines.

    Raises:
        FileExistsError: `folder` is not empty.
        ValueError: too few images, a size that is too small or too large, a negative seed, no process.
    """
    for name, value, least in (("images", images, FEWEST_IMAGES), ("seed", seed, 0), ("processes", processes, 1)):
        if value < least:
            raise ValueError(f"{name} must be {least} or more; got {value}.")
    if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise ValueError(f"size must be from {SMALLEST_SIDE} to {LARGEST_SIDE} pixels; got {side}.")
    configs = {task: {"epochs": epochs} for task, epochs in _EPOCHS.items()}
    data = DatasetInfo(NAME, ANSWERS, SHAPES, tuple(COLOURS), configs, {"images": images, "seed": seed, "size": side})
    require("scipy.ndimage", "Finding regions")
    with dataset_writer(folder, data, dtype) as target:
        kept = None
        if keep_images:
            require("PIL.Image", "Writing images")
            kept = target.folder / "images"
            kept.mkdir()
        made = _all_images(images, seed, side, kept, processes)
        builders = {split: _SplitTextsBuilder(data, split, seed) for split in SPLITS}
        for number, (scene, entry) in enumerate(tracked(made, "drawing scenes", images, "images", progress)):
            split = image_split(number, images)
            target.add_image(split, entry, number)
            builders[split].add(number, scene)
        for split, builder in builders.items():
            target.add_texts(split, builder.texts())
    return target.summary


def image_split(number: int, images: int) -> str:
    """The split of an image, of `images` in all."""
    held_out = images // 10
    return SPLITS[0 if number < images - 2 * held_out else 1 if number < images - held_out else 2]


class _SplitTextsBuilder:
    """Collects the texts about the images of one split."""

    def __init__(self, data: DatasetInfo, split: str, seed: int):
        self._data, self._split, self._seed = data, split, seed
        self._balance = Balance()
        self._images: list[str] = []
        self._scenes: list[Scene] = []
        self._asked: list[tuple[int, str, Question]] = []
        self._captions: list[list[str]] = []

    def add(self, number: int, scene: Scene) -> None:
        random = np.random.default_rng([self._seed, _TEXTS, number])
        name = self._data.image_name(self._split, number)
        chosen = self._balance.choose(possible_questions(scene, random), random)
        self._images.append(name)
        self._scenes.append(scene)
        self._asked += [(number * _IDS_PER_IMAGE + place, name, asked) for place, asked in enumerate(chosen)]
        self._captions.append(captions(scene, random))

    def texts(self) -> SplitTexts:
        statements = []
        for start in range(0, len(self._scenes) - SET + 1, SET):
            pairs = [(self._scenes[at].shapes, self._scenes[at + 1].shapes) for at in range(start, start + SET, 2)]
            random = np.random.default_rng([self._seed, _STATEMENTS, SPLITS.index(self._split), start])
            statements.append(set_statements(pairs, SHAPES, tuple(COLOURS), random))
        questions = Questions(
            ids=[number for number, _, _ in self._asked],
            texts=[asked.text for _, _, asked in self._asked],
            images=[name for _, name, _ in self._asked],
            answers=[{asked.answer: 1.0} for _, _, asked in self._asked],
            question_types=[FAMILIES[asked.family].kind for _, _, asked in self._asked],
            answer_types=[_answer_type(asked.answer) for _, _, asked in self._asked],
        )
        shown = {name: _shown(scene) for name, scene in zip(self._images, self._scenes, strict=True)}
        sentences = captions_column(self._images, self._captions, f"{NAME}_captions")
        return SplitTexts(self._images, questions, statements, sentences, shown)


def _answer_type(answer: str) -> str:
    return "yes/no" if answer in YES_NO else "number" if answer.isdecimal() else "other"


def _shown(scene: Scene) -> dict[str, int]:
    words = Counter(word for shape in scene.shapes for word in (shape.shape, shape.colour, shape.size))
    return {"": len(scene.shapes), **words}


def _all_images(images: int, seed: int, side: int, kept: Path | None, processes: int) -> Iterator[_Made]:
    """The images in order."""
    chunks = [(start, min(start + _CHUNK, images)) for start in range(0, images, _CHUNK)]
    work = [(images, seed, side, kept, *chunk) for chunk in chunks]
    if processes == 1:
        for job in work:
            yield from _make(*job)
        return
    # New processes and not forked ones: a fork of a process with threads may hang.
    with ProcessPoolExecutor(min(processes, len(work)), multiprocessing.get_context("spawn")) as pool:
        waiting: deque[Future[list[_Made]]] = deque()
        try:
            for job in work:
                waiting.append(pool.submit(_make, *job))
                if len(waiting) >= _MAX_WAITING * processes:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _make(images: int, seed: int, side: int, kept: Path | None, start: int, stop: int) -> list[_Made]:
    made = []
    for number in range(start, stop):
        scene = random_scene(np.random.default_rng([seed, _SCENE, number]), side)
        pixels = draw(scene, side)
        features, boxes = image_regions(pixels, MOST)
        objects, attributes = region_labels(scene, boxes)
        made.append(_Made(scene, ImageEntry((side, side), features, boxes, objects, attributes)))
        if kept is not None:
            from PIL import Image

            file = kept / f"{NAME}_{image_split(number, images)}_{number:012d}.png"
            with naming(file):
                Image.fromarray(pixels).save(file)
    return made

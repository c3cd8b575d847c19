"""What is shown with the training questions: changed images, and further shapes beside the one asked about.

In the data set every image has one shape, so that nothing teaches a model to look for *which* shape is meant.
Regions of other images are put beside an image's own, and the answer is changed where the newcomer changes it.
"""

from __future__ import annotations

import re

import numpy as np
from tqdm import tqdm

from lxmert.data.synthetic.easy_vqa import COLOURS, SHAPES, EasyVqa, answer_list
from lxmert.data.synthetic.recipe import Recipe
from lxmert.data.synthetic.variants import vary
from lxmert.vision.images import open_image
from lxmert.vision.regions import FEATURE_SIZE, RegionBatch, image_regions

_TRAITS = (*COLOURS, *SHAPES)  # a trait is a place in here, or -1 for none or unknown
_COMPANY = 2  # at most so many shapes join an image's own


class AugmentedRegions:
    """Regions for training questions, drawn anew each time a question is asked.

    Making one finds the regions of every image and of its changed versions: about 15 s for the training split.

    Args:
        data: The split to train on.
        recipe: Its ``variants``, ``varied``, ``company`` and ``seed`` are used.
        progress: Whether to show a progress bar, on standard error.
    """

    def __init__(self, data: EasyVqa, recipe: Recipe, progress: bool = True) -> None:
        self.recipe = recipe
        self.labels = data.labels
        self.image_index = data.image_index
        answers = answer_list()
        self._yes, self._no = answers.index("yes"), answers.index("no")
        self._asked = np.array([_trait_in(question) for question in data.questions], np.int64)  # [Q]
        self._traits = image_traits(data)  # [P, 2]: colour and shape
        self._known = np.flatnonzero((self._traits >= 0).all(axis=1))  # only they can join: what they are is certain
        self._features, self._boxes = _versions(data, recipe, progress)  # [1 + variants, P, 2, ...]

    def draw(self, rows: np.ndarray, random: np.random.Generator) -> tuple[RegionBatch, np.ndarray]:
        """Regions ``[B, 4, ...]`` and labels int64 ``[B]`` for the questions at ``rows``, int ``[B]``."""
        count = len(rows)
        own = self.image_index[rows]
        feats = np.zeros((count, 2 + _COMPANY, FEATURE_SIZE), np.float32)
        pos = np.zeros((count, 2 + _COMPANY, 4), np.float32)
        mask = np.zeros((count, 2 + _COMPANY), np.float32)
        version = self._version(count, random)
        feats[:, :2], pos[:, :2], mask[:, :2] = self._features[version, own], self._boxes[version, own], 1.0

        labels = self.labels[rows].copy()
        asked = self._asked[rows]
        yes_or_no = (labels == self._yes) | (labels == self._no)
        traits = self._traits[own]
        present = (traits == asked[:, None]).any(axis=1)  # is what is asked for in the image?
        # Whether an image shows it is unknown where no question of the data set tells.
        unsure = np.where(asked < len(COLOURS), traits[:, 0] < 0, traits[:, 1] < 0)
        joined = np.ones(count, bool)
        for region in range(2, 2 + _COMPANY):
            other = self._known[random.integers(len(self._known), size=count)]
            version = self._version(count, random)
            matches = (self._traits[other] == asked[:, None]).any(axis=1)
            # "What colour is the circle?" must stay about one circle, "what colour is the shape?" about one shape;
            # a yes or no must stay known.
            fits = (asked >= 0) & np.where(yes_or_no, ~(unsure & matches), ~matches)
            joined &= fits & (random.random(count) < self.recipe.company)
            turns = joined & yes_or_no & matches & ~present
            labels[turns] = self._yes + self._no - labels[turns]
            present |= joined & matches
            feats[joined, region] = self._features[version, other, 1][joined]
            pos[joined, region] = self._boxes[version, other, 1][joined]
            mask[joined, region] = 1.0
            feats[joined, 0] += self._features[version, other, 0][joined]
        np.clip(feats[:, 0], -1.0, 1.0, out=feats[:, 0])
        return RegionBatch(visual_feats=feats, visual_pos=pos, visual_attention_mask=mask), labels

    def _version(self, count: int, random: np.random.Generator) -> np.ndarray:
        if len(self._features) == 1:
            return np.zeros(count, np.int64)
        changed = random.random(count) < self.recipe.varied
        return np.where(changed, random.integers(1, len(self._features), count), 0)


def _versions(data: EasyVqa, recipe: Recipe, progress: bool) -> tuple[np.ndarray, np.ndarray]:
    """The whole image and its shape: ``[1 + variants, P, 2, F]`` and ``[1 + variants, P, 2, 4]``; first unchanged."""
    count = len(data.image_paths)
    features = np.zeros((1 + recipe.variants, count, 2, FEATURE_SIZE), np.float32)
    boxes = np.zeros((1 + recipe.variants, count, 2, 4), np.float32)
    random = np.random.default_rng([recipe.seed, 1])
    paths = tqdm(data.image_paths, desc=f"regions of {data.split} images", unit="", disable=not progress)
    for place, path in enumerate(paths):
        pixels = open_image(path)
        for version, image in enumerate([pixels, *vary(pixels, random, recipe.variants)]):
            found, where = image_regions(image, 1)
            # A changed shape may be lost to chance, on a background much like it; the unchanged one serves instead.
            source = (found, where) if len(where) == 2 else (features[0, place], boxes[0, place])
            features[version, place, : len(source[0])], boxes[version, place, : len(source[1])] = source
    return features, boxes


def _trait_in(question: str) -> int:
    """The colour or shape that a question names; none names two."""
    for word in re.findall(r"\w+", question.lower()):
        if word in _TRAITS:
            return _TRAITS.index(word)
    return -1


def image_traits(data: EasyVqa) -> np.ndarray:
    """Colour and shape of every image, int64 ``[P, 2]``, as far as its questions tell."""
    traits = np.full((len(data.image_paths), 2), -1, np.int64)
    for question, answer, image in zip(data.questions, data.answers, data.image_index, strict=True):
        told = [_trait_in(answer)]
        denies = re.search(r"\b(not|no)\b", question.lower()) is not None
        if answer not in ("yes", "no") or (answer == "yes") != denies:
            told.append(_trait_in(question))  # what a question presumes, or an answer confirms
        for trait in told:
            if trait >= 0:
                traits[image, int(trait >= len(COLOURS))] = trait
    return traits

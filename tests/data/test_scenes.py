"""Drawn scenes: what is in them, what is said about them, and whether it is true."""

import math
import re
from collections import Counter

import numpy as np
import pytest

from lxmert.data.features.layout import NO_LABEL
from lxmert.data.synthetic.scenes.balance import FEWEST_QUESTIONS, MOST_QUESTIONS, Balance
from lxmert.data.synthetic.scenes.captions import captions
from lxmert.data.synthetic.scenes.drawing import draw, region_labels
from lxmert.data.synthetic.scenes.questions import ANSWERS, FAMILIES, KINDS, possible_questions
from lxmert.data.synthetic.scenes.scene import COLOURS, FEWEST, LARGEST_SIDE, MOST, SHAPES, SIZES, Scene, random_scene
from lxmert.data.synthetic.statements import PAIRS, SET, set_statements
from lxmert.vision.shapes.regions import image_regions

SCENES = [random_scene(np.random.default_rng([7, number]), 96) for number in range(300)]


def meant(scene: Scene, words: str):
    """The shapes that a phrase such as "large red circle" or "red shape" fits."""
    traits = {word.removesuffix("s") for word in words.split()} - {"shape", "one"}
    return [shape for shape in scene.shapes if traits <= {shape.shape, shape.colour, shape.size}]


def the(scene: Scene, words: str):
    (one,) = meant(scene, words)
    return one


def beside(scene: Scene, side: str, words: str):
    reference = the(scene, words)
    sign = -1 if side == "left" else 1
    ways = {other: sign * (other.x - reference.x) for other in scene.shapes if other != reference}
    (one,) = [other for other, way in ways.items() if way > 0]
    assert min(abs(way) for way in ways.values()) > 0.1  # beyond doubt
    return one


def nearest(scene: Scene, words: str):
    reference = the(scene, words)
    far = sorted(
        (math.dist((reference.x, reference.y), (other.x, other.y)), other)
        for other in scene.shapes
        if other != reference
    )
    assert far[0][0] < 0.51 * far[1][0]  # beyond doubt
    return far[0][1]


def furthest(scene, side):
    by_x = sorted(scene.shapes, key=lambda shape: shape.x, reverse=side == "right")
    assert abs(by_x[0].x - by_x[1].x) > 0.1  # beyond doubt
    return by_x[0]


def yes(truth):
    return "yes" if truth else "no"


# Each form of question, answered from its words alone.
ANSWERED = {
    r"what color is the shape (left|right) of the (.*)": lambda s, side, words: beside(s, side, words).colour,
    r"what color is the shape nearest to the (.*)": lambda s, words: nearest(s, words).colour,
    r"what color is the shape furthest (left|right)": lambda s, side: furthest(s, side).colour,
    r"what shape is furthest (left|right)": lambda s, side: furthest(s, side).shape,
    r"what color is the (.*)": lambda s, words: the(s, words).colour,
    r"what shape is (left|right) of the (.*)": lambda s, side, words: beside(s, side, words).shape,
    r"what shape is nearest to the (.*)": lambda s, words: nearest(s, words).shape,
    r"what shape is the (.*)": lambda s, words: the(s, words).shape,
    r"is the (.*) left of the (.*)": lambda s, a, b: yes(the(s, a).x < the(s, b).x - 0.1),
    r"is the (.*) right of the (.*)": lambda s, a, b: yes(the(s, a).x > the(s, b).x + 0.1),
    r"is the (.*) (\w+)": lambda s, words, colour: yes(the(s, words).colour == colour),
    r"how many (.*) are there": lambda s, words: str(len(meant(s, words))),
    r"are there more (.*) than (.*)": lambda s, a, b: yes(len(meant(s, a)) > len(meant(s, b))),
    r"are there fewer (.*) than (.*)": lambda s, a, b: yes(len(meant(s, a)) < len(meant(s, b))),
    r"are there as many (.*) as (.*)": lambda s, a, b: yes(len(meant(s, a)) == len(meant(s, b))),
}


def answered(scene: Scene, text: str) -> str:
    for form, answer in ANSWERED.items():
        if found := re.fullmatch(form + r"\?", text):
            return answer(scene, *found.groups())
    raise AssertionError(f"no form fits {text!r}")


def test_shapes_do_not_touch_and_differ_clearly_in_size():
    counts = Counter()
    for scene in SCENES:
        counts[len(scene.shapes)] += 1
        for place, shape in enumerate(scene.shapes):
            assert min(shape.box) > 0
            assert max(shape.box) < 1
            assert (shape.side > 0.2) == (shape.size == "large")
            for other in scene.shapes[:place]:
                apart = max(abs(shape.x - other.x), abs(shape.y - other.y)) - (shape.side + other.side) / 2
                assert apart >= 3 / 96 - 1e-9
    assert sorted(counts) == list(range(FEWEST, MOST + 1))
    shapes = [shape for scene in SCENES for shape in scene.shapes]
    for trait, words in (("shape", SHAPES), ("colour", COLOURS), ("size", SIZES)):
        assert {getattr(shape, trait) for shape in shapes} == set(words)


@pytest.mark.parametrize("side", [64, 96, 200, LARGEST_SIDE])
def test_every_shape_is_a_region_with_its_labels(side):
    for number in range(40 if side < LARGEST_SIDE else 5):
        scene = random_scene(np.random.default_rng([3, number]), side)
        pixels = draw(scene, side)
        assert pixels.shape == (side, side, 3)
        assert pixels.dtype == np.uint8
        features, boxes = image_regions(pixels)
        objects, attributes = region_labels(scene, boxes)
        assert (objects[0], attributes[0]) == (NO_LABEL, NO_LABEL)  # the whole image
        found = [(SHAPES[a], list(COLOURS)[b]) for a, b in zip(objects[1:], attributes[1:], strict=True)]
        assert Counter(found) == Counter((shape.shape, shape.colour) for shape in scene.shapes)
        assert len(features) == 1 + len(scene.shapes)


def test_a_region_that_is_no_shape_has_no_label():
    scene = SCENES[0]
    x1, y1, x2, y2 = scene.shapes[0].box
    far = np.array([[x1, y1, x2, y2], [x1, y1, x1 + 0.4 * (x2 - x1), y2], [0.0, 0.0, 0.02, 0.02]])
    objects, attributes = region_labels(scene, far)
    assert objects.tolist() == [SHAPES.index(scene.shapes[0].shape), NO_LABEL, NO_LABEL]
    assert attributes.tolist() == [list(COLOURS).index(scene.shapes[0].colour), NO_LABEL, NO_LABEL]


def test_the_drawn_colours_and_covers_are_those_of_the_scene():
    scene = SCENES[1]
    pixels = draw(scene, 96)
    covers = {"circle": math.pi / 4, "square": 1.0, "triangle": 0.5, "diamond": 0.5}
    for shape in scene.shapes:
        middle = pixels[round(shape.y * 96), round(shape.x * 96)]
        assert middle.tolist() == list(shape.shade)
        x1, y1, x2, y2 = (edge * 96 for edge in shape.box)
        cut = pixels[int(y1) : math.ceil(y2), int(x1) : math.ceil(x2)].astype(float)
        background = np.array(scene.background)
        share = (background - cut).sum() / (background - np.array(shape.shade)).sum()
        assert share == pytest.approx(covers[shape.shape] * (shape.side * 96) ** 2, rel=0.06)


def test_every_answer_follows_from_the_words_of_the_question():
    families, answers = Counter(), Counter()
    for number, scene in enumerate(SCENES):
        for asked in possible_questions(scene, np.random.default_rng(number)):
            assert answered(scene, asked.text) == asked.answer, asked
            assert asked.answer in FAMILIES[asked.family].answers
            families[asked.family] += 1
            answers[asked.answer] += 1
    assert set(families) == set(FAMILIES)
    assert set(answers) == set(ANSWERS)
    assert {family.kind for family in FAMILIES.values()} == set(KINDS)


def test_questions_are_chosen_so_that_the_text_does_not_tell_the_answer():
    balance, counts, kinds = Balance(), {}, Counter()
    numbers = []
    scenes = [random_scene(np.random.default_rng([9, number]), 96) for number in range(600)]
    for number, scene in enumerate(scenes):
        random = np.random.default_rng(number)
        chosen = balance.choose(possible_questions(scene, random), random)
        assert len({asked.text for asked in chosen}) == len(chosen)
        numbers.append(len(chosen))
        for asked in chosen:
            counts.setdefault((asked.family, asked.text), Counter())[asked.answer] += 1
            kinds[FAMILIES[asked.family].kind] += 1
    assert max(numbers) == MOST_QUESTIONS
    assert np.mean(numbers) > FEWEST_QUESTIONS + 1
    for (family, text), given in counts.items():
        each = [given[answer] for answer in FAMILIES[family].answers]
        assert max(each) - min(each) <= 1, text
    assert min(kinds.values()) > 0.13 * sum(kinds.values())


def test_captions_are_true():
    numbers = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
    forms = Counter()
    for number, scene in enumerate(SCENES):
        for caption in captions(scene, np.random.default_rng(number)):
            assert len(re.findall(r"\w+|,", caption)) <= 18, caption  # with [CLS] and [SEP] twenty
            if found := re.fullmatch(r"there (is|are) (\w+) (.*?) and (\w+) (.*)", caption):
                _, first, those, second, others = found.groups()
                truth = [len(meant(scene, those)), len(meant(scene, others))] == [numbers[first], numbers[second]]
            elif found := re.fullmatch(r"the (.*) is nearest to the (.*)", caption):
                truth = nearest(scene, found[2]) == the(scene, found[1])
            elif caption.startswith("the "):
                truth = answered(scene, "is {} {}?".format(*caption.split(" is "))) == "yes"
            else:
                listed = Counter(part.removeprefix("a ") for part in re.split(", | and ", caption))
                there = Counter(f"{shape.colour} {shape.shape}" for shape in scene.shapes)
                truth = listed <= there
            assert truth, caption
            forms[" ".join(re.findall(r"there|nearest|left|right", caption))] += 1
    assert set(forms) == {"", "there", "nearest", "left", "right"}


# What each form of statement says about how many of what it names the two images show.
SAID = {
    r"the left image shows a (.*)": lambda left, right: left > 0,
    r"the right image shows a (.*)": lambda left, right: right > 0,
    r"both images show a (.*)": lambda left, right: min(left, right) > 0,
    r"exactly one image shows a (.*)": lambda left, right: (left == 0) != (right == 0),
    r"the left image shows more (.*) than the right one": lambda left, right: left > right,
    r"the right image shows more (.*) than the left one": lambda left, right: left < right,
    r"there are two (.*) in all": lambda left, right: left + right == 2,
    r"there are three (.*) in all": lambda left, right: left + right == 3,
}


def test_statements_are_true_of_two_pairs_in_four():
    forms = Counter()
    for start in range(0, len(SCENES) - SET + 1, SET):
        scenes = SCENES[start : start + SET]
        pairs = [(scenes[at].shapes, scenes[at + 1].shapes) for at in range(0, SET, 2)]
        made = set_statements(pairs, SHAPES, tuple(COLOURS), np.random.default_rng(start))
        assert len({statement.text for statement in made}) == len(made) == 6
        for text, labels in made:
            ((form, words),) = [(form, found[1]) for form in SAID if (found := re.fullmatch(form, text))]
            truth = [
                SAID[form](*(len(meant(scene, words)) for scene in scenes[at : at + 2])) for at in range(0, SET, 2)
            ]
            assert list(labels) == truth, text
            assert sum(labels) == PAIRS // 2
            forms[form] += 1
    assert set(forms) == set(SAID)


def test_no_statement_where_all_images_are_alike():
    image = SCENES[0].shapes
    assert set_statements([(image, image)] * PAIRS, SHAPES, tuple(COLOURS), np.random.default_rng(0)) == []

"""Which questions the page shows."""

import numpy as np
import pytest

from lxmert.demo.examples import IMAGES, LEAST_SURE, RIGHT, WRONG, choose_examples
from lxmert.demo.questions import QuestionSet

KINDS = ["relation", "counting", "comparison", "attribute"]


def asked(images):
    """Four questions of different kinds about each image; the image before the last one has the most varied shapes."""
    labels = [["whole image", "red circle", "red circle"] for _ in range(images)]
    labels[-2] = ["whole image", "red circle", "blue square"]
    index = np.repeat(np.arange(images), 4)
    return QuestionSet("", [""] * len(index), [""] * len(index), KINDS * images, KINDS, index, [], [], [], labels)


@pytest.fixture
def answers():
    """Two models' answers to the questions about ten images: all right and sure, and surest about the last two."""
    probabilities = np.random.default_rng(0).uniform(0.95, 0.98, (2, 40))
    probabilities[:, 32:] = 0.998
    probabilities[:, 36:] = 0.999
    return np.ones((2, 40), bool), probabilities


def test_sure_hard_and_wrong_answers_are_shown_in_this_order(answers):
    right, probabilities = answers
    right[0, 5], right[1, 5], probabilities[:, 5] = False, False, 0.99  # both models, on image 1
    right[0, 9], probabilities[0, 9] = False, 0.8  # the first one alone, on image 2
    right[1, 14] = False  # the second one alone, on image 3
    probabilities[1, [16, 17]] = 0.3, 0.4  # the least sure: image 4
    probabilities[0, 22] = 0.5  # image 5
    found = choose_examples(right, probabilities, asked(10))
    assert [example.reason for example in found] == [RIGHT, RIGHT, LEAST_SURE, LEAST_SURE, WRONG, WRONG]
    sure, other, hardest, hard, first, second = found
    assert (sure.image, other.image) == (8, 9), "of the surest the most varied one first"
    assert (hardest.image, hardest.rows) == (4, [16, 17])
    assert (hard.image, hard.rows[0]) == (5, 22)
    assert (first.image, first.rows[0]) == (2, 9)
    assert (second.image, second.rows[0]) == (3, 14)
    assert len({example.image for example in found}) == IMAGES
    for example in found:
        assert all(row // 4 == example.image for row in example.rows)
        assert len(set(example.rows)) == len(example.rows) == (3 if example.reason == RIGHT else 2)
    for example in (sure, other, hardest, hard):
        assert right[:, example.rows].all()
    assert [[KINDS[row % 4] for row in example.rows] for example in (sure, other)] == [KINDS[:3], KINDS[1:]]


def test_other_images_take_the_place_of_wrong_answers_that_there_are_none_of(answers):
    found = choose_examples(*answers, asked(10))
    assert [example.reason for example in found] == [RIGHT] * 4 + [LEAST_SURE] * 2


def test_few_images_and_only_wrong_answers(answers):
    right, probabilities = (array[:, :8] for array in answers)
    found = choose_examples(right, probabilities, asked(2))
    assert sorted(example.image for example in found) == [0, 1]
    found = choose_examples(~right[:1], probabilities[:1], asked(2))
    assert [example.reason for example in found] == [WRONG] * 2

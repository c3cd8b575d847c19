"""The questions that the demo asks: of scenes that are new to the models, with true answers."""

import re
from collections import Counter

import numpy as np
import pytest

from lxmert.data.synthetic.scenes.questions import ANSWERS, KINDS
from lxmert.data.synthetic.scenes.scene import random_scene
from lxmert.demo import questions
from lxmert.demo.questions import easy_vqa_questions, questions_for, scene_questions


@pytest.fixture(scope="module")
def scenes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "SCENES", 12)
        return scene_questions(progress=False)


def test_scenes_have_six_labelled_shapes(scenes):
    assert len(scenes.images) == len(scenes.regions) == len(scenes.labels) == len(scenes.names) == 12
    for (features, boxes), labels in zip(scenes.regions, scenes.labels, strict=True):
        assert len(features) == len(boxes) == len(labels) == 7
        assert labels[0] == "whole image"
        assert all(re.fullmatch(r"\w+ (circle|square|triangle|diamond)", label) for label in labels[1:])


def test_questions_are_of_all_kinds_and_the_numbers_are_those_of_the_labels(scenes):
    assert set(scenes.kinds) == {*KINDS, "yes or no"}
    assert set(scenes.order) < set(KINDS)
    assert len(scenes) == len(scenes.answers) == len(scenes.kinds) == len(scenes.image_index) >= 7 * 12
    counted = 0
    for question, answer, image in zip(scenes.questions, scenes.answers, scenes.image_index, strict=True):
        if found := re.fullmatch(r"how many (?:(\w+) )?(\w+)s are there\?", question):
            words = Counter(tuple(label.split()) for label in scenes.labels[image][1:])
            colour, shape = found.groups()
            fits = [n for (c, s), n in words.items() if colour in (None, c) and shape in ("shape", s)]
            assert int(answer) == sum(fits), (question, words)
            counted += 1
    assert counted > 12


@pytest.mark.full
def test_no_scene_is_one_of_those_that_the_checkpoints_were_trained_on():
    known = {random_scene(np.random.default_rng([0, 0, number]), 128).shapes for number in range(10_000)}
    ours = [scene.shapes for scene, _ in questions.first_scenes(questions.SCENES)]
    assert len(set(ours)) == questions.SCENES
    assert not known & set(ours)


def test_the_answers_of_a_model_decide_what_it_is_asked():
    assert questions_for(ANSWERS[::-1], "mine") is scene_questions
    assert questions_for([*questions.easy_vqa.answer_list(), "a shape"], "mine") is easy_vqa_questions
    with pytest.raises(ValueError, match=r"mine has not .* for easy-VQA it lacks .*'teal'.*; for scenes it lacks '0'"):
        questions_for(["yes", "no"], "mine")

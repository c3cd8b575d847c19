"""Explanations of answers about drawn shapes: the same as of one question alone, in both backends, with their names."""

import numpy as np
import pytest

from lxmert import VisualQuestionAnswering
from lxmert.data.features import RegionWriter, open_regions
from lxmert.data.features.image_regions import ImageRegions
from lxmert.detection.shapes import ShapeDetector
from lxmert.explain import explain_methods, explain_questions, methods_of
from lxmert.vision.detections import ImageDetections
from tests.inference.conftest import BACKENDS, CHECKPOINTS, draw

QUESTIONS = ["what color is the triangle?", "is there a circle?"]  # of different lengths: the second is padded
TOKENS = {
    "lxmert": ["[CLS]", "is", "there", "a", "circle", "?", "[SEP]"],
    "visual_bert": ["[CLS]", "is", "there", "a", "circle", "?", "[MASK]", "[SEP]"],
}
# Relative to the largest value of an array. Float32; measured 1.5e-4, of an answer whose values are all below 1e-4.
FLOAT32 = 1e-3


@pytest.fixture(scope="module", params=CHECKPOINTS)
def answerers(request):
    return {backend: VisualQuestionAnswering.from_pretrained(request.param, backend=backend) for backend in BACKENDS}


@pytest.fixture(scope="module")
def answerer():
    return VisualQuestionAnswering.from_pretrained("easy-vqa")


class Named(ShapeDetector):
    """Finds shapes, and calls each of them a red circle, but the first."""

    objects = ("square", "circle")
    attributes = ("red",)

    def detect(self, images):
        def named(found):
            ids = np.array([-100] + [1] * (len(found) - 1))
            scores = np.full(len(found), 0.9, np.float32)
            none = np.minimum(ids, 0)
            return ImageDetections(found.features, found.boxes, found.size, ids, scores, none, scores)

        return [named(found) for found in super().detect(images)]


def arrays(view):
    """The arrays of explanations and of attention, by what they are of."""
    found = {}
    for question in view.questions:
        (model,) = question.models
        found[question.question, "attention"] = model.attention
        for answer in model.answers:
            for method, one in answer.methods.items():
                for name, array in vars(one).items():
                    if array is not None:
                        found[question.question, answer.answer, method, name] = array
    return found


def test_each_answer_as_the_model_gives_it_alone_in_both_backends(answerers):
    """Batches of four answers: they hold both questions, of which one is padded."""
    image = draw((120, 60), count=3)
    options = {"top_k": 2, "answers": "teal", "batch_size": 4}
    pt = answerers["pt"]
    kind = pt.model.config.model_type
    view = explain_questions(pt, image, QUESTIONS, steps=3, **options)
    assert [question.question for question in view.questions] == QUESTIONS
    given = pt(image, QUESTIONS, top_k=len(pt.answers))
    for question, every in zip(view.questions, given, strict=True):
        (model,) = question.models
        expected = [entry for place, entry in enumerate(every) if place < 2 or entry["answer"] == "teal"]
        assert [answer.answer for answer in model.answers] == [entry["answer"] for entry in expected]
        np.testing.assert_allclose(
            [a.probability for a in model.answers], [entry["score"] for entry in expected], atol=1e-6
        )
        assert [list(answer.methods) for answer in model.answers] == [methods_of(kind)] * len(expected)
    assert view.questions[1].models[0].tokens == TOKENS[kind]
    found = arrays(view)
    (regions,) = pt.find_regions(image)
    inputs = pt.inputs([(regions.features, regions.normalized_boxes)], QUESTIONS[1:])
    number = pt.answers.index("teal")
    for method, alone in explain_methods(pt.model, inputs, number, steps=3).items():
        for name in ("words", "regions", "language_to_vision"):
            array = getattr(alone, name)
            if array is not None:
                close(found[QUESTIONS[1], "teal", method, name], array[0])
    layers = (2 if kind == "lxmert" else 4, 4)
    assert found[QUESTIONS[1], "attention"].shape == (*layers, len(TOKENS[kind]), 4)
    read_at = {"lxmert": 0, "visual_bert": -2}[kind]  # the position that the score is read from
    last = found[QUESTIONS[1], "attention"][-1].mean(axis=0)[read_at]
    close(last, found[QUESTIONS[1], "teal", "raw_attention", "regions"])
    # All methods of both backends are compared elsewhere; one tells whether the parts are put together alike.
    keras = arrays(explain_questions(answerers["tf"], image, QUESTIONS, methods="relevancy", **options))
    assert keras.keys() == {name for name in found if name[-1] == "attention" or name[2] == "relevancy"}
    for name, array in keras.items():
        close(array, found[name])


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=0, atol=FLOAT32 * np.abs(expected).max())


def test_regions_have_boxes_and_the_names_of_the_detector(answerer, tmp_path):
    image = draw((100, 50), count=2)
    fast = {"methods": "raw_attention", "top_k": 1}
    view = explain_questions(answerer, image, "is there a circle?", **fast)
    assert view.labels == ["whole image", "", ""]
    np.testing.assert_array_equal(view.image, np.asarray(image))
    np.testing.assert_allclose(view.boxes[0], [0, 0, 1, 1])
    boxes = view.boxes[np.argsort(view.boxes[:, 0] + (view.boxes[:, 2] == 1))]  # of equal size, in any order
    np.testing.assert_allclose(boxes[:2], [[0.12, 0.24, 0.36, 0.76], [0.62, 0.24, 0.86, 0.76]], atol=0.021)
    named = VisualQuestionAnswering(answerer.model, answerer.tokenizer, answerer.answers, detector=Named())
    image.save(tmp_path / "a.png")
    view = explain_questions(named, tmp_path / "a.png", "is there a circle?", **fast)
    assert (view.name, view.labels) == ("a.png", ["whole image", "red circle", "red circle"])
    (regions,) = named.find_regions(image)
    named.detector.objects = named.detector.attributes = None  # ids alone are no names
    assert explain_questions(named, image, "is there a circle?", **fast).labels == ["whole image", "", ""]
    assert explain_questions(named, regions, "what?", picture=image, **fast).image.shape == (50, 100, 3)
    with RegionWriter(tmp_path / "regions") as writer:
        writer.add_image(ImageRegions("one", regions.features, regions.boxes, (50, 100)))
    stored = VisualQuestionAnswering(
        answerer.model, answerer.tokenizer, answerer.answers, features=open_regions(tmp_path / "regions")
    )
    view = explain_questions(stored, "one", "is there a circle?", title="Mine", **fast)
    assert (view.name, view.image.shape, view.image.min()) == ("one", (50, 100, 3), 255)
    assert view.questions[0].models[0].title == "Mine"
    np.testing.assert_array_equal(view.boxes, regions.normalized_boxes)


def test_what_is_refused(answerer):
    for options, message in (
        ({"questions": []}, "questions must be at least one; got none"),
        ({"answers": ["ret", "zzz"]}, r"the model has 13 answers, and not these: 'ret' \(nearest: 'red'.*\); 'zzz'\."),
        ({"methods": ["relevanc"]}, "unexpected method 'relevanc'. Did you mean 'relevancy'"),
        ({"methods": []}, "methods must be at least one of relevancy, "),
        ({"top_k": 0}, "top_k must be at least 1; got 0"),
        ({"batch_size": 0}, "batch_size must be at least 1; got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            explain_questions(answerer, draw(), **{"questions": "is there a circle?", **options})
    with pytest.warns(UserWarning, match="no word of the question 'xyzzy' is known; the answer is a guess"):
        view = explain_questions(answerer, draw(), "xyzzy", methods="raw_attention", top_k=99)
    assert len(view.questions[0].models[0].answers) == 13
    answerer.model.train()
    try:
        with pytest.raises(ValueError, match="training mode"):
            explain_questions(answerer, draw(), "is there a circle?")
    finally:
        answerer.model.eval()


def test_the_steps_of_integrated_gradients_are_shown(answerer, monkeypatch):
    seen = []

    def tracked(items, doing, total, unit, shown=True):
        seen.append((doing, total, unit, shown))
        return items

    monkeypatch.setattr("lxmert.explain.attribution.tracked", tracked)
    options = {"methods": "integrated_gradients", "steps": 3, "batch_size": 2}
    explain_questions(answerer, draw(), QUESTIONS[0], progress=True, **options)
    explain_questions(answerer, draw(), QUESTIONS[0], **options)
    assert seen == [("integrated gradients", 3, "steps", True)] * 2 + [("integrated gradients", 3, "steps", False)] * 2

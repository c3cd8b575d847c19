"""The object that answers, on drawn images whose answers are known, in both backends."""

import json

import numpy as np
import pytest
from PIL import Image

from lxmert import VisualQuestionAnswering
from lxmert.inference.answering import checkpoint_answers
from lxmert.vision.shapes.regions import image_regions
from lxmert.weights.model_files import find_model
from tests.inference.conftest import BACKENDS, CHECKPOINTS, draw

CIRCLE = "what color is the circle?"


def answers(found):
    return [entry[0]["answer"] for entry in found]


def assert_alike(found, expected):
    """Every answer has the same score."""
    for ours, theirs in zip(found, expected, strict=True):
        scores = {entry["answer"]: entry["score"] for entry in theirs}
        np.testing.assert_allclose([e["score"] for e in ours], [scores[e["answer"]] for e in ours], atol=1e-5)


def test_each_checkpoint_is_of_its_model(answerers, request):
    model_type = answerers["pt"].model.config.model_type
    assert CHECKPOINTS[request.node.callspec.params["answerers"]] == model_type
    assert answerers["tf"].model.config.model_type == model_type
    assert [answerers[backend].backend for backend in BACKENDS] == list(BACKENDS)


def test_one_image_and_one_question_give_one_list(answerer):
    found = answerer(draw(), CIRCLE, top_k=3)
    assert [set(entry) for entry in found] == [{"answer", "score"}] * 3
    assert found[0]["answer"] == "red"
    assert found[0]["score"] > found[1]["score"] > found[2]["score"] >= 0


def test_every_kind_of_image(answerer, tmp_path):
    image = draw(colour="blue", shape="rectangle")
    image.save(tmp_path / "shape.png")
    given = [tmp_path / "shape.png", str(tmp_path / "shape.png"), image, np.asarray(image)]
    assert answers(answerer(given, "what shape is in the image?")) == ["rectangle"] * 4


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (300, 120), (640, 480)])
def test_any_size_and_background(answerers, size):
    questions = ["what color is the shape?", "is there a yellow shape?", "is there a red shape?"]
    for background in ("white", "#e0f0ff", "#202040"):
        found = answerers["pt"](draw(size=size, colour="yellow", background=background), questions)
        assert answers(found) == ["yellow", "yes", "no"]


def test_many_of_each(answerer):
    red, blue = draw(colour="red"), draw(colour="blue")
    question, other = "what color is the shape?", "is there a circle?"
    assert answers(answerer([red, blue], question)) == ["red", "blue"]
    assert answers(answerer(red, [question, other])) == ["red", "yes"]
    assert answers(answerer([red, blue], [question, question])) == ["red", "blue"]
    assert [len(found) for found in answerer([red], [question])] == [1]


def test_batch_size_does_not_change_answers(answerer):
    # Different numbers of words and of regions in a batch, so that padding shows if it matters.
    images = [draw((160, 60), count=count) for count in (0, 1, 2, 3)]
    questions = [
        "is there a circle?",
        "what color is the triangle?",
        "is there not a red shape?",
        "what shape is this?",
    ]
    with pytest.warns(UserWarning, match="no shape was found in image 1"):
        alone, together = (answerer(images, questions, top_k=13, batch_size=size) for size in (1, 4))
    assert_alike(alone, together)


def test_backends_agree(answerers):
    images = [draw(colour=c) for c in ("red", "green", "teal")]
    questions = [CIRCLE, "is there not a red shape?", "what shape is in the image?"]
    pt, tf = (answerers[backend](images, questions, top_k=13) for backend in BACKENDS)
    assert answers(pt) == answers(tf)
    assert_alike(pt, tf)


@pytest.mark.parametrize("question", ["", "xyzzy plugh", "???", "你好"])
def test_a_question_without_a_known_word_is_answered_with_a_warning(answerers, question):
    with pytest.warns(UserWarning, match="no word of the question") as caught:
        assert len(answerers["pt"](draw(), question)) == 1
    with pytest.warns(UserWarning, match="no word of the question") as deeper:
        answerers["pt"].inputs([image_regions(draw())], [question])
    assert {warning.filename for warning in (*caught, *deeper)} == {__file__}, "not at a line of this package"


def test_an_image_without_a_shape_is_answered_with_a_warning(answerers):
    with pytest.warns(UserWarning, match="no shape was found in image 2") as caught:
        found = answerers["pt"]([draw(), Image.new("RGB", (20, 20), "white")], "is there a circle?")
    assert len(found) == 2
    assert caught[0].filename == __file__


def test_a_long_question_is_answered(answerers):
    assert answerers["pt"](draw(), f"{CIRCLE} " * 50)[0]["answer"] in answerers["pt"].answers


@pytest.mark.parametrize(
    ("images", "questions", "options", "error", "message"),
    [
        ("nothing.png", "what?", {}, FileNotFoundError, "nothing.png"),
        ([], "what?", {}, ValueError, "images must be at least one"),
        (draw(), [], {}, ValueError, "questions must be at least one"),
        ([draw()] * 2, ["a", "b", "c"], {}, ValueError, "got 2 and 3"),
        (draw(), "what?", {"top_k": 0}, ValueError, "top_k must be 1 to 13"),
        (draw(), "what?", {"top_k": 14}, ValueError, "top_k must be 1 to 13"),
        (draw(), "what?", {"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        (draw(), [3], {}, TypeError, "text must be"),
        (3.5, "what?", {}, TypeError, "image"),
    ],
)
def test_bad_input(answerers, images, questions, options, error, message):
    with pytest.raises(error, match=message):
        answerers["pt"](images, questions, **options)


def test_a_saved_folder_answers_alike(answerers, tmp_path):
    answerers["tf"].save_pretrained(tmp_path / "copy")
    again = VisualQuestionAnswering.from_pretrained(tmp_path / "copy", backend="pt")
    assert again(draw(), CIRCLE, top_k=13) == answerers["pt"](draw(), CIRCLE, top_k=13)


def test_checkpoint_errors(answerers, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file or folder 'no/such/checkpoint'"):
        VisualQuestionAnswering.from_pretrained("no/such/checkpoint")
    with pytest.raises(ValueError, match='backend must be "pt"'):
        VisualQuestionAnswering.from_pretrained("easy-vqa", backend="jax")
    with pytest.raises(FileNotFoundError, match=r"has no answers\.json"):
        checkpoint_answers(tmp_path)
    (tmp_path / "answers.json").write_text(json.dumps([1, 2]))
    with pytest.raises(ValueError, match="no answer vocabulary"):
        checkpoint_answers(tmp_path)
    model = answerers["pt"].model
    with pytest.raises(ValueError, match="answers must be one per score: 13; got 2"):
        VisualQuestionAnswering(model, answerers["pt"].tokenizer, ["yes", "no"])


@pytest.mark.parametrize("source", CHECKPOINTS)
def test_a_shipped_checkpoint_is_small_and_whole(source):
    folder = find_model(source)
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "vocab.txt", "answers.json"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4_000_000
    assert len(checkpoint_answers(folder)) == 13

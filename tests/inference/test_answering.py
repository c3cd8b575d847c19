"""The object that answers, on drawn images whose answers are known, in both backends."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lxmert import VisualQuestionAnswering
from lxmert.inference.answering import checkpoint_answers, checkpoint_folder

BACKENDS = ("pt", "tf")
CHECKPOINTS = {"easy-vqa": "lxmert", "easy-vqa-visual-bert": "visual_bert"}


@pytest.fixture(scope="module", params=CHECKPOINTS)
def answerers(request):
    return {backend: VisualQuestionAnswering.from_pretrained(request.param, backend=backend) for backend in BACKENDS}


def test_each_checkpoint_is_of_its_model():
    for source, model_type in CHECKPOINTS.items():
        model = VisualQuestionAnswering.from_pretrained(source).model
        assert model.config.model_type == model_type
    assert type(VisualQuestionAnswering.from_pretrained().model).__name__ == "LxmertForQuestionAnswering"


def draw(size=(64, 64), shape="ellipse", colour="red", background="white"):
    image = Image.new("RGB", size, background)
    box = [size[0] * 0.25, size[1] * 0.25, size[0] * 0.7, size[1] * 0.75]
    getattr(ImageDraw.Draw(image), shape)(box, fill=colour)
    return image


def draw_several(count):
    image = Image.new("RGB", (160, 60), "white")
    for place, colour in zip(range(count), ("red", "blue", "teal"), strict=False):
        ImageDraw.Draw(image).ellipse([10 + 50 * place, 15, 40 + 50 * place, 45], fill=colour)
    return image


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_image_and_one_question_give_one_list(answerers, backend):
    found = answerers[backend](draw(), "what color is the circle?", top_k=3)
    assert [set(entry) for entry in found] == [{"answer", "score"}] * 3
    assert found[0]["answer"] == "red"
    assert found[0]["score"] > found[1]["score"] > found[2]["score"] >= 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["path", "string", "image", "array"])
def test_every_kind_of_image(answerers, backend, kind, tmp_path):
    image = draw(colour="blue", shape="rectangle")
    image.save(tmp_path / "shape.png")
    given = {
        "path": tmp_path / "shape.png",
        "string": str(tmp_path / "shape.png"),
        "image": image,
        "array": np.asarray(image),
    }[kind]
    assert answerers[backend](given, "what shape is in the image?")[0]["answer"] == "rectangle"


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (300, 120), (640, 480)])
@pytest.mark.parametrize("background", ["white", "#e0f0ff", "#202040"])
def test_any_size_and_background(answerers, size, background):
    image = draw(size=size, colour="yellow", background=background)
    found = answerers["pt"](image, ["what color is the shape?", "is there a yellow shape?", "is there a red shape?"])
    assert [entry[0]["answer"] for entry in found] == ["yellow", "yes", "no"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_many_of_each(answerers, backend):
    ask = answerers[backend]
    red, blue = draw(colour="red"), draw(colour="blue")
    question, other = "what color is the shape?", "is there a circle?"
    assert [f[0]["answer"] for f in ask([red, blue], question)] == ["red", "blue"]
    assert [f[0]["answer"] for f in ask(red, [question, other])] == ["red", "yes"]
    assert [f[0]["answer"] for f in ask([red, blue], [question, question])] == ["red", "blue"]
    assert len(ask([red], [question])) == 1
    assert len(ask([red], [question])[0]) == 1


@pytest.mark.parametrize("backend", BACKENDS)
def test_batch_size_does_not_change_answers(answerers, backend):
    # Different numbers of words and of regions in a batch, so that padding shows if it matters.
    images = [draw_several(count) for count in (0, 1, 2, 3)]
    questions = [
        "is there a circle?",
        "what color is the triangle?",
        "is there not a red shape?",
        "what shape is this?",
    ]
    with pytest.warns(UserWarning, match="no shape was found in image 1"):
        alone, together = (answerers[backend](images, questions, top_k=13, batch_size=size) for size in (1, 4))
    for a, b in zip(alone, together, strict=True):
        scores = {e["answer"]: e["score"] for e in b}
        np.testing.assert_allclose([e["score"] for e in a], [scores[e["answer"]] for e in a], atol=1e-5)


def test_backends_agree(answerers):
    images = [draw(colour=c) for c in ("red", "green", "teal")]
    questions = ["what color is the circle?", "is there not a red shape?", "what shape is in the image?"]
    pt, tf = (answerers[b](images, questions, top_k=13) for b in BACKENDS)
    for a, b in zip(pt, tf, strict=True):
        assert a[0]["answer"] == b[0]["answer"]
        scores = {e["answer"]: e["score"] for e in b}
        np.testing.assert_allclose([e["score"] for e in a], [scores[e["answer"]] for e in a], atol=1e-5)


@pytest.mark.parametrize("question", ["", "xyzzy plugh", "???", "你好"])
def test_a_question_without_a_known_word_is_answered_with_a_warning(answerers, question):
    with pytest.warns(UserWarning, match="no word of the question"):
        found = answerers["pt"](draw(), question)
    assert len(found) == 1


def test_a_image_without_a_shape_is_answered_with_a_warning(answerers):
    with pytest.warns(UserWarning, match="no shape was found in image 2"):
        found = answerers["pt"]([draw(), Image.new("RGB", (20, 20), "white")], "is there a circle?")
    assert len(found) == 2


def test_a_long_question_is_answered(answerers):
    assert answerers["pt"](draw(), "what color is the circle? " * 50)[0]["answer"] in answerers["pt"].answers


def test_the_attention_of_each_token_to_the_regions(answerers):
    from lxmert.vision.regions import image_regions

    regions = image_regions(draw())
    pt, tf = (answerers[b].region_attention([regions], ["what color is the circle?"])[0] for b in BACKENDS)
    # [CLS] what color is the circle ? [SEP]; VisualBERT reads [MASK] too.
    assert pt.shape == (8 + (answerers["pt"].model.config.model_type == "visual_bert"), len(regions[1]))
    np.testing.assert_allclose(pt.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(pt, tf, atol=1e-5)


@pytest.mark.parametrize(
    ("images", "questions", "options", "error", "message"),
    [
        ("nothing.png", "what?", {}, FileNotFoundError, "nothing.png"),
        ([], "what?", {}, ValueError, "images must be at least one"),
        ("draw", [], {}, ValueError, "questions must be at least one"),
        (["draw", "draw"], ["a", "b", "c"], {}, ValueError, "got 2 and 3"),
        ("draw", "what?", {"top_k": 0}, ValueError, "top_k must be 1 to 13"),
        ("draw", "what?", {"top_k": 14}, ValueError, "top_k must be 1 to 13"),
        ("draw", "what?", {"batch_size": 0}, ValueError, "batch_size must be at least 1"),
        ("draw", [3], {}, TypeError, "text must be"),
        (3.5, "what?", {}, TypeError, "image"),
    ],
)
def test_bad_input(answerers, images, questions, options, error, message):
    def real(given):
        return draw() if given == "draw" else [real(one) for one in given] if isinstance(given, list) else given

    with pytest.raises(error, match=message):
        answerers["pt"](real(images), questions, **options)


def test_saved_folder_answers_alike(answerers, tmp_path):
    answerers["tf"].save_pretrained(tmp_path / "copy")
    again = VisualQuestionAnswering.from_pretrained(tmp_path / "copy", backend="pt")
    question = "what color is the circle?"
    assert again(draw(), question, top_k=13) == answerers["pt"](draw(), question, top_k=13)


def test_checkpoint_errors(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"easy-vqa"):
        VisualQuestionAnswering.from_pretrained("no-such-checkpoint")
    with pytest.raises(ValueError, match='backend must be "pt"'):
        VisualQuestionAnswering.from_pretrained("easy-vqa", backend="jax")
    with pytest.raises(FileNotFoundError, match=r"answers\.json"):
        checkpoint_answers(tmp_path)
    (tmp_path / "answers.json").write_text(json.dumps([1, 2]))
    with pytest.raises(ValueError, match="no answer vocabulary"):
        checkpoint_answers(tmp_path)


@pytest.mark.parametrize("source", CHECKPOINTS)
def test_shipped_checkpoint_is_small_and_whole(source):
    folder = checkpoint_folder(source)
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "vocab.txt", "answers.json"}
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 4_000_000
    assert len(checkpoint_answers(folder)) == 13

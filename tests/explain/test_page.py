"""The page of explanations: its data, and that no text in it can do anything."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from lxmert.explain.checks import check_views
from lxmert.explain.page import write_page
from lxmert.explain.views import AnswerView, ImageView, MethodView, ModelView, QuestionView

HOSTILE = (
    "</script><script>window.hit=1</script><img src=x onerror=hit=1>\u2028\u2029\x00\x1b[31m\u202e&amp;'\"{{data}}"
)
REGIONS = 5


def method_view(words, seed=0, matrix=True):
    random = np.random.default_rng(seed)
    return MethodView(random.random(words), random.random(REGIONS), random.random((words, REGIONS)) if matrix else None)


def image_view(tokens=("[CLS]", "red", "?", "[SEP]"), **changed):
    """An image with one question, one model and one answer."""
    answer = AnswerView("yes", 0.75, {"relevancy": method_view(len(tokens))})
    model = ModelView("LXMERT", list(tokens), [answer], np.full((2, 3, len(tokens), REGIONS), 0.2))
    fields = {
        "name": "scene.png",
        "image": np.zeros((8, 12, 3), np.uint8),
        "boxes": np.tile([0.1, 0.2, 0.5, 1.0], (REGIONS, 1)),
        "labels": [f"thing {i}" for i in range(REGIONS)],
        "questions": [QuestionView("red?", [model], "yes")],
    }
    return ImageView(**(fields | changed))


def data_of(path):
    """What the page's data element holds."""
    (text,) = re.findall(
        r'<script id="data" type="application/json">(.*?)</script>', path.read_text(encoding="utf-8"), re.S
    )
    return json.loads(text)


def unpacked(array):
    return np.frombuffer(base64.b64decode(array["data"]), "<i2").reshape(array["shape"]) * array["scale"]


def test_the_data_are_those_of_the_views(tmp_path):
    view = image_view()
    write_page(tmp_path / "page.html", "Why", [view])
    data = data_of(tmp_path / "page.html")
    (image,) = data["images"]
    (model,) = image["questions"][0]["models"]
    assert (image["width"], image["height"], image["names"]) == (12, 8, view.labels)
    np.testing.assert_array_equal(image["boxes"], view.boxes)
    expected = view.questions[0].models[0].answers[0].methods["relevancy"]
    given = model["answers"][0]["methods"]["relevancy"]
    np.testing.assert_allclose(given["words"], expected.words, rtol=1e-3)
    np.testing.assert_allclose(given["regions"], expected.regions, rtol=1e-3)
    # int16: half of a level of the largest.
    np.testing.assert_allclose(unpacked(given["links"]), expected.language_to_vision, atol=0.5 / 32767)
    np.testing.assert_allclose(unpacked(model["attention"]), 0.2, atol=1e-5)
    assert list(data["methods"]) == ["relevancy"]


def test_no_text_leaves_its_place(tmp_path):
    question = QuestionView(
        HOSTILE, [ModelView(HOSTILE, [HOSTILE], [AnswerView(HOSTILE, 1.0, {HOSTILE: method_view(1)})])]
    )
    view = image_view(name=HOSTILE, labels=[HOSTILE] * REGIONS, questions=[question])
    path = tmp_path / "page.html"
    write_page(path, HOSTILE, [view], lead=HOSTILE, figures=[["", HOSTILE], [HOSTILE, HOSTILE]])
    text = path.read_text(encoding="utf-8")
    assert text.count("<script") == 2
    assert "<img" not in text
    assert not set(text) & set("\u2028\u2029\x00\x1b\u202e")
    (image,) = data_of(path)["images"]
    shown = image["questions"][0]["models"][0]["tokens"][0]
    assert shown == image["name"] == image["names"][0].removesuffix(" (0)")
    assert shown.startswith("</script><script>window.hit=1")
    assert r"\u2028\u2029\x00\x1b[31m\u202e&amp;'" in shown


def test_nothing_may_be_loaded_or_run_but_what_the_package_wrote(tmp_path):
    write_page(tmp_path / "page.html", "Why", [image_view()])
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    assert all(re.fullmatch(r"'sha256-[\w+/]+='", rules[kind]) for kind in ("style-src", "script-src"))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|\son\w+=|style=\"", text)


def test_what_does_not_fit_together_is_refused_at_once(tmp_path):
    bad = AnswerView("yes", 1.5, {"relevancy": MethodView(np.ones(3), np.full(REGIONS, np.nan))})
    model = ModelView("LXMERT", ["a", "b"], [bad], np.ones((1, 1, 2, 4)))
    view = image_view(image=np.full((8, 12, 3), 0.5), labels=["a"], questions=[QuestionView("q", [model])])
    with pytest.raises(ValueError, match="cannot be shown") as error:
        write_page(tmp_path / "page.html", "Why", [view])
    for told in (
        "uint8 [H, W, 3], got float64 [8, 12, 3]",
        "5 regions, but 1 labels",
        "must be [2], got [3]",
        "not finite",
        "0 to 1, got 1.5",
        "[1, 1, 2, 5]",
    ):
        assert told in str(error.value)
    assert not list(tmp_path.iterdir())


def test_what_is_of_the_wrong_type_is_named(tmp_path):
    words, regions = np.array(["a", "b"]), np.full(REGIONS, 1j)
    methods = {"relevancy": MethodView(words, regions), "raw_attention": MethodView(None, [[1], [2, 3]])}
    bad = AnswerView(None, None, methods)
    questions = [QuestionView("q", [ModelView("LXMERT", ["a", 2], [bad])])]
    told = []
    for view in (image_view(questions=questions), image_view(boxes=None, labels=[None], questions=[])):
        with pytest.raises(ValueError, match="cannot be shown") as error:
            check_views([view])
        told.append(str(error.value))
    for fault in (
        "tokens of LXMERT to 'q' of scene.png must be text, got 2",
        "an answer of LXMERT to 'q' of scene.png must be text, got None",
        "must be 0 to 1, got None",
        "words by relevancy for None of LXMERT to 'q' of scene.png must be real numbers, got <U1",
        "regions by relevancy for None of LXMERT to 'q' of scene.png must be real numbers, got complex128",
        "words by raw_attention for None of LXMERT to 'q' of scene.png must be real numbers, got None",
        "must be [5], got rows of unequal lengths",
    ):
        assert fault in told[0]
    assert "boxes of scene.png must be real numbers, got None" in told[1]
    assert "labels of scene.png must be text, got None" in told[1]


def test_a_base_model_stays_small(tmp_path):
    """36 regions, 20 words, 3 answers, 8 methods, 60 heads."""
    random = np.random.default_rng(0)
    views = {f"method {i}": MethodView(random.random(20), random.random(36), random.random((20, 36))) for i in range(8)}
    answers = [AnswerView(name, 0.3, views) for name in "abc"]
    model = ModelView("LXMERT", ["word"] * 20, answers, random.random((5, 12, 20, 36)))
    image = np.zeros((1200, 3200, 3), np.uint8)
    view = ImageView("big.jpg", image, np.zeros((36, 4)), None, [QuestionView("q", [model])])
    write_page(tmp_path / "page.html", "Why", [view])
    assert (tmp_path / "page.html").stat().st_size < 400_000


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_photographs_become_jpeg_and_drawings_png(tmp_path, kind):
    image = np.zeros((1000, 2000, 3), np.uint8)
    if kind == "jpeg":
        image[:] = np.random.default_rng(0).integers(0, 255, image.shape)
    write_page(tmp_path / "page.html", "Why", [image_view(image=image)])
    source = data_of(tmp_path / "page.html")["images"][0]["source"]
    assert source.startswith(f"data:image/{kind};base64,")
    assert Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).size == (1600, 800)

"""The picture of explanations."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lxmert.explain.drawing import draw_explanations
from lxmert.explain.shares import formatted, lit, probability_text, region_names, shares, strengths, strongest
from lxmert.explain.views import AnswerView, ImageView, MethodView, ModelView, QuestionView

RED = (200, 30, 30)
# The left and the right half, and the middle of both.
BOXES = np.array([[0, 0, 0.5, 1], [0.5, 0, 1, 1], [0.25, 0.25, 0.75, 0.75]])


def view(questions=1, regions=(3.0, 0.0, 1.0), **model):
    methods = {
        "relevancy": MethodView(np.array([0.0, 2, 1]), np.array(regions)),
        "integrated_gradients": MethodView(np.array([0.0, -2, 1]), np.array([-1.0, 0, 0][: len(regions)])),
    }
    answers = [AnswerView("red", 0.8, methods), AnswerView("äöü", 0.2, methods)]
    of_model = ModelView(**({"title": "LXMERT", "tokens": ["[CLS]", "color", "[SEP]"], "answers": answers} | model))
    image = np.full((340, 680, 3), RED, np.uint8)
    asked = [QuestionView("What color is it?", [of_model], "red")] * questions
    return ImageView("red.png", image, BOXES, ["left", "", "middle"], asked)


def drawn(path, image, **options):
    draw_explanations(path, image, **options)
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def colorful(pixel):
    return int(pixel.max() - pixel.min())


def test_shares_and_how_they_are_written():
    np.testing.assert_allclose(shares([3, -1, 0]), [0.75, -0.25, 0])
    np.testing.assert_allclose(shares([0, 0]), 0)
    np.testing.assert_allclose(strengths([2, -4, 0]), [0.5, 1, 0])
    assert strongest([1, -3, 3, 0], 3) == [1, 2, 0]
    assert [formatted(value) for value in (0.1234, 0.0994, 0.0996, 0.0004, 0)] == ["12%", "9.9%", "10%", "0%", "0%"]
    assert [formatted(value, True) for value in (0.25, -0.034, 0)] == ["+25%", "\N{MINUS SIGN}3.4%", "0%"]


def test_probabilities_and_names_of_regions():
    texts = [probability_text(value) for value in (0, 0.0001, 0.034, 0.5, 0.99, 0.9991, 0.9999, 1)]
    assert texts == ["0%", "<0.1%", "3.4%", "50%", "99%", "99.9%", ">99.9%", "100%"]
    assert region_names(["cat", "", "dog", "cat"], 4) == ["cat (0)", "region 1", "dog", "cat (3)"]
    assert region_names(None, 2) == ["region 0", "region 1"]


def test_a_region_of_the_whole_image_lights_nothing_unless_all_are_so():
    whole, half = [0, 0, 1, 1], [0, 0, 0.5, 1]
    np.testing.assert_allclose(lit([8, -4, 1], np.array([whole, half, half])), [0, 1, 0.25**1.5])
    np.testing.assert_allclose(lit([8, 4], np.array([whole, whole])), [1, 0.5**1.5])


def test_regions_keep_their_colors_where_they_count(tmp_path):
    pixels = drawn(tmp_path / "why.png", view())
    # The image begins at (48, 48), and is drawn as large as it is.
    strong, weak, middle = pixels[48 + 300, 48 + 100], pixels[48 + 300, 48 + 600], pixels[48 + 170, 48 + 450]
    np.testing.assert_array_equal(strong, RED)
    assert colorful(weak) == 0
    assert weak.min() > 150
    np.testing.assert_allclose(colorful(middle) / colorful(strong), (1 / 3) ** 1.5, atol=0.01)
    np.testing.assert_array_equal(drawn(tmp_path / "again.png", view()), pixels)


def test_what_speaks_against_an_answer_has_another_color(tmp_path):
    blue, orange = (29, 95, 194), (194, 65, 12)

    def count(pixels, color):
        return int((pixels == color).all(axis=-1).sum())

    signed = drawn(tmp_path / "signed.png", view(), method="integrated_gradients")
    plain = drawn(tmp_path / "plain.png", view(), method="relevancy")
    assert count(signed, blue) > 500
    assert count(signed, orange) == count(plain, blue) == 0


def test_questions_stand_below_each_other_and_anything_can_be_shown(tmp_path):
    one, three = drawn(tmp_path / "1.png", view()), drawn(tmp_path / "3.png", view(3))
    assert three.shape[0] > 2.5 * one.shape[0] - 200
    assert one.shape[1] == three.shape[1]
    empty = [
        replace(view(), questions=[]),
        replace(view(answers=[]), labels=None),
        view(regions=(0, 0, 0.0)),
        replace(view(regions=()), boxes=np.zeros((0, 4)), labels=None),
        view(tokens=["w" * 500, "\x00</script>", "\u4e2d"], note="n" * 3000),
    ]
    for number, image in enumerate(empty):
        assert drawn(tmp_path / f"{number}.png", image).shape[0] > 300


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.png"):
        draw_explanations(tmp_path / "why.gif", view())
    with pytest.raises(ValueError, match="integrated_gradients, relevancy; got 'lime'"):
        draw_explanations(tmp_path / "why.png", view(), method="lime")
    with pytest.raises(ValueError, match=r"must be \[3\], got \[2\]"):
        draw_explanations(tmp_path / "why.png", view(regions=(1.0, 2.0)))
    with pytest.raises(ValueError, match="must be x1, y1, x2, y2, the smaller first"):
        draw_explanations(tmp_path / "why.png", replace(view(), boxes=BOXES[:, ::-1]))
    with pytest.raises(ValueError, match="must be fractions of its width and height, got 680"):
        draw_explanations(tmp_path / "why.png", replace(view(), boxes=BOXES * 680))
    assert not list(tmp_path.iterdir())

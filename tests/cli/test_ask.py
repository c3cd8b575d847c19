"""`lxmert ask`: answers as text and as JSON, and how they are shown, whatever a checkpoint calls them."""

import json
import re

import pytest
from PIL import Image, ImageDraw


@pytest.fixture
def image(tmp_path):
    """A red circle."""
    drawn = Image.new("RGB", (80, 60), "white")
    ImageDraw.Draw(drawn).ellipse([20, 10, 60, 50], fill="red")
    drawn.save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_answers(image, lxmert):
    status, out, _ = lxmert("ask", image, "what color is the circle?", "is there a circle?")
    assert status == 0
    assert re.fullmatch(r"what color is the circle\?  red [\d.]+%\nis there a circle\?         yes [\d.]+%\n", out)
    status, out, _ = lxmert("ask", image, "is there a circle?", "--json", "--top-k", "2", "--backend", "tf")
    assert [answer["answer"] for answer in json.loads(out)[0]["answers"]] == ["yes", "no"]


def test_a_question_without_a_known_word_is_a_warning(image, lxmert):
    status, _, err = lxmert("ask", image, "xyzzy")
    assert status == 0
    assert err == "lxmert ask: warning: no word of the question 'xyzzy' is known; the answer is a guess.\n"


def test_a_file_that_is_not_an_image_is_refused(image, refused):
    image.write_text("hello")
    assert "a.png" in refused("ask", image, "what?")


def test_control_characters_are_escaped(lxmert, monkeypatch):
    class Answerer:
        @classmethod
        def from_pretrained(cls, *_, **__):
            return cls()

        def __call__(self, images, questions, top_k):
            return [[{"answer": "grün\x1b[2J\x9b", "score": 0.5}] for _ in questions]

    monkeypatch.setattr("lxmert.inference.answering.VisualQuestionAnswering", Answerer)
    printed = "what color?  grün\\x1b[2J\\x9b 50.00%\nwhat?        grün\\x1b[2J\\x9b 50.00%\n"
    assert lxmert("ask", "a.png", "what color?", "what?") == (0, printed, "")
    _, out, _ = lxmert("ask", "a.png", "what?", "--json")
    assert not set("\x1b\x9b") & set(out)
    assert "grün" in out
    assert json.loads(out) == [{"question": "what?", "answers": [{"answer": "grün\x1b[2J\x9b", "score": 0.5}]}]

"""The demo: what it measures, prints and writes."""

import re

import pytest
from PIL import Image, ImageDraw

from lxmert.cli import main
from lxmert.data.easy_vqa import load
from lxmert.demo import run_demo


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    page = tmp_path_factory.mktemp("demo") / "page.html"
    lines: list[str] = []
    return run_demo("easy-vqa", page, lines.append, progress=False), page, lines


def test_both_backends_answer_all_test_questions_alike(demo):
    comparison, _, _ = demo
    assert comparison.questions == 9673
    assert comparison.agreeing == comparison.questions
    # Scores are probabilities in float32 from two implementations: 3e-6 was measured.
    assert comparison.difference < 1e-4
    for backend in ("pt", "tf"):
        assert comparison.accuracy[backend] >= 0.999


def test_it_prints_question_both_answers_and_truth(demo):
    comparison, _, lines = demo
    text = "\n".join(lines)
    assert "PyTorch" in text
    assert "Keras" in text
    assert "largest difference of any score" in text
    one = comparison.shown[0].asked[0]
    assert re.search(re.escape(one.question) + r"\s+" + one.answers["PyTorch"][0], text)


def test_the_page_shows_pictures_regions_and_looks(demo):
    comparison, page, _ = demo
    text = page.read_text(encoding="utf-8")
    assert text.count("<section>") == len(comparison.shown)
    assert text.count("data:image/png;base64,") == sum(1 + len(shown.asked) for shown in comparison.shown)
    assert text.count("<rect") == sum(len(s.boxes) * (1 + len(s.asked)) for s in comparison.shown)
    for shown in comparison.shown:
        for one in shown.asked:
            assert one.looked.shape == (len(one.tokens), len(shown.boxes))
    assert "http" not in re.sub(r"data:[^\"]*", "", text), "the page must need nothing beside it"


def test_ask_prints_answers(capsys, tmp_path):
    picture = Image.new("RGB", (80, 60), "white")
    ImageDraw.Draw(picture).ellipse([20, 10, 60, 50], fill="red")
    picture.save(tmp_path / "a.png")
    assert main(["ask", str(tmp_path / "a.png"), "what color is the circle?", "is there a circle?"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"what color is the circle\?\s+red", out)
    assert re.search(r"is there a circle\?\s+yes", out)
    assert (
        main(["ask", str(tmp_path / "a.png"), "is there a circle?", "--json", "--top-k", "2", "--backend", "tf"]) == 0
    )
    import json

    found = json.loads(capsys.readouterr().out)
    assert [entry["answer"] for entry in found[0]["answers"]] == ["yes", "no"]


def test_ask_refuses_what_is_no_picture(capsys, tmp_path):
    (tmp_path / "a.png").write_text("hello")
    assert main(["ask", str(tmp_path / "a.png"), "what?"]) == 1
    assert re.search(r"lxmert ask: error: .*a\.png", capsys.readouterr().err)


def test_ask_tells_of_a_question_without_a_known_word(capsys, tmp_path):
    picture = Image.new("RGB", (80, 60), "white")
    ImageDraw.Draw(picture).ellipse([20, 10, 60, 50], fill="red")
    picture.save(tmp_path / "a.png")
    assert main(["ask", str(tmp_path / "a.png"), "xyzzy"]) == 0
    assert (
        capsys.readouterr().err
        == "lxmert ask: warning: no word of the question 'xyzzy' is known; the answer is a guess.\n"
    )


def test_the_command_writes_the_page(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("lxmert.demo.easy_vqa.load", lambda split: load(split).first(20))
    assert main(["demo", "--page", str(tmp_path / "page.html"), "--quiet"]) == 0
    assert "largest difference of any score" in capsys.readouterr().out
    assert (tmp_path / "page.html").stat().st_size > 10_000

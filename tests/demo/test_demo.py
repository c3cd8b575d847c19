"""The demo: what it measures, prints and writes."""

import re

import pytest

from lxmert.cli import main
from lxmert.data.synthetic.easy_vqa import load
from lxmert.demo.compare_backends import run_demo


@pytest.fixture(scope="module", params=[60, pytest.param(1000, marks=pytest.mark.full)])
def demo(request, tmp_path_factory):
    """The demo on the questions about the first test images, or about all of them."""
    page = tmp_path_factory.mktemp("demo") / "page.html"
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lxmert.demo.compare_backends.easy_vqa.load", lambda split: load(split).first(request.param))
        found = run_demo(page=page, show=lines.append, progress=False)
    count = 9673 if request.param == 1000 else len(load("test").first(request.param).questions)
    assert [comparison.questions for comparison in found.comparisons] == [count, count]
    return found, page, lines


def test_both_backends_answer_the_test_questions_alike(demo):
    found, _, _ = demo
    assert [comparison.title for comparison in found.comparisons] == ["LXMERT", "VisualBERT"]
    for comparison in found.comparisons:
        assert comparison.agreeing == comparison.questions
        # Scores are probabilities in float32 from two implementations: 3e-6 was measured.
        assert comparison.difference < 1e-4
        for backend in ("pt", "tf"):
            assert comparison.accuracy[backend] >= 0.999


def test_it_prints_question_every_answer_and_truth(demo):
    found, _, lines = demo
    text = "\n".join(lines)
    for heading in ("LXMERT: PyTorch", "LXMERT: Keras", "VisualBERT: PyTorch", "VisualBERT: Keras"):
        assert heading in text
    assert "largest difference of any score" in text
    one = found.images[0].questions[0]
    answers = [model.answers[backend][0] for model in one.models for backend in ("PyTorch", "Keras")]
    told = r" [\d.]+\s+".join(map(re.escape, answers))
    assert re.search(rf"{re.escape(one.question)}\s+{told} [\d.]+\s+{one.truth}\n", text)


def test_the_page_shows_images_regions_and_attention(demo):
    found, page, _ = demo
    text, models = page.read_text(encoding="utf-8"), len(found.comparisons)
    assert text.count("<section>") == len(found.images)
    assert text.count("data:image/png;base64,") == sum(1 + models * len(image.questions) for image in found.images)
    assert text.count("<rect") == sum(len(i.boxes) * (1 + models * len(i.questions)) for i in found.images)
    for image in found.images:
        for result in image.questions:
            assert [model.model for model in result.models] == ["LXMERT", "VisualBERT"]
            for model in result.models:
                assert model.region_attention.shape == (len(model.tokens), len(image.boxes))
    assert "[MASK]" in text, "VisualBERT reads its question with a mask at its end"
    assert "http" not in re.sub(r"data:[^\"]*", "", text), "the page must not load other files"


def test_the_command_writes_the_page(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("lxmert.demo.compare_backends.easy_vqa.load", lambda split: load(split).first(20))
    assert main(["demo", "--page", str(tmp_path / "page.html"), "--quiet"]) == 0
    assert "largest difference of any score" in capsys.readouterr().out
    assert (tmp_path / "page.html").stat().st_size > 10_000

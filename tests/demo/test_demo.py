"""The demo: what it measures, prints and writes."""

import re
from functools import partial

import numpy as np
import pytest

from lxmert.cli import main
from lxmert.data.synthetic.easy_vqa import load
from lxmert.demo import examples, questions, run
from lxmert.explain.methods import methods_of
from lxmert.explain.questions import explain_questions

MODELS = ["LXMERT", "VisualBERT"]
LEAST_RIGHT = {
    ("LXMERT", "easy-VQA"): 0.999,
    ("VisualBERT", "easy-VQA"): 0.999,
    ("LXMERT", "scenes"): 0.95,
    ("VisualBERT", "scenes"): 0.8,
}


def few_steps(patch):
    """Take two steps of integrated gradients, which take most of the time."""
    patch.setattr(run, "explain_questions", partial(explain_questions, steps=2))


@pytest.fixture(scope="module", params=[(60, 12), pytest.param((1000, questions.SCENES), marks=pytest.mark.full)])
def demo(request, tmp_path_factory):
    """The demo on the questions about some images and some scenes, or about all of them."""
    images, scenes = request.param
    page = tmp_path_factory.mktemp("demo") / "page.html"
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions.easy_vqa, "load", lambda split: load(split).first(images))
        patch.setattr(questions, "SCENES", scenes)
        few_steps(patch)
        found = run.run_demo(page=page, show=lines.append, progress=False)
    count = 9673 if images == 1000 else len(load("test").first(images).questions)
    assert [len(comparison.asked) for comparison in found.comparisons[:2]] == [count, count]
    return found, page, lines


def test_both_backends_answer_all_questions_alike(demo):
    found, _, _ = demo
    asked = [(comparison.title, comparison.asked.title) for comparison in found.comparisons]
    assert asked == [(model, name) for name in ("easy-VQA", "scenes") for model in MODELS]
    for comparison in found.comparisons:
        assert comparison.agreeing == len(comparison.asked)
        # Scores are probabilities in float32 from two implementations: 3e-6 was measured.
        assert comparison.difference < 1e-4
        for backend in ("pt", "tf"):
            assert comparison.right[backend].mean() >= LEAST_RIGHT[comparison.title, comparison.asked.title]


def test_it_prints_a_table_every_answer_of_the_page_and_where_that_is(demo):
    found, page, lines = demo
    text = "\n".join(lines)
    for comparison in found.comparisons:
        row = next(line for line in lines if line.startswith(f"{comparison.title} on {comparison.asked.title}"))
        assert f"{comparison.difference:.1e}" in row
    largest = max(comparison.difference for comparison in found.comparisons)
    assert f"with probabilities that differ by {largest:.1e} at most" in page.read_text(encoding="utf-8")
    for image in found.images:
        assert image.name in text
        for question in image.questions:
            answers = r" [\d.]+%\s+".join(re.escape(model.answers[0].answer) for model in question.models)
            assert re.search(rf"{re.escape(question.question)}\s+{answers} [\d.]+%\s+{question.truth}\n", text)
    assert str(page) in lines[-1]
    assert len(lines) < 45


def test_each_question_on_the_page_has_a_row_of_each_model_with_its_explanations(demo):
    found, _, _ = demo
    assert len(found.images) == 6
    by_row = {}
    for comparison in found.comparisons[2:]:
        best = np.array(comparison.answerers["pt"].answers)[comparison.scores["pt"].argmax(axis=1)]
        of_images = [comparison.asked.names[image] for image in comparison.asked.image_index]
        by_row[comparison.title] = dict(zip(zip(of_images, comparison.asked.questions, strict=True), best, strict=True))
    for image in found.images:
        assert len(image.boxes) == len(image.labels) == 7
        assert 2 <= len(image.questions) <= 3
        wrong = set()
        for question in image.questions:
            assert [model.title for model in question.models] == MODELS
            for model in question.models:
                answer = model.answers[0].answer
                assert answer == by_row[model.title][image.name.split(":")[0], question.question]
                wrong |= {model.title} if answer != question.truth else set()
                assert len(model.answers) == 3
                kind = "lxmert" if model.title == "LXMERT" else "visual_bert"
                assert all(list(answer.methods) == methods_of(kind) for answer in model.answers)
        heading = image.name.split(": ")[1]
        assert wrong == {model for model in MODELS if model in heading}, "a heading names the models that are wrong"
        assert wrong or heading.startswith("right")
    assert "wrong" in "".join(image.name for image in found.images)


def test_the_page_holds_the_table_and_the_images(demo):
    found, page, _ = demo
    text = page.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == len(found.images)
    for comparison in found.comparisons:
        assert f"{comparison.title} on {comparison.asked.title}" in text
    largest = max(comparison.difference for comparison in found.comparisons)
    assert f"with probabilities that differ by {largest:.1e} at most" in page.read_text(encoding="utf-8")
    for image in found.images:
        assert image.name in text


def test_the_command_explains_images_of_easy_vqa_where_no_model_knows_scenes(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(questions.easy_vqa, "load", lambda split: load(split).first(20))
    monkeypatch.setattr(examples, "IMAGES", 2)
    few_steps(monkeypatch)
    page = tmp_path / "new" / "page.html"
    assert main(["demo", "--model", "easy-vqa", "--page", str(page), "--quiet"]) == 0
    printed = capsys.readouterr().out
    assert "LXMERT on easy-VQA" in printed
    assert "scenes" not in printed
    assert page.stat().st_size > 10_000

"""`lxmert explain --evaluate`: the table, JSON, files of curves, and what it refuses."""

import json

import pytest
from PIL import Image

EVALUATE = ("explain", "--evaluate", "--quiet", "--draws", 1)


@pytest.fixture
def given(scenes):
    """Questions that the model of the package half understands, and the regions of their images."""
    return "--questions", scenes / "vqa" / "test.json", "--features", scenes / "regions"


def test_table_and_curves(given, lxmert, tmp_path):
    options = ("--samples", 6, "--method", "raw_attention", "attention_rollout", "--output", tmp_path / "curves.json")
    status, out, err = lxmert(*EVALUATE, *given, *options)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split("  ")[0] == "removed"
    assert [line.split("  ")[1] for line in lines if line.startswith("  ")] == [
        "Raw attention",
        "Attention roll-out",
        "Random order",
    ] * 2
    assert "over 6 questions." in out
    found = json.loads((tmp_path / "curves.json").read_text())
    assert found["questions"] == 6
    assert list(found["methods"]) == ["raw_attention", "attention_rollout", "random"]
    area = found["methods"]["raw_attention"]["words"]["positive"]
    assert f"{area['area']:.2f}  {area['above_random']:+.2f} ± {area['above_random_error']:.2f}" in out


def test_json_and_picture(given, lxmert, tmp_path):
    """The same numbers whatever the batches, at the fractions that were asked for."""
    options = ("--samples", 5, "--method", "relevancy", "--fractions", 0, 0.5, 1, "--json")
    status, out, _ = lxmert(*EVALUATE, *given, *options, "--output", tmp_path / "curves.png")
    assert status == 0
    found = json.loads(out)
    assert found["fractions"] == {"regions": [0, 0.5, 1], "words": [0, 0.5, 1]}
    assert (found["model"], found["seed"], found["draws"]) == ("easy-vqa", 0, 1)
    with Image.open(tmp_path / "curves.png") as image:
        colours = {pixel for _, pixel in image.convert("RGB").getcolors(2**20)}
    assert {(0, 0, 0), (0, 114, 178)} <= colours, "a line for the random order and one for the method"
    assert lxmert(*EVALUATE, *given, *options, "--batch-size", 2)[1] == out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "--evaluate needs --questions and --features too: files of questions with answers, and region stores."),
        (("--output", "curves.pdf"), "--output must end in .png, .svg or .json; got curves.pdf."),
    ],
)
def test_refused(options, message, refused):
    assert refused(*EVALUATE, *options).startswith(message)


def test_refused_questions(given, refused, tmp_path):
    """Without answers, with unknown images, with answers that the model does not know; all before it runs."""
    rows = [{"question_id": 1, "img_id": "none", "sent": "what color is it?", "label": {"red": 1.0}}]

    def errors(**changes):
        path = tmp_path / "questions.json"
        path.write_text(json.dumps([{**rows[0], **changes}]))
        return refused(*EVALUATE, "--questions", path, *given[2:])

    assert "an image is not in" in errors()
    assert "none of the right answers of 1 questions" in errors(
        img_id="scenes_train_000000000000", label={"maybe": 1.0}
    )
    rows[0].pop("label")
    assert errors().startswith("--questions must be files with the right answers, which are counted; ")
    assert refused(*EVALUATE, *given, "--samples", 0).startswith("--samples must be at least 1; got 0.")
    assert refused(*EVALUATE, *given, "--seed", -1).startswith("--seed must be at least 0; got -1.")
    assert refused(*EVALUATE, *given, "--fractions", 1, 0).startswith("--fractions must be two or more, ascending")

"""`lxmert explain`: explanations as text, JSON, a page and a picture, and what it refuses before any work."""

import json

import pytest
from PIL import Image, ImageDraw

from lxmert.cli import main
from lxmert.cli.explanation_text import _bars
from lxmert.data.features import RegionWriter
from lxmert.data.features.image_regions import ImageRegions
from lxmert.vision.shapes.regions import image_regions
from tests.weights.weight_folders import make_folder

CIRCLE = "what color is the circle?"


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A red circle, and a picture of it."""
    path = tmp_path_factory.mktemp("image") / "a.png"
    drawn = Image.new("RGB", (80, 60), "white")
    ImageDraw.Draw(drawn).ellipse([20, 10, 60, 50], fill="red")
    drawn.save(path)
    return path


def test_text_shows_answers_words_and_regions(image, lxmert):
    status, out, err = lxmert("explain", image, CIRCLE, "is there a circle?", "--top-k", 1, "--answer", "blue")
    assert (status, err) == (0, "")
    blocks = out.split("\n\n")
    assert len(blocks) == 6  # answers, words and regions of each question
    assert blocks[0].startswith(f"{CIRCLE}  red 99.")
    assert ", blue 0." in blocks[0]
    words = [line.split() for line in blocks[1].splitlines()]
    assert words[0] == ["Relevancy", "red", "blue"]
    assert [line[0] for line in words[1:]] == ["[CLS]", "what", "color", "is", "the", "circle", "?", "[SEP]"]
    assert max(line.count("█") for line in blocks[1].splitlines()) in range(10, 21)
    assert words[1][1:] == ["0%", "0%"]
    assert sum(float(line[-1].rstrip("%")) for line in words[1:]) == pytest.approx(100, abs=3)  # each is rounded
    regions = blocks[2].splitlines()
    assert regions[0].split() == ["region", "x1", "y1", "x2", "y2", "red", "blue"]
    assert regions[1].startswith("1              20 10 61 51  ██████████ ")
    assert regions[2].startswith("0 whole image  0 0 80 60    ")


def test_values_below_zero_have_other_bars_and_an_ascii_terminal_has_ascii(image, lxmert, monkeypatch):
    arguments = ("explain", image, CIRCLE, "--method", "input_x_gradient", "--model", "easy-vqa-visual-bert")
    out = lxmert(*arguments, "--top-k", 4)[1]
    assert out.count("Input times gradient") == 2  # tables of three answers and of one
    assert "▒" in out
    assert "▒▒▒ speaks against the answer." in out
    assert _bars([3.0, -1.0], signed=True) == ["██████████ +75%", "▒▒▒        -25%"]
    assert _bars([0.0, 0.0], signed=False) == [f"{'':10} 0%"] * 2
    monkeypatch.setattr("lxmert.cli.explanation_text._patterns", lambda: ("#", "-"))
    assert "--- speaks against the answer." in lxmert(*arguments)[1]
    same = lxmert("explain", image, CIRCLE, "--method", "raw_attention", "--top-k", 4)[1]
    assert same.split("\n\n")[1].splitlines()[0] == "Raw attention  every answer"


def test_json_has_the_number_of_every_word_and_region_in_both_backends(image, lxmert):
    arguments = ("explain", image, CIRCLE, "--json", "--method", "raw_attention", "--top-k", 2, "--backend")
    pt, tf = (json.loads(lxmert(*arguments, backend)[1]) for backend in ("pt", "tf"))
    assert pt["regions"] == tf["regions"] == [{"box": [0, 0, 80, 60]}, {"box": [20, 10, 61, 51]}]
    (ours,), (theirs,) = pt["answers"], tf["answers"]
    assert (ours["question"], ours["tokens"]) == (CIRCLE, theirs["tokens"])
    assert len(ours["answers"]) == 2
    for one, other in zip(ours["answers"], theirs["answers"], strict=True):
        assert (one["answer"], one["score"]) == (other["answer"], pytest.approx(other["score"], abs=1e-5))
        values, same = one["methods"]["raw_attention"], other["methods"]["raw_attention"]
        assert (len(values["words"]), len(values["regions"])) == (len(ours["tokens"]), 2)
        assert values["words"] == pytest.approx(same["words"], abs=1e-5)
        assert values["regions"] == pytest.approx(same["regions"], abs=1e-5)


def test_a_page_and_a_picture_are_written(image, lxmert, tmp_path):
    page, picture = tmp_path / "why.html", tmp_path / "why.PNG"
    answers = f"{CIRCLE}  red "
    status, out, err = lxmert("explain", image, CIRCLE, "--output", page, "--top-k", 2)
    assert (status, err) == (0, "")
    assert out.startswith(answers)
    assert out.endswith(f"\nwrote {page}\n")
    text = page.read_text(encoding="utf-8")
    assert "Why this answer: a.png" in text
    assert "integrated_gradients" in text
    assert json.loads(lxmert("explain", image, CIRCLE, "--output", picture, "--json", "--method", "raw_attention")[1])
    with Image.open(picture) as drawn:
        assert drawn.width > drawn.height > 100


def test_the_image_of_a_region_store_is_shown(image, lxmert, refused, tmp_path):
    features, boxes = image_regions(image)
    with RegionWriter(tmp_path / "regions") as writer:
        writer.add_image(ImageRegions("one", features, boxes * [80, 60, 80, 60], (60, 80)))
    stored = ("explain", "one", CIRCLE, "--features", tmp_path / "regions", "--method", "raw_attention")
    assert "0 whole image  0 0 80 60" in lxmert(*stored)[1]
    pages = [tmp_path / name for name in ("white.html", "red.html")]
    assert lxmert(*stored, "--output", pages[0])[0] == 0
    assert lxmert(*stored, "--output", pages[1], "--image", image)[0] == 0
    assert pages[0].read_text(encoding="utf-8") != pages[1].read_text(encoding="utf-8")
    assert "there is no file none.png" in refused(*stored, "--image", "none.png")
    message = refused("explain", image, CIRCLE, "--image", image)
    assert "--image is the photograph of an image of --features" in message


def test_what_is_refused(image, refused, lxmert, tmp_path, monkeypatch):
    for arguments, message in (
        (("--output", "why.pdf"), "--output must end in .html or .png; got why.pdf."),
        (("--output", tmp_path / "none" / "why.html"), "--output must be a file in a folder that is there"),
        (("--output", image), "--output must be another file than the image"),
        (("--answer", "ret", "--answer", "zzz"), "the model has 13 answers, and not these: 'ret' (nearest: 'red'"),
        (("--top-k", "0"), "--top-k must be at least 1; got 0."),
        (("--questions", "a.json"), "--questions is the files of --evaluate"),
        (("--seed", "0", "--batch-size", "1"), "--seed, --batch-size: options of --evaluate; pass that too"),
        (
            ("--method", "relevancy", "raw_attention", "--output", "why.png"),
            "a picture shows one --method; got relevancy, raw_attention.",
        ),
        (("--regions", "10-100"), "--regions is about a detector; pass --detector too."),
        (
            ("--model", "easy-vqa-visual-bert", "--method", "relevancy_no_normalization"),
            "only LXMERT has the method 'relevancy_no_normalization'",
        ),
    ):
        assert message in refused("explain", image, CIRCLE, *arguments)
    assert "there is no file photo.jpg" in refused("explain", "photo.jpg", CIRCLE, "--model", "none")
    assert "--evaluate needs --questions and --features too" in refused("explain", "--evaluate")
    assert "leave out the image and the question" in refused("explain", "--evaluate", image, CIRCLE)
    assert "--answer, --image: options of answers" in refused(
        "explain", "--evaluate", "--answer", "a", "--image", image
    )

    def denied(path):
        raise PermissionError(13, "Permission denied", str(path))

    def full(path, text):
        raise OSError(28, "No space left on device", str(path))

    output = tmp_path / "why.html"
    with monkeypatch.context() as patched:
        patched.setattr("lxmert.explain.page.write_text", full)
        status, out, err = lxmert("explain", image, CIRCLE, "--output", output)
    assert (status, err) == (1, f"lxmert explain: error: {output}: No space left on device\n")
    assert out.startswith(f"{CIRCLE}  red 99."), "answers come before the file"

    monkeypatch.setattr("lxmert.utils.temporary_files._make_file", denied)
    assert refused("explain", image, CIRCLE, "--output", output) == f"{output}: Permission denied\n"
    status, _, err = lxmert("explain", image, "xyzzy", "--method", "raw_attention")
    assert status == 0
    assert err == "lxmert explain: warning: no word of the question 'xyzzy' is known; the answer is a guess.\n"


def test_all_that_a_model_lacks_is_told_and_other_heads_are_for_python(image, refused, tmp_path):
    source = make_folder(tmp_path / "vqa", "LxmertForQuestionAnswering")
    message = refused("explain", image, CIRCLE, "--model", source)
    for wanted in ("--detector, the detector whose regions of ", "--vocabulary, its vocab.txt", "--answers, the table"):
        assert wanted in message
    source = make_folder(tmp_path / "nlvr2", "LxmertForVisualReasoning")
    message = refused("explain", image, CIRCLE, "--model", source)
    assert "cannot be used as LxmertForQuestionAnswering" in message
    assert message.endswith(" are explained in Python, by lxmert.explain.explain.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: image, question"),
        (["a.png"], "the following arguments are required: question"),
        (["a.png", "what?", "--method", "relevanc"], "invalid choice: 'relevanc'; did you mean relevancy?"),
        (
            ["a.png", "--method", "relevancy", "what is it?"],
            "invalid choice: 'what is it?'; --method takes all that follows it: put what is none of its values before",
        ),
    ],
)
def test_what_does_not_parse(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(["explain", *arguments])
    assert end.value.code == 2
    assert message in capsys.readouterr().err

"""`lxmert ask`: answers as text and as JSON, and how they are shown, whatever a checkpoint calls them."""

import errno
import json
import os
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lxmert.data.features import RegionWriter
from lxmert.data.features.image_regions import ImageRegions
from lxmert.detection.shapes import ShapeDetector
from tests.weights.weight_folders import CONFIG, make_folder


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


def test_answers_in_int8(image, lxmert):
    command = ("ask", image, "what color is the shape?", "--quantize", "int8")
    expected = lxmert(*command[:3])[1].split("?")[1].split()[0]
    for backend in ("pt", "tf"):
        status, out, _ = lxmert(*command, "--backend", backend)
        assert (status, out.split("?")[1].split()[0]) == (0, expected)


def test_a_question_without_a_known_word_is_a_warning(image, lxmert):
    status, _, err = lxmert("ask", image, "xyzzy")
    assert status == 0
    assert err == "lxmert ask: warning: no word of the question 'xyzzy' is known; the answer is a guess.\n"


def test_a_photograph_is_a_warning(tmp_path, lxmert):
    photo = np.full((100, 100, 3), 235, np.uint8)
    photo[20:80, 20:80] = np.random.default_rng(0).integers(0, 256, (6, 6, 3)).repeat(10, 0).repeat(10, 1)
    Image.fromarray(photo).save(tmp_path / "a.png")
    status, _, err = lxmert("ask", tmp_path / "a.png", "is there a circle?")
    assert status == 0
    assert err.startswith("lxmert ask: warning: image looks like a photograph; ")


def test_a_converted_model_answers_and_what_it_lacks_is_told_at_once(image, lxmert, refused, tmp_path):
    """The tokenizer and the answers are carried along; without them, and of other features, all is asked for."""
    for target in ("a", "b"):
        assert lxmert("convert", "easy-vqa", tmp_path / target, "--quiet")[0] == 0
    assert lxmert("ask", image, "what color is the circle?", "--model", tmp_path / "a")[1].startswith("what color is")
    held = {name: (tmp_path / "b" / name) for name in ("answers.json", "vocab.txt", "tokenizer.json")}
    answers, vocabulary = (held[name].rename(tmp_path / name) for name in ("answers.json", "vocab.txt"))
    held["tokenizer.json"].unlink()
    command = ("ask", image, "what color is the circle?", "--model", tmp_path / "b")
    message = refused(*command)
    assert "must be given: --vocabulary, " in message
    assert "; --answers, the table of its 13 answers" in message
    assert " red " in lxmert(*command, "--answers", answers, "--vocabulary", vocabulary)[1]
    onto = ("convert", tmp_path / "b", tmp_path / "a")
    assert "those of another model would be taken for its. Pass --answers, or" in refused(*onto)
    assert lxmert(*onto, "--answers", answers)[0] == 0


def test_a_model_of_other_features_asks_for_a_region_store(image, refused, tables, lxmert, tmp_path):
    source = make_folder(tmp_path / "model", "LxmertForQuestionAnswering", CONFIG.replace(visual_pos_dim=4))
    (tmp_path / "words.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "?"]))
    named = ("--model", source, "--answers", tables[0], "--vocabulary", tmp_path / "words.txt")
    message = refused("ask", image, "what?", *named)
    assert "--detector, the detector whose regions of 7 numbers the model was trained on, or --features, " in message
    with RegionWriter(tmp_path / "regions") as writer:
        values = np.random.default_rng(0).random((3, 7), np.float32)
        boxes = np.array([[0, 0, 9, 9], [1, 1, 5, 5], [2, 2, 8, 9]], np.float32)
        writer.add_image(ImageRegions("one", values, boxes, (10, 10)))
    status, out, err = lxmert("ask", "one", "what?", *named, "--features", tmp_path / "regions", "--json")
    assert status == 0, err
    assert json.loads(out)[0]["answers"][0]["answer"] in json.loads(tables[0].read_text())


def test_all_that_a_published_model_lacks_is_told_with_where_it_is(image, refused, tmp_path):
    """The sizes of unc-nlp/lxmert-vqa-uncased, with narrow layers."""
    config = CONFIG.replace(visual_feat_dim=2048, num_qa_labels=3129, vocab_size=30522)
    source = make_folder(tmp_path / "model", "LxmertForQuestionAnswering", config)
    message = refused("ask", image, "what is this?", "--model", source)
    for wanted, place in (
        ("--detector, the detector whose regions of 2,048 numbers", "unc-nlp/frcnn-vg-finetuned on the hub"),
        ("--vocabulary, its vocab.txt", "vocab.txt of bert-base-uncased on the hub"),
        ("--answers, the table of its 3,129 answers", "data/vqa/trainval_label2ans.json of github.com/airsplay/lxmert"),
    ):
        assert message.find(wanted) >= 0
        assert message.find(place) > message.find(wanted)
    assert "--features and --detector exclude each other" in refused(
        "ask", image, "what?", "--detector", "shapes", "--features", "regions"
    )
    assert (
        refused("ask", image, "what?", "--regions", "10-100") == "--regions is about a detector; pass --detector too.\n"
    )


def test_the_regions_are_listed_and_drawn(image, lxmert, refused, tmp_path):
    drawing = tmp_path / "regions.png"
    status, out, err = lxmert("ask", image, "is there a circle?", "--list-regions", "--json", "--draw", drawing)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert found["answers"][0]["answers"][0]["answer"] == "yes"
    assert found["regions"] == [{"box": [0, 0, 80, 60]}, {"box": [20, 10, 61, 51]}]
    with Image.open(drawing) as drawn:
        assert drawn.size == (320, 240)
    assert "region  " in lxmert("ask", image, "is there a circle?", "--list-regions")[1]
    assert "--draw must end in .png, .jpg or .jpeg; got regions.gif" in refused(
        "ask", image, "is there a circle?", "--draw", "regions.gif"
    )
    before = image.read_bytes()
    message = refused("ask", image, "is there a circle?", "--draw", image.parent / "." / image.name)
    assert f"--draw must be another file than the image {image}, which would be lost" in message
    assert image.read_bytes() == before


def test_a_drawing_that_cannot_be_written_costs_no_answer(image, lxmert, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Image.Image, "save", full)
    status, out, err = lxmert("ask", image, "is there a circle?", "--draw", tmp_path / "regions.png")
    assert (status, out[:24]) == (1, "is there a circle?  yes ")
    assert err == f"lxmert ask: error: {tmp_path / 'regions.png'}: No space left on device\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_an_image_that_is_not_there_is_told_before_a_model_is_loaded(refused):
    assert "there is no file photo.jpg" in refused("ask", "photo.jpg", "what?", "--model", "none", "--detector", "none")


def test_a_file_that_is_not_an_image_is_refused(image, refused):
    image.write_text("hello")
    assert "a.png" in refused("ask", image, "what?")


def test_control_characters_are_escaped(image, lxmert, monkeypatch):
    class Answerer:
        @classmethod
        def from_pretrained(cls, *_, **__):
            return cls()

        detector = ShapeDetector()

        def find_regions(self, images):
            return list(images)

        def __call__(self, images, questions, top_k):
            return [[{"answer": "grün\x1b[2J\x9b", "score": 0.5}] for _ in questions]

    monkeypatch.setattr("lxmert.inference.answering.VisualQuestionAnswering", Answerer)
    printed = "what color?  grün\\x1b[2J\\x9b 50.00%\nwhat?        grün\\x1b[2J\\x9b 50.00%\n"
    assert lxmert("ask", image, "what color?", "what?") == (0, printed, "")
    _, out, _ = lxmert("ask", image, "what?", "--json")
    assert not set("\x1b\x9b") & set(out)
    assert "grün" in out
    assert json.loads(out) == [{"question": "what?", "answers": [{"answer": "grün\x1b[2J\x9b", "score": 0.5}]}]

"""Drawings of regions: every box is where it belongs, on white and on a photograph."""

import numpy as np
import pytest
from PIL import Image

from lxmert.data.features import RegionWriter, open_regions, write_features
from lxmert.data.features.drawing import captions, draw_detections, draw_regions
from lxmert.data.features.label_names import label_names, read_label_names
from lxmert.vision.detections import ImageDetections

BOXES = np.array([[0.25, 0.5, 0.5, 0.75], [0.5, 0.1, 0.9, 0.4]], np.float32)
FIRST, SECOND = (0xE6, 0x19, 0x4B), (0x3C, 0xB4, 0x4B)
SIDES = np.array([400, 200, 400, 200], np.float32)


@pytest.fixture
def store(tmp_path):
    with RegionWriter(tmp_path / "store") as writer:
        writer.add("a", np.zeros((2, 3)), BOXES * SIDES, (200, 400), object_ids=[7, -100])
    return open_regions(tmp_path / "store")


def check(path, size, background):
    width, height = size
    with Image.open(path) as drawing:
        assert drawing.size == size
        found = np.asarray(drawing.convert("RGB")).astype(int)
    for (_, _, right, bottom), color in zip(BOXES, (FIRST, SECOND), strict=True):
        x, y = round(float(right) * (width - 1)), round(float(bottom) * (height - 1))  # corners without a caption
        np.testing.assert_allclose(found[y, x], color, atol=1)
    np.testing.assert_allclose(found[height - 5, width - 5], background, atol=1)


def test_on_white_and_on_a_photograph(store, tmp_path):
    assert draw_regions(store, "a", tmp_path / "a.png") == 2
    check(tmp_path / "a.png", (400, 200), (255, 255, 255))
    Image.new("RGB", (800, 400), (10, 20, 30)).save(tmp_path / "photograph.png")
    draw_regions(store, "a", tmp_path / "b.png", tmp_path / "photograph.png")
    check(tmp_path / "b.png", (800, 400), (10, 20, 30))


def test_captions_have_labels(store, tmp_path):
    """The first region has an object, and a longer caption than the second."""
    draw_regions(store, "a", tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as drawing:
        found = np.asarray(drawing.convert("RGB")).astype(int)

    def width(left, top, color):
        line = found[round(top * 199) + 2, round(left * 399) + 2 :]  # below the box
        return int((np.abs(line - color).max(1) > 1).argmax())

    assert width(0.25, 0.5, FIRST) > 3 * width(0.5, 0.1, SECOND) / 2


def test_names_of_objects_and_attributes():
    ids, scores = np.array([1, 0, -100]), np.array([0.934, 0.5, 0], np.float32)
    found = ImageDetections(np.zeros((3, 2)), np.ones((3, 4), np.float32), (9, 9), ids, scores, ids[::-1], scores[::-1])
    assert captions(found, ["cat", "dog"], ["black", "small"]) == ["0: dog 0.93", "1: black cat 0.50", "2: small"]
    assert captions(found) == ["0: object 1 0.93", "1: attribute 0 object 0 0.50", "2: attribute 1"]


def test_a_list_of_names(tmp_path):
    """The first synonym of a line, in lower case; as many as there are ids."""
    path = tmp_path / "objects_vocab.txt"
    path.write_text("Dog,puppy\r\n yard \ntennis court,court\n", newline="")
    assert read_label_names(path) == ["dog", "yard", "tennis court"]
    assert label_names(path, "objects", 2) == ["dog", "yard", "tennis court"]
    with pytest.raises(ValueError, match=r"objects must be 4 names, one for each id in order; those in .* are 3"):
        label_names(path, "objects", 4, 4)
    path.write_text("dog\n\nyard\n")
    with pytest.raises(ValueError, match="line 2 has none"):
        read_label_names(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="is no list of names in UTF-8"):
        read_label_names(path)


def test_captions_do_not_hide_each_other(tmp_path):
    """Boxes with one corner have their captions beside each other: the number of colours does not fall."""
    boxes = np.array([[20, 20, 300, 200 + 10 * number] for number in range(5)], np.float32)
    found = ImageDetections(np.zeros((5, 2)), boxes, (400, 400), np.arange(5), np.ones(5, np.float32))
    draw_detections(found, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as drawing:
        pixels = np.asarray(drawing.convert("RGB")).reshape(-1, 3)
    colours, counts = np.unique(pixels, axis=0, return_counts=True)
    filled = {tuple(colour) for colour, count in zip(colours.tolist(), counts.tolist(), strict=True) if count > 700}
    assert len(filled) == 6, "white, and five captions"


def test_boxes_without_a_size(tmp_path):
    store = write_features(tmp_path / "store", "a", np.zeros((1, 2, 3)), BOXES[None])
    draw_regions(store, "a", tmp_path / "a.png")
    check(tmp_path / "a.png", (640, 480), (255, 255, 255))


def test_what_cannot_be_drawn(store, tmp_path):
    with pytest.raises(ValueError, match=r"draw must end in \.png, \.jpg or \.jpeg; got .*a\.gif"):
        draw_regions(store, "a", tmp_path / "a.gif")
    with pytest.raises(ValueError, match=r"an image is not in .*store: b"):
        draw_regions(store, "b", tmp_path / "a.png")
    (tmp_path / "text").write_text("no image")
    with pytest.raises(ValueError, match=r"Pillow cannot read .*text"):
        draw_regions(store, "a", tmp_path / "a.png", tmp_path / "text")
    with pytest.raises(FileNotFoundError):
        draw_regions(store, "a", tmp_path / "a.png", tmp_path / "nothing.png")
    assert not (tmp_path / "a.png").exists()

"""Flickr30K Entities: its files, batches of phrases, recall, and result files."""

import json

import numpy as np
import pytest

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.boxes import box_iou
from lxmert.data.collate.phrases import PhraseData
from lxmert.data.datasets import read_flickr30k
from lxmert.data.features import RegionWriter, open_regions
from lxmert.data.metrics import flickr30k_scores, read_flickr30k_results, score_result_file, write_flickr30k_results

BOXES = {"1": [(1, 1, 11, 11)], "2": [(21, 21, 31, 31), (41, 1, 51, 11)], "4": [(1, 41, 11, 51)]}
SENTENCES = """[/EN#1/people A tall man] with [/EN#2/clothing/other two striped hats] sees [/EN#3/scene the street] .
[/EN#0/notvisual It] rains .
Near [/EN#4/other a ball] a man kicks [/EN#4/other a ball]"""


def make_files(folder, images=("100", "200")):
    for name in ("Sentences", "Annotations"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    objects = "".join(
        f"<object><name>{entity}</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
        "</bndbox></object>"
        for entity, boxes in BOXES.items()
        for x1, y1, x2, y2 in boxes
    )
    scene = "<object><name>3</name><scene>1</scene><nobndbox>1</nobndbox></object>"
    for image in images:
        (folder / "Sentences" / f"{image}.txt").write_text(SENTENCES)
        (folder / "Annotations" / f"{image}.xml").write_text(f"<annotation>{objects}{scene}</annotation>")
    (folder / "val.txt").write_text("\n".join(images) + "\n")
    return str(folder / "val.txt")


@pytest.fixture
def files(tmp_path):
    return make_files(tmp_path / "entities")


@pytest.fixture
def store(tmp_path):
    """Of each image the boxes of 1 (shifted by 3, overlap 0.54), of 2 (both), and one of nothing; and 200 one less."""
    boxes = np.array([[3, 0, 13, 10], [20, 20, 30, 30], [40, 0, 50, 10], [70, 70, 90, 90]], np.float64)
    with RegionWriter(tmp_path / "store") as writer:
        for name, count in (("100", 4), ("200", 3)):
            writer.add(name, np.arange(count * 2).reshape(count, 2), boxes[:count], size=(200, 100))
    return open_regions(tmp_path / "store")


@pytest.fixture
def tokenizer(tmp_path):
    words = "[PAD] [UNK] [CLS] [SEP] [MASK] a tall man with two strip ##ed hat ##s sees the street . near ball kicks"
    (tmp_path / "vocab.txt").write_text(words.replace(" ", "\n"))
    return LxmertTokenizer(tmp_path / "vocab.txt")


def test_files(files):
    found = read_flickr30k(files)
    assert list(found.ids) == ["100#0", "100#2", "200#0", "200#2"]
    assert found.texts[0] == "A tall man with two striped hats sees the street ."
    assert list(found.images) == ["100", "100", "200", "200"]
    first, second = found.phrases[0]  # the scene has no box
    assert first == ("1", ("people",), 0, 2, ((0, 0, 10, 10),))
    assert second == ("2", ("clothing", "other"), 4, 6, ((20, 20, 30, 30), (40, 0, 50, 10)))
    assert [phrase[2:4] for phrase in found.phrases[1]] == [(1, 2), (6, 7)]  # a phrase twice is found at both places


def test_overlap():
    assert box_iou([[0, 0, 10, 10]], [[3, 0, 13, 10], [20, 20, 30, 30], [0, 0, 10, 10]])[0].tolist() == pytest.approx(
        [70 / 130, 0, 1]
    )
    assert box_iou([[1, 1, 1, 1]], [[1, 1, 1, 1]]).tolist() == [[0]]


@pytest.mark.parametrize("box_features", [False, True])
def test_batches(box_features, files, store, tokenizer):
    data = PhraseData(read_flickr30k(files), store, tokenizer, 20, box_features=box_features)
    inputs, counts = data.batch(np.array([2, 1, 0]), np.random.default_rng(0))
    assert counts == {}
    # [CLS] a tall man with two strip ##ed hat ##s: the last pieces of "man" and "hats"
    assert inputs["region_to_phrase_position"].tolist() == [[3, 9], [3, 8], [3, 9]]
    assert inputs["labels"][2].tolist() == [[1, 0, 0, 0], [0, 0.5, 0.5, 0]]
    assert not inputs["labels"][1].any()
    assert inputs["visual_attention_mask"].tolist() == [[1, 1, 1, 0], [1] * 4, [1] * 4]
    assert not inputs["visual_token_type_ids"].any()
    assert inputs["visual_embeds"].shape == (3, 4, 8 if box_features else 2)
    if box_features:
        assert inputs["visual_embeds"][2, 3, 2:].tolist() == pytest.approx([0.7, 0.35, 0.9, 0.45, 0.2, 0.1])


def test_a_phrase_that_is_cut_off(files, store, tokenizer):
    inputs, _ = PhraseData(read_flickr30k(files), store, tokenizer, 8).batch(np.array([0]), np.random.default_rng(0))
    assert inputs["region_to_phrase_position"].tolist() == [[3, -1]]
    assert not inputs["labels"][0, 1].any()
    assert inputs["input_ids"][0, -1] == tokenizer.sep_token_id


def test_recall(files, store, tokenizer, tmp_path):
    """Of eight phrases, four name a ball that no region shows; the hats are found first once, and third once."""
    sentences = read_flickr30k(files)
    data = PhraseData(sentences, store, tokenizer)
    orders = {"100#0": [[0, 1, 2, 3], [1, 3, 0, 2]], "200#0": [[1, 0, 2], [0, 2, 1]]}
    ranking = {}
    for row, name in enumerate(sentences.ids):
        (boxes,) = data.boxes(np.array([row]))
        ranking[name] = [boxes[order] for order in orders.get(name, [range(len(boxes))] * 2)]
    found = flickr30k_scores(ranking, sentences)
    assert found.recall == {1: 25.0, 5: 50.0, 10: 50.0}
    assert found.upper_bound == 50.0
    assert found.per_type == {"clothing": 50.0, "other": pytest.approx(100 / 6), "people": 50.0}
    assert found.type_counts == {"clothing": 2, "other": 6, "people": 2}
    write_flickr30k_results(tmp_path / "out.json", ranking, sentences)
    first = json.loads((tmp_path / "out.json").read_text())[0]
    assert first["id"] == "100#0"
    assert first["phrases"][1] == {
        "entity": "2",
        "boxes": [[20, 20, 30, 30], [70, 70, 90, 90], [3, 0, 13, 10], [40, 0, 50, 10]],
    }
    assert score_result_file("flickr30k", tmp_path / "out.json", [files]) == found
    entries = json.loads((tmp_path / "out.json").read_text())
    entries[0]["phrases"].reverse()
    (tmp_path / "out.json").write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=r"\(id '100#0'\): .* entities \['1', '2'\], in this order; got \['2', '1'\]"):
        score_result_file("flickr30k", tmp_path / "out.json", [files])
    with pytest.raises(ValueError, match="4 sentences are not answered"):
        flickr30k_scores({}, sentences)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("val.txt", "100\n../200\n", "line 2: the id of an image is expected"),
        ("val.txt", "100\n100\n", "the image 100 is there twice"),
        ("Sentences/100.txt", "[/EN#1 a man", "a phrase must be written as"),
        ("Annotations/100.xml", "<annotation>", "is not an XML file"),
        ("Annotations/100.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "plain elements of XML"),
        ("Annotations/100.xml", "<a><object><bndbox><xmin>x</xmin></bndbox><name>1</name></object></a>", "as integers"),
        ("Annotations/100.xml", "<a/>", "there are no phrases with boxes"),
    ],
)
def test_wrong_files(file, text, message, tmp_path):
    path = make_files(tmp_path / "entities", ["100"])
    (tmp_path / "entities" / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_flickr30k(path)


def test_a_split_without_its_folders(tmp_path):
    (tmp_path / "val.txt").write_text("1\n")
    with pytest.raises(FileNotFoundError, match="there is no Sentences and no Annotations"):
        read_flickr30k(tmp_path / "val.txt")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"id": "1", "phrases": {}}], "phrases must be a list"),
        ([{"id": "1", "phrases": [{"boxes": [[1, 2, 3]]}]}], r"boxes, a list of \[x1, y1, x2, y2\]"),
        ([{"id": "1", "phrases": []}] * 2, "the sentence is there twice"),
    ],
)
def test_wrong_result_files(entries, message, tmp_path):
    (tmp_path / "out.json").write_text(json.dumps(entries))
    with pytest.raises(ValueError, match=message):
        read_flickr30k_results(tmp_path / "out.json")

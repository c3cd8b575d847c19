"""Columns that behave like lists, JSON that is read piece by piece, tables of answers, files that are written."""

import errno
import json
import os
import pickle
import random

import numpy as np
import pytest

from lxmert.data.datasets import (
    CategoricalColumn,
    Questions,
    Sentences,
    TextColumn,
    json_reader,
    json_writer,
    write_vqa,
)
from lxmert.data.datasets.json_reader import Item, json_items, json_lines, list_items
from lxmert.data.datasets.record_checks import check_unique

WORDS = ["", "a", "ß", "日本語", "😀", "a longer text with blanks", "a"]
LABELS = [{"a": 1.0}, None, {"a": 1.0}, {}, {"b": 0.3, "a": 1.0}]


@pytest.mark.parametrize("column", [TextColumn(WORDS), CategoricalColumn(WORDS)], ids=["text", "categorical"])
def test_columns_are_like_lists(column):
    assert list(column) == WORDS
    assert column == WORDS
    assert column != WORDS[:-1]
    assert column != [*WORDS[:-1], "b"]
    assert column != "a"
    assert [column[row] for row in range(-7, 7)] == WORDS * 2
    assert column[np.int64(3)] == "日本語"
    assert column[1:6:2] == WORDS[1:6:2]
    assert column[::-1] == WORDS[::-1]
    assert column.take([5, 0, -1, 5]) == [WORDS[5], "", "a", WORDS[5]]
    assert column.take([]) == []
    assert column.take(np.array([True] + [False] * 6)) == [""]
    assert pickle.loads(pickle.dumps(column)) == WORDS
    for row in (7, -8):
        with pytest.raises(IndexError):
            column[row]
        with pytest.raises(IndexError, match=r"rows must be below 7, the number of rows; got"):
            column.take([0, row])
    with pytest.raises(TypeError, match=r"rows must be a list of integers, or 7 booleans; got float64 \[1\]"):
        column.take([0.5])
    with pytest.raises(TypeError, match=r"got bool \[1\]"):
        column.take([True])
    assert repr(column).endswith(" of 7: '', 'a', 'ß', ...>")


def test_equal_values_are_one():
    column = CategoricalColumn(LABELS, lambda label: None if label is None else tuple(label.items()))
    assert column == LABELS
    assert column[0] is column[2]
    assert column.codes.tolist() == [0, 1, 0, 2, 3]
    assert column.map_categories(lambda label: sorted(label or "")) == [["a"], [], ["a"], [], ["a", "b"]]
    assert column.take([4, 1]).categories == [None, {"b": 0.3, "a": 1.0}]
    with pytest.raises(TypeError, match="the column is complete"):
        column.complete().append({"c": 1.0})


def test_records_are_columns():
    sentences = Sentences(["one", "two", "three"], ["x", "y", "x"], ["vg"] * 3, [None, {"a": 1.0}, None], ("f.json",))
    taken = sentences.take([2, 1])
    assert isinstance(taken, Sentences)
    assert (taken.texts, taken.images, taken.answers) == (["three", "two"], ["x", "y"], [None, {"a": 1.0}])
    assert taken.files == ("f.json",)
    assert sentences.first(5) == sentences
    assert sentences.first(1).image_names == ["x"]
    assert pickle.loads(pickle.dumps(sentences)) == sentences
    arrays = Questions(np.array([5, 6]), ["a", "b"], np.array(["x", "y"]))
    assert json.dumps(arrays.take([1]).ids) == "[6]"


# A worker that only looks at millions of rows must not copy them: what it is sent is a few arrays.
def test_columns_are_small():
    texts = [f"a sentence of some length, number {row}" for row in range(10_000)]
    sentences = Sentences(texts, ["x"] * 10_000, ["vg"] * 10_000, [{"yes": 1.0}] * 10_000)
    assert len(pickle.dumps(sentences)) < sum(map(len, texts)) + 10_000 * (8 + 4 + 4 + 4) + 2_000


@pytest.mark.parametrize("seed", range(20))
def test_json_is_read_across_pieces(seed, tmp_path, monkeypatch):
    """Pieces of a few characters end at every place of the text: inside names, escapes, numbers, characters."""
    draw = random.Random(seed)
    monkeypatch.setattr(json_reader, "_PIECE", draw.choice([1, 2, 3, 7, 50]))

    def value(depth):
        kind = draw.randrange(7 if depth else 5)
        if kind == 5:
            return [value(depth - 1) for _ in range(draw.randrange(3))]
        if kind == 6:
            return {text(): value(depth - 1) for _ in range(draw.randrange(3))}
        return [None, True, draw.randrange(-1000, 1000), draw.random() * 1e9, text()][kind]

    def text():
        return "".join(draw.choices('aé日😀"\\\n/ ', k=draw.randrange(5)))

    indent = draw.choice([None, 0, 3])
    entries = [value(3) for _ in range(10)]
    path = tmp_path / "f.json"
    path.write_text(
        json.dumps(entries, ensure_ascii=draw.random() < 0.5, indent=indent),
        encoding=draw.choice(["utf-8", "utf-8-sig"]),
    )
    assert list(list_items(path)) == list(enumerate(entries, 1))
    members = {str(number): value(2) for number in range(10)}
    path.write_text(json.dumps(members, ensure_ascii=draw.random() < 0.5, indent=indent), encoding="utf-8")
    wanted = []
    for key, member in members.items():
        if isinstance(member, list) and member:
            wanted += [Item(key, place, entry) for place, entry in enumerate(member)]
        else:
            wanted.append(Item(key, None, member))
    assert list(json_items(path)) == wanted


@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_place_of_an_error(piece, tmp_path, monkeypatch):
    monkeypatch.setattr(json_reader, "_PIECE", piece)
    path = tmp_path / "f.json"
    path.write_text('[{"a": 1},\n {"b": 2},\n\n  {"c": x}, {"d": 4}]')
    with pytest.raises(ValueError, match=r"f.json is not a JSON file: Expecting value \(line 4, column 9\)"):
        list(json_items(path))
    path.write_text('[{"a": 1},\n {"b": 2}; {"c": 3}]')
    with pytest.raises(ValueError, match=r"a comma or \] is expected \(line 2, column 10\)"):
        list(json_items(path))


def test_a_record_that_would_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_reader, "_PIECE", 10)
    monkeypatch.setattr(json_reader, "LARGEST_RECORD", 100)
    path = tmp_path / "f.json"
    path.write_text('[{"a": "' + "x" * 10_000)
    with pytest.raises(ValueError, match=r"f.json is not a JSON file: Unterminated string"):
        list(json_items(path))
    path.write_text('{"a": 1}\n{"a": "' + "x" * 10_000)
    with pytest.raises(ValueError, match=r"f\.json, line 2, has more than 100 characters"):
        list(json_lines(path))


def test_every_repeated_id_is_found():
    draw = random.Random(0)
    for _ in range(200):
        ids = [draw.randrange(12) for _ in range(draw.randrange(1, 8))]
        starts = [("a", 0), ("b", len(ids) // 2)]
        for given in (ids, TextColumn(map(str, ids))):
            if len(set(ids)) == len(ids):
                check_unique(given, "id", starts)
            else:
                with pytest.raises(ValueError, match=r"id '?\d+'? is there twice: [ab], record \d and [ab], record \d"):
                    check_unique(given, "id", starts)
    # Python gives -1 and -2 one hash: equal hashes alone are no repetition.
    assert hash(-1) == hash(-2)
    check_unique([-1, -2], "id", [("a", 0)])


def test_a_full_disk(tmp_path, monkeypatch):
    questions = Questions([1, 2], ["a", "b"], ["x", "y"])
    path = tmp_path / "train.json"
    path.write_text("what was there")
    texts = iter(["{}"])

    def full(record):
        try:
            return next(texts)
        except StopIteration:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from None

    monkeypatch.setattr(json_writer, "json_text", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*train.json'"):
        write_vqa(path, questions)
    assert path.read_text() == "what was there"
    assert os.listdir(tmp_path) == ["train.json"]

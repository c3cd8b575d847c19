"""Tables of answers in every layout, answers as the original writes them, and rows of a head in another order."""

import json
import pickle
import re

import ml_dtypes
import numpy as np
import pytest

from lxmert import convert
from lxmert.weights.answer_vocabulary import matching_rows, normalize_answer, read_answer_vocabulary, remap_rows

from .weight_folders import make_folder


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("Yes", "yes"),
        ("yes.", "yes"),
        ("yes ..", "yes ."),  # one full stop
        ("A dog", "dog"),
        ("an apple", "apple"),
        ("the cat", "cat"),
        ("a an apple", "apple"),  # one after the other
        ("the a cat", "a cat"),  # each once, in this order
        ("a the cat", "cat"),
        ("another", "another"),
        ("seven", "7"),
        ("the two", "2"),
        ("eleven", "eleven"),
        ("grey", "gray"),
        ("a man", "man"),
        ("The Woman.", "woman"),
        (".", ""),
        ("", ""),
    ],
)
def test_answers_as_the_original_writes_them(answer, wanted):
    assert normalize_answer(answer) == wanted


@pytest.mark.parametrize(
    "table",
    [
        ["yes", "no", "2"],
        [{"ans": "yes", "dsets": ["vqa"]}, {"ans": "no"}, {"ans": "2"}],
        {"no": 1, "2": 2, "yes": 0},
        {"2": "2", "0": "yes", "1": "no"},
        [{"no": 1, "2": 2, "yes": 0}, {"2": "2", "0": "yes", "1": "no"}],
        [{"no": 1, "2": 2, "yes": 0}, {"2": "2", "0": "yes", "1": "no"}, {"what": 0}, 3],
    ],
)
def test_layouts(table, tmp_path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(table))
    assert read_answer_vocabulary(path) == ["yes", "no", "2"]
    for protocol in (0, 2, pickle.HIGHEST_PROTOCOL):
        path.write_bytes(pickle.dumps(table, protocol))
        assert read_answer_vocabulary(path) == ["yes", "no", "2"]


def test_other_files(tmp_path):
    path = tmp_path / "answers.txt"
    path.write_bytes(b"\xef\xbb\xbfyes\r\nno\r\n2\r\n\r\n")
    assert read_answer_vocabulary(path) == ["yes", "no", "2"]
    path.write_bytes(pickle.dumps({0: "yes", 1: "no"}))
    assert read_answer_vocabulary(path) == ["yes", "no"]
    path.write_bytes(pickle.dumps([print]))
    with pytest.raises(ValueError, match="builtins"):
        read_answer_vocabulary(path)


# Numbers that are answers: their values tell which is which.
def test_numbers_as_answers(tmp_path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"1": 0, "0": 1}))
    assert read_answer_vocabulary(path) == ["1", "0"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "is no answer vocabulary: it must be a list of strings"),
        ({}, "is no answer vocabulary"),
        ([1, 2], "is no answer vocabulary"),
        (["yes", None], "is no answer vocabulary"),
        ([{"answer": "yes"}], "is no answer vocabulary"),
        ({"yes": 0, "no": 2}, "is no answer vocabulary"),
        ({"yes": 1, "no": 2}, "is no answer vocabulary"),
        ({"yes": 0, "no": 0}, "indices 0, 1, 2, ..., each once"),
        ({"0": "yes", "00": "no"}, "is no answer vocabulary"),
        ({"yes": False, "no": True}, "is no answer vocabulary"),
        ({"yes": 0.0}, "is no answer vocabulary"),
        ({"0": "yes", "one": "no"}, "is no answer vocabulary"),
        (["yes", "\ud800"], "holds an answer of half a character"),
        (["yes" * 10**6] * 2, "has 1 answers twice; the first is 'yesyes"),
        (["yes", "no", "yes", "no"], "has 2 answers twice; the first is 'yes'"),
        ({"0": "a", "1": "b", "2": "b"}, "has 1 answers twice; the first is 'b'"),
        ([{"yes": 0, "no": 1}, {"0": "no", "1": "yes"}], "is no answer vocabulary"),
    ],
)
def test_other_tables_are_refused(table, message, tmp_path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} .*{re.escape(message)}"):
        read_answer_vocabulary(path)


def test_no_table(tmp_path):
    (tmp_path / "answers.json").write_text('["yes", "no"')
    with pytest.raises(ValueError, match="is not a JSON file"):
        read_answer_vocabulary(tmp_path / "answers.json")
    (tmp_path / "answers.json").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is neither JSON nor a text in UTF-8"):
        read_answer_vocabulary(tmp_path / "answers.json")
    with pytest.raises(FileNotFoundError):
        read_answer_vocabulary(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("old", "new", "rows"),
    [
        # As in the original: the new ones normalised, the old ones as they are.
        (["yes", "3", "dog"], ["A dog", "Yes.", "three", "3", "YES", "cat"], [2, 0, 1, 1, 0, -1]),
        (["grey", "gray"], ["grey", "gray"], [1, 1]),
        # The same text, where nothing is found that way; before another way of writing.
        (["The dog", "the dog"], ["the dog", "The dog"], [1, 0]),
        (["grey", "the who", "a.", "yes"], ["grey", "the who", "a.", "yes"], [0, 1, 2, 3]),
        # Another way of writing: the first one counts.
        (["no", "The Dog", "the dog.", "Three"], ["a dog", "three.", "3", "NO"], [1, 3, 3, 0]),
        (["grey"], ["gray", "green"], [0, -1]),
    ],
)
def test_the_same_answers(old, new, rows):
    assert matching_rows(old, new).tolist() == rows


def test_every_answer_is_found_in_its_own_table():
    table = ["a", "an", "the", "a.", ".", "", "A man", "man", "two", "2", "a an the", "Grey.", "the who", "YES"]
    assert (matching_rows(table, table) >= 0).all()
    assert (matching_rows(table, table[::-1]) >= 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16])
def test_rows(dtype):
    weight = np.arange(1, 13, dtype="float32").reshape(4, 3).astype(dtype)
    for values in (weight, np.asfortranarray(weight), weight[:, 0]):
        before = values.copy()
        moved = remap_rows(values, np.array([2, -1, 0, 2, -1]))
        assert moved.dtype == values.dtype
        assert moved.tolist() == [
            values[2].tolist(),
            (values[0] * 0).tolist(),
            *values[[0, 2]].tolist(),
            moved[1].tolist(),
        ]
        assert values.tolist() == before.tolist()


def test_no_answer_is_known():
    assert remap_rows(np.ones((2, 3)), np.array([-1, -1])).tolist() == [[0, 0, 0]] * 2


def test_tables_that_share_nothing(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps([f"old {i}" for i in range(5)]))
    new.write_text('["north", "south"]')
    source = make_folder(tmp_path / "source", "LxmertForQuestionAnswering")
    with pytest.warns(
        UserWarning, match=r"none of the 2 answers of .*new\.json is in .*old\.json: the whole answer head"
    ):
        convert(source, tmp_path / "out", answers=(old, new))

"""Tables of answers in every layout, answers as the original writes them, and rows of a head in another order."""

import json
import re

import ml_dtypes
import numpy as np
import pytest

from lxmert.common.answers import matching_rows, normalize_answer, read_answers, transplanted


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
    ],
)
def test_layouts(table, tmp_path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(table))
    assert read_answers(path) == ["yes", "no", "2"]


# Numbers that are answers: their values tell which is which.
def test_numbers_as_answers(tmp_path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"1": 0, "0": 1}))
    assert read_answers(path) == ["1", "0"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([], "is no table of answers: a list of texts is wanted"),
        ({}, "is no table of answers"),
        ([1, 2], "is no table of answers"),
        (["yes", None], "is no table of answers"),
        ([{"answer": "yes"}], "is no table of answers"),
        ({"yes": 0, "no": 2}, "is no table of answers"),
        ({"yes": 1, "no": 2}, "is no table of answers"),
        ({"yes": 0, "no": 0}, "numbers 0, 1, 2, ..., each once"),
        ({"0": "yes", "00": "no"}, "is no table of answers"),
        ({"yes": False, "no": True}, "is no table of answers"),
        ({"yes": 0.0}, "is no table of answers"),
        ({"0": "yes", "one": "no"}, "is no table of answers"),
        (["yes", "no", "yes", "no"], "has 2 answers twice; the first is 'yes'"),
        ({"0": "a", "1": "b", "2": "b"}, "has 1 answers twice; the first is 'b'"),
        ("yes", "must hold a JSON list or object; it holds a str"),
    ],
)
def test_other_tables_are_refused(table, message, tmp_path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(table))
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} .*{re.escape(message)}"):
        read_answers(path)


def test_no_json(tmp_path):
    (tmp_path / "answers.json").write_text("yes\nno\n")
    with pytest.raises(ValueError, match="is not a JSON file"):
        read_answers(tmp_path / "answers.json")
    with pytest.raises(FileNotFoundError):
        read_answers(tmp_path / "absent.json")


def test_the_old_answers_are_taken_as_they_are():
    # The new ones are normalised, so that an old "The dog" is never met.
    assert matching_rows(["yes", "The dog", "3"], ["The dog", "Yes.", "three", "3", "YES"]).tolist() == [-1, 0, 2, 2, 0]


@pytest.mark.parametrize("dtype", ["float32", "float16", ml_dtypes.bfloat16])
def test_rows(dtype):
    weight = np.arange(1, 13, dtype="float32").reshape(4, 3).astype(dtype)
    for values in (weight, np.asfortranarray(weight), weight[:, 0]):
        before = values.copy()
        moved = transplanted(values, np.array([2, -1, 0, 2, -1]))
        assert moved.dtype == values.dtype
        assert moved.tolist() == [
            values[2].tolist(),
            (values[0] * 0).tolist(),
            *values[[0, 2]].tolist(),
            moved[1].tolist(),
        ]
        assert values.tolist() == before.tolist()


def test_no_answer_is_known():
    assert transplanted(np.ones((2, 3)), np.array([-1, -1])).tolist() == [[0, 0, 0]] * 2

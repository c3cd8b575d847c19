"""Result files: written and read back in the three official formats, and everything that is wrong with one told."""

import json

import pytest

from lxmert.data.metrics import read_predictions, score_result_file, write_predictions

PREDICTIONS = {
    "vqa": {3: "yes", 1: "", 2: "café, 3 o'clock"},
    "gqa": {"0031": "yes", "1": "a\nb"},
    "nlvr2": {"test1-0-1-0": True, "test1-0-0-0": False},
}
TEXTS = {
    "vqa": '[{"question_id": 3, "answer": "yes"}, {"question_id": 1, "answer": ""}, '
    '{"question_id": 2, "answer": "caf\\u00e9, 3 o\'clock"}]',
    "gqa": '[{"questionId": "0031", "prediction": "yes"}, {"questionId": "1", "prediction": "a\\nb"}]',
    "nlvr2": "test1-0-1-0,True\ntest1-0-0-0,False\n",
}


@pytest.mark.parametrize("task", PREDICTIONS)
def test_what_is_written_is_read(task, tmp_path):
    path = tmp_path / "results"
    write_predictions(task, path, PREDICTIONS[task], list(PREDICTIONS[task]))
    assert path.read_text() == TEXTS[task]
    found = read_predictions(task, path, list(PREDICTIONS[task]))
    assert list(found.items()) == list(PREDICTIONS[task].items())


def test_nlvr2_as_others_write_it(tmp_path):
    path = tmp_path / "results.csv"
    path.write_bytes(b"\xef\xbb\xbfdev-1-0-0,true\r\n\r\n dev-1-1-0 , FALSE \r\na,1\nb,0")
    assert read_predictions("nlvr2", path) == {"dev-1-0-0": True, "dev-1-1-0": False, "a": True, "b": False}


def test_numbers_as_judgements(tmp_path):
    write_predictions("nlvr2", tmp_path / "a.csv", {"a": 1, "b": 0})
    assert (tmp_path / "a.csv").read_text() == "a,True\nb,False\n"


def test_other_keys_are_passed_over(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('[{"question_id": 3, "answer": "yes", "score": 0.7}]')
    assert read_predictions("vqa", path) == {3: "yes"}


@pytest.mark.parametrize(
    "text",
    [
        '[{"question_id": "3", "answer": "yes"}, {"question_id": "a", "answer": "no"}]',
        '{"question_id": 3, "answer": "yes"}\n{"question_id": "a", "answer": "no"}\n',
        '[{"questionId": 3, "prediction": "yes", "score": 1}, {"questionId": "a", "prediction": "no"}]',
        '{"3": "yes", "a": "no"}',
        '{"3": {"multiple_choice": "x", "direct_answer": "yes"}, "a": {"direct_answer": "no"}}',
        "question_id,answer\r\n3,yes\r\na,no\r\n",
        "id,proba,label\n3,0.5,yes\na,1,no\n",
        '[{"image": "3", "answer": "yes"}, {"image": "a", "answer": "no"}]',
    ],
)
def test_result_files_of_others(text, tmp_path):
    path = tmp_path / "results"
    path.write_text(text)
    assert read_predictions("vqa", path) == {3: "yes", "a": "no"}
    assert read_predictions("vqa", path, ["a"]) == {"a": "no"}
    assert read_predictions("gqa", path) == {"3": "yes", "a": "no"}


WRONG_FILES = {
    "vqa": [
        ("nothing", "is neither JSON nor a table"),
        ('[{"question_id": 3', "is not a JSON file"),
        ('{"3": 5}', 'entry 0 has the "answer" 5'),
        ('{"3": "yes", "3": "no"}', "the key '3' is there twice"),
        ("[3]", "1 of 1 entries are not like"),
        ("[3]", 'like {"question_id": 458752000, "answer": "yes"}: entry 0 is 3'),
        ('[{"question_id": 3, "answer": "a"}, {"question_id": "3", "answer": "a"}]', "answered more than once: 3"),
        ('[{"question_id": true, "answer": "a"}]', 'entry 0 has the "question_id" True'),
        ('[{"question_id": 3.0, "answer": "a"}]', 'entry 0 has the "question_id" 3.0'),
        ('[{"question_id": 3, "answer": null}]', 'entry 0 has the "answer" None'),
        ('[{"number": "3", "prediction": "a"}]', 'has no "question_id" but number, prediction'),
        ('[{"question_id": 3, "answer": "a"}, {"question_id": 3, "answer": "a"}]', "answered more than once: 3"),
        ('[{"question_id": 9, "answer": "a"}]', "for each of the 2 questions; 2 questions are not answered: 1, 2;"),
        ('[{"question_id": 9, "answer": "a"}]', "1 prediction is for no question of these: 9"),
    ],
    "gqa": [
        ('[{"questionId": 3.5, "prediction": "a"}]', 'like {"questionId": "201307251", "prediction": "yes"}: entry 0'),
        ('[{"questionId": "3"}, 5, [], {}]', "4 of 4 entries"),
        ('[{"questionId": "3"}, 5, [], {}]', 'entry 0 has no "prediction" but questionId, entry 1 is 5, entry 2 is []'),
        ('[{"questionId": "3"}, 5, [], {}]', "and 1 more"),
        ('[{"questionId": "1", "prediction": "a"}]', "1 question is not answered: 2"),
    ],
    "nlvr2": [
        ("identifier,prediction\na,True\n", "1 of 2 lines are not `identifier,True` or `identifier,False`: line 1"),
        ("a\n,True\na,True,1\na,yes\n", "4 of 4 lines"),
        ("\xff", "is not a table in CSV: 'utf-8' codec"),
        ("a,True\nb,True\na,False\nb,True\nc,True", "2 statements are answered more than once: a, b"),
        ("1,True\n3,True", "1 prediction is for no statement of these: 3"),
        ("\n", "2 statements are not answered: 1, 2"),
    ],
}


@pytest.mark.parametrize(
    ("task", "text", "message"), [(task, *case) for task, cases in WRONG_FILES.items() for case in cases]
)
def test_what_is_wrong_with_a_file(task, text, message, tmp_path):
    path = tmp_path / "results"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError) as error:  # noqa: PT011 the message is below
        read_predictions(task, path, [1, 2] if task == "vqa" else ["1", "2"])
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


WRONG_PREDICTIONS = {
    "vqa": [
        ({3.5: "yes"}, "the ids integers or strings; 1 are not"),
        ({1: "a", 2: "b", "c": "d"}, "1 prediction is for no question of these: c"),
        ({3: 5}, "1 are not: {'question_id': 3, 'answer': 5}"),
        ({1: "yes"}, "1 question is not answered: 2"),
    ],
    "gqa": [
        ({3: "yes"}, "the ids strings; 1 are not"),
        ({"1": "a", "2": "b", "3": "c"}, "1 prediction is for no question of these: 3"),
    ],
    "nlvr2": [
        ({"a,b": True}, "1 are not: 'a,b': True"),
        ({"": True}, "1 are not: '': True"),
        ({"a": "False"}, "1 are not: 'a': 'False'"),
        ({"a": 0.7}, "1 are not: 'a': 0.7"),
    ],
}


@pytest.mark.parametrize(
    ("task", "predictions", "message"), [(task, *case) for task, cases in WRONG_PREDICTIONS.items() for case in cases]
)
def test_what_is_not_written(task, predictions, message, tmp_path):
    path = tmp_path / "results"
    path.write_text("before")
    with pytest.raises(ValueError) as error:  # noqa: PT011 the message is below
        write_predictions(task, path, predictions, [1, 2] if task == "vqa" else ["1", "2"])
    assert message in str(error.value)
    assert path.read_text() == "before"


def test_what_is_told_of_a_file_does_not_steer_the_terminal(tmp_path):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{"questionId": "\x1b[2J", "prediction": "a"}] * 2))
    with pytest.raises(ValueError, match="more than once") as error:
        read_predictions("gqa", path)
    assert "\x1b" not in str(error.value)


def test_scores_of_data_sets_that_compare_in_their_own_way(tmp_path, caplog):
    """A-OKVQA: min(1, n / 3) of equal texts, without hard questions. TextVQA: texts are normalized in any case."""
    caplog.set_level("INFO", "lxmert")

    def score(records, answers):
        (tmp_path / "q.json").write_text(json.dumps(records))
        (tmp_path / "r.json").write_text(json.dumps([{"question_id": n, "answer": a} for n, a in answers.items()]))
        return score_result_file("vqa", tmp_path / "r.json", questions=[tmp_path / "q.json"])

    people = ["boat"] + ["ram"] * 2 + ["cat"] * 7
    common = {"image_id": 42, "question": "?", "choices": ["a"], "direct_answers": people}
    records = [common | {"question_id": name, "difficult_direct_answer": name == "d"} for name in "abcd"]
    found = score(records, {"a": "boat", "b": "ram", "c": "Cat", "d": "cat"})
    assert found.per_question == {"a": 100 * (1 / 3), "b": 100 * (2 / 3), "c": 0}
    assert found.left_out == 0
    assert "not scored, since they are marked difficult_direct_answer: 1 of 4" in caplog.text
    with pytest.raises(ValueError, match="every question is marked difficult_direct_answer"):
        score(records[3:], {"d": "cat"})

    records = [
        {"question_id": n, "image_id": "x", "question": "?", "answers": ["Nokia"] * n + ["LG"] * (10 - n)}
        for n in (10, 8)
    ]
    found = score({"data": records}, {10: "nokia", 8: "the Nokia"})
    assert found.per_question == {10: 100, 8: 100}

"""The accuracy of VQA: equal to the official one, its text processing rule by rule, and the mean over soft labels."""

import copy
import json
from pathlib import Path

import pytest

from lxmert.data.datasets import Questions
from lxmert.data.metrics import read_predictions, read_vqa_annotations, soft_accuracy, vqa_accuracy
from lxmert.data.text_normalization import process_answer, tidy_answer

GOLDEN = Path(__file__).parents[1] / "golden" / "vqa-metric"
ANNOTATIONS = GOLDEN / "v2_mscoco_val2014_annotations.json"


@pytest.fixture(scope="module")
def official():
    return json.loads((GOLDEN / "official.json").read_text())


def test_equal_to_the_official_evaluation(official):
    scores = vqa_accuracy(read_predictions("vqa", GOLDEN / "results.json"), read_vqa_annotations(ANNOTATIONS))
    assert len(scores.per_question) == 400
    assert round(scores.overall, 2) == official["overall"]
    for name in ("per_question", "per_answer_type", "per_question_type"):
        assert {str(key): round(score, 2) for key, score in getattr(scores, name).items()} == official[name]


def test_scores_are_not_rounded_before_they_are_averaged(official):
    scores = vqa_accuracy(read_predictions("vqa", GOLDEN / "results.json"), read_vqa_annotations(ANNOTATIONS))
    assert scores.overall == pytest.approx(61.875, abs=1e-9)
    assert scores.answer_type_counts == {"other": 138, "yes/no": 138, "number": 124}
    assert sum(scores.question_type_counts.values()) == 400
    weighted = sum(scores.per_answer_type[kind] * count for kind, count in scores.answer_type_counts.items())
    assert weighted / 400 == pytest.approx(scores.overall, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "processed"),
    [
        ("", ""),
        (" \tYes\n", "yes"),
        ("two", "2"),
        ("None", "0"),
        ("zero", "0"),
        ("ten", "10"),
        ("eleven", "eleven"),
        ("The Eiffel  Tower", "eiffel tower"),
        ("a", ""),
        ("an a the dog", "dog"),
        # A mark that stands beside a blank is removed wherever it is, another one becomes a blank.
        ("t-shirt", "t shirt"),
        ("t-shirt - red", "tshirt red"),
        ("black/white", "black white"),
        ("black / white", "black white"),
        ("white, black,red", "white blackred"),
        ("(left)", "left"),
        ("stop!", "stop"),
        # A comma between digits: every mark is removed.
        ("1,000", "1000"),
        ("1,000-2,000/day", "10002000day"),
        ("a,b", "b"),
        # These are no marks.
        ("9:30", "9:30"),
        ("$5", "$5"),
        ("100%", "100%"),
        ("black & white", "black & white"),
        # Full stops go where no digit follows.
        ("3.50", "3.50"),
        ("12.", "12"),
        ("p.m.", "pm"),
        ("3.a", "3a"),
        (".5", ".5"),
        ("x" + 32 * "." + "y", "xy"),
        ("x" + 34 * "." + "y", "x..y"),
        # Missing apostrophes.
        ("dont", "don't"),
        ("Its", "its"),
        ("couldnt've", "couldn't've"),
        ("couldn'tve", "couldn't've"),
        ("couldntve", "couldntve"),
        ("yall'll", "y'all'll"),
        ("ow's'at", "'ow's'at"),
        ("whos", "who's"),
        ("were", "were"),
        ("shed", "shed"),
        ("im", "im"),
        ("Ive", "ive"),
        ("somebody'd", "somebodyd"),
        ("somebodyd", "somebodyd"),
        ("don't", "don't"),
        # Digits of other scripts are digits.
        ("\u0663,\u0664!", "\u0663\u0664"),
        # Marks are looked at before white space is made one blank, but after tabs became blanks.
        ("left\t-side", "left side"),
        ("left\r-side", "left side"),
    ],
)
def test_text_processing(text, processed):
    assert process_answer(text) == processed


def test_tidying_changes_white_space_only():
    assert tidy_answer("\n The\tdog, \n") == "The dog,"


def annotation(answers, question=7):
    ten = [{"answer": answer, "answer_confidence": "yes", "answer_id": i} for i, answer in enumerate(answers, 1)]
    return {"question_id": question, "question_type": "what is", "answer_type": "other", "answers": ten}


@pytest.mark.parametrize(("count", "percent"), [(0, 0), (1, 30), (2, 60), (3, 90), (4, 100), (9, 100)])
def test_how_many_people_agree(count, percent):
    answers = ["cat"] * count + [f"dog{i}" for i in range(10 - count)]
    assert vqa_accuracy({7: "cat"}, [annotation(answers)]).overall == pytest.approx(percent, abs=1e-12)


def test_only_where_people_disagree_is_the_text_processed():
    assert vqa_accuracy({7: "Yes"}, [annotation(["yes"] * 10)]).overall == 0
    assert vqa_accuracy({7: " yes\n"}, [annotation(["yes "] * 10)]).overall == 100
    assert vqa_accuracy({7: "two"}, [annotation(["2"] * 10)]).overall == 0
    assert vqa_accuracy({7: "The two."}, [annotation(["2"] * 9 + ["3"])]).overall == 100


@pytest.mark.parametrize(
    ("texts", "formula", "percent"),
    [
        (["cat"] * 10, "auto", 100),
        (["cat"] * 3 + ["dog"] * 7, "auto", 90),
        (["cat"] * 3 + ["dog"] * 2, "official", 100 * (3 * 2 / 3 + 2) / 5),
        # Fewer than ten people: their share.
        (["cat"] * 3 + ["dog"] * 2, "auto", 60),
        (["cat"], "auto", 100),
        (["cat"], "official", 0),
        (["cat", "cat"], "auto", 100),
        (["cat"] * 8 + ["dog"], "auto", 100 * 8 / 9),
        (["cat"] * 3 + ["dog"] * 7, "share", 30),
    ],
)
def test_one_person_is_left_out_by_place(texts, formula, percent):
    """Equal answers without ids are those of several people."""
    given = {"question_id": 7, "answers": [{"answer": text, "answer_confidence": "yes"} for text in texts]}
    assert vqa_accuracy({7: "cat"}, [given], formula=formula).overall == pytest.approx(percent, abs=1e-12)


def test_ids_in_two_spellings():
    assert vqa_accuracy({"7": "a"}, [annotation(["a"] * 10)]).overall == 100
    assert vqa_accuracy({7: "a"}, [annotation(["a"] * 10, "7")]).per_question == {7: 100}
    assert soft_accuracy({"1": "yes", 2: "3", "3": "red"}, questions()).overall == pytest.approx(250 / 3)


def test_a_part_of_the_questions():
    scores = vqa_accuracy({7: "a", 8: "b", 9: "c"}, [annotation(["a"] * 10)])
    assert (scores.overall, scores.left_out) == (100, 2)
    assert soft_accuracy({1: "yes", 2: "3", 3: "red", 4: "?"}, questions()).left_out == 1


def test_annotations_stay_as_they_are():
    given = annotation(["The cat"] * 9 + ["dog"])
    before = copy.deepcopy(given)
    vqa_accuracy({7: "cat"}, [given])
    assert given == before


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        ({}, "1 question is not answered: 7"),
        ({8: "b"}, "1 prediction is for no question of these: 8"),
        (
            {i: "a" for i in range(10, 30)},
            "20 predictions are for no question of these: 10, 11, 12, 13, 14 and 15 more",
        ),
    ],
)
def test_predictions_that_do_not_fit(predictions, message):
    with pytest.raises(ValueError, match="must have one prediction for each of the 1 questions") as error:
        vqa_accuracy(predictions, [annotation(["a"] * 10)])
    assert message in str(error.value)


def test_nothing_to_score():
    with pytest.raises(ValueError, match="at least one question to score"):
        vqa_accuracy({}, [])


def questions(**changes):
    columns = dict(
        ids=[1, 2, 3],
        texts=["a?", "b?", "c?"],
        images=["p", "p", "q"],
        answers=[{"yes": 1.0}, {"2": 0.3, "3": 0.9}, {"red": 0.6}],
        question_types=["is", "how many", "what"],
        answer_types=["yes/no", "number", "other"],
    )
    return Questions(**{**columns, **changes})


def test_soft_accuracy():
    scores = soft_accuracy({1: "yes", 2: "3", 3: "Red"}, questions())
    assert scores.overall == pytest.approx(100 * 1.9 / 3, abs=1e-12)
    assert scores.per_answer_type == {"yes/no": 100, "number": 90, "other": 0}
    assert scores.question_type_counts == {"is": 1, "how many": 1, "what": 1}
    plain = soft_accuracy({1: "yes", 2: "2", 3: "red"}, questions(question_types=None, answer_types=None))
    assert plain.overall == pytest.approx(100 * 1.9 / 3, abs=1e-12)
    assert (plain.per_answer_type, plain.per_question_type) == ({}, {})


def test_soft_accuracy_refuses():
    with pytest.raises(ValueError, match="these are of a test set, which has none"):
        soft_accuracy({1: "yes", 2: "3", 3: "red"}, questions(answers=None))
    with pytest.raises(ValueError, match="2 questions are not answered: 2, 3"):
        soft_accuracy({1: "yes"}, questions())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"questions": []}', 'must have a list "annotations"'),
        ('{"annotations": []}', 'must have a list "annotations"'),
        ("[1]", "record 1: an object of keys and values is expected; got 1"),
        ('{"annotations": [{"question_id": ""}]}', "record 1 (question_id ''): question_id must be an integer"),
        ('{"annotations": [{"question_id": 7}]}', "answers must be a list of people's answers, ten in VQA; got None"),
        ('{"annotations": [{"question_id": 7, "question_type": 3}]}', "question_type must be a string"),
        (json.dumps({"annotations": [annotation([])]}), "(question_id 7): answers must be a list of people's answers"),
        (json.dumps({"annotations": [annotation([3])]}), 'must be a list of objects with a string "answer"'),
        (
            json.dumps({"annotations": [annotation(["a"])] * 2}),
            "record 2 (question_id 7): the question was annotated before",
        ),
        ('{"annotations": [{"question_id": 7', "is not a JSON file"),
    ],
)
def test_annotations_that_cannot_be_read(content, message, tmp_path):
    path = tmp_path / "annotations.json"
    path.write_text(content)
    with pytest.raises(ValueError) as error:  # noqa: PT011 the message is below
        list(read_vqa_annotations(path))
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_annotations_of_several_files(tmp_path):
    for name, question in (("a.json", 1), ("b.json", 2)):
        (tmp_path / name).write_text(json.dumps({"info": {}, "annotations": [annotation(["a"] * 10, question)]}))
    both = [tmp_path / "a.json", tmp_path / "b.json"]
    assert [each["question_id"] for each in read_vqa_annotations(both)] == [1, 2]
    (tmp_path / "b.json").write_bytes((tmp_path / "a.json").read_bytes())
    with pytest.raises(ValueError, match=r"b\.json, record 1 \(question_id 1\): the question was annotated before"):
        list(read_vqa_annotations(both))

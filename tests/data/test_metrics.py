"""GQA and NLVR2 scores on cases counted by hand, and what their files may hold."""

import json
import subprocess
import sys

import pytest

from lxmert.data import metrics
from lxmert.data.datasets import Questions, Statements, write_gqa
from lxmert.data.metrics import GqaAnswers, gqa_accuracy, nlvr2_scores, read_gqa_answers, score_result_file
from lxmert.data.metrics.binary import average_precision, f1_score, roc_auc

# answer, structural type, semantic type, balanced
GQA = {
    "01": ("yes", "verify", "attr", True),
    "02": ("no", "logical", "obj", True),
    "03": ("red", "choose", "attr", True),
    "04": ("table", "query", "rel", True),
    "05": ("yes", "query", "global", True),
    "06": ("left", "query", "rel", False),
}
PREDICTIONS = {"01": "yes", "02": "yes", "03": "red", "04": "chair", "05": "yes"}


def official_gqa(changes=None):
    return {
        question: {
            "imageId": "1",
            "question": "Is it?",
            "answer": answer,
            "isBalanced": balanced,
            "types": {"structural": structural, "semantic": semantic, "detailed": "x"},
            **(changes or {}),
        }
        for question, (answer, structural, semantic, balanced) in GQA.items()
    }


def write(path, value):
    path.write_text(json.dumps(value))
    return path


def test_gqa_by_official_types(tmp_path):
    answers = read_gqa_answers(write(tmp_path / "val.json", official_gqa()))
    assert answers.ids == ["01", "02", "03", "04", "05"]
    assert answers.unbalanced_ids == ["06"]
    scores = gqa_accuracy(PREDICTIONS, answers)
    assert (scores.accuracy, scores.binary, scores.open) == (60, pytest.approx(200 / 3), 50)
    assert scores.counts == {"accuracy": 5, "binary": 3, "open": 2, "unbalanced": 1}
    assert scores.per_structural_type == {"choose": 100, "logical": 0, "query": 50, "verify": 100}
    assert scores.per_semantic_type == {"attr": 100, "global": 100, "obj": 0, "rel": 0}
    assert scores.structural_type_counts == {"choose": 1, "logical": 1, "query": 2, "verify": 1}
    assert scores.by_type


@pytest.mark.parametrize("extra", [{}, {"06": "left"}, {"06": "right"}])
def test_gqa_result_files_may_answer_unbalanced_questions(extra, tmp_path):
    files = [write(tmp_path / "val_all_0.json", official_gqa()), tmp_path / "val_all_1.json"]
    write(files[1], {"07": {"answer": "a", "isBalanced": False, "types": {"structural": "query", "semantic": "obj"}}})
    entries = [{"questionId": q, "prediction": p} for q, p in {**PREDICTIONS, **extra}.items()]
    scores = score_result_file("gqa", write(tmp_path / "results.json", entries), files)
    assert (scores.accuracy, scores.counts["accuracy"], scores.counts["unbalanced"]) == (60, 5, 2)


def test_gqa_result_files_answer_every_balanced_question_and_no_other_file(tmp_path):
    questions = write(tmp_path / "val_all.json", official_gqa())
    entries = [{"questionId": q, "prediction": "yes"} for q in ("01", "02", "03", "04", "06", "99")]
    results = write(tmp_path / "results.json", entries)
    message = (
        r"results\.json must have one prediction for each of the 5 questions, and may have one for each of 1 "
        r"unbalanced ones; 1 question is not answered: 05; 1 prediction is for no question of these: 99"
    )
    with pytest.raises(ValueError, match=message):
        score_result_file("gqa", results, [questions])


def test_gqa_questions_are_there_once_balanced_or_not(tmp_path):
    files = [write(tmp_path / f"{i}.json", {"06": {"answer": "a", "isBalanced": bool(i)}}) for i in range(2)]
    with pytest.raises(ValueError, match=r"1\.json, \(question_id '06'\): the question is there twice"):
        read_gqa_answers(files)


def original_gqa():
    balanced = {question: row for question, row in GQA.items() if row[3]}
    return [{"question_id": q, "img_id": "1", "sent": "?", "label": {row[0]: 1.0}} for q, row in balanced.items()]


def test_gqa_by_the_types_that_our_own_files_keep(tmp_path):
    questions = Questions(["a", "b"], ["?"] * 2, ["1"] * 2, [{"yes": 1.0}, {"red": 1.0}], ["query", "choose"])
    write_gqa(tmp_path / "valid.json", questions)
    scores = gqa_accuracy({"a": "yes", "b": "blue"}, read_gqa_answers(tmp_path / "valid.json"))
    assert (scores.binary, scores.open, scores.by_type) == (0, 100, True)
    assert scores.per_structural_type == {"choose": 0, "query": 100}
    # Types that some questions have and others do not are none.
    some = original_gqa()
    some[0]["question_type"] = "verify"
    assert read_gqa_answers(write(tmp_path / "some.json", some)).structural_types is None
    some[0]["question_type"] = 3
    with pytest.raises(ValueError, match="question_type must be a string; got 3"):
        read_gqa_answers(write(tmp_path / "some.json", some))


def test_gqa_of_ones_own(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("image,question,answer\na,is it?,yes\nb,what?,red\n")
    scores = gqa_accuracy({"own-1": "yes", "own-2": "blue"}, read_gqa_answers(path))
    assert (scores.accuracy, scores.binary, scores.open) == (50, 100, 0)


def test_gqa_by_the_answer_where_types_are_not_known(tmp_path):
    path = write(tmp_path / "testdev.json", original_gqa())
    scores = gqa_accuracy(PREDICTIONS, read_gqa_answers([path]))
    # "red" is open now, and the yes to an open question binary.
    assert (scores.accuracy, scores.binary, scores.open) == (60, pytest.approx(200 / 3), 50)
    assert scores.counts == {"accuracy": 5, "binary": 3, "open": 2, "unbalanced": 0}
    assert (scores.per_structural_type, scores.per_semantic_type, scores.by_type) == ({}, {}, False)
    red_wrong = gqa_accuracy({**PREDICTIONS, "03": "blue"}, read_gqa_answers([path]))
    assert (red_wrong.binary, red_wrong.open) == (pytest.approx(200 / 3), 0)


def test_gqa_has_only_one_kind():
    scores = gqa_accuracy({"a": "yes"}, GqaAnswers(["a"], ["yes"]))
    assert (scores.binary, scores.open) == (100, None)


def test_gqa_letter_for_letter():
    assert gqa_accuracy({"a": "Yes"}, GqaAnswers(["a"], ["yes"])).accuracy == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "there are no balanced questions"),
        ({"1": {"answer": "a", "isBalanced": False}}, "there are no balanced questions"),
        ({"1": {"question": "?"}}, "(question_id '1'): there is no answer. Files of a test set have no answers"),
        ({"1": {"answer": 3}}, "(question_id '1'): answer must be a string; got 3"),
        ({"1": 3}, "an object of keys and values is expected; got 3"),
        ({"1": {"answer": "a", "types": "query"}}, "types must be an object; got 'query'"),
        ([{"question_id": "1"}], "record 1 (question_id '1'): there is no label"),
        ([{"question_id": "1", "label": {}}], "label must have an answer"),
        ([{"label": {"a": 1}}], "question_id must be a string"),
        ([{"question_id": "1", "label": {"a": 1}}] * 2, "record 2 (question_id '1'): the question is there twice"),
    ],
)
def test_gqa_files_that_cannot_be_read(content, message, tmp_path):
    with pytest.raises(ValueError) as error:  # noqa: PT011 the message is below
        read_gqa_answers(write(tmp_path / "questions.json", content))
    assert str(error.value).startswith(str(tmp_path / "questions.json"))
    assert message in str(error.value)


def statements(ids, labels):
    return Statements(ids, ["?"] * len(ids), [("a", "b")] * len(ids), labels)


def test_nlvr2():
    # Two sentences about the pairs 0, 1, 2 of set 5; the second sentence of set 6 is another one.
    ids = ["dev-5-0-0", "dev-5-1-0", "dev-5-2-0", "dev-5-0-1", "dev-5-1-1", "dev-6-0-1"]
    labels = [1, 0, 1, 1, 1, 0]
    judged = dict(zip(ids, [True, False, True, True, False, False], strict=True))
    scores = nlvr2_scores(judged, statements(ids, labels))
    assert scores.accuracy == pytest.approx(500 / 6)
    assert scores.consistency == pytest.approx(200 / 3)
    assert (scores.statements, scores.sentences) == (6, 3)
    assert nlvr2_scores(dict(zip(ids, labels, strict=True)), statements(ids, labels)).consistency == 100


def test_nlvr2_without_sentences_in_the_identifiers():
    scores = nlvr2_scores({"dev-5-0-0": True, "5": True}, statements(["dev-5-0-0", "5"], [1, 0]))
    assert (scores.accuracy, scores.consistency, scores.sentences) == (50, None, None)


def test_a_part_of_the_statements():
    scores = nlvr2_scores({"dev-5-0-0": True, "dev-6-0-0": True}, statements(["dev-5-0-0"], [1]))
    assert (scores.accuracy, scores.statements, scores.left_out) == (100, 1, 1)


def test_contrast_sets_of_nlvr2():
    """The changed versions of an example count together."""
    judged = {"test1-769-1-0-1": True, "test1-769-1-0-2": False, "test1-9-1-0-1": True, "test1-9-1-0-2": True}
    scores = nlvr2_scores(judged, statements(list(judged), [1, 0, 1, 0]))
    assert (scores.accuracy, scores.consistency, scores.sentences) == (75, 50, 2)


def test_binary_scores():
    """Small cases by hand; scikit-learn gives the same."""
    assert roc_auc([False, False, True, True], [0.1, 0.4, 0.35, 0.8]) == pytest.approx(75)
    assert roc_auc([False, True], [0.5, 0.5]) == pytest.approx(50)
    assert roc_auc([True, True], [0.5, 0.5]) is None
    assert average_precision([False, False, True, True], [0.1, 0.4, 0.35, 0.8]) == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert average_precision([True, False], [0.5, 0.5]) == pytest.approx(50)
    assert average_precision([False], [0.5]) is None
    assert f1_score([True, True, False], [True, False, True]) == pytest.approx(50)
    assert f1_score([True], [False]) == 0


@pytest.mark.parametrize(
    ("judged", "ids", "labels", "message"),
    [
        ({"a": True}, ["a"], None, "these are of a test set, which has none"),
        ({}, ["a"], [1], "each of the 1 statements; 1 statement is not answered: a"),
        ({"b": True}, ["a"], [1], "1 prediction is for no statement of these: b"),
        ({}, [], [], "at least one statement"),
    ],
)
def test_nlvr2_refuses(judged, ids, labels, message):
    with pytest.raises(ValueError, match=message):
        nlvr2_scores(judged, statements(ids, labels))


def test_every_public_name_is_there():
    for name in metrics.__all__:
        assert getattr(metrics, name).__name__ == name


def test_scores_and_readers_load_no_framework():
    script = (
        "import lxmert.data.datasets, lxmert.data.metrics.scoring, sys;"
        "print(sorted({'torch', 'keras', 'tensorflow', 'h5py', 'PIL', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")

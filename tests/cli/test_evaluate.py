"""`lxmert evaluate`: tables, JSON, files that belong together, and what it refuses."""

import json
import shutil
from pathlib import Path

import pytest

from lxmert.cli import main

GOLDEN = Path(__file__).parents[1] / "golden" / "vqa-metric"
ANNOTATIONS = GOLDEN / "v2_mscoco_val2014_annotations.json"
QUESTIONS = GOLDEN / "v2_OpenEnded_mscoco_val2014_questions.json"


def evaluate(task, predictions, *arguments):
    return main(["evaluate", task, "--predictions", *map(str, (predictions, *arguments))])


def write(path, value):
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_vqa(capsys):
    assert evaluate("vqa", GOLDEN / "results.json", "--annotations", ANNOTATIONS, "--questions", QUESTIONS) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out == (
        "score              percent  number\n"
        "overall              61.88     400\n"
        "\n"
        "answer type        percent  number\n"
        "number               64.76     124\n"
        "other                61.01     138\n"
        "yes/no               60.14     138\n"
        "\n"
        "question type      percent  number\n"
        "how many             57.14      91\n"
        "is the               56.60     103\n"
        "none of the above    67.59     108\n"
        "what is the          65.51      98\n"
    )


def test_vqa_as_json(capsys):
    official = json.loads((GOLDEN / "official.json").read_text())
    per_question = official.pop("per_question")
    assert evaluate("vqa", GOLDEN / "results.json", "--annotations", ANNOTATIONS, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert {name: found[name] for name in official} == official
    assert found["unrounded"]["overall"] == pytest.approx(61.875, abs=1e-9)
    assert found["answer_type_counts"]["number"] == 124
    assert "per_question" not in found
    assert evaluate("vqa", GOLDEN / "results.json", "--annotations", ANNOTATIONS, "--json", "--per-question") == 0
    assert json.loads(capsys.readouterr().out)["per_question"] == per_question


def test_vqa_of_the_original_has_soft_labels(tmp_path, capsys):
    rows = [
        {
            "question_id": 1,
            "img_id": "a",
            "sent": "?",
            "answer_type": "other",
            "question_type": "what",
            "label": {"x": 0.3},
        },
        {
            "question_id": 2,
            "img_id": "a",
            "sent": "?",
            "answer_type": "other",
            "question_type": "what",
            "label": {"y": 1},
        },
    ]
    results = write(tmp_path / "r.json", [{"question_id": 2, "answer": "y"}, {"question_id": 1, "answer": "x"}])
    assert evaluate("vqa", results, "--questions", write(tmp_path / "minival.json", rows), "--json") == 0
    assert json.loads(capsys.readouterr().out)["overall"] == 65


def test_gqa(tmp_path, capsys):
    rows = {
        "1": {"imageId": "a", "question": "?", "answer": "yes", "types": {"structural": "verify", "semantic": "obj"}},
        "2": {"imageId": "a", "question": "?", "answer": "red", "types": {"structural": "query", "semantic": "attr"}},
    }
    results = write(
        tmp_path / "r.json", [{"questionId": "1", "prediction": "yes"}, {"questionId": "2", "prediction": "no"}]
    )
    questions = write(tmp_path / "testdev_balanced_questions.json", rows)
    for option in ("--questions", "--annotations"):
        assert evaluate("gqa", results, option, questions) == 0
        assert capsys.readouterr().out == (
            "score            percent  number\n"
            "accuracy           50.00       2\n"
            "binary            100.00       1\n"
            "open                0.00       1\n"
            "\n"
            "structural type  percent  number\n"
            "query               0.00       1\n"
            "verify            100.00       1\n"
            "\n"
            "semantic type    percent  number\n"
            "attr                0.00       1\n"
            "obj               100.00       1\n"
        )
    assert evaluate("gqa", results, "--questions", questions, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["accuracy"], found["binary"], found["open"]) == (50, 100, 0)


def test_a_part_of_the_questions(tmp_path, capsys):
    """One prediction file for all of GQA-OOD, and the questions of its tail."""
    rows = {"2": {"imageId": "a", "question": "?", "answer": "red", "isBalanced": True}}
    results = write(tmp_path / "r.json", [{"questionId": name, "prediction": "red"} for name in ("1", "2", "3")])
    assert evaluate("gqa", results, "--questions", write(tmp_path / "testdev_tail.json", rows)) == 0
    out = capsys.readouterr().out
    assert "accuracy   100.00       1\n" in out
    assert out.endswith("\n\n2 predictions for others than these files have: left out.\n")


CASES = GOLDEN.parent / "cases" / "data"


def test_vizwiz(tmp_path, capsys):
    assert evaluate("vqa", CASES / "vizwiz_results.json", "--annotations", CASES / "vizwiz_val.json") == 0
    assert capsys.readouterr().out == (
        "score         percent  number\n"
        "overall         65.00       2\n"
        "\n"
        "answer type   percent  number\n"
        "other          100.00       1\n"
        "unanswerable    30.00       1\n"
    )
    rows = [
        {"image": "VizWiz_val_00000000.jpg", "answer": "Basil leaves!", "answerable": 0.9},
        {"image": "VizWiz_val_00000001.jpg", "answer": "unanswerable", "answerable": 0.2},
    ]
    assert evaluate("vqa", write(tmp_path / "r.json", rows), "--questions", CASES / "vizwiz_val.json", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["overall"] == 100
    assert found["further"] == {"unanswerable, average precision": 100, "unanswerable, F1": 100}


def test_other_data_sets(tmp_path, capsys):
    results = write(tmp_path / "r.csv", "id,proba,label\n0,0.4,0\n1,0.5,0\n2,0.1,0\n")
    assert evaluate("vqa", results, "--annotations", CASES / "hateful_memes.jsonl", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["overall"], found["further"]) == (66.67, {"ROC AUC": 100})
    results = write(
        tmp_path / "r.json", [{"question_id": "own-1", "answer": "red"}, {"question_id": "own-2", "answer": "The blue"}]
    )
    own = write(tmp_path / "own.json", (CASES / "own_questions.json").read_text())
    assert evaluate("vqa", results, "--questions", own, "--json") == 0
    assert json.loads(capsys.readouterr().out)["overall"] == 83.33
    assert evaluate("vqa", results, "--questions", own, "--json", "--answer-scores", "official") == 0
    assert json.loads(capsys.readouterr().out)["overall"] == 72.22  # blue: (1/3 + 1/3 + 2/3) / 3
    results = write(tmp_path / "r.json", [{"question_id": "7", "answer": "yes"}])
    assert evaluate("vqa", results, "--annotations", CASES / "vqacp_annotations.json", "--json") == 0
    assert json.loads(capsys.readouterr().out)["overall"] == 100


def test_gqa_without_types(tmp_path, capsys):
    rows = [{"question_id": "1", "img_id": "a", "sent": "?", "label": {"yes": 1.0}}]
    results = write(tmp_path / "r.json", [{"questionId": "1", "prediction": "yes"}])
    assert evaluate("gqa", results, "--questions", write(tmp_path / "testdev.json", rows)) == 0
    assert capsys.readouterr().out == (
        "score     percent  number\n"
        "accuracy   100.00       1\n"
        "binary     100.00       1\n"
        "open            -       0\n"
        "\n"
        "The files have no types: binary are the questions whose answer is yes or no.\n"
    )


OFFICIAL_NLVR2 = [
    {"identifier": "dev-1-0-0", "sentence": "?", "label": "True"},
    {"identifier": "dev-1-1-0", "sentence": "?", "label": "False"},
    {"identifier": "dev-1-0-1", "sentence": "?", "label": "True"},
]


def test_nlvr2(tmp_path, capsys):
    official = write(tmp_path / "dev.json", "".join(json.dumps(row) + "\n" for row in OFFICIAL_NLVR2))
    original = [
        {
            "identifier": row["identifier"],
            "img0": "a",
            "img1": "b",
            "sent": "?",
            "label": int(row["label"] == "True"),
            "uid": f"nlvr2_dev_{i}",
        }
        for i, row in enumerate(OFFICIAL_NLVR2)
    ]
    results = write(tmp_path / "r.csv", "dev-1-0-0,True\ndev-1-1-0,True\ndev-1-0-1,true\n")
    for statements in (official, write(tmp_path / "valid.json", original)):
        assert evaluate("nlvr2", results, "--annotations", statements) == 0
        assert capsys.readouterr().out == (
            "score                      percent  number\n"
            "accuracy, of statements      66.67       3\n"
            "consistency, of sentences    50.00       2\n"
        )
    assert evaluate("nlvr2", results, "--annotations", official, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["accuracy"], found["consistency"], found["sentences"]) == (66.67, 50, 2)
    assert found["unrounded"]["accuracy"] == pytest.approx(200 / 3)


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("vqa", [], "vqa: pass the correct answers: official annotations"),
        ("vqa", ["--annotations", QUESTIONS], 'must have a list "annotations"'),
        ("vqa", ["--annotations", "absent.json"], "absent.json: No such file or directory"),
        ("vqa", ["--questions", QUESTIONS], "the questions have no answers; pass the annotations that belong to them"),
        ("gqa", [], "pass the files with the correct answers once"),
        ("gqa", ["--annotations", "a.json", "--questions", "a.json"], "pass the files with the correct answers once"),
        ("nlvr2", [], "pass the files with the correct answers once"),
    ],
)
def test_errors(task, arguments, message, capsys):
    assert evaluate(task, GOLDEN / "results.json", *arguments) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lxmert evaluate: error: ")
    assert message in err


def test_results_that_do_not_fit_are_named_with_their_file(tmp_path, capsys):
    results = json.loads((GOLDEN / "results.json").read_text())
    path = write(tmp_path / "r.json", [*results[2:], {"question_id": 5, "answer": "a"}])
    assert evaluate("vqa", path, "--annotations", ANNOTATIONS) == 1
    err = capsys.readouterr().err
    assert f"error: {path} must have one prediction for each of the 400 questions; 2 questions are not answered" in err
    assert "2 questions are not answered: 1000, 1001; 1 prediction is for no question of these: 5" in err


def test_questions_of_other_annotations(tmp_path, capsys):
    questions = json.loads(QUESTIONS.read_text())
    questions["questions"][0]["question_id"] = 5
    path = write(tmp_path / "q.json", questions)
    assert evaluate("vqa", GOLDEN / "results.json", "--annotations", ANNOTATIONS, "--questions", path) == 1
    err = capsys.readouterr().err
    assert f"{ANNOTATIONS} must annotate the questions of {path}; 1 not annotated: 5; 1 only annotated: 1000." in err


def test_annotations_in_several_files(tmp_path, capsys):
    content = json.loads(ANNOTATIONS.read_text())
    halves = content["annotations"][:150], content["annotations"][150:]
    files = [write(tmp_path / f"{i}.json", {**content, "annotations": half}) for i, half in enumerate(halves)]
    assert evaluate("vqa", GOLDEN / "results.json", "--annotations", *files, "--json") == 0
    assert json.loads(capsys.readouterr().out)["overall"] == 61.88
    shutil.copy(files[0], tmp_path / "2.json")
    assert evaluate("vqa", GOLDEN / "results.json", "--annotations", *files, tmp_path / "2.json") == 1
    assert "the question was annotated before" in capsys.readouterr().err

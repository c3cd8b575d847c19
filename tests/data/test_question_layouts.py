"""Questions in the layouts that data sets and people have: one tiny file each, with the values that a reader must give.

A row: its name, the content of its files (or paths of golden ones), and the expected ids, texts, images and answers.
"""

import json
import logging
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lxmert.data.datasets import check_disjoint, questions_from_records, read_gqa, read_nlvr2, read_vqa, write_vqa

CASES = Path(__file__).parents[1] / "golden" / "cases" / "data"
TEN = [{"answer": "cat", "answer_id": i} for i in range(1, 8)] + [{"answer": "dog", "answer_id": i} for i in (8, 9, 10)]


class Layout(NamedTuple):
    name: str
    files: dict[str, Any]  # a list is written as JSON lines where the name says so
    ids: list
    texts: list
    images: list
    answers: list | None
    read: Any = read_vqa
    answer_types: list | None = None
    answerable: list | None = None


def lines(*records):
    return "".join(json.dumps(record) + "\n" for record in records)


LAYOUTS = [
    Layout(
        "VizWiz",
        {"val.json": CASES / "vizwiz_val.json"},
        ["VizWiz_val_00000000.jpg", "VizWiz_val_00000001.jpg"],
        ["What is this?", "Can you read it?"],
        ["VizWiz_val_00000000.jpg", "VizWiz_val_00000001.jpg"],
        [{"basil leaves": 1.0, "leaves": 0.6}, {"unanswerable": 1.0, "no": 0.3}],
        answer_types=["other", "unanswerable"],
        answerable=[1, 0],
    ),
    Layout(
        "VizWiz, test",
        {"test.json": [{"image": "VizWiz_test_00000000.jpg", "question": "?"}]},
        ["VizWiz_test_00000000.jpg"],
        ["?"],
        ["VizWiz_test_00000000.jpg"],
        None,
    ),
    Layout(
        "VQA-CP",
        {"q.json": CASES / "vqacp_questions.json", "a.json": CASES / "vqacp_annotations.json"},
        [7],
        ["Is it red?"],
        ["COCO_train2014_000000000042"],
        [{"yes": 1.0}],
        answer_types=["yes/no"],
    ),
    Layout(
        "VQA-CP, questions alone",
        {"q.json": CASES / "vqacp_questions.json"},
        [7],
        ["Is it red?"],
        ["COCO_train2014_000000000042"],
        None,
    ),
    Layout(
        "OK-VQA",
        {
            "OpenEnded_mscoco_val2014_questions.json": {
                "data_type": "mscoco",
                "data_subtype": "val2014",
                "questions": [{"image_id": 42, "question": "Which?", "question_id": 420}],
            },
            "mscoco_val2014_annotations.json": {
                "annotations": [
                    {
                        "image_id": 42,
                        "question_id": 420,
                        "question_type": "four",
                        "answer_type": "other",
                        "answers": [{**answer, "raw_answer": "cats", "answer_confidence": "yes"} for answer in TEN],
                        "confidence": 3,
                    }
                ]
            },
        },
        [420],
        ["Which?"],
        ["COCO_val2014_000000000042"],
        [{"cat": 1.0, "dog": 0.9}],
        answer_types=["other"],
    ),
    Layout(
        "A-OKVQA",
        {
            "aokvqa.json": [
                {
                    "split": "val",
                    "image_id": 42,
                    "question_id": "22jbM6gDxdaMaunuzgrsBB",
                    "question": "What?",
                    "choices": ["a", "b", "c", "d"],
                    "correct_choice_idx": 1,
                    "direct_answers": ["b"] * 9 + ["c"],
                    "difficult_direct_answer": False,
                    "rationales": ["because"],
                }
            ]
        },
        ["22jbM6gDxdaMaunuzgrsBB"],
        ["What?"],
        ["42"],
        [{"b": 1.0, "c": 1 / 3}],  # as its own evaluation scores
    ),
    Layout(
        "GQA-OOD",
        {"testdev_tail.json": {"05": {"imageId": "n1", "question": "?", "answer": "yes", "isBalanced": True}}},
        ["05"],
        ["?"],
        ["n1"],
        [{"yes": 1.0}],
        read_gqa,
    ),
    Layout(
        "TextVQA",
        {
            "TextVQA_val.json": {
                "dataset_type": "val",
                "dataset_name": "textvqa",
                "data": [
                    {"question_id": 34602, "question": "?", "image_id": "003a8ae2ef43b901", "answers": ["nokia"] * 10}
                ],
            }
        },
        [34602],
        ["?"],
        ["003a8ae2ef43b901"],
        [{"nokia": 1.0}],
    ),
    Layout(
        "SNLI-VE",
        {"snli_ve_dev.jsonl": CASES / "snli_ve.jsonl"},
        ["1.jpg#0r1e"],
        ["an animal moves"],
        ["1"],
        [{"entailment": 1.0}],
    ),
    Layout(
        "Hateful Memes",
        {"train.jsonl": CASES / "hateful_memes.jsonl"},
        [0, 1, 2],
        ["a nice day", "another day", "and one more"],
        ["img/00000.png", "img/00001.png", "img/00002.png"],
        [{"not hateful": 1.0}, {"hateful": 1.0}, {"not hateful": 1.0}],
    ),
    Layout(
        "one's own, a list",
        {"own.json": CASES / "own_questions.json"},
        ["own-1", "own-2"],
        ["what color is it?"] * 2,
        ["0", "1"],
        [{"red": 1.0}, {"blue": 2 / 3, "green": 1 / 3}],
    ),
    Layout(
        "one's own, weights and JSON lines",
        {
            "own.jsonl": lines(
                {"id": "a", "image": 3, "question": "?", "answers": {"x": 0.5, "y": 1}},
                {"id": 9, "image": 4, "question": "?", "answers": [{"answer": "x", "weight": 0.25}]},
                {"id": "9b", "image": 4, "question": "?", "answer": ["x", "y"], "weight": [0.5, 0.5]},
                {"id": "c", "image": 4, "question": "?", "answer": 2},
            )
        },
        ["a", "9", "9b", "c"],
        ["?"] * 4,
        ["3", "4", "4", "4"],
        [{"x": 0.5, "y": 1.0}, {"x": 0.25}, {"x": 0.5, "y": 0.5}, {"2": 1.0}],
    ),
    Layout(
        "one's own, CSV",
        {"own.csv": '\ufeffimage,question,answers\r\n1.jpg,"what, where?",red\r\n2.jpg,?,blue|blue|green|blue\r\n'},
        ["own-1", "own-2"],
        ["what, where?", "?"],
        ["1.jpg", "2.jpg"],
        [{"red": 1.0}, {"blue": 0.75, "green": 0.25}],
    ),
    Layout(
        "one's own, CSV of a spreadsheet, and of pandas with lists in cells",
        {
            "a.csv": "image;question;answer;\r\n1;?;red, dark;\r\n",
            "b.csv": ",image,question,answers\n0,2,?,\"['x', 'y']\"\n",
        },
        ["a-1", "b-1"],
        ["?"] * 2,
        ["1", "2"],
        [{"red, dark": 1.0}, {"x": 0.5, "y": 0.5}],
    ),
    Layout(
        "one's own, CSV with weights",
        {
            "a.csv": "image,question,answers,weights\n1,?,x|y,1.0|0.3\n",
            "b.csv": "image,question,answer,weight\n2,?,x,0.5\n",
        },
        ["a-1", "b-1"],
        ["?"] * 2,
        ["1", "2"],
        [{"x": 1.0, "y": 0.3}, {"x": 0.5}],
    ),
    Layout(
        "one's own, empty answers, and answers of which the normalization leaves nothing",
        {"a.json": [{"image": 1, "question": "?", "answers": answers} for answers in (["A", "A", "B"], ["", "x"], [])]},
        ["a-1", "a-2", "a-3"],
        ["?"] * 3,
        ["1"] * 3,
        [{"A": 2 / 3, "b": 1 / 3}, {"x": 0.5}, {}],
    ),
    Layout(
        "one's own, JSON lines without answers, with numbers of images as in the official files",
        {"own.jsonl": lines({"question_id": 7, "image_id": 42, "question": "?"})},
        [7],
        ["?"],
        ["42"],
        None,
    ),
    Layout(
        "one's own, TSV with ids and an answer each",
        {"own.tsv": "question_id\timage\tstatement\tlabel\n7\t1\tit is red\tyes\n\n8\t2\tit's blue\tno\n"},
        [7, 8],
        ["it is red", "it's blue"],
        ["1", "2"],
        [{"yes": 1.0}, {"no": 1.0}],
    ),
    Layout(
        "one's own for GQA",
        {"own.jsonl": lines({"question_id": 7, "image": "a", "question": "?", "answer": "yes"})},
        ["7"],
        ["?"],
        ["a"],
        [{"yes": 1.0}],
        read_gqa,
    ),
]


def written(folder, files):
    for name, content in files.items():
        text = content.read_text() if isinstance(content, Path) else content
        (folder / name).write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8", newline="")
    return [folder / name for name in files]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_layout(layout, tmp_path):
    questions = layout.read(written(tmp_path, layout.files))
    for name in ("ids", "texts", "images", "answer_types", "answerable"):
        assert getattr(questions, name) == getattr(layout, name), name
    if layout.answers is None:
        assert questions.answers is None
        return
    assert [list(label) for label in questions.answers] == [list(label) for label in layout.answers]
    assert [list(label.values()) for label in questions.answers] == [
        pytest.approx(list(label.values()), abs=1e-15) for label in layout.answers
    ]
    # Every layout can be written as the original's, and read back.
    write_vqa(tmp_path / "original.json", questions)
    again = layout.read(tmp_path / "original.json")
    assert (again.ids, again.images, again.answers) == (questions.ids, questions.images, questions.answers)


def test_records_of_python(caplog):
    caplog.set_level(logging.INFO, "lxmert")
    records = [
        {"image": 0, "question": "what color is it?", "answer": "red"},
        {"image": 1, "question": "what color is it?", "answers": ("blue", "blue", "green")},
    ]
    questions = questions_from_records(records)
    assert questions.ids == ["records-1", "records-2"]
    assert questions.images == ["0", "1"]
    assert questions.answers[1] == {"blue": 2 / 3, "green": 1 / 3}
    assert "1 of 2 questions have answers of fewer than ten annotators" in caplog.text
    assert questions_from_records(records, formula="official").answers[1]["blue"] == (1 + 1 + 2) / 9
    with pytest.raises(
        ValueError, match=r"records, record 2: an image and a question are expected; the keys are image"
    ):
        questions_from_records([records[0], {"image": 3}])


@pytest.mark.parametrize("missing", ["", None, float("nan")])
def test_an_empty_answer_is_none(missing):
    records = [{"image": 1, "question": "?", "question_id": missing, "answer": answer} for answer in (missing, missing)]
    questions = questions_from_records(records)
    assert questions.answers is None
    assert questions.ids == ["records-1", "records-2"]
    with pytest.raises(ValueError, match="record 3: the question has an answer, and those before it"):
        questions_from_records([*records, {"image": 1, "question": "?", "answer": "red"}])


def test_made_ids_of_files_with_one_name(tmp_path):
    record = {"image": "a", "question": "?", "answer": "x"}
    paths = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        paths += written(tmp_path / folder, {"own.json": [record | {"question": folder}]})
    assert read_vqa(paths).ids == ["one/own-1", "two/own-1"]
    assert read_vqa(paths[::-1]).ids == ["two/own-1", "one/own-1"]  # they stay with their questions
    first, second = map(read_vqa, paths)
    assert first.ids == second.ids == ["own-1"]
    check_disjoint(first, second)
    with pytest.raises(ValueError, match="1 ids are in both: own-1"):
        check_disjoint(first, read_vqa(paths[0]))


def test_contrast_sets_of_nlvr2(tmp_path):
    records = [
        {"identifier": f"test1-769-1-0-{number}", "sentence": "?", "label": "True", "left_url": "l", "right_url": "r"}
        for number in (1, 2)
    ]
    (tmp_path / "contrast_set_nlvr2.jsonl").write_text(lines(*records))
    statements = read_nlvr2(tmp_path / "contrast_set_nlvr2.jsonl")
    assert statements.images == [  # each of its own: a changed statement may have another image
        (f"test1-769-1-0-{number}-img0", f"test1-769-1-0-{number}-img1") for number in (1, 2)
    ]

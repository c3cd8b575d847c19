"""Questions of one's own and of data sets after VQA: from files to a trained and scored model."""

import json

import numpy as np
import pytest

from lxmert.cli import main
from lxmert.data.features import RegionWriter

from .runs import TINY, TINY_VISUAL_BERT

COLORS = ("red", "blue", "green")


@pytest.fixture
def folder(tmp_path):
    """A region store whose names are numbers, and the vocabulary of the questions."""
    random = np.random.default_rng(0)
    with RegionWriter(tmp_path / "regions") as writer:
        for number in range(12):
            features = random.random((2, 5)).astype("float32") + 3 * np.eye(5, dtype="float32")[number % 3]
            writer.add(str(number), features, np.array([[0, 0, 1, 1], [1, 1, 2, 2]]), size=(4, 4))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "color", "is", "it", "?", *COLORS]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    return tmp_path


def lxmert(*arguments):
    assert main([str(argument) for argument in arguments]) == 0


def train(folder, task, *more, model=TINY):
    sizes = [f"{name}={value}" for name, value in model.items()]
    common = ("--batch-size", 4, "--epochs", 2, "--learning-rate", 0.001, "--device", "cpu", "--text-length", 8)
    files = ("--features", folder / "regions", "--vocabulary", folder / "vocab.txt", "--output", folder / "run")
    lxmert("train", task, *files, *common, *more, "--backend", "pt", "--set", *sizes)


def test_questions_of_ones_own(folder, capsys):
    """CSV, several annotators, no ids, no table of answers, and pictures with the names of their files."""
    rows = [f"COCO_val2014_{n:012d}.jpg,what color is it?,{COLORS[n % 3]}|{COLORS[n % 3]}|gray" for n in range(8)]
    (folder / "train.csv").write_text("\n".join(["image,question,answers", *rows]) + "\n")
    records = [{"image": n, "question": "what color is it?", "answer": COLORS[n % 3]} for n in range(8, 12)]
    (folder / "valid.json").write_text(json.dumps(records))
    train(folder, "vqa", "--train", folder / "train.csv", "--valid", folder / "valid.json")
    err = capsys.readouterr().err
    assert "8 of 8 questions have answers of fewer than ten annotators" in err
    assert "the training files give 3 answers, each the best answer to a question; together they cover 8 of 8" in err
    assert "8 of 8 images are named otherwise than in the region store" in err
    assert json.loads((folder / "run" / "best" / "answers.json").read_text()) == ["blue", "red", "green"]
    results = folder / "results.json"
    lxmert("predict", "vqa", folder / "run" / "best", "--questions", folder / "valid.json", "--output", results)
    assert [entry["question_id"] for entry in json.loads(results.read_text())] == [f"valid-{n}" for n in range(1, 5)]
    capsys.readouterr()
    for source in (("--predictions", results), ("--checkpoint", folder / "run" / "best")):
        lxmert("evaluate", "vqa", *source, "--questions", folder / "valid.json", "--json")
        scores = json.loads(capsys.readouterr().out)
        assert set(scores["per_question_type"]) == set()
        assert scores["overall"] in (0, 25, 50, 75, 100)
    # Questions of VizWiz are answered under the names of their images.
    (folder / "vizwiz.json").write_text(
        json.dumps(
            [{"image": "11.jpg", "question": "what is it?", "answerable": 1, "answers": [{"answer": "red"}] * 10}]
        )
    )
    lxmert("predict", "vqa", folder / "run" / "best", "--questions", folder / "vizwiz.json", "--output", results)
    (entry,) = json.loads(results.read_text())
    assert (entry["image"], entry["answer"] in COLORS) == ("11.jpg", True)


def test_memes_with_visual_bert(folder, capsys):
    """A statement and a picture, two classes, by cross-entropy."""
    for split, numbers in (("train", range(8)), ("dev_seen", range(8, 12))):
        records = [{"id": n, "img": f"img/{n:05d}.png", "label": n % 2, "text": "it is red"} for n in numbers]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    options = ("--architecture", "visual_bert", "--answer-labels", "best")
    files = ("--train", folder / "train.jsonl", "--valid", folder / "dev_seen.jsonl")
    train(folder, "vqa", *files, *options, model=TINY_VISUAL_BERT)
    assert json.loads((folder / "run" / "best" / "answers.json").read_text()) == ["hateful", "not hateful"]
    capsys.readouterr()
    best, results, dev = folder / "run" / "best", folder / "results.csv", folder / "dev_seen.jsonl"
    lxmert("predict", "vqa", best, "--questions", dev, "--output", results)
    header, *rows = [line.split(",") for line in results.read_text().splitlines()]
    assert header == ["id", "proba", "label"]
    assert [(name, label) for name, _, label in rows] == [
        (str(8 + i), str(int(float(p) > 0.5))) for i, (_, p, _) in enumerate(rows)
    ]
    capsys.readouterr()
    found = []
    for source in (("--checkpoint", best), ("--predictions", results)):
        lxmert("evaluate", "vqa", *source, "--questions", dev, "--json")
        found.append(json.loads(capsys.readouterr().out))
    assert found[0] == found[1]
    pairs = [(float(hateful[1]), float(other[1])) for hateful in rows[1::2] for other in rows[::2]]
    area = 100 * sum((a > b) + (a == b) / 2 for a, b in pairs) / len(pairs)
    assert found[0]["further"] == {"ROC AUC": area}

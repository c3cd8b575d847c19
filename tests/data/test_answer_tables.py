"""Tables of answers made from training questions."""

import json

import pytest

from lxmert.cli import main
from lxmert.data.datasets import Questions, make_answer_table, read_vqa
from lxmert.data.datasets.answer_tables import default_min_count
from lxmert.weights.answer_vocabulary import read_answer_vocabulary

LABELS = [{"red": 1.0, "pink": 0.3}, {"blue": 0.6, "red": 0.9}, {"blue": 1.0}, {"pink": 0.3}, {}, {"a": 1.0, "b": 1.0}]


def test_the_best_answers_are_counted():
    number = len(LABELS)
    questions = Questions(list(range(number)), ["?"] * number, ["i"] * number, LABELS)
    table = make_answer_table(questions)
    assert table.answers == ["red", "a", "blue", "pink"]
    assert (table.min_count, table.questions, table.covered) == (1, 5, 5)
    table = make_answer_table(questions, 2)
    assert table.answers == ["red"]
    assert str(table) == (
        "1 answer, each the best answer to 2 questions or more; together they cover 2 of 5 questions with answers "
        "(40.0 %)"
    )
    with pytest.raises(ValueError, match="no answer is the best one of 9 questions; the most frequent has 2"):
        make_answer_table(questions, 9)
    with pytest.raises(ValueError, match="these have none"):
        make_answer_table(Questions([1], ["?"], ["i"]))
    assert (default_min_count(99_999), default_min_count(100_000)) == (1, 9)


def test_the_command(tmp_path, capsys):
    records = [{"image": "a", "question": "?", "answer": answer} for answer in ("yes", "no", "yes", "é")]
    (tmp_path / "own.json").write_text(json.dumps(records))
    arguments = ["data", "answers", str(tmp_path / "own.json"), "--output", str(tmp_path / "answers.json")]
    assert main(arguments) == 0
    assert "3 answers, each the best answer to a question; together they cover 4 of 4" in capsys.readouterr().out
    assert read_answer_vocabulary(tmp_path / "answers.json") == ["yes", "no", "é"]
    assert main([*arguments, "--min-count", "2"]) == 0
    assert json.loads((tmp_path / "answers.json").read_text()) == ["yes"]
    assert main([*arguments, "--min-count", "0"]) == 1
    assert "--min-count must be 1 or more; got 0" in capsys.readouterr().err
    assert len(read_vqa(tmp_path / "own.json")) == 4

"""`lxmert predict` and `lxmert evaluate --checkpoint`: result files and scores of a trained checkpoint."""

import json
import shutil

import pytest

from lxmert.cli import main
from lxmert.training import run, trained_model
from lxmert.training.evaluation import Part
from tests.training.runs import settings_of

TASKS = ("vqa", "gqa", "nlvr2")


@pytest.fixture(scope="module")
def trained(scenes, tmp_path_factory):
    """The folder of a trained checkpoint of each task."""
    folder = tmp_path_factory.mktemp("trained")
    for task in (*TASKS, "pretrain"):
        run.train(settings_of(task, scenes, folder / task, learning_rate=5e-3))
    return folder


def questions(scenes, task, split="test"):
    return str(scenes / task / f"{split}.json")


def predicted(trained, scenes, task, path, *options, split="test"):
    command = ["predict", task, str(trained / task / "best"), "--questions", questions(scenes, task, split)]
    assert main([*command, "--output", str(path), "--quiet", *options]) == 0
    return path.read_text()


@pytest.mark.parametrize("task", TASKS)
def test_result_files(task, trained, scenes, tmp_path, capsys):
    """In the official form, and the same whatever the batches: the last one, which is filled up, changes nothing."""
    text = predicted(trained, scenes, task, tmp_path / "a.json")
    rows = json.loads((scenes / task / "test.json").read_text())
    assert capsys.readouterr().out == f"wrote {len(rows)} predictions to {tmp_path / 'a.json'}\n"
    if task == "vqa":
        found = [entry["question_id"] for entry in json.loads(text)]
        assert {tuple(entry) for entry in json.loads(text)} == {("question_id", "answer")}
        assert found == [row["question_id"] for row in rows]
    elif task == "gqa":
        assert [entry["questionId"] for entry in json.loads(text)] == [row["question_id"] for row in rows]
        assert {tuple(entry) for entry in json.loads(text)} == {("questionId", "prediction")}
    else:
        assert [line.split(",")[0] for line in text.splitlines()] == [row["identifier"] for row in rows]
        assert {line.split(",")[1] for line in text.splitlines()} <= {"True", "False"}
    for size in ("1", "7"):
        assert predicted(trained, scenes, task, tmp_path / f"{size}.json", "--batch-size", size) == text


@pytest.mark.parametrize("task", TASKS)
def test_parts(task, trained, scenes, tmp_path, monkeypatch):
    """The predictions of parts of the examples, such as other processes make, are those of all."""
    text = predicted(trained, scenes, task, tmp_path / "whole.json")
    monkeypatch.setattr(trained_model, "_BATCHES", 1)
    model = trained_model.TrainedModel(
        trained / task / "best", task, [questions(scenes, task)], backend="pt", evaluate_batch_size=7
    )
    count = model.parts()
    parts = [model.predict_part(Part(number, count)) for number in range(count)]
    model.write_parts(tmp_path / "parts.json", parts)
    assert count > 3
    assert (tmp_path / "parts.json").read_text() == text


@pytest.mark.parametrize("task", ["vqa", pytest.param("nlvr2", marks=pytest.mark.full)])
def test_both_backends_answer_the_same(task, trained, scenes, tmp_path):
    text = predicted(trained, scenes, task, tmp_path / "pt.json", "--backend", "pt")
    assert predicted(trained, scenes, task, tmp_path / "tf.json", "--backend", "tf", "--batch-size", "7") == text


@pytest.mark.parametrize("task", TASKS)
def test_the_scores_are_those_of_the_training(task, trained, scenes, capsys):
    """On the validation files, whose best score is in the checkpoint; and by the official evaluation."""
    best = trained / task / "best"
    state = json.loads((best / "training.json").read_text())
    command = ["evaluate", task, "--checkpoint", str(best), "--questions", questions(scenes, task, "valid")]
    assert main([*command, "--quiet", "--json", "--batch-size", "5"]) == 0
    found = json.loads(capsys.readouterr().out)
    overall = found["unrounded"]["overall" if task == "vqa" else "accuracy"]
    assert overall == pytest.approx(state["epochs"][state["best"] - 1]["accuracy"], abs=1e-9)


def test_the_losses_of_pre_training(trained, scenes, capsys):
    best = trained / "pretrain" / "best"
    state = json.loads((best / "training.json").read_text())
    files = [str(scenes / "pretrain" / f"{name}_valid.json") for name in ("questions", "captions")]
    assert main(["evaluate", "pretrain", "--checkpoint", str(best), "--questions", *files, "--quiet", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == pytest.approx(state["epochs"][state["best"] - 1])


@pytest.mark.parametrize("task", ["gqa", "nlvr2"])
def test_the_files_with_the_answers_are_those_with_the_questions(task, trained, scenes, capsys):
    found = []
    for option in ("--questions", "--annotations"):
        command = ["evaluate", task, "--checkpoint", str(trained / task / "best"), option, questions(scenes, task)]
        assert main([*command, "--quiet"]) == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]


def test_a_model_without_the_settings_of_a_training(trained, scenes, tmp_path, capsys):
    """Only weights, as of a published model: all that is missing is told at once; given, the answers are the same."""
    expected = predicted(trained, scenes, "vqa", tmp_path / "expected.json")
    for name in ("config.json", "model.safetensors"):
        (tmp_path / "bare").mkdir(exist_ok=True)
        shutil.copy(trained / "vqa" / "best" / name, tmp_path / "bare" / name)
    output = tmp_path / "found.json"
    command = ["predict", "vqa", str(tmp_path / "bare"), "--questions", questions(scenes, "vqa"), "--quiet"]
    command += ["--output", str(output)]
    assert main(command) == 1
    message = capsys.readouterr().err
    assert all(f"{option}, " in message for option in ("--features", "--vocabulary", "--answers"))
    best = trained / "vqa" / "best"
    given = ["--features", str(scenes / "regions"), "--vocabulary", str(best), "--answers", str(best / "answers.json")]
    assert main([*command, *given]) == 0
    assert output.read_text() == expected
    table = json.loads((best / "answers.json").read_text())
    (tmp_path / "bare" / "answers.json").write_text(json.dumps(table[::-1]))
    words = (best / "vocab.txt").read_text().splitlines()
    (tmp_path / "bare" / "vocab.txt").write_text("\n".join([*words[:-2], words[-1], words[-2]]))
    assert main([*command, *given]) == 0
    warned = capsys.readouterr().err
    assert "warning: --answers is another table than the answers.json of" in warned
    assert "warning: --vocabulary has other words than the tokenizer of" in warned


def test_refused(trained, scenes, tmp_path, capsys):
    best, output = str(trained / "vqa" / "best"), str(tmp_path / "out.json")
    file = questions(scenes, "vqa")
    wrong = [
        (["predict", "gqa", best, "--questions", file, "--output", output],
         f"{best} was trained for the task vqa, not for gqa."),
        (["predict", "vqa", str(scenes), "--questions", file, "--output", output],
         f"{scenes} has no model.safetensors"),
        (["predict", "vqa", best, "--questions", file, "--output", ""],
         "--output must be a path; got an empty string. For the working directory pass a dot."),
        (["predict", "vqa", best, "--questions", file, "--output", output, "--features", str(scenes)], str(scenes)),
        (["evaluate", "vqa", "--checkpoint", best], "--questions must be given with --checkpoint"),
        (["evaluate", "pretrain", "--checkpoint", best], "pre-training is evaluated by --checkpoint and --questions"),
        (["predict", "vqa", best, "--questions", file, "--output", output, "--batch-size", "0"],
         "--batch-size must be at least 1; got 0."),
    ]  # fmt: skip
    for command, message in wrong:
        assert main(command) == 1
        err = capsys.readouterr().err
        assert err.startswith(f"lxmert {command[0]}: error: ")
        assert message in err
        assert err.count("\n") == 1
    assert not (tmp_path / "out.json").exists()

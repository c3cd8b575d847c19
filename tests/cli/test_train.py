"""`lxmert train` of the tasks: config files, options, what is printed."""

import json
import os

import pytest

from lxmert.cli import main
from tests.training.runs import TINY, files_of, log_of

SMALL = dict(batch_size=4, epochs=1, max_examples=8, text_length=16, device="cpu", log_every=1)


@pytest.fixture
def config(scenes, tmp_path):
    """A config file of a short run of VQA, in the folder of its data."""
    values = {**files_of("vqa", scenes), **SMALL, "model_config": TINY}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(values))
    return str(path)


def test_a_run_from_a_file_and_options(config, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(["train", "vqa", "--config", config, "--output", str(output), "--learning-rate", "1e-3"]) == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].split()[0] == "accuracy"
    assert lines[-1].startswith(f"the best checkpoint is {output / 'best'} (")
    assert "epoch 1 of 1, step 2: loss " in err
    assert "; in validation accuracy " in err
    state = json.loads((output / "last" / "training.json").read_text())
    assert (state["step"], state["examples"]) == (2, 8)
    settings = state["settings"]
    assert (settings["learning_rate"], settings["batch_size"], settings["task"]) == (1e-3, 4, "vqa")
    assert settings["output"] == str(output)


def test_set_joins_the_fields_of_the_model(config, tmp_path, capsys):
    output = tmp_path / "out"
    command = ["train", "vqa", "--config", config, "--output", str(output), "--quiet", "--set", "l_layers=2"]
    assert main(command) == 0
    assert capsys.readouterr().err == ""
    saved = json.loads((output / "best" / "config.json").read_text())
    assert (saved["l_layers"], saved["hidden_size"]) == (2, TINY["hidden_size"])


def test_resume(config, tmp_path, capsys):
    output = tmp_path / "out"
    command = ["train", "vqa", "--config", config, "--output", str(output), "--quiet"]
    assert main([*command, "--resume"]) == 1
    assert capsys.readouterr().err == (
        f"lxmert train: error: {output} holds no run to resume: there is no last/training.json in it. "
        "Leave --resume out.\n"
    )
    assert main(command) == 0
    before = log_of(output)
    capsys.readouterr()
    assert main(command) == 1
    assert capsys.readouterr().err == (
        f"lxmert train: error: {output} holds a run already. Continue it with --resume, or pass another --output.\n"
    )
    assert main([*command, "--resume", "--epochs", "3"]) == 1
    assert "cannot be resumed with these: epochs was 1 and is 3." in capsys.readouterr().err
    capsys.readouterr()
    assert main(["train", "vqa", "--resume", "--output", str(output)]) == 0
    assert log_of(output) == before
    assert capsys.readouterr().err == (
        f"the run in {output} is finished: 2 steps, 1 epochs. To train on, start another one with model = "
        f"{output / 'best'}\n"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", ""], "--output must be a path; got an empty string. For the working directory pass a dot."),
        ([], "--output must be given: the folder for checkpoints and logs."),
        (["--output", "{out}", "--epochs", "0"], "--epochs must be at least 1; got 0."),
        (
            ["--output", "{out}", "--recipe", "adamw", "--max-grad-norm", "-1"],
            "--max-grad-norm must be a number above 0; got -1.0.",
        ),
        (
            ["--output", "{out}", "--gradient-accumulation-steps", "3"],
            "--gradient-accumulation-steps must divide --batch-size; got 3 micro-batches of 4 examples.",
        ),
        (["--output", "{out}", "--train", "none.json"], "{cwd}/none.json: No such file or directory"),
    ],
)
def test_refused(options, message, config, tmp_path, capsys):
    options = [option.format(out=tmp_path / "out") for option in options]
    assert main(["train", "vqa", "--config", config, *options]) == 1
    assert capsys.readouterr().err == f"lxmert train: error: {message.format(cwd=os.getcwd())}\n"
    assert not (tmp_path / "out").exists()


def test_a_choice_that_is_none(config, capsys):
    with pytest.raises(SystemExit):
        main(["train", "vqa", "--config", config, "--optimizer", "sgd"])
    assert "invalid choice: 'sgd'" in capsys.readouterr().err

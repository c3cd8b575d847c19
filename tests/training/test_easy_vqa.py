"""Training on easy-VQA: the short command, and the checkpoints that the package includes."""

import functools
import json

import pytest

from lxmert.cli import main
from lxmert.data.synthetic import easy_vqa_export
from lxmert.data.synthetic.example_configs import SMALL_MODELS
from lxmert.inference.answering import VisualQuestionAnswering

_INITIALIZERS = {"lxmert": 0.1, "visual_bert": 0.05}


@pytest.mark.parametrize("architecture", ["lxmert", pytest.param("visual_bert", marks=pytest.mark.full)])
def test_the_short_command_trains_and_evaluates(architecture, tmp_path, capsys, monkeypatch):
    write = functools.partial(easy_vqa_export.write_easy_vqa, max_images=100)
    monkeypatch.setattr(easy_vqa_export, "write_easy_vqa", write)
    options = ["--architecture", architecture, "--epochs", "1", "--seed", "3", "--quiet"]
    assert main(["train", "easy-vqa", "--output", str(tmp_path / "new"), *options]) == 0
    assert "test questions are answered rightly" in capsys.readouterr().out
    best = tmp_path / "new" / "run" / "best"
    settings = json.loads((best / "training.json").read_text())["settings"]
    assert (settings["architecture"], settings["seed"], settings["epochs"]) == (architecture, 3, 1)
    answerer = VisualQuestionAnswering.from_pretrained(best)
    assert len(answerer.answers) == 13
    assert answerer.model.config.model_type == architecture
    assert main(["train", "easy-vqa", "--output", str(tmp_path / "new"), *options]) == 1
    assert f"lxmert train vqa --resume --output {tmp_path / 'new' / 'run'}" in capsys.readouterr().err


def test_the_short_command_needs_an_output(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "easy-vqa"])
    assert stop.value.code == 2
    assert "--output" in capsys.readouterr().err


def test_an_unknown_task(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "imagenet", "folder"])
    assert stop.value.code == 2
    assert "easy-vqa" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["easy-vqa", "easy-vqa-visual-bert"])
def test_the_shipped_checkpoints_are_of_the_example_configs(source):
    config = VisualQuestionAnswering.from_pretrained(source).model.config
    wanted = SMALL_MODELS[config.model_type] | {"initializer_range": _INITIALIZERS[config.model_type]}
    assert {name: getattr(config, name) for name in wanted} == wanted

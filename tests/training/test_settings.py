"""Settings: from where each value comes, and what is refused."""

import json
import os
import re

import pytest

from lxmert.cli import main
from lxmert.training.settings import Settings, differences, make_settings, read_settings

# As the authors' scripts and code have them.
ORIGINAL = {
    "pretrain": dict(batch_size=256, learning_rate=1e-4, epochs=20, warm_up=0.05, max_grad_norm=1.0),
    "vqa": dict(batch_size=32, learning_rate=5e-5, epochs=4, warm_up=0.1, max_grad_norm=5.0),
    "gqa": dict(batch_size=32, learning_rate=1e-5, epochs=4, warm_up=0.1, max_grad_norm=5.0),
    "nlvr2": dict(batch_size=32, learning_rate=5e-5, epochs=4, warm_up=0.1, max_grad_norm=5.0),
}
SHARED = dict(
    optimizer="bert_adam",
    weight_decay=0.01,
    seed=9595,
    text_length=20,
    precision="float32",
    gradient_accumulation_steps=1,
)


def chosen(settings, names):
    return {name: getattr(settings, name) for name in names}


@pytest.mark.parametrize("task", ORIGINAL)
def test_the_defaults_are_the_originals(task):
    expected = {**SHARED, **ORIGINAL[task]}
    assert chosen(make_settings(task, {"output": "x"}), expected) == expected
    expected |= dict(optimizer="adamw")
    assert chosen(make_settings(task, {"output": "x", "recipe": "adamw"}), expected) == expected


def test_all_losses_are_learned_by_default():
    expected = ("words", "match", "objects", "attributes", "features", "answers")
    assert make_settings("pretrain", {"output": "x"}).losses == expected


def test_a_later_source_goes_before_an_earlier_one():
    first = {"output": "a", "epochs": 7, "seed": 1, "model_config": {"l_layers": 2, "x_layers": 3}}
    second = {"epochs": 8, "learning_rate": 1, "model_config": {"x_layers": 4}}
    settings = make_settings("vqa", first, second)
    expected = dict(output=os.path.abspath("a"), epochs=8, seed=1, learning_rate=1.0, batch_size=32)
    assert chosen(settings, expected) == expected
    assert settings.model_config == {"l_layers": 2, "x_layers": 4}
    assert first["model_config"] == {"l_layers": 2, "x_layers": 3}, "what was given is not changed"


BAD = [
    *[
        ({name: bad}, ValueError, f"{name} must be at least {least}; got {bad}.")
        for name, least in [
            ("batch_size", 1),
            ("epochs", 1),
            ("gradient_accumulation_steps", 1),
            ("text_length", 3),
            ("evaluate_batch_size", 1),
            ("log_every", 1),
            ("regions", 1),
            ("max_examples", 1),
            ("save_every", 1),
            ("workers", 0),
            ("seed", 0),
        ]
        for bad in (least - 1,)
    ],
    *[
        ({name: bad}, ValueError, f"{name} must be a number above 0; got {bad}.")
        for name in ("learning_rate", "max_grad_norm")
        for bad in (0.0, -1.0, float("nan"), float("inf"))
    ],
    ({"weight_decay": -0.5}, ValueError, "weight_decay must be at least 0; got -0.5."),
    ({"weight_decay": float("nan")}, ValueError, "weight_decay must be a number from 0 on; got nan."),
    ({"weight_decay": float("inf")}, ValueError, "weight_decay must be a number from 0 on; got inf."),
    ({"warm_up": 1}, ValueError, "warm_up must be a part of all steps, from 0 to below 1; got 1.0."),
    ({"warm_up": -0.1}, ValueError, "warm_up must be a part of all steps, from 0 to below 1; got -0.1."),
    ({"warm_up": float("nan")}, ValueError, "warm_up must be a part of all steps, from 0 to below 1; got nan."),
    (
        {"gradient_accumulation_steps": 5},
        ValueError,
        "gradient_accumulation_steps must divide batch_size; got 5 micro-batches of 32 examples.",
    ),
    ({"backend": "jax"}, ValueError, "backend must be one of pt, tf; got 'jax'."),
    ({"recipe": "best"}, ValueError, "recipe must be one of original, adamw; got 'best'."),
    ({"optimizer": "sgd"}, ValueError, "optimizer must be one of bert_adam, adamw; got 'sgd'."),
    ({"precision": "fp16"}, ValueError, "precision must be one of float32, bfloat16, float64; got 'fp16'."),
    (
        {"strategy": "tp"},
        ValueError,
        "strategy must be one of auto, single, ddp, fsdp, mirrored, multi-worker; got 'tp'.",
    ),
    ({"device": "mps"}, ValueError, "device must be one of auto, cpu, cuda; got 'mps'."),
    (
        {"losses": ["words", "word"]},
        ValueError,
        "losses must be one of words, match, objects, attributes, features, answers; got 'word'.",
    ),
    ({"epochs": 1.5}, TypeError, "epochs must be an integer; got 1.5."),
    ({"epochs": True}, TypeError, "epochs must be an integer; got True."),
    ({"learning_rate": "1e-4"}, TypeError, "learning_rate must be a number; got '1e-4'."),
    ({"gradient_checkpointing": 1}, TypeError, "gradient_checkpointing must be true or false; got 1."),
    ({"answers": ["a"]}, TypeError, "answers must be a text; got ['a']."),
    ({"train": {"a": 1}}, TypeError, "train must be a list of texts; got {'a': 1}."),
    ({"train": [1]}, TypeError, "train must be a list of texts; got [1]."),
    ({"model_config": ["l_layers"]}, TypeError, "model_config must be a table of fields; got ['l_layers']."),
    (
        {"learning_rat": 1},
        ValueError,
        "settings: unexpected keyword 'learning_rat'. Did you mean 'learning_rate'?",
    ),
    (
        {"model_config": {"hiden_size": 3}},
        ValueError,
        "model_config: unexpected field 'hiden_size'. Did you mean 'hidden_size'?",
    ),
    ({"task": "gqa"}, ValueError, "the settings are of the task 'gqa', not of vqa."),
]


@pytest.mark.parametrize(
    ("values", "kind", "message"), BAD, ids=[f"{next(iter(row[0]))}-{i}" for i, row in enumerate(BAD)]
)
def test_refused(values, kind, message):
    with pytest.raises(kind) as caught:
        make_settings("vqa", {"output": "x"}, values)
    assert str(caught.value) == message


def test_no_losses():
    with pytest.raises(ValueError, match=r"losses of lxmert must be some of words, .*; got none"):
        make_settings("pretrain", {"output": "x", "losses": []})
    with pytest.raises(ValueError, match=r"task must be one of pretrain, vqa, .*, flickr30k; got 'coco'"):
        make_settings("coco", {"output": "x"})


TOML = """
train = ["data/train.json", "/abs/more.json"]
features = "regions"
output = "run"
model = "unc-nlp/lxmert-base-uncased"
model_answers = "all_ans.json"
epochs = 2
recipe = "adamw"
[model_config]
l_layers = 1
"""


@pytest.mark.parametrize("kind", ["toml", "json"])
def test_files_and_their_paths(kind, tmp_path):
    import tomllib

    path = tmp_path / f"run.{kind}"
    path.write_text(TOML if kind == "toml" else json.dumps(tomllib.loads(TOML)))
    found = read_settings(path)
    assert found == {
        "train": [str(tmp_path / "data/train.json"), "/abs/more.json"],
        "features": str(tmp_path / "regions"),
        "output": str(tmp_path / "run"),
        "model": "unc-nlp/lxmert-base-uncased",  # no such file: a name on the hub
        "model_answers": str(tmp_path / "all_ans.json"),
        "epochs": 2,
        "recipe": "adamw",
        "model_config": {"l_layers": 1},
    }
    (tmp_path / "unc-nlp" / "lxmert-base-uncased").mkdir(parents=True)
    assert read_settings(path)["model"] == str(tmp_path / "unc-nlp" / "lxmert-base-uncased")
    settings = make_settings("gqa", {"architecture": "lxmert"}, found)
    assert settings.features == (str(tmp_path / "regions"),)
    assert Settings(**settings.to_dict()) == settings


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "epochs = ", "{path} is not a TOML file: "),
        ("a.json", "{", "{path} is not a JSON file: "),
        ("a.json", "[1]", "{path} must hold a JSON object of keys and values; it holds a list."),
        ("a.toml", "epoch = 3", "{path}: unexpected setting 'epoch'. Did you mean 'epochs'?"),
    ],
)
def test_files_that_are_refused(name, text, message, tmp_path):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(message.format(path=path))):
        read_settings(path)


def test_what_may_change_when_a_run_goes_on():
    before = make_settings("vqa", {"output": "a", "train": ["x"], "features": ["r"]})
    same = {"output": "b", "features": ["s"], "workers": 3, "save_every": 5, "log_every": 7}
    assert differences(before.to_dict(), make_settings("vqa", {"train": ["x"]}, same)) == []
    other = make_settings("vqa", {"train": ["y"], "epochs": 5}, same)
    paths = {name: json.dumps([os.path.abspath(name)]) for name in "xy"}
    wrong = [f"train was {paths['x']} and is {paths['y']}", "epochs was 4 and is 5"]
    assert differences(before.to_dict(), other) == wrong
    older = {name: value for name, value in before.to_dict().items() if name not in ("answer_scores", "choices")}
    assert differences(older, make_settings("vqa", {"train": ["x"]}, same)) == []
    now = make_settings("vqa", {"train": ["x"], "answer_scores": "share"}, same)
    assert differences(older, now) == ['answer_scores was "auto" and is "share"']


@pytest.mark.parametrize("task", ORIGINAL)
def test_help(task, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["train", task, "--help"])
    assert caught.value.code == 0
    out = " ".join(capsys.readouterr().out.split())
    scores = {"answer_labels", "answer_scores", "answer_min_count"}
    useless = {"pretrain": scores, "nlvr2": {"losses", "answers", "model_answers", *scores}}
    hidden = {"task", "model_config", "choices", "box_features", *useless.get(task, {"losses"})}
    for name in Settings.__dataclass_fields__:
        assert bool(re.search(rf" --{name.replace('_', '-')}[ ,]", out)) == (name not in hidden), name
    assert f"passes over the examples (default: {ORIGINAL[task]['epochs']})" in out
    assert f"the highest learning rate (default: {ORIGINAL[task]['learning_rate']:g})" in out

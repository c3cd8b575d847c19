"""The steps of "Add a head" in CONTRIBUTING.md are run, and what they make can do all that the other classes can."""

import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import torch

from lxmert import convert
from lxmert.common.specs import SPECS, Loss, ModuleRow, register_spec
from lxmert.weights.naming.tables import head_names
from tests.compare import assert_same
from tests.equivalence.agreement import assert_agree
from tests.inputs import Sizes, inputs
from tests.models import SMALLEST, SMALLEST_VISUAL_BERT, run_pt, run_tf, tensors, weight
from tests.tolerances import OUTPUTS
from tests.visual_bert_inputs import visual_bert_inputs

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"
SIZES = Sizes(3, 5, 7)
LABELS = np.array([10, -100, 0])
CONFIGS = {"LxmertForCounting": SMALLEST, "VisualBertForCounting": SMALLEST_VISUAL_BERT}
every_class = pytest.mark.parametrize("name", CONFIGS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the code blocks of the section define, run one after the other in a folder of their own."""
    text = PAGE.read_text(encoding="utf-8")
    section = text.partition("## Add a head\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 4
    before, folder, names = dict(SPECS), os.getcwd(), {}
    os.chdir(tmp_path_factory.mktemp("add-a-head"))
    try:
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), names)
        yield names
    finally:
        os.chdir(folder)
        SPECS.clear()
        SPECS.update(before)


def given_to(name):
    config = CONFIGS[name]
    given = inputs(config, SIZES) if name.startswith("Lxmert") else visual_bert_inputs(config, SIZES, "ragged", name)
    return {key: value for key, value in given.items() if value is not None}


def new_models(made, name, dtype="float64", **changes):
    """A model of each backend with the same weights."""
    config = CONFIGS[name].replace(**changes)
    model = made[name](config).to(getattr(torch, dtype)).eval()
    keras_model = made[f"TF{name}"](config, dtype=dtype)
    with torch.no_grad():
        for parameter, values in model.weights_by_name():
            values.copy_(torch.from_numpy(weight(parameter)))
    for parameter, variable in keras_model.weights_by_name():
        values = weight(parameter).astype(dtype)
        variable.assign(parameter.leaf.to_keras(values))
    return model, keras_model


@every_class
def test_the_backends_agree(made, name):
    """Scores, loss and the gradient of every parameter, in float64."""
    models = new_models(made, name)
    output, found = assert_agree(models, {**given_to(name), "labels": LABELS})
    assert type(output) is SPECS[name].output
    assert output.logits.shape == (3, 11)
    heads = {key for key in found if key.startswith("heads.")}
    assert heads == {p.name for p, _ in models[0].weights_by_name() if p.head == "count"}
    assert len(heads) == (2 if name.startswith("Lxmert") else 4)


@every_class
def test_it_is_saved_loaded_and_converted(made, name, tmp_path):
    model, keras_model = new_models(made, name, "float32")
    given = given_to(name)
    scores = run_pt(model, given).logits.detach()
    model.save_pretrained(tmp_path / "folder")
    keras_model.save_pretrained(tmp_path / "other")
    for source in ("folder", "other"):
        loaded = made[name].from_pretrained(tmp_path / source)
        assert not loaded.load_report.new
        assert_same(run_pt(loaded, given).logits, scores, 0.0)
        loaded = made[f"TF{name}"].from_pretrained(tmp_path / source)
        assert_same(run_tf(loaded, given).logits, scores, OUTPUTS["float32"])
    for target in ("model.keras", "model.weights.h5", "again"):
        done = convert(tmp_path / "folder", tmp_path / target, task="counting")
        assert (done.architecture, done.report.unexpected) == (name, ())
        assert_same(run_pt(made[name].from_pretrained(tmp_path / target), given).logits, scores, 0.0)
    keras_loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(keras_loaded) is made[f"TF{name}"]
    keras_model.load_weights(tmp_path / "model.weights.h5")
    for one in (keras_loaded, keras_model):
        assert_same(run_tf(one, given).logits, scores, OUTPUTS["float32"])


@every_class
def test_it_is_trained(made, name):
    no_dropout = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model, keras_model = new_models(made, name, "float32", **no_dropout)
    given = {**given_to(name), "labels": LABELS}
    eagerly = name.startswith("Visual")  # a graph is traced of one of the two
    keras_model.compile(optimizer=keras.optimizers.SGD(0.001), metrics=["accuracy"], run_eagerly=eagerly)
    losses = keras_model.fit(given, epochs=3, batch_size=3, shuffle=False, verbose=0).history
    assert losses["loss"][2] < losses["loss"][0]
    assert "accuracy" in losses
    assert keras_model.predict(given_to(name), verbose=0).logits.shape == (3, 11)
    optimizer = torch.optim.SGD(model.parameters(), 0.001)
    found = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = run_pt(model.train(), given).loss
        loss.backward()
        optimizer.step()
        found.append(float(loss.detach()))
    assert found == pytest.approx(losses["loss"], rel=1e-4)
    # The range of the row is looked at before a graph is traced.
    wrong = {**given, "labels": np.array([0, 11, 1])}
    with pytest.raises(ValueError, match="labels must be 0 to 10, or -100 to be ignored; got values from 0 to 11"):
        keras_model.fit(wrong, batch_size=3, verbose=0)
    with pytest.raises(ValueError, match="labels must be 0 to 10"):
        model(**tensors(model, wrong))


@every_class
def test_the_row_is_read(made, name):
    assert head_names(name, CONFIGS[name]) == ("count",)
    assert made[name].architecture() == made[f"TF{name}"].architecture() == name
    assert set(SPECS[name].losses) == {"loss"}
    register_spec(name, SPECS[name])  # the same row once more changes nothing


def test_wrong_rows_are_refused(made):
    row = SPECS["LxmertForCounting"]
    wrong = {
        "has a row already": ("LxmertForCounting", {"task": "sums"}),
        "without the prefix TF; got 'TFCounting'": ("TFCounting", {}),
        "model must be one of lxmert, visual_bert; got 'bert'": ("Counting", {"model": "bert"}),
        "row for each layer of a new head; sums has none": ("Counting", {"heads": ("sums",), "modules": ()}),
        "heads.NAME.LAYER, of new heads that are among `heads`; got 'pooler.dense'": (
            "Counting",
            {"modules": (ModuleRow("pooler.dense", "pooler.dense", "dense", (1, "D")),)},
        ),
        'kind of heads.sums must be "dense" or "norm"; got \'vector\'': (
            "Counting",
            {"heads": ("sums",), "modules": (ModuleRow("heads.sums", "sums", "vector", ("D",)),)},
        ),
        "(out, in) if dense, (D,) if norm; got ('D',)": (
            "Counting",
            {"heads": ("sums",), "modules": (ModuleRow("heads.sums", "sums", "dense", ("D",)),)},
        ),
        "name must be that of a class; got 'For Counting'": ("For Counting", {}),
        "loss, logits; got 'score'": (
            "Counting",
            {"heads": ("match",), "modules": (), "scores": "score"},
        ),
        "a class with labels must have heads": ("Counting", {"heads": (), "modules": (), "losses": {}}),
        "must read one of the labels labels and train one of the heads match; got 'label' and 'match'": (
            "Counting",
            {"heads": ("match",), "modules": (), "losses": {"loss": Loss("label", "match")}},
        ),
    }
    before = dict(SPECS)
    for message, (name, changes) in wrong.items():
        with pytest.raises(ValueError, match=re.escape(message)):
            register_spec(name, type(row)(**{**vars(row), **changes}))
    assert before == SPECS


def test_an_unknown_size_is_refused():
    row = ModuleRow("heads.sums", "sums", "dense", (11, "E"))
    with pytest.raises(ValueError, match=r"the sizes of heads\.sums must be of D, V; got 'E'"):
        row.shape({"V": 40, "D": 24})


def test_it_is_no_public_name_of_the_package():
    code = (
        "from lxmert.common.specs import SPECS, register_spec\n"
        "register_spec('Mine', SPECS['LxmertForQuestionAnswering'])\n"
        "import lxmert\n"
        "assert 'LxmertModel' in dir(lxmert) and 'Mine' not in dir(lxmert) and not hasattr(lxmert, 'TFMine')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PAGE.parent)

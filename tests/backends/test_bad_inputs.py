"""Wrong inputs to every model of both backends, and right ones beside them; the tables are in `tests.bad_inputs`."""

import re

import numpy as np
import pytest
import torch

from tests import bad_inputs, bad_labels, visual_bert_bad_inputs
from tests.bad_inputs import given
from tests.compare import assert_same
from tests.right_inputs import RIGHT
from tests.small import NAMES, is_visual_bert, small_config, small_inputs

from .backend import BACKENDS

WRONG = [*bad_inputs.WRONG, *bad_labels.WRONG, *visual_bert_bad_inputs.WRONG]

KIND = {"pt": "a torch tensor", "tf": "a tensor or an array"}
HINT = {"pt": "Use torch.as_tensor(...).", "tf": "Use np.asarray(...)."}


@pytest.fixture(scope="module")
def models():
    """Every model of both backends, to be left as they are."""
    return {(key, name): backend.make(name) for key, backend in BACKENDS.items() for name in NAMES}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: f"{wrong.model}: {wrong.what}")
def test_wrong_inputs(models, backend, wrong):
    model, inputs = models[backend.name, wrong.model], given(wrong.change, wrong.model)
    with pytest.raises(wrong.error, match=re.escape(wrong.message)):
        backend.run(model, inputs)
    if backend.name == "tf":
        with pytest.raises(wrong.error, match=re.escape(wrong.message)):
            model(**inputs)


@pytest.mark.parametrize(("what", "name", "change"), RIGHT, ids=lambda value: value if isinstance(value, str) else "")
def test_right_inputs(models, backend, what, name, change):
    output = backend.run(models[backend.name, name], given(change, name))
    labels = any("label" in key or key == "ans" for key in change)
    assert ("loss" in output) == labels, what
    assert_same(output, output, 0.0)  # everything is finite


def test_boxes_in_pixels_are_warned_of_once(backend):
    """Only the first boxes whose values can be seen are looked at."""
    inputs = small_inputs("LxmertModel")
    pixels = {**inputs, "visual_pos": inputs["visual_pos"] * np.float32(640)}
    model = backend.make("LxmertModel")
    with pytest.warns(UserWarning, match=r"visual_pos has values up to \d+.*0 to 1\. Divide them"):
        backend.run(model, pixels)
    backend.run(model, pixels)  # warnings are errors
    backend.run(backend.make("LxmertModel"), inputs)
    other = backend.make("LxmertModel", visual_pos_dim=6)
    backend.run(other, {**inputs, "visual_pos": np.full((*inputs["visual_pos"].shape[:2], 6), 640, np.float32)})


@pytest.mark.parametrize(
    ("name", "argument", "value", "kind"),
    [
        ("LxmertModel", "input_ids", "a red cat", "str"),
        ("LxmertModel", "visual_feats", small_inputs()["visual_feats"].tolist(), "list"),
        ("LxmertForQuestionAnswering", "labels", [0, 1, 2], "list"),
        ("VisualBertModel", "image_text_alignment", "0 1", "str"),
        ("VisualBertForRegionToPhraseAlignment", "region_to_phrase_position", "0 1", "str"),
    ],
)
def test_what_is_no_tensor(models, backend, name, argument, value, kind):
    model, inputs = models[backend.name, name], small_inputs(name)
    inputs = inputs if backend.name == "tf" else {key: torch.from_numpy(x) for key, x in inputs.items()}
    with pytest.raises(TypeError, match=re.escape(f"{argument} must be {KIND[backend.name]}; got {kind}.")) as raised:
        model(**{**inputs, argument: value})
    assert HINT[backend.name] in str(raised.value)


@pytest.mark.parametrize("value", [small_inputs()["visual_pos"], 1, {"visual_pos": torch.zeros(3, 7, 4)}], ids=type)
def test_what_pytorch_does_not_take(models, value):
    inputs = {key: torch.from_numpy(x) for key, x in small_inputs().items()}
    with pytest.raises(TypeError, match=f"visual_pos must be a torch tensor; got {type(value).__name__}"):
        models["pt", "LxmertModel"](**{**inputs, "visual_pos": value})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("config", [None, {}, "folder", small_config("VisualBertModel"), small_config()], ids=type)
def test_a_config_of_the_wrong_type(backend, name, config):
    wanted = "VisualBertConfig" if is_visual_bert(name) else "LxmertConfig"
    kind = backend.kind(name)
    if type(config).__name__ != wanted:
        said = f"{kind.__name__} is made from a {wanted}; got {type(config).__name__}"
        with pytest.raises(TypeError, match=said):
            kind(config)


def test_ids_are_checked_in_training_too(backend):
    """PyTorch's own error would be an IndexError without a name."""
    inputs = {**small_inputs(), "input_ids": np.array([[0, 0, 0, 0, 40]] * 3)}
    with pytest.raises(ValueError, match="input_ids must be 0 to 28; got values from 0 to 40"):
        backend.run(backend.make("LxmertModel"), inputs, training=True)


def test_compiled_positions_are_checked_by_pytorch(models):
    """Values cannot be read in a compiled graph; a place before the sequence must not become its first."""
    name = "VisualBertForRegionToPhraseAlignment"
    model = torch.compile(models["pt", name], fullgraph=True, backend="eager")
    for place in (-2, 12):
        inputs = small_inputs(name)
        inputs["region_to_phrase_position"][-1, -1] = place
        with pytest.raises((RuntimeError, IndexError), match="out of bounds"):
            model(**{key: torch.from_numpy(x) for key, x in inputs.items()})

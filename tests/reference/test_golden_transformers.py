"""Files of transformers 4.49, of PyTorch and of TensorFlow, give what that program computed, in both backends."""

import numpy as np
import pytest

from tests import tolerances
from tests.compare import assert_same

from .golden import GOLDEN, INPUTS, model_and_run, stored

FOLDERS = GOLDEN / "transformers-4.49"
SCORES = ("prediction_logits", "cross_relationship_score", "question_answering_score")
FORMATS = {
    "pt_pretraining_bin": ("PyTorch pickle", "Hugging Face (PyTorch)"),
    "pt_pretraining_sharded": ("safetensors, in 5 files", "Hugging Face (PyTorch)"),
    "tf_pretraining_h5": ("HDF5, as Hugging Face saves TensorFlow models", "Hugging Face (TensorFlow)"),
    "tf_pretraining_safetensors": ("safetensors in TensorFlow's layout", "Hugging Face (TensorFlow)"),
}


def assert_read_whole(model, name):
    report = model.load_report
    assert (report.format, report.naming) == FORMATS[name]
    assert (report.new, report.missing, report.unexpected) == ((), (), ())
    assert report.config_source == "config.json"


@pytest.mark.parametrize("backend", ["pt", "tf"])
@pytest.mark.parametrize("name", ["pt_pretraining_bin", "pt_pretraining_sharded"])
def test_pytorchs(name, backend):
    values = stored("transformers-4.49/pt_pretraining")
    model, run = model_and_run(backend, "LxmertForPreTraining", FOLDERS / name)
    assert_read_whole(model, name)
    output = run(model, {key: values[key] for key in INPUTS})
    found = {key: output[key] for key in SCORES}
    assert_same(found, {key: values[key] for key in SCORES}, tolerances.OUTPUTS["float64"])


def flat(output, names):
    """The fields of an output under the names of the stored arrays: `language_hidden_states_0` and so on."""
    found = {}
    for name in names:
        field, _, place = name.rpartition("_")
        found[name] = output[field][int(place)] if place.isdigit() else output[name]
    return found


@pytest.mark.parametrize("backend", ["pt", "tf"])
@pytest.mark.parametrize("name", ["tf_pretraining_h5", "tf_pretraining_safetensors"])
def test_tensorflows(name, backend):
    values = stored("transformers-4.49/tf_pretraining")
    model, run = model_and_run(backend, "LxmertForPreTraining", FOLDERS / name)
    assert_read_whole(model, name)
    given = {key: values[key] for key in INPUTS}
    output = run(model, given)
    states = run(model.backbone, given, output_attentions=True, output_hidden_states=True)
    names = [key for key in values if key not in INPUTS]
    found = flat(output, SCORES) | flat(states, [key for key in names if key not in SCORES])
    # Theirs were computed in float32, ours in float64.
    wanted = {key: values[key].astype("float64") for key in names}
    assert_same(found, wanted, tolerances.FULL_SIZE["float32"])
    assert len(found) == 12


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_a_backbone_alone(backend):
    values = stored("transformers-4.49/tf_pretraining")
    model, run = model_and_run(backend, "LxmertModel", FOLDERS / "tf_pretraining_h5")
    found = run(model, {key: values[key] for key in INPUTS}).language_output
    assert_same(found, values["language_output"].astype("float64"), tolerances.FULL_SIZE["float32"])
    roots = {name.split("/")[0] for name in model.load_report.unexpected}
    assert roots == {"cls", "obj_predict_head", "answer_head"}
    assert len(model.load_report.unexpected) == 23


def test_the_two_files_of_each_model_hold_the_same():
    for first, second in (
        ("pt_pretraining_bin", "pt_pretraining_sharded"),
        ("tf_pretraining_h5", "tf_pretraining_safetensors"),
    ):
        one, other = (
            model_and_run("pt", "LxmertForPreTraining", FOLDERS / name, dtype="float32")[0].state_dict()
            for name in (first, second)
        )
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name].numpy(), other[name].numpy()) for name in one)

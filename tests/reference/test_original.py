"""Both backends against what the authors' own code computed: tests/golden/airsplay, made from their repository.

The files are a pre-training checkpoint as the authors write it, from one and from several GPUs, and inputs with the
outputs (float64) of their model. Their ignored label is -1, their factor of the visual losses 1/0.15.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import lxmert.pt
import lxmert.tf
from lxmert.common.config import LxmertConfig
from lxmert.common.writing import Item, write_folder
from lxmert.common.names import ORIGINAL, TIED_DECODER, parameters
from lxmert.common.tables import head_names
from tests import tolerances
from tests.compare import assert_same
from tests.models import run_pt, run_tf

GOLDEN = Path(__file__).parents[1] / "golden" / "airsplay"
NAME = "LxmertForPreTraining"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "pretrain.npz") as file:
        return {name: file[name] for name in file}


@pytest.fixture(scope="module", params=["single_gpu_LXRT.pth", "model_LXRT.pth"])
def folder(request, tmp_path_factory):
    """The authors' weights as a folder that both backends read."""
    config = LxmertConfig(**json.loads((GOLDEN / "dims.json").read_text()))
    stored = torch.load(GOLDEN / request.param, weights_only=True)
    stored = {name.removeprefix("module."): values.numpy() for name, values in stored.items()}
    table = {ORIGINAL.write(p, nested=True): p for p in parameters(config, head_names(NAME, config))}
    assert set(table) | {TIED_DECODER} == set(stored), "the name table knows every name of the authors' file"
    assert_same(stored[TIED_DECODER], stored["bert.embeddings.word_embeddings.weight"], 0.0)
    path = tmp_path_factory.mktemp("original")
    items = [Item(p, stored[name].dtype, lambda name=name: stored[name]) for name, p in table.items()]
    write_folder(path, config, NAME, items)
    return path


@pytest.fixture(scope="module", params=["pt", "tf"])
def model_and_run(request, folder):
    if request.param == "pt":
        model = lxmert.pt.LxmertForPreTraining.from_pretrained(folder, dtype=torch.float64)
        return model, run_pt
    return lxmert.tf.TFLxmertForPreTraining.from_pretrained(folder, dtype="float64"), run_tf


def our_labels(values):
    return np.where(values == -1, -100, values)


def the_labels(golden):
    """The golden labels by the name of their loss, in the order of the authors' losses."""
    objects = {
        key: (our_labels(golden[f"obj_labels_{key}_0"]) if key != "feat" else golden["obj_labels_feat_0"])
        for key in ("obj", "attr", "feat")
    }
    return {
        "language": {"labels": our_labels(golden["lm_labels"])},
        "matched": {"matched_label": our_labels(golden["matched_label"])},
        **{key: {"obj_labels": {key: (objects[key], golden[f"obj_labels_{key}_1"])}} for key in objects},
        "answer": {"ans": our_labels(golden["ans"])},
    }


INPUTS = ("input_ids", "attention_mask", "token_type_ids", "visual_feats", "visual_pos")


def test_outputs(golden, model_and_run):
    model, run = model_and_run
    given = {name: golden[name] for name in INPUTS}
    backbone, output = run(model.backbone, given), run(model, given)
    objects = model.heads.object(backbone.vision_output)
    found = {**dict(backbone.items()), **dict(output.items()), **{f"object_scores_{k}": s for k, s in objects.items()}}
    assert_same(found, {name: golden[name] for name in found}, tolerances.OUTPUTS["float64"])
    assert len(found) == 9


def test_losses(golden, model_and_run):
    model, run = model_and_run
    given = {name: golden[name] for name in INPUTS}
    every = the_labels(golden)
    alone = [run(model, {**given, **label}).loss for label in every.values()]
    assert_same(alone, list(golden["losses"][0]), tolerances.OUTPUTS["float64"])
    objects = {key: every[key]["obj_labels"][key] for key in ("obj", "attr", "feat")}
    everything = {**every["language"], **every["matched"], "obj_labels": objects, **every["answer"]}
    assert_same(run(model, {**given, **everything}).loss, golden["total_loss"], tolerances.OUTPUTS["float64"])


def test_the_golden_labels_have_ignored_ones(golden):
    """So that the two values of an ignored label, -1 there and -100 here, are compared at all."""
    ignored = [
        name for name in ("lm_labels", "ans", "obj_labels_obj_0", "obj_labels_attr_0") if (golden[name] == -1).any()
    ]
    assert "lm_labels" in ignored
    assert "ans" in ignored

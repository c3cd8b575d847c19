"""Both backends against what the authors' own code computed: tests/golden/airsplay, made from their repository.

The files are checkpoints as the authors write them, from one and from several GPUs, and inputs with the outputs
(float64) of their models. They are loaded as they are. Their ignored label is -1, their factor of the visual losses
1/0.15.
"""

import json
import warnings

import numpy as np
import pytest
import torch

from lxmert import (
    CheckpointMismatchError,
    LxmertConfig,
    LxmertForQuestionAnswering,
    LxmertForVisualReasoning,
    LxmertModel,
)
from lxmert.weights.open import open_checkpoint
from tests import tolerances
from tests.compare import assert_same

from .golden import GOLDEN, INPUTS, model_and_run, stored

AIRSPLAY = GOLDEN / "airsplay"
SIZES = json.loads((AIRSPLAY / "dims.json").read_text())
# What no shape tells.
GIVEN = {"num_attention_heads": 3, "visual_loss_normalizer": 1 / 0.15}
PRE_TRAINED = ("single_gpu_LXRT.pth", "model_LXRT.pth")
FINE_TUNED = {
    "vqa_BEST.pth": "LxmertForQuestionAnswering",
    "vqa_multi_gpu_BEST.pth": "LxmertForQuestionAnswering",
    "nlvr2_BEST.pth": "LxmertForVisualReasoning",
    "nlvr2_multi_gpu_BEST.pth": "LxmertForVisualReasoning",
}


@pytest.fixture(scope="module")
def golden():
    return stored("airsplay/pretrain")


@pytest.fixture(scope="module", params=["pt", "tf"])
def backend(request):
    return request.param


@pytest.fixture(scope="module", params=PRE_TRAINED)
def pre_trained(request, backend):
    model, run = model_and_run(backend, "LxmertForPreTraining", AIRSPLAY / request.param, **GIVEN)
    report = model.load_report
    assert (report.new, report.missing, report.unexpected) == ((), (), ())
    assert (report.naming, report.config_source) == ("the original authors'", "inferred from the shapes")
    return model, run


@pytest.mark.parametrize("name", [*PRE_TRAINED, *FINE_TUNED])
def test_the_configuration_told_by_the_shapes(name):
    """Everything but the number of heads, and what belongs to pre-training in a file without its heads."""
    with open_checkpoint(AIRSPLAY / name, num_attention_heads=3) as checkpoint:
        assert checkpoint.architecture == FINE_TUNED.get(name, "LxmertForPreTraining")
        wanted = SIZES | {"visual_loss_normalizer": LxmertConfig().visual_loss_normalizer}
        if name in FINE_TUNED:
            wanted |= {key: getattr(LxmertConfig(), key) for key in ("num_object_labels", "num_attr_labels")}
        if "nlvr2" in name:
            wanted["num_qa_labels"] = 2
        assert checkpoint.config == LxmertConfig(**wanted)
    with pytest.raises(
        ValueError, match=r"do not show num_attention_heads, which must divide its hidden_size=24: pass"
    ):
        open_checkpoint(AIRSPLAY / name)


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


def test_outputs(golden, pre_trained):
    model, run = pre_trained
    given = {name: golden[name] for name in INPUTS}
    backbone, output = run(model.backbone, given), run(model, given)
    objects = model.heads.object(backbone.vision_output)
    found = {**dict(backbone.items()), **dict(output.items()), **{f"object_scores_{k}": s for k, s in objects.items()}}
    assert_same(found, {name: golden[name] for name in found}, tolerances.OUTPUTS["float64"])
    assert len(found) == 9


def test_losses(golden, pre_trained):
    model, run = pre_trained
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


@pytest.mark.parametrize("name", FINE_TUNED)
def test_fine_tuned_models(name, backend):
    values = stored(f"airsplay/{name.split('_')[0]}")
    model, run = model_and_run(backend, FINE_TUNED[name], AIRSPLAY / name, num_attention_heads=3)
    report = model.load_report
    assert (report.new, report.missing, report.unexpected) == ((), (), ())
    assert report.naming == "the original authors', fine-tuned"
    given = {key: values[key] for key in INPUTS}
    assert_same(run(model.backbone, given).pooled_output, values["pooled_output"], tolerances.OUTPUTS["float64"])
    if "nlvr2" in name:
        # Rows 0 and 1 are one pair; their sentences differ, which theirs never do.
        pair = {key: x[None, :2] for key, x in given.items()}
        assert_same(run(model, pair).logits, values["logits"], tolerances.OUTPUTS["float64"])
    else:
        found = run(model, given).question_answering_score
        assert_same(found, values["logits"], tolerances.OUTPUTS["float64"])


def test_a_file_of_one_model_in_the_class_of_another(golden):
    given = {key: torch.from_numpy(golden[key]) for key in INPUTS}
    given |= {key: given[key].double() for key in ("visual_feats", "visual_pos")}
    # The backbone of any of them.
    model = LxmertModel.from_pretrained(AIRSPLAY / "model_LXRT.pth", dtype=torch.float64, **GIVEN)
    assert_same(model(**given).language_output, golden["language_output"], tolerances.OUTPUTS["float64"])
    assert len(model.load_report.unexpected) == 24  # the heads, with the decoder
    # Its answers, which the authors throw away before fine-tuning, fit question answering.
    model = LxmertForQuestionAnswering.from_pretrained(AIRSPLAY / "model_LXRT.pth", dtype=torch.float64, **GIVEN)
    expected = golden["question_answering_score"]
    assert_same(model(**given).question_answering_score, expected, tolerances.OUTPUTS["float64"])
    # The head of a pair is wider than that of an image.
    with pytest.raises(CheckpointMismatchError, match=r"heads.reasoning.up.weight needs \[48, 48\]") as error:
        LxmertForVisualReasoning.from_pretrained(AIRSPLAY / "vqa_BEST.pth", num_attention_heads=3)
    assert error.value.wrong_shape == (
        "heads.reasoning.up.weight",
        "heads.reasoning.out.weight",
        "heads.reasoning.out.bias",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = LxmertForVisualReasoning.from_pretrained(
            AIRSPLAY / "vqa_BEST.pth", num_attention_heads=3, allow_new_head=True
        )
    assert len(model.load_report.new) == 6
    assert model.load_report.missing == ()

"""Each loss of pre-training by itself: against `transformers`, and against the original's formulas in NumPy."""

import math

import numpy as np
import pytest
import torch
import transformers

from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes, inputs, labels
from tests.models import SMALLEST, new_pt, new_tf, run_pt, run_tf, weights

SIZES = Sizes(4, 5, 7)
NAME = "LxmertForPreTraining"
# The authors multiply by 1 / 0.15; `transformers` by 6.67.
CONFIG = SMALLEST.replace(visual_loss_normalizer=1 / 0.15)
# What each loss is called, and the labels that it reads.
READS = {
    "words": ("labels", None),
    "match": ("matched_label", None),
    "objects": ("obj_labels", "obj"),
    "attributes": ("obj_labels", "attr"),
    "features": ("obj_labels", "feat"),
    "answers": ("ans", None),
}
BACKENDS = {"pt": (new_pt, run_pt), "tf": (new_tf, run_tf)}


def every_label():
    """As pre-training makes them: features count where a region is masked, and one answer is unknown."""
    given = labels(CONFIG, SIZES)
    target, _ = given["obj_labels"]["feat"]
    masked = np.random.default_rng(0).random((SIZES.batch, SIZES.regions)) < 0.3
    assert 0 < masked.sum() < masked.size
    given["obj_labels"]["feat"] = target, masked.astype("float64")
    given["ans"][1] = -100
    return given


def only(name):
    """The labels of one loss."""
    label, key = READS[name]
    values = every_label()[label]
    return {label: values if key is None else {key: values[key]}}


@pytest.fixture(scope="module")
def theirs():
    """A function: the loss of `transformers` for some labels, with the weights of our model."""
    ours = new_pt(CONFIG, NAME, "float64")

    def loss(asked, keys):
        settings = CONFIG.to_dict()
        # Theirs wants the labels of every visual loss that a model has.
        settings |= {f"visual_{key}_loss": key in keys for key in ("obj", "attr", "feat")}
        model = transformers.LxmertForPreTraining(transformers.LxmertConfig(**settings)).double().eval()
        state = model.state_dict()
        for parameter, values in ours.weights_by_name():
            if (written := HUGGING_FACE.key(parameter, nested=True)) in state:
                state[written].copy_(values.detach())
        torch.set_default_dtype(torch.float64)
        try:
            return run_pt(model, inputs(CONFIG, SIZES) | asked).loss
        finally:
            torch.set_default_dtype(torch.float32)

    return loss


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_loss_agrees_with_transformers(theirs, backend, name):
    new, run = BACKENDS[backend]
    model = new(CONFIG, NAME, "float64")
    expected = np.asarray(theirs(only(name), (READS[name][1],)).detach())
    together = run(model, inputs(CONFIG, SIZES) | every_label())
    alone = run(model, inputs(CONFIG, SIZES) | only(name))
    assert_same(together.losses[name], expected, tolerances.OUTPUTS["float64"])
    assert_same(alone.losses, {name: expected}, tolerances.OUTPUTS["float64"])
    assert_same(alone.loss, expected, tolerances.OUTPUTS["float64"])


def scores_of(backend):
    """The scores of every head, as arrays; those of regions computed from the states of the regions."""
    new, run = BACKENDS[backend]
    model = new(CONFIG, NAME, "float64")
    output = run(model, inputs(CONFIG, SIZES) | every_label(), output_hidden_states=True)
    held = weights(model)
    states = arrays(output.vision_hidden_states[-1])

    def dense(x, path):
        return x @ held[f"{path}.weight"].T + held[f"{path}.bias"]

    x = dense(states, "heads.object.transform")
    x = x * 0.5 * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    x = x * held["heads.object.norm.weight"] + held["heads.object.norm.bias"]
    return output.losses, {
        "words": arrays(output.prediction_logits),
        "match": arrays(output.cross_relationship_score),
        "answers": arrays(output.question_answering_score),
        **{key: dense(x, f"heads.object.{key}") for key in ("obj", "attr", "feat")},
    }


def arrays(tensor):
    return tensor.detach().numpy() if isinstance(tensor, torch.Tensor) else tensor.numpy()


def cross_entropies(scores, label):  # [n, classes], [n] -> [n]
    """-log softmax(scores)[label], 0 where the label is ignored."""
    shifted = scores - scores.max(-1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return np.where(label < 0, 0.0, -np.take_along_axis(logs, np.maximum(label, 0)[:, None], -1)[:, 0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_loss_is_the_originals_formula(backend):
    """Classes: mean over the labels that count. Regions: times the confidence, mean over all, times 1 / 0.15."""
    found, scores = scores_of(backend)
    given = every_label()

    def mean_of_labelled(score, label):
        label = label.reshape(-1)
        return cross_entropies(score.reshape(label.size, -1), label).sum() / (label >= 0).sum()

    def mean_of_regions(key):
        label, confidence = given["obj_labels"][key]
        if key == "feat":
            error = np.abs(scores[key] - label)
            loss = np.where(error < 1, error**2 / 2, error - 0.5).mean(-1)
            assert (error < 1).any()
            assert (error > 1).any()
        else:
            loss = cross_entropies(scores[key].reshape(label.size, -1), label.reshape(-1)).reshape(label.shape)
        return (loss * confidence).sum() / (SIZES.batch * SIZES.regions) / 0.15

    expected = {
        "words": mean_of_labelled(scores["words"], given["labels"]),
        "match": mean_of_labelled(scores["match"], given["matched_label"]),
        "objects": mean_of_regions("obj"),
        "attributes": mean_of_regions("attr"),
        "features": mean_of_regions("feat"),
        "answers": mean_of_labelled(scores["answers"], given["ans"]),
    }
    assert_same(found, {name: np.asarray(value) for name, value in expected.items()}, tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_loss_is_the_sum_of_the_losses(backend, dtype):
    new, run = BACKENDS[backend]
    model = new(CONFIG, NAME, dtype)
    output = run(model, inputs(CONFIG, SIZES) | every_label())
    assert set(output.losses) == set(READS)
    total = sum(float(arrays(loss)) for loss in output.losses.values())
    assert abs(float(arrays(output.loss)) - total) <= tolerances.OUTPUTS[dtype] * 10
    assert "losses" not in output, "the fields are those of transformers"
    assert run(model, inputs(CONFIG, SIZES)).losses is None


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_loss_that_is_switched_off_is_not_there(backend):
    new, run = BACKENDS[backend]
    off = dict(task_matched=False, task_qa=False, visual_attr_loss=False)
    given = inputs(CONFIG, SIZES) | every_label()
    assert set(run(new(CONFIG.replace(**off), NAME, "float64"), given).losses) == {"words", "objects", "features"}
    off = dict(task_mask_lm=False, task_matched=False, task_qa=False, task_obj_predict=False)
    output = run(new(CONFIG.replace(**off), NAME, "float64"), given)
    assert output.losses == {}
    assert float(arrays(output.loss)) == 0

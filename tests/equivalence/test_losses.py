"""PyTorch against Keras: every loss by itself and with the others, for every form that its labels may have."""

import numpy as np
import pytest

from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import Sizes, inputs, labels
from tests.models import DTYPES, SMALLEST, gradients_pt, gradients_tf, pt_model, run_pt, run_tf, small, tf_model
from tests.pairwise import pairwise

SIZES = Sizes()
GIVEN = inputs(SMALLEST, SIZES)
ALL = labels(SMALLEST, SIZES)
OBJECTS = ALL["obj_labels"]
SOFT = np.random.default_rng(3).random((SIZES.batch, SMALLEST.num_qa_labels))
ONE_HOT = np.eye(SMALLEST.num_qa_labels)[ALL["ans"]]
IGNORED = {
    "labels": np.full_like(ALL["labels"], -100),
    "obj_labels": {key: (np.full_like(OBJECTS[key][0], -100), OBJECTS[key][1]) for key in ("obj", "attr")},
    "matched_label": np.full_like(ALL["matched_label"], -100),
    "ans": np.full_like(ALL["ans"], -100),
}


def objects(*keys):
    return {"obj_labels": {key: OBJECTS[key] for key in keys}}


PRETRAINING = {
    "words": {"labels": ALL["labels"]},
    "words under the Keras name": {"masked_lm_labels": ALL["labels"]},
    "match": {"matched_label": ALL["matched_label"]},
    "match as a column": {"matched_label": ALL["matched_label"][:, None]},
    "match, one ignored": {"matched_label": np.array([-100, 1])},
    "answers": {"ans": ALL["ans"]},
    "answers as a column": {"ans": ALL["ans"][:, None]},
    "answers, one ignored": {"ans": np.array([3, -100])},
    "answers as scores": {"ans": SOFT},
    "answers as one-hot rows": {"ans": ONE_HOT},
    "answers as whole one-hot rows": {"ans": ONE_HOT.astype(np.int64)},
    "objects": objects("obj", "attr", "feat"),
    "objects, classes only": objects("obj"),
    "objects, attributes only": objects("attr"),
    "objects, features only": objects("feat"),
    "objects, without features": objects("attr", "obj"),
    "objects, without attributes": objects("feat", "obj"),
    "objects, pairs as lists": {"obj_labels": {"obj": list(OBJECTS["obj"])}},
    "everything but answers": {**ALL, "ans": None},
    "everything with answer scores": {**ALL, "ans": SOFT},
    # The loss is 0 and so is every gradient, but for the features, which have no label to ignore.
    **{f"{name} all ignored": {name: values} for name, values in IGNORED.items()},
    "everything ignored": IGNORED,
}


@pytest.mark.parametrize(("asked", "dtype"), pairwise(PRETRAINING, DTYPES, strength=1))
def test_pretraining_losses_agree(asked, dtype):
    given = {**GIVEN, **PRETRAINING[asked]}
    pt, tf = (make(SMALLEST, "LxmertForPreTraining", dtype) for make in (pt_model, tf_model))
    expected, expected_gradients = gradients_tf(tf, given)
    output, found = gradients_pt(pt, given)
    assert_same(output, expected, tolerances.OUTPUTS[dtype])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])
    if "all ignored" in asked or asked == "everything ignored":
        assert float(output.loss.detach()) == 0
        assert all(gradient is None or not gradient.any() for gradient in found.values())
    else:
        assert float(output.loss.detach()) > 0


ANSWERS = ("answers", "answers as a column", "answers, one ignored", "answers as scores", "answers as one-hot rows")


@pytest.mark.parametrize(
    ("asked", "dtype"), pairwise([*ANSWERS, "answers as whole one-hot rows", "ans all ignored"], DTYPES, strength=1)
)
def test_answer_losses_agree(asked, dtype):
    given = {**GIVEN, "labels": PRETRAINING[asked]["ans"]}
    pt, tf = (make(SMALLEST, "LxmertForQuestionAnswering", dtype) for make in (pt_model, tf_model))
    expected, expected_gradients = gradients_tf(tf, given)
    output, found = gradients_pt(pt, given)
    assert_same(output, expected, tolerances.OUTPUTS[dtype])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])


def test_the_total_is_the_sum_of_the_losses():
    pt = pt_model(SMALLEST, "LxmertForPreTraining", "float64")
    parts = [run_pt(pt, {**GIVEN, name: values}).loss for name, values in ALL.items()]
    objects_alone = [run_pt(pt, {**GIVEN, **objects(key)}).loss for key in OBJECTS]
    assert_same(sum(parts), run_pt(pt, {**GIVEN, **ALL}).loss, tolerances.OUTPUTS["float64"])
    assert_same(sum(objects_alone), parts[1], tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize(
    ("off", "name"),
    [
        ("task_mask_lm", "labels"),
        ("task_matched", "matched_label"),
        ("task_obj_predict", "obj_labels"),
        ("task_qa", "ans"),
    ],
)
def test_the_label_of_a_task_that_is_off_adds_nothing(off, name):
    config = small("1/1/1", **{off: False})
    pt, tf = pt_model(config, "LxmertForPreTraining", "float64"), tf_model(config, "LxmertForPreTraining", "float64")
    rest = {key: values for key, values in ALL.items() if key != name}
    for run, model in ((run_pt, pt), (run_tf, tf)):
        assert_same(
            run(model, {**GIVEN, **ALL}).loss, run(model, {**GIVEN, **rest}).loss, tolerances.OUTPUTS["float64"]
        )
        alone = run(model, {**GIVEN, name: ALL[name]})
        assert_same(alone.loss, np.zeros(()), 0.0)
        assert run(model, GIVEN).get("loss") is None


def test_a_visual_loss_that_is_off_adds_nothing():
    config = small("1/1/1", visual_attr_loss=False)
    for run, make in ((run_pt, pt_model), (run_tf, tf_model)):
        model = make(config, "LxmertForPreTraining", "float64")
        every, enabled = (
            run(model, {**GIVEN, **objects(*keys)}).loss for keys in (("obj", "attr", "feat"), ("obj", "feat"))
        )
        assert_same(every, enabled, 0.0)
        assert_same(run(model, {**GIVEN, **objects("attr")}).loss, np.zeros(()), 0.0)

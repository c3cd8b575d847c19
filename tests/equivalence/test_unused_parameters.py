"""What no asked-for loss reaches: by the table, in both backends, and by the gradients themselves."""

import pytest
import tensorflow as tf

import lxmert.training.pt.unused_parameters
import lxmert.training.tf.unused_parameters
from lxmert.training.unused_parameters import pretraining_losses, unused_parameters
from tests.inputs import Sizes
from tests.models import CASES, SMALLEST, SMALLEST_VISUAL_BERT, labelled, new_pt, new_tf, run_pt, run_tf

SIZES = Sizes()
KEYS = {"words": "labels", "match": "matched_label", "answers": "ans"}
OBJECTS = {"objects": "obj", "attributes": "attr", "features": "feat"}
LXMERT, VISUAL_BERT = "LxmertForPreTraining", "VisualBertForPreTraining"
EVERY = ("words", "match", "objects", "attributes", "features", "answers")
CHOICES = [
    (LXMERT, SMALLEST, losses) for losses in [EVERY, ("words",), ("match",), ("attributes",), ("answers", "features")]
]
CHOICES += [
    (LXMERT, CASES["deep"].config, ("words",)),
    (LXMERT, CASES["deep"].config, ("objects",)),
    (LXMERT, SMALLEST.replace(tie_word_embeddings=False), ("match",)),
    (LXMERT, SMALLEST.replace(task_qa=False, visual_attr_loss=False), None),
    (LXMERT, SMALLEST.replace(task_obj_predict=False), None),
    (VISUAL_BERT, SMALLEST_VISUAL_BERT, ("words",)),
    (VISUAL_BERT, SMALLEST_VISUAL_BERT, ("match",)),
]


def asked(name, config, losses):
    """A batch with the labels of some losses only."""
    given = labelled(config, name, SIZES)
    losses = pretraining_losses(config, name) if losses is None else losses
    keys = KEYS if name == LXMERT else {"words": "labels", "match": "sentence_image_labels"}
    for loss, key in keys.items():
        if loss not in losses:
            del given[key]
    if name == LXMERT:
        given["obj_labels"] = {key: given["obj_labels"][key] for loss, key in OBJECTS.items() if loss in losses}
        if not given["obj_labels"]:
            del given["obj_labels"]
    return given


@pytest.mark.parametrize(("name", "config", "losses"), CHOICES)
def test_exactly_what_gets_no_gradient_is_frozen(name, config, losses):
    given = asked(name, config, losses)
    pt, keras_model = new_pt(config, name, "float64").train(), new_tf(config, name, "float64")

    run_pt(pt, given).loss.backward()
    without = [p.name for p, weight in pt.weights_by_name() if weight.grad is None]
    assert list(lxmert.training.pt.unused_parameters.freeze_unused_parameters(pt, losses)) == without
    assert [p.name for p, weight in pt.weights_by_name() if not weight.requires_grad] == without

    assert list(lxmert.training.tf.unused_parameters.freeze_unused_parameters(keras_model, losses)) == without
    assert [p.name for p, weight in keras_model.weights_by_name() if not weight.trainable] == without
    variables = keras_model.trainable_variables
    with tf.GradientTape() as tape:
        loss = run_tf(keras_model, given, training=True).loss
    assert all(gradient is not None for gradient in tape.gradient(loss, [v.value for v in variables]))
    assert len(variables) == len(list(keras_model.weights_by_name())) - len(without)


@pytest.mark.parametrize("name", ["LxmertModel", "LxmertForQuestionAnswering", "LxmertForVisualReasoning"])
def test_a_class_of_one_loss_is_complete(name):
    model = new_pt(SMALLEST, name, "float64")
    before = [p.requires_grad for p in model.parameters()]
    assert lxmert.training.pt.unused_parameters.freeze_unused_parameters(model) == ()
    assert [p.requires_grad for p in model.parameters()] == before


@pytest.mark.parametrize(
    ("config", "losses", "message"),
    [
        (SMALLEST, ("word",), "on the losses words, match, objects, attributes, features, answers under .*; got word"),
        (SMALLEST, (), "got none"),
        (SMALLEST.replace(task_qa=False), ("answers",), "features under this config; got answers"),
        (SMALLEST.replace(visual_feat_loss=False), ("words", "features"), "objects, attributes, answers under"),
    ],
)
def test_refused_losses(config, losses, message):
    with pytest.raises(ValueError, match=message):
        unused_parameters(config, LXMERT, losses)
    for model, package in (
        (new_pt(config, LXMERT, "float64"), lxmert.training.pt),
        (new_tf(config, LXMERT, "float64"), lxmert.training.tf),
    ):
        with pytest.raises(ValueError, match=message):
            package.unused_parameters.freeze_unused_parameters(model, losses)
        assert all(
            getattr(w, "trainable", True) and getattr(w, "requires_grad", True) for _, w in model.weights_by_name()
        )

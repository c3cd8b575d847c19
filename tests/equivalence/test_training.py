"""PyTorch against Keras in training: five optimizer steps, and gradient checkpointing."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import Sizes
from tests.models import (
    CLASSES,
    SMALLEST,
    SMALLEST_VISUAL_BERT,
    VISUAL_BERT_CLASSES,
    gradients_pt,
    gradients_tf,
    labelled,
    new_pt,
    new_tf,
    run_pt,
    run_tf,
    weights,
)

SIZES = Sizes()
STEPS = 5
# Keras rounds these to float32, so they are numbers that float32 holds exactly.
RATE, BETAS, DECAY = 2.0**-10, (0.875, 1 - 2.0**-6), 2.0**-6
EPSILON = 1e-8
LXMERT = [(name, SMALLEST) for name in CLASSES[1:]]
VISUAL_BERT = [(name, SMALLEST_VISUAL_BERT) for name in VISUAL_BERT_CLASSES[1:]]
UNTIED = [
    ("LxmertForPreTraining", SMALLEST.replace(tie_word_embeddings=False)),
    ("VisualBertForPreTraining", SMALLEST_VISUAL_BERT.replace(tie_word_embeddings=False)),
]
BYPASS = [("VisualBertForVisualReasoning", SMALLEST_VISUAL_BERT.replace(bypass_transformer=True))]


def rest_is_full(rows, always):
    """Rows of parameters, of which some are run always and the others in `make test-all`."""
    return [pytest.param(*row, marks=() if i in always else pytest.mark.full) for i, row in enumerate(rows)]


def with_dropout(config, rate):
    return config.replace(hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)


def batches(config, name):
    """A batch for each step, with every label that the class takes."""
    for step in range(STEPS):
        yield labelled(config, name, SIZES, seed=step)


@pytest.mark.parametrize(("name", "config"), rest_is_full(LXMERT + VISUAL_BERT + BYPASS + UNTIED, (0, 3)))
def test_five_steps_of_adamw_agree(name, config):
    config = with_dropout(config, 0.0)
    pt, keras_model = new_pt(config, name, "float64").train(), new_tf(config, name, "float64")
    start = weights(new_pt(config, name, "float64"))
    assert_same(weights(keras_model), start, 0.0)

    trained = [values for values in pt.parameters() if values.requires_grad]
    pt_optimizer = torch.optim.AdamW(trained, lr=RATE, betas=BETAS, eps=EPSILON, weight_decay=DECAY)
    for given in batches(config, name):
        pt_optimizer.zero_grad()
        run_pt(pt, given).loss.backward()
        pt_optimizer.step()

    variables = keras_model.trainable_variables
    tf_optimizer = keras.optimizers.AdamW(RATE, weight_decay=DECAY, beta_1=BETAS[0], beta_2=BETAS[1])
    tf_optimizer.build(variables)
    for step, given in enumerate(batches(config, name), start=1):
        # PyTorch adds epsilon to the root of the corrected second moment, Keras to that of the raw one.
        tf_optimizer.epsilon = EPSILON * (1 - BETAS[1] ** step) ** 0.5
        with tf.GradientTape() as tape:
            loss = run_tf(keras_model, given, training=True).loss
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        tf_optimizer.apply(gradients, variables)

    found = weights(pt)
    assert_same(weights(keras_model), found, tolerances.WEIGHTS["float64"])
    still = {key for key in start if (start[key] == found[key]).all()}
    frozen = {parameter.name for parameter, values in pt.weights_by_name() if not values.requires_grad}
    assert still == frozen, "every weight has moved but those that no answer can reach"
    # The padding rows of the tables move by weight decay alone, but for the word row that a tied head trains.
    decayed = (1 - RATE * DECAY) ** STEPS
    rows = {"embeddings.position.weight": 0, "embeddings.token_type.weight": 0} if name in CLASSES else {}
    if "ForPreTraining" not in name or config.untied_words:
        rows["embeddings.word.weight"] = 0 if name in CLASSES else config.pad_token_id
    for table, row in rows.items():
        assert_same(found[table][row], start[table][row] * decayed, tolerances.WEIGHTS["float64"])
        others = np.arange(len(start[table])) != row
        with pytest.raises(AssertionError, match="differs"):
            assert_same(found[table][others], start[table][others] * decayed, 1e-4)


def checkpointed(model, take, given, on, **options):
    """Outputs and gradients in training, with gradient checkpointing on or off, under one seed."""
    getattr(model, f"gradient_checkpointing_{'enable' if on else 'disable'}")()
    keras.utils.set_random_seed(7)
    torch.manual_seed(7)
    return take(model, given, **options)


@pytest.mark.parametrize(("name", "config"), rest_is_full(LXMERT + VISUAL_BERT[:2] + BYPASS, (0, 3)))
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_gradient_checkpointing_changes_nothing(backend, name, config):
    config = with_dropout(config, 0.3)
    given = labelled(config, name, SIZES)
    if backend == "pt":
        take, options = gradients_pt, {}
        models = [new_pt(config, name, "float64").train() for _ in range(2)]
    else:
        take, options = gradients_tf, {"training": True}
        # A Keras dropout layer counts its draws, so that each run has a model that has not drawn yet.
        models = []
        for _ in range(2):
            keras.utils.set_random_seed(7)
            models.append(new_tf(config, name, "float64"))
    for asked in ({}, {"output_attentions": "all"}):
        plain, expected = checkpointed(models[0], take, given, on=False, **options, **asked)
        output, found = checkpointed(models[1], take, given, on=True, **options, **asked)
        assert_same(output, plain, tolerances.OUTPUTS["float64"])
        assert_same_gradients(found, expected, tolerances.GRADIENTS["float64"])
    # Dropout was on, so that there was something to repeat.
    calm = run_pt(models[0].eval(), given) if backend == "pt" else run_tf(models[0], given)
    with pytest.raises(AssertionError, match="differs"):
        assert_same(output.loss, calm.loss, 1e-3)


@pytest.mark.parametrize(("name", "config"), rest_is_full(LXMERT + VISUAL_BERT + BYPASS, (1, 4, 8)))
def test_checkpointed_gradients_agree(name, config):
    config = with_dropout(config, 0.0)
    given = labelled(config, name, SIZES)
    pt, keras_model = new_pt(config, name, "float64").train(), new_tf(config, name, "float64")
    pt.gradient_checkpointing_enable()
    keras_model.gradient_checkpointing_enable()
    expected, expected_gradients = gradients_tf(keras_model, given, training=True)
    output, found = gradients_pt(pt, given)
    assert_same(output, expected, tolerances.OUTPUTS["float64"])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS["float64"])


def test_the_lookup_of_row_0_has_no_gradient():
    for name in LXMERT:
        assert (labelled(SMALLEST, name[0], SIZES)["input_ids"] == 0).any()
    for new, take in ((new_pt, gradients_pt), (new_tf, gradients_tf)):
        for name, config in LXMERT:
            _, found = take(new(config, name, "float64"), labelled(config, name, SIZES))
            for table in ("word", "position", "token_type"):
                gradient = found[f"embeddings.{table}.weight"]
                # The table is the word head's too, and as such row 0 is trained.
                assert bool(gradient[0].any()) == (table == "word" and name == "LxmertForPreTraining")
                assert gradient[1].any()


@pytest.mark.parametrize("padding", [None, 0, 1])
def test_only_the_lookup_of_the_padding_word_has_no_gradient(padding):
    """VisualBERT's other tables learn in every row that is looked up."""
    name, config = "VisualBertForVisualReasoning", SMALLEST_VISUAL_BERT.replace(pad_token_id=padding)
    given = labelled(config, name, SIZES, "ones")
    given["input_ids"][:, :2] = 0, 1
    for new, take in ((new_pt, gradients_pt), (new_tf, gradients_tf)):
        _, found = take(new(config, name, "float64"), given)
        for row in (0, 1):
            assert bool(found["embeddings.word.weight"][row].any()) == (row != padding)
            for table in ("position", "token_type", "visual_token_type"):
                assert found[f"embeddings.{table}.weight"][row].any()
        assert found["embeddings.visual_position.weight"][0].any()
        assert not found["embeddings.visual_position.weight"][1:].any()

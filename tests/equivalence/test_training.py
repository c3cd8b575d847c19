"""PyTorch against Keras in training: ten optimizer steps, and gradient checkpointing."""

import keras
import pytest
import tensorflow as tf
import torch

from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import Sizes, inputs, labels
from tests.models import CLASSES, SMALLEST, gradients_pt, gradients_tf, new_pt, new_tf, run_pt, run_tf, small, weights

SIZES = Sizes()
STEPS = 10
# Keras rounds these to float32, so they are numbers that float32 holds exactly.
RATE, BETAS, DECAY = 2.0**-10, (0.875, 1 - 2.0**-6), 2.0**-6
EPSILON = 1e-8
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def batches(config, name):
    """A batch for each step, with every label that the class takes."""
    for step in range(STEPS):
        given, every = inputs(config, SIZES, seed=step), labels(config, SIZES, seed=step)
        yield {**given, **(every if name == "LxmertForPreTraining" else {"labels": every["ans"]})}


@pytest.mark.parametrize("name", CLASSES[1:])
def test_ten_steps_of_adamw_agree(name):
    config = small("1/1/1", **NO_DROPOUT)
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
    # Row 0 of the tables moves by weight decay alone, but for the word row that the tied head trains.
    decayed = (1 - RATE * DECAY) ** STEPS
    for table in ("embeddings.position.weight", "embeddings.token_type.weight"):
        assert_same(found[table][0], start[table][0] * decayed, tolerances.WEIGHTS["float64"])
    if name == "LxmertForQuestionAnswering":
        row = start["embeddings.word.weight"][0] * decayed
        assert_same(found["embeddings.word.weight"][0], row, tolerances.WEIGHTS["float64"])


def checkpointed(model, take, given, on, **options):
    """Outputs and gradients in training, with gradient checkpointing on or off, under one seed."""
    getattr(model, f"gradient_checkpointing_{'enable' if on else 'disable'}")()
    keras.utils.set_random_seed(7)
    torch.manual_seed(7)
    return take(model, given, **options)


@pytest.mark.parametrize("name", CLASSES[1:])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_gradient_checkpointing_changes_nothing(backend, dropout, name):
    config = small("1/1/1", hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout)
    given = {**inputs(config, SIZES), **labels(config, SIZES)}
    if name == "LxmertForQuestionAnswering":
        given = {**inputs(config, SIZES), "labels": given["ans"]}
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
    # Dropout was on where it was asked for, so that there was something to repeat.
    calm = run_pt(models[0].eval(), given) if backend == "pt" else run_tf(models[0], given)
    if dropout:
        with pytest.raises(AssertionError, match="differs"):
            assert_same(output.loss, calm.loss, 1e-3)
    else:
        assert_same(output.loss, calm.loss, tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize("name", CLASSES[1:])
def test_checkpointed_gradients_agree(name):
    config = small("1/1/1", **NO_DROPOUT)
    given = next(iter(batches(config, name)))
    pt, keras_model = new_pt(config, name, "float64").train(), new_tf(config, name, "float64")
    pt.gradient_checkpointing_enable()
    keras_model.gradient_checkpointing_enable()
    expected, expected_gradients = gradients_tf(keras_model, given, training=True)
    output, found = gradients_pt(pt, given)
    assert_same(output, expected, tolerances.OUTPUTS["float64"])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS["float64"])


@pytest.mark.parametrize("table", ["word", "position", "token_type"])
def test_the_lookup_of_row_0_has_no_gradient(table):
    given = {**inputs(SMALLEST, SIZES), **labels(SMALLEST, SIZES)}
    assert (given["input_ids"] == 0).any()
    answers = {**inputs(SMALLEST, SIZES), "labels": given["ans"]}
    for new, take in ((new_pt, gradients_pt), (new_tf, gradients_tf)):
        _, found = take(new(SMALLEST, "LxmertForQuestionAnswering", "float64"), answers)
        gradient = found[f"embeddings.{table}.weight"]
        assert not gradient[0].any()
        assert gradient[1].any()
        # The table is the word head's too, and as such row 0 is trained.
        _, found = take(new(SMALLEST, "LxmertForPreTraining", "float64"), given)
        assert bool(found[f"embeddings.{table}.weight"][0].any()) == (table == "word")

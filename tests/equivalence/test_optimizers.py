"""PyTorch against Keras in twenty steps of each recipe, and the two optimizers against their formulas in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import lxmert.training.pt.optimizers as pt_optimizers
import lxmert.training.tf.optimizers as tf_optimizers
from lxmert.tf import _compat
from lxmert.training.schedule import rate_of_step
from lxmert.training.tf.schedule import LinearWarmUp
from tests import tolerances
from tests.compare import assert_same, difference
from tests.inputs import Sizes
from tests.models import SMALLEST, cast, labelled, new_pt, new_tf, run_pt, tensors, weights

SIZES = Sizes(4, 5, 7)
STEPS = 20
CONFIG = SMALLEST.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, visual_loss_normalizer=1 / 0.15)
TASKS = ("LxmertForPreTraining", "LxmertForQuestionAnswering", "LxmertForVisualReasoning")
# The highest rates are far above the usual ones, so that twenty steps move the weights.
RECIPES = {
    "bert_adam": dict(rate=2e-3, warm_up=0.1, weight_decay=0.01, max_grad_norm=5.0),
    "adamw": dict(rate=2e-3, warm_up=0.1, weight_decay=0.01, max_grad_norm=1.0),
}


def batch(name, step, sizes=SIZES):
    """The inputs and labels of a step; the answers are soft, as those of VQA."""
    given = labelled(CONFIG, name, sizes, seed=step)
    if name == "LxmertForQuestionAnswering":
        draw = np.random.default_rng(step)
        given["labels"] = draw.choice([0.0, 0.3, 0.6, 0.9, 1.0], (sizes.batch, CONFIG.num_qa_labels))
    return given


def numbers(recipe):
    return {name: recipe[name] for name in ("weight_decay", "max_grad_norm")}


def rate_at(recipe, step):
    return rate_of_step(recipe["rate"], step, STEPS, recipe["warm_up"])


def train_pt(model, optimizer, name, recipe, steps):
    model.train()
    for step in steps:
        pt_optimizers.set_rate(optimizer, rate_at(recipe, step))
        optimizer.zero_grad()
        run_pt(model, batch(name, step)).loss.backward()
        optimizer.step()


def fit_tf(model, optimizer, name, steps, run_eagerly=True):
    model.compile(optimizer, run_eagerly=run_eagerly)
    data = [cast(batch(name, step), "float64") for step in steps]
    model.fit(((given,) for given in data), steps_per_epoch=len(data), shuffle=False, verbose=0)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(TASKS[0], "bert_adam"), (TASKS[1], "adamw"), pytest.param(TASKS[2], "bert_adam", marks=pytest.mark.full)],
)
def test_twenty_steps_agree(name, kind, record_property):
    """PyTorch in a plain loop, Keras in `fit`."""
    recipe = RECIPES[kind]
    pt, keras_model = new_pt(CONFIG, name, "float64"), new_tf(CONFIG, name, "float64")
    start = {key: values.copy() for key, values in weights(pt).items()}
    assert_same(weights(keras_model), start, 0.0)
    train_pt(pt, pt_optimizers.make_optimizer(pt, kind, **numbers(recipe)), name, recipe, range(STEPS))
    schedule = LinearWarmUp(recipe["rate"], STEPS, recipe["warm_up"])
    optimizer = tf_optimizers.make_optimizer(keras_model, kind, schedule, **numbers(recipe))
    fit_tf(keras_model, optimizer, name, range(STEPS), run_eagerly=False)
    expected, found = weights(pt), weights(keras_model)
    assert_same(found, expected, tolerances.WEIGHTS["float64"])
    record_property("largest difference", max(difference(found[key], expected[key]) for key in expected))
    still = {key for key in start if difference(start[key], expected[key]) < 1e-3}
    frozen = {parameter.name for parameter, values in pt.weights_by_name() if not values.requires_grad}
    # The bias of a key moves all scores of a query alike: its gradient is 0 but for rounding.
    assert still == frozen | {key for key in start if key.endswith("key.bias")}, "every other weight has moved"


@pytest.mark.full
@pytest.mark.parametrize("kind", RECIPES)
def test_states_agree_and_cross_over(kind):
    """Four steps in one backend and four in the other are eight steps of one."""
    name, recipe, steps, half = TASKS[0], RECIPES[kind], 8, 4
    whole = new_pt(CONFIG, name, "float64")
    train_pt(whole, pt_optimizers.make_optimizer(whole, kind, **numbers(recipe)), name, recipe, range(steps))

    pt, keras_model = new_pt(CONFIG, name, "float64"), new_tf(CONFIG, name, "float64")
    optimizer = pt_optimizers.make_optimizer(pt, kind, **numbers(recipe))
    schedule = LinearWarmUp(recipe["rate"], STEPS, recipe["warm_up"])
    keras_optimizer = tf_optimizers.make_optimizer(keras_model, kind, schedule, **numbers(recipe))
    train_pt(pt, optimizer, name, recipe, range(half))
    fit_tf(keras_model, keras_optimizer, name, range(half))
    state = pt_optimizers.optimizer_state(pt, optimizer)
    keras_state = tf_optimizers.optimizer_state(keras_model, keras_optimizer)
    assert int(state["step"]) == half
    assert_same(keras_state, state, tolerances.WEIGHTS["float64"])

    other, other_keras = new_pt(CONFIG, name, "float64"), new_tf(CONFIG, name, "float64")
    for parameter, values in other.weights_by_name():
        values.data.copy_(torch.from_numpy(np.ascontiguousarray(weights(keras_model)[parameter.name])))
    for parameter, variable in other_keras.weights_by_name():
        values = weights(pt)[parameter.name]
        variable.assign(parameter.leaf.to_keras(values))
    optimizer = pt_optimizers.make_optimizer(other, kind, **numbers(recipe))
    pt_optimizers.load_optimizer_state(other, optimizer, keras_state)
    keras_optimizer = tf_optimizers.make_optimizer(other_keras, kind, schedule, **numbers(recipe))
    tf_optimizers.load_optimizer_state(other_keras, keras_optimizer, state)
    train_pt(other, optimizer, name, recipe, range(half, steps))
    fit_tf(other_keras, keras_optimizer, name, range(half, steps))
    assert_same(weights(other), weights(whole), tolerances.WEIGHTS["float64"])
    assert_same(weights(other_keras), weights(whole), tolerances.WEIGHTS["float64"])


def bert_adam(weight, gradients, rates, decay, betas, epsilon, max_grad_norm):
    """The original's formula, for one weight."""
    momentum = velocity = np.zeros_like(weight)
    for gradient, rate in zip(gradients, rates, strict=True):
        gradient = gradient * min(1.0, max_grad_norm / (np.sqrt((gradient**2).sum()) + 1e-6))
        momentum = betas[0] * momentum + (1 - betas[0]) * gradient
        velocity = betas[1] * velocity + (1 - betas[1]) * gradient**2
        weight = weight - rate * (momentum / (np.sqrt(velocity) + epsilon) + decay * weight)
    return weight


def adamw(weight, gradients, rates, decay, betas, epsilon, max_grad_norm):
    """The formula of AdamW's paper, with epsilon outside of the corrected root."""
    momentum = velocity = np.zeros_like(weight)
    for step, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        gradient = gradient * min(1.0, max_grad_norm / (np.sqrt((gradient**2).sum()) + 1e-6))
        momentum = betas[0] * momentum + (1 - betas[0]) * gradient
        velocity = betas[1] * velocity + (1 - betas[1]) * gradient**2
        mean, square = momentum / (1 - betas[0] ** step), velocity / (1 - betas[1] ** step)
        weight = weight - rate * (mean / (np.sqrt(square) + epsilon) + decay * weight * (weight.ndim >= 2))
    return weight


class OneWeight(torch.nn.Module):
    """As much of a model as an optimizer asks for."""

    def __init__(self, weight):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.from_numpy(weight.copy()))


class OneVariable:
    """The same for Keras."""

    def __init__(self, weight):
        self.trainable_variables = [keras.Variable(weight, dtype=str(weight.dtype))]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 1e-6)])
@pytest.mark.parametrize("shape", [(3, 4), (5,)])
@pytest.mark.parametrize("formula", [bert_adam, adamw])
def test_the_formula(formula, shape, dtype, tolerance):
    """Gradients of very different sizes, from below epsilon to above the norm of clipping; the first rate is 0."""
    draw = np.random.default_rng(0)
    weight = draw.standard_normal(shape).astype(dtype)
    gradients = [(draw.standard_normal(shape) * 10.0 ** draw.uniform(-8, 1)).astype(dtype) for _ in range(STEPS)]
    recipe = dict(rate=0.1, warm_up=0.25)
    rates = [rate_at(recipe, step) for step in range(STEPS)]
    given = dict(weight_decay=0.1, betas=(0.8, 0.95), epsilon=1e-6, max_grad_norm=2.0)
    expected = formula(weight.astype("float64"), [g.astype("float64") for g in gradients], rates, *given.values())
    assert min(np.abs(g).max() for g in gradients) < 1e-6
    assert max(np.linalg.norm(g) for g in gradients) > 2

    name = formula.__name__
    pt, variables = OneWeight(weight), OneVariable(weight)
    optimizer = pt_optimizers.make_optimizer(pt, name, 1.0, **given)
    keras_optimizer = tf_optimizers.make_optimizer(variables, name, 1.0, **given)
    for gradient, rate in zip(gradients, rates, strict=True):
        pt.weight.grad = torch.from_numpy(gradient.copy())
        pt_optimizers.set_rate(optimizer, rate)
        optimizer.step()
        tf_optimizers.set_rate(keras_optimizer, rate)
        keras_optimizer.apply([tf.constant(gradient)], variables.trainable_variables)
        if not rate:
            assert (pt.weight.detach().numpy() == weight).all(), "the first step changes nothing"
    assert_same(pt.weight, expected.astype(dtype), tolerance)
    assert_same(variables.trainable_variables[0].numpy(), expected.astype(dtype), tolerance)


@pytest.mark.parametrize("kind", ["adamw", pytest.param("bert_adam", marks=pytest.mark.full)])
def test_accumulated_gradients_are_those_of_the_whole_batch(kind):
    """Keras counts batches, so its schedule and its count of steps have to know how many make a step."""
    name, recipe, parts, steps = "LxmertForVisualReasoning", RECIPES[kind], 2, 4
    pt, keras_model = new_pt(CONFIG, name, "float64").train(), new_tf(CONFIG, name, "float64")
    optimizer = pt_optimizers.make_optimizer(pt, kind, **numbers(recipe))
    pieces = []
    for step in range(steps):
        pt_optimizers.set_rate(optimizer, rate_of_step(recipe["rate"], step, steps, 0.5))
        given = batch(name, step)
        size = SIZES.batch // parts
        cut = [{key: x[i * size : (i + 1) * size] for key, x in given.items()} for i in range(parts)]
        pieces += cut
        optimizer.zero_grad()
        for piece in cut:
            (model_loss(pt, piece) / parts).backward()
        optimizer.step()
    schedule = LinearWarmUp(recipe["rate"], steps, 0.5, gradient_accumulation_steps=parts)
    keras_optimizer = tf_optimizers.make_optimizer(
        keras_model, kind, schedule, **numbers(recipe), gradient_accumulation_steps=parts
    )
    keras_model.compile(keras_optimizer, run_eagerly=True)
    data = [cast(piece, "float64") for piece in pieces]
    keras_model.fit(((piece,) for piece in data[:-1]), steps_per_epoch=len(data) - 1, shuffle=False, verbose=0)
    with pytest.raises(ValueError, match="1 of 2 batches of the next one are accumulated"):
        tf_optimizers.optimizer_state(keras_model, keras_optimizer)
    keras_model.fit(((piece,) for piece in data[-1:]), steps_per_epoch=1, shuffle=False, verbose=0)
    # On public interfaces alone Keras clips accumulated gradients, with 1e-6 added to the norm: 1.2e-8 was measured.
    tolerance = 1e-6 if _compat.PUBLIC_ONLY else tolerances.WEIGHTS["float64"]
    assert_same(weights(keras_model), weights(pt), tolerance)
    state = tf_optimizers.optimizer_state(keras_model, keras_optimizer)
    assert_same(state, pt_optimizers.optimizer_state(pt, optimizer), tolerance)
    tf_optimizers.load_optimizer_state(keras_model, keras_optimizer, state)
    assert int(keras_optimizer.iterations) == steps


def model_loss(model, given):
    return model(**tensors(model, given)).loss


@pytest.mark.parametrize("module", [pt_optimizers, tf_optimizers])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (dict(name="sgd"), "The optimizers are bert_adam and adamw; got 'sgd'"),
        (dict(rate=-1.0), "rate must be a finite number, at least 0; got -1.0"),
        (dict(weight_decay=float("nan")), "weight_decay must be a finite number, at least 0; got nan"),
        (dict(epsilon=float("inf")), "epsilon must be a finite number, at least 0; got inf"),
        (dict(betas=(0.9, 1.0)), r"betas must be two numbers, at least 0 and less than 1; got \(0.9, 1.0\)"),
        (dict(max_grad_norm=0.0), "max_grad_norm must be greater than 0, or None for no clipping; got 0.0"),
    ],
)
def test_wrong_numbers_are_refused(module, given, message):
    new = new_pt if module is pt_optimizers else new_tf
    with pytest.raises(ValueError, match=message):
        module.make_optimizer(new(CONFIG, TASKS[1], "float64"), **given)


@pytest.mark.parametrize("module", [pt_optimizers, tf_optimizers])
def test_states_that_do_not_fit_are_refused(module):
    new = new_pt if module is pt_optimizers else new_tf
    model = new(CONFIG, TASKS[1], "float64")
    optimizer = module.make_optimizer(model)
    state = module.optimizer_state(model, optimizer)
    bias = "momentum.pooler.dense.bias"
    cases = [
        ({key: x for key, x in state.items() if key != bias}, f"missing     1: {bias}"),
        (state | {"momentum.nothing": state[bias]}, "unexpected  1: momentum.nothing"),
        (state | {bias: state[bias][1:]}, rf"wrong shape 1: {bias} must be \[24\]; got \[23\]"),
        ({}, "missing     .*: step, momentum"),
    ]
    for wrong, message in cases:
        with pytest.raises(ValueError, match=message):
            module.load_optimizer_state(model, optimizer, wrong)
    other = new(CONFIG, TASKS[1], "float64")
    with pytest.raises(ValueError, match="Pass the model that the optimizer was made for"):
        module.optimizer_state(other, optimizer)
    if module is tf_optimizers:
        uneven = state | {"step": np.array(5), "step.pooler.dense.bias": np.array(2)}
        with pytest.raises(ValueError, match=r"pooler\.dense\.bias has made 2 steps and other parameters 5"):
            module.load_optimizer_state(model, optimizer, uneven)

"""What Keras' side of the optimizers does beyond the steps themselves, which tests/equivalence compares."""

import keras
import numpy as np
import pytest

import lxmert.tf
from lxmert.training.tf.optimizers import load_optimizer_state, make_optimizer, optimizer_state
from lxmert.training.tf.schedule import LinearWarmUp
from tests.inputs import Sizes
from tests.models import SMALLEST, cast, labelled, new_tf

NAME = "LxmertForPreTraining"
CONFIG = SMALLEST.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
GIVEN = cast(labelled(CONFIG, NAME, Sizes()), "float32")


@pytest.mark.parametrize("kind", ["bert_adam", pytest.param("adamw", marks=pytest.mark.full)])
def test_a_compiled_model_is_saved_with_its_optimizer(kind, tmp_path):
    model = new_tf(CONFIG, NAME, "float32")
    model.compile(make_optimizer(model, kind, LinearWarmUp(1e-3, 5, 0.2), max_grad_norm=1.0), run_eagerly=True)
    model.fit(GIVEN, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    optimizer = loaded.optimizer
    assert type(optimizer) is type(model.optimizer)
    assert optimizer.get_config() == model.optimizer.get_config()
    assert optimizer.global_clipnorm == 1.0
    before, after = optimizer_state(model, model.optimizer), optimizer_state(loaded, optimizer)
    assert int(after["step"]) == 1
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def test_predict_has_no_losses():
    """Labels in the input dict give losses, which are no predictions."""
    model = new_tf(CONFIG, NAME, "float32")
    assert set(model(**GIVEN).losses) == {"words", "match", "objects", "attributes", "features", "answers"}
    predicted = model.predict(GIVEN, verbose=0)
    assert "loss" not in predicted
    assert "losses" not in predicted
    assert "prediction_logits" in predicted


@pytest.mark.full
def test_a_state_of_a_scaled_loss():
    """Keras wraps the optimizer where activations are of 16 bits."""
    model = lxmert.tf.TFLxmertForPreTraining(CONFIG, dtype="mixed_float16")
    model.compile(make_optimizer(model, "adamw", 1e-3))
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    model.fit(GIVEN, verbose=0)
    state = optimizer_state(model, model.optimizer)
    other = make_optimizer(model, "adamw", 1e-3)
    load_optimizer_state(model, other, state)
    again = optimizer_state(model, other)
    assert state.keys() == again.keys()
    for name, values in state.items():
        np.testing.assert_array_equal(again[name], values)


def test_the_schedule_in_steps_of_several_batches():
    schedule = LinearWarmUp(1.0, 4, 0.5, gradient_accumulation_steps=3)
    rates = [float(schedule(batch)) for batch in range(14)]
    assert rates == [0.0] * 3 + [0.5] * 3 + [1.0] * 3 + [0.5] * 5
    assert float(LinearWarmUp.from_config(schedule.get_config())(3)) == 0.5
    with pytest.raises(ValueError, match="gradient_accumulation_steps must be at least 1; got 0"):
        make_optimizer(new_tf(CONFIG, NAME, "float32"), gradient_accumulation_steps=0)

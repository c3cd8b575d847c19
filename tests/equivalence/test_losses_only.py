"""Pre-training without the scores of every word: the same losses and gradients, from the labelled positions alone."""

import keras
import numpy as np
import pytest

from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import MASKS
from tests.models import CASES, gradients_pt, gradients_tf, labelled, new_tf, pt_model, run_pt, run_tf, tf_model
from tests.pairwise import pairwise

NAME = "LxmertForPreTraining"
BACKENDS = {"pt": (pt_model, run_pt, gradients_pt), "tf": (tf_model, run_tf, gradients_tf)}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("case", "masks"), pairwise(CASES, MASKS, strength=1))
def test_losses_and_gradients_are_the_same(case, masks, backend):
    config, sizes = CASES[case]
    made, _, gradients = BACKENDS[backend]
    model, given = made(config, NAME, "float64"), labelled(config, NAME, sizes, masks)
    expected, wanted = gradients(model, given)
    output, found = gradients(model, given, prediction_logits=False)
    assert set(output.keys()) == set(expected.keys()) - {"prediction_logits"}
    assert_same(output.losses, expected.losses, 1e-12)
    assert_same(output.loss, expected.loss, 1e-12)
    assert_same_gradients(found, wanted, tolerances.GRADIENTS["float64"])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_batch_without_labels(backend):
    config, sizes = CASES["smallest"]
    made, run, gradients = BACKENDS[backend]
    model, given = made(config, NAME, "float64"), labelled(config, NAME, sizes)
    given["labels"] = np.full_like(given["labels"], -100)
    output, found = gradients(model, given, prediction_logits=False)
    assert_same(output.losses["words"], np.zeros(()), 0.0)
    assert all(found[name] is not None and not np.asarray(found[name]).any() for name in found if "heads.word" in name)
    del given["labels"]
    assert "words" not in run(model, given, prediction_logits=False).losses


@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_labels_are_refused_as_ever(backend):
    config, sizes = CASES["smallest"]
    made, run, _ = BACKENDS[backend]
    model, given = made(config, NAME, "float64"), labelled(config, NAME, sizes)
    labels = given["labels"]
    with pytest.raises(ValueError, match=r"labels must be 0 to 36, or -100 to be ignored; got values"):
        run(model, {**given, "labels": np.where(labels < 0, 99, labels)}, prediction_logits=False)
    with pytest.raises(ValueError, match=r"labels must be \[B, L\]"):
        run(model, {**given, "labels": labels[:, :-1]}, prediction_logits=False)


def test_fit_scores_the_labelled_words_alone_unless_a_metric_reads_all(monkeypatch):
    config, sizes = CASES["smallest"]
    given = {name: x for name, x in labelled(config, NAME, sizes).items() if x is not None}
    seen, losses = [], []
    for metric in (None, keras.metrics.SparseCategoricalAccuracy()):
        keras.utils.set_random_seed(0)  # of dropout
        model = new_tf(config, NAME, "float32")
        own = model.heads.word.call

        def spied(states, table, own=own):
            seen.append(len(states.shape))
            return own(states, table)

        monkeypatch.setattr(model.heads.word, "call", spied)
        metrics = metric and {"prediction_logits": metric}
        model.compile(keras.optimizers.SGD(1e-2), metrics=metrics, run_eagerly=True)
        losses.append(model.fit(given, batch_size=2, verbose=0).history["loss"])
    assert seen == [2, 3], "words in one row, then [B, L] of them"
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)

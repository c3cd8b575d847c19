"""Every score of every class: an example alone, padded in a batch, and in both backends."""

import numpy as np
import pytest

from lxmert.explain import explain_methods, methods_of
from tests.models import cast, pt_model, tf_model

from .agreement import arrays_of, assert_close
from .examples import SCORES, SIZES, examples, options_of, padded
from .published import TOLERANCE

BACKENDS = 1e-10  # relative to the largest element, in float64; measured: 4e-14

# Every head but those of answers, which test_golden.py compares in both backends. These run in `make test-all`.
LONG = ("LXMERT: answer", "LXMERT, pre-training: answer", "VisualBERT: answer")


def explained(make, name, inputs, example=None, steps=3):
    """All methods on a model of a backend, in float64."""
    score = SCORES[name]
    model = make(score.config, score.architecture, "float64")
    return explain_methods(model, cast(inputs, "float64"), **options_of(name, example), steps=steps)


@pytest.mark.parametrize("name", SCORES)
def test_an_example_is_the_same_alone_and_padded_in_a_batch(name):
    batch = explained(pt_model, name, padded(name))
    alone = [explained(pt_model, name, example, row) for row, example in enumerate(examples(name))]
    assert list(batch) == methods_of("lxmert" if SCORES[name].architecture.startswith("Lxmert") else "visual_bert")
    for method, whole in batch.items():
        assert whole.method == method
        assert tuple(whole.answers) == SCORES[name].answers
        found = arrays_of(whole)
        wanted = {key: None if array is None else np.zeros_like(array) for key, array in found.items()}
        for row, sizes in enumerate(SIZES):
            for key, array in arrays_of(alone[row][method]).items():
                if array is not None:
                    wanted[key][row][block(key, sizes)] = array[0]
        assert_close(found, wanted, TOLERANCE)
        scores = np.concatenate([one[method].scores for one in alone])
        assert_close({"scores": whole.scores}, {"scores": scores}, TOLERANCE)
        for values, mask in ((whole.words, whole.word_mask), (whole.regions, whole.region_mask)):
            assert values.any()
            assert not values[mask == 0].any()


def block(key, sizes):
    """The index of the part of an array that belongs to an example of so many words and regions."""
    ends = dict(zip(("language", "vision"), sizes, strict=True)) | dict(zip(("words", "regions"), sizes, strict=True))
    return (..., *(slice(ends[axis]) for axis in key.split("_to_")))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.full) if name in LONG else name for name in SCORES]
)
def test_both_backends_agree(name, without_graphs):
    pt, tf = (explained(make, name, padded(name), steps=1) for make in (pt_model, tf_model))
    for method, found in tf.items():
        assert_close(arrays_of(found), arrays_of(pt[method]), BACKENDS)
        assert_close({"scores": found.scores}, {"scores": pt[method].scores}, BACKENDS)

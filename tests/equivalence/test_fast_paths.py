"""The ways that only large products take, taken by small ones too: still the function of the Keras models."""

import itertools

import pytest
import torch

from lxmert.pt import PackedWeights, use_cpu_products
from lxmert.pt.cpu_kernels import feed_forward
from lxmert.pt.cpu_kernels import linear as products
from tests import tolerances
from tests.compare import assert_same
from tests.equivalence.agreement import assert_agree, both
from tests.inputs import MASKS, inputs, labels
from tests.models import CASES, VISUAL_BERT_CASES, labelled, run_pt, run_tf

EVERY = [
    (case, masks, dtype)
    for dtype in ("float64", "float32")
    for case, masks in zip(CASES, itertools.cycle(MASKS), strict=False)
    if dtype == "float32" or case in ("smallest", "deep", "relu, no visual layers")
]


@pytest.fixture(autouse=True)
def counted(monkeypatch):
    """How often each way was taken."""
    products.kernels_are_on()  # tests them once, which counts for nothing
    monkeypatch.setattr(products, "_MIN_PRODUCTS", {False: 0, True: 0})
    taken = {"product": 0, "pair": 0}
    own, apply = products._onednn, feed_forward._RecomputedPair.apply

    def onednn(*args):
        taken["product"] += 1
        return own(*args)

    def pair(*args):
        taken["pair"] += 1
        return apply(*args)

    monkeypatch.setattr(products, "_onednn", onednn)
    monkeypatch.setattr(feed_forward._RecomputedPair, "apply", pair)
    with use_cpu_products("onednn"):
        yield taken


@pytest.mark.parametrize(("case", "masks", "dtype"), EVERY)
def test_pretraining_agrees(case, masks, dtype, counted):
    config, sizes = CASES[case]
    given = {**inputs(config, sizes, masks), **labels(config, sizes)}
    assert_agree(both(config, "LxmertForPreTraining", dtype), given, dtype)
    left_out = not (config.task_obj_predict and config.visual_losses)  # the last image branch
    assert counted["pair"] == config.l_layers + config.r_layers + 2 * config.x_layers - left_out
    assert (counted["product"] > 0) == (dtype == "float32" and products.HAS_ONEDNN)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_visual_bert_agrees(dtype, counted):
    config, sizes = next(iter(VISUAL_BERT_CASES.values()))
    given = labelled(config, "VisualBertForPreTraining", sizes)
    assert_agree(both(config, "VisualBertForPreTraining", dtype), given, dtype)
    assert counted["pair"] > 0


@pytest.mark.skipif(not products.HAS_ONEDNN, reason="this build of PyTorch has no oneDNN")
@pytest.mark.parametrize("masks", MASKS)
def test_packed_weights_agree(masks, counted):
    config, sizes = next(iter(CASES.values()))
    given = inputs(config, sizes, masks)
    pt, tf = both(config, "LxmertForQuestionAnswering", "float32")
    with torch.inference_mode(), PackedWeights():
        output = run_pt(pt, given)
    assert counted["product"] > 0
    assert_same(output, run_tf(tf, given), tolerances.OUTPUTS["float32"])

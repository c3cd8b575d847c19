"""Weights that `VisualQuestionAnswering` packs once: the same answers, for as long as the model lives."""

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from lxmert import VisualQuestionAnswering
from lxmert.pt import PackedWeights, _compat, use_cpu_products
from lxmert.pt.cpu_kernels import linear as products
from lxmert.pt.cpu_kernels import packing
from lxmert.vision.shapes.regions import image_regions
from tests.inference.conftest import draw

QUESTIONS = ["what color is the circle?", "is there not a red shape?", "what shape is in the image?"]


@pytest.fixture
def layouts(monkeypatch):
    """The weights that are packed, of small products too, from the third call on."""
    if not products.HAS_ONEDNN:
        pytest.skip("this build of PyTorch has no oneDNN: its own products are taken")
    monkeypatch.setattr(products, "_MIN_PRODUCTS", {False: 0, True: 0})
    cache = PackedWeights()
    cache._uses = packing._DEFAULT._uses
    monkeypatch.setattr(packing, "_DEFAULT", cache)
    made = []
    own = _compat.reorder_linear_weight
    monkeypatch.setattr(_compat, "reorder_linear_weight", lambda weight: made.append(weight.shape) or own(weight))
    with use_cpu_products("onednn"):
        yield made


@pytest.fixture(params=["float32", "bfloat16"])
def answerer(request):
    loaded = VisualQuestionAnswering.from_pretrained("easy-vqa")
    loaded.model.to(getattr(torch, request.param))
    return loaded


@pytest.fixture(scope="module")
def regions():
    return [image_regions(draw())]


def unpacked(answerer):
    return VisualQuestionAnswering(answerer.model, answerer.tokenizer, answerer.answers, pack_weights=False)


def linear_layers(answerer):
    return sum(isinstance(module, torch.nn.Linear) for module in answerer.model.modules())


def scores(answerer, regions):
    return [answerer.scores(regions, [question]) for question in QUESTIONS]


def assert_close(found, expected, answerer):
    tolerance = 1e-5 if next(answerer.model.parameters()).dtype == torch.float32 else 0.02
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_laid_out_once_for_a_whole_run(layouts, answerer, regions):
    plain = unpacked(answerer)
    for _ in range(2):
        expected = scores(plain, regions)
    assert layouts == []
    found = [scores(answerer, regions) for _ in range(2)]
    assert 0 < (once := len(layouts)) <= linear_layers(answerer)
    answerer.model.eval()
    found.append(scores(answerer, regions))
    assert len(layouts) == once
    for each in found:
        assert_close(each, expected, answerer)


def test_new_weights_are_seen(layouts, answerer, regions):
    before = scores(answerer, regions)
    with torch.no_grad():
        answerer.model.heads.answer.out.weight.mul_(-1)
    after = scores(answerer, regions)
    assert_close(after, scores(unpacked(answerer), regions), answerer)
    assert np.abs(np.array(after) - before).max() > 0.1


def test_a_model_in_training_mode_keeps_it(layouts, answerer, regions):
    expected = scores(answerer, regions)
    answerer.model.train()
    answerer.model.backbone.pooler.eval()
    modes = [module.training for module in answerer.model.modules()]
    assert_close(scores(answerer, regions), expected, answerer)
    assert [module.training for module in answerer.model.modules()] == modes


def test_released_with_the_model(layouts, regions, monkeypatch):
    copies = []
    own = _compat.reorder_linear_weight
    monkeypatch.setattr(
        _compat, "reorder_linear_weight", lambda weight: (copies.append(weakref.ref(found := own(weight))), found)[1]
    )
    wrapped = VisualQuestionAnswering.from_pretrained("easy-vqa")
    scores(wrapped, regions)
    assert copies
    assert all(copy() is not None for copy in copies)
    del wrapped
    gc.collect()
    assert all(copy() is None for copy in copies)


def test_several_threads(layouts, answerer, regions):
    expected = scores(answerer, regions)
    together = threading.Barrier(4)

    def ask():
        together.wait(30)
        return [scores(answerer, regions) for _ in range(4)]

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(ask) for _ in range(4)]:
            for found in future.result():
                assert_close(found, expected, answerer)
    assert len(layouts) <= linear_layers(answerer)

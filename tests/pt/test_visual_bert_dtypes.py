"""VisualBERT in dtypes other than float32: the model moved to them, and autocast."""

import pytest
import torch

import lxmert.pt
from tests.small_visual_bert import (
    ALIGNING,
    ANSWERING,
    NAMES,
    TASKS,
    small_config,
    small_inputs,
    small_labels,
    small_options,
    wholly_masked,
)

from .tensors import flat, tensors
from .test_dtypes import FORMATS

every_name = pytest.mark.parametrize("name", NAMES)
every_task = pytest.mark.parametrize("name", TASKS)
every_format = pytest.mark.parametrize("dtype", FORMATS, ids=str)


def make(name, **changes):
    return getattr(lxmert.pt, name)(small_config(**changes)).eval()


def inputs(name):
    return tensors({**small_inputs(name), **small_options(name), **small_labels(name)})


def close(found, expected, tolerance):
    for a, b in zip(flat(found), flat(expected), strict=True):
        # A masked region has the smallest number of its format.
        kept = b > -1e38
        assert (a[~kept] < -6e4).all()
        torch.testing.assert_close(a[kept].float(), b[kept], atol=tolerance, rtol=tolerance)


@every_format
@every_name
def test_a_moved_model_computes_the_same(name, dtype):
    model, options = make(name).to(dtype), dict(output_attentions=True, output_hidden_states=True)
    # Features stay in float32: the model moves them.
    found = model(**inputs(name), **options)
    expected = model.float()(**inputs(name), **options)
    loss = {found.loss.dtype} if "loss" in found else set()
    assert loss <= {torch.float64 if dtype == torch.float64 else torch.float32}
    assert {tensor.dtype for tensor in flat(found)[len(loss) :]} == {dtype}
    close(found, expected, 2 * FORMATS[dtype])


@every_format
@every_name
@pytest.mark.parametrize("maps", [False, True])
@pytest.mark.parametrize("bypass", [False, True])
def test_wholly_masked_examples_stay_finite(name, dtype, maps, bypass):
    model = make(name, bypass_transformer=bypass).to(dtype)
    output = model(**tensors({**wholly_masked(name), **small_labels(name)}), output_attentions=maps)
    assert all(tensor.isfinite().all() for tensor in flat(output))
    if maps:
        torch.testing.assert_close(
            output.attentions[-1].float(), torch.full((*output.attentions[-1].shape,), 1 / 12), atol=1e-2, rtol=0
        )


@every_format
@every_task
def test_training_in_each_format(name, dtype):
    model, x = make(name).to(dtype), inputs(name)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = model(**x).loss
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@every_task
def test_autocast(name):
    model = make(name)
    exact = model(**inputs(name))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**inputs(name))
        masked = model(**tensors(wholly_masked(name)))
    output.loss.backward()
    assert {tensor.dtype for tensor in flat(output)[1:]} == {torch.bfloat16}
    assert output.loss.dtype == torch.float32
    torch.testing.assert_close(output.loss, exact.loss, atol=0.05, rtol=0.05)
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)
    assert all(tensor.isfinite().all() for tensor in flat(masked))


def test_labels_of_a_wholly_masked_image_train_nothing():
    model = make(ALIGNING).half()
    output = model(**tensors({**wholly_masked(ALIGNING), **small_labels(ALIGNING)}))
    output.loss.backward()
    assert output.loss == 0
    assert not any(p.grad.any() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", [ALIGNING, ANSWERING])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16, torch.float64])
def test_saving_and_loading_in_a_format(name, dtype, tmp_path):
    model = make(name).to(dtype or torch.float32)
    model.save_pretrained(tmp_path)
    again = getattr(lxmert.pt, name).from_pretrained(tmp_path, dtype=dtype)
    assert {p.dtype for p in again.parameters()} == {dtype or torch.float32}
    for a, b in zip(again.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)

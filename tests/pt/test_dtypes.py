"""Dtypes other than float32: the model moved to them, and autocast."""

import pytest
import torch

from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering, LxmertModel
from tests.small_lxmert import small_config

from .tensors import flat, inputs, labels_of

FORMATS = {torch.bfloat16: 0.05, torch.float16: 0.01, torch.float64: 1e-4}
every_format = pytest.mark.parametrize("dtype", FORMATS, ids=str)


def wholly_masked():
    x = inputs()
    return {**x, "attention_mask": torch.zeros(3, 5), "visual_attention_mask": torch.zeros(3, 7)}


@every_format
def test_a_moved_model_computes_the_same(dtype):
    model, labels = LxmertForPreTraining(small_config()).eval(), labels_of("LxmertForPreTraining")
    options = dict(output_attentions="all", output_hidden_states=True)
    model.to(dtype)
    # Features stay in float32: the model moves them.
    found = model(**inputs(), **labels, **options)
    expected = model.float()(**inputs(), **labels, **options)
    assert found.loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert {tensor.dtype for tensor in flat(found)[1:]} == {dtype}
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a.float(), b, atol=FORMATS[dtype], rtol=FORMATS[dtype])


@every_format
@pytest.mark.parametrize("maps", [False, "all"])
def test_wholly_masked_examples_stay_finite(dtype, maps):
    model = LxmertModel(small_config()).to(dtype).eval()
    output = model(**wholly_masked(), output_attentions=maps)
    assert all(tensor.isfinite().all() for tensor in flat(output))
    if maps:
        torch.testing.assert_close(
            output.language_attentions[0].float(), torch.full((3, 3, 5, 5), 0.2), atol=1e-2, rtol=0
        )


@every_format
def test_training_in_each_format(dtype):
    model, x = LxmertForQuestionAnswering(small_config()).to(dtype), wholly_masked()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    losses = []
    for _ in range(4):
        optimizer.zero_grad()
        loss = model(**x, **labels_of("LxmertForQuestionAnswering")).loss
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("architecture", [LxmertForPreTraining, LxmertForQuestionAnswering])
def test_autocast(architecture):
    model, labels = architecture(small_config()), labels_of(architecture.__name__)
    exact = model(**inputs(), **labels)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(**inputs(), **labels)
    output.loss.backward()
    assert output.question_answering_score.dtype == torch.bfloat16
    assert output.loss.dtype == torch.float32
    torch.testing.assert_close(output.loss, exact.loss, atol=0.05, rtol=0.05)
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)


def test_autocast_of_wholly_masked_examples():
    model = LxmertModel(small_config()).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert all(tensor.isfinite().all() for tensor in flat(model(**wholly_masked(), output_attentions="all")))


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16, torch.float64])
def test_loading_in_a_format(dtype, tmp_path):
    model = LxmertForQuestionAnswering(small_config())
    model.save_pretrained(tmp_path)
    again = LxmertForQuestionAnswering.from_pretrained(tmp_path, dtype=dtype)
    assert {p.dtype for p in again.parameters()} == {dtype or torch.float32}
    assert not again.training
    for a, b in zip(again.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b.to(a.dtype), atol=0, rtol=0)


@every_format
def test_saving_in_a_format(dtype, tmp_path):
    model = LxmertForQuestionAnswering(small_config()).to(dtype)
    model.save_pretrained(tmp_path)
    again = LxmertForQuestionAnswering.from_pretrained(tmp_path, dtype=dtype)
    for a, b in zip(again.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=0, rtol=0)

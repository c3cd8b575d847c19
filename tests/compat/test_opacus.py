"""opacus: private training, whose gradients are those of each example by itself."""

import pytest
import torch

import lxmert.pt
from tests.compat.test_peft import tensors
from tests.small import small_config, small_inputs, small_labels

opacus = pytest.importorskip("opacus", reason="pip install -e '.[compat]'")
pytestmark = pytest.mark.full


@pytest.mark.filterwarnings("ignore")  # opacus warns of its generator, and PyTorch of its hooks
@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForVisualReasoning"])
def test_the_gradients_of_each_example(name):
    torch.manual_seed(0)
    model = getattr(lxmert.pt, name)(small_config(name)).train()
    given = tensors({**small_inputs(name, 2), **small_labels(name, 2)})
    expected = []
    for i in range(2):
        model.zero_grad()
        model(**{key: x[i : i + 1] for key, x in given.items()}).loss.backward()
        expected.append({key: p.grad.clone() for key, p in model.named_parameters() if p.requires_grad})
    model.zero_grad()
    private = opacus.GradSampleModule(model, loss_reduction="mean")
    private(**given).loss.backward()
    for key, p in private.named_parameters():
        if p.requires_grad:
            one = torch.stack([row[key.removeprefix("_module.")] for row in expected])
            torch.testing.assert_close(p.grad_sample, one, rtol=1e-4, atol=1e-6)

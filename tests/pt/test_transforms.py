"""The PyTorch models under function transforms, forward-mode gradients, autocast, and tools that wrap `forward`."""

import functools
import inspect
import types

import pytest
import torch
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp, vmap

import lxmert.pt
from tests.small import NAMES, TASKS, small_config, small_inputs, small_labels

from .tensors import tensors

ANSWERING = ("LxmertForQuestionAnswering", "VisualBertForQuestionAnswering")


def make(name, **changes):
    torch.manual_seed(0)
    return getattr(lxmert.pt, name)(small_config(name, **changes)).eval()


def labelled(name, *sizes):
    return tensors({**small_inputs(name, *sizes), **small_labels(name, *sizes)})


def lead(tree, function):
    """The same with a function of every tensor."""
    return torch.utils._pytree.tree_map(function, tree)


@pytest.mark.parametrize("name", TASKS)
def test_gradients_of_each_example(name):
    """As Opacus and other libraries compute them: a transform over the batch, in place of a loop."""
    model, given = make(name), labelled(name)
    parameters = {key: weight.detach() for key, weight in model.named_parameters() if weight.requires_grad}

    def loss(weights, one):
        return functional_call(model, weights, (), lead(one, lambda x: x.unsqueeze(0))).loss

    found = vmap(grad(loss), (None, 0))(parameters, given)
    for example in range(2):
        model.zero_grad()
        model(**lead(given, lambda x: x[example : example + 1])).loss.backward()  # noqa: B023
        for key, weight in model.named_parameters():
            if weight.requires_grad:
                torch.testing.assert_close(found[key][example], weight.grad, atol=1e-5, rtol=1e-4)


def test_the_implementation_of_attention_counts_from_the_next_call(monkeypatch):
    model, given = make("LxmertForQuestionAnswering"), tensors(small_inputs("LxmertForQuestionAnswering"))
    fused, kernel = [], torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional, "scaled_dot_product_attention", lambda *x, **k: fused.append(1) or kernel(*x, **k)
    )
    expected = model(**given).logits
    assert fused
    fused.clear()
    model.config.attn_implementation = "eager"
    torch.testing.assert_close(model(**given).logits, expected)
    assert not fused
    model.config.attn_implementation = "sdpa"
    model(**given)
    assert fused


# PyTorch's own rules of forward-mode AD are still made by what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("name", NAMES)
def test_forward_mode_gradients(name):
    """The derivative in a direction, by two ways, and by the gradient of the same sum."""
    model, given = make(name), tensors(small_inputs(name))
    feature = "visual_embeds" if "visual_embeds" in given else "visual_feats"
    place = given.pop(feature)
    direction = torch.linspace(-1, 1, place.numel()).view(place.shape)

    def score(x):
        return model(**given, **{feature: x})[0].clamp(min=-1e3).sum()  # a masked region has the smallest number

    expected = (grad(score)(place) * direction).sum()
    torch.testing.assert_close(jvp(score, (place,), (direction,))[1], expected, atol=1e-3, rtol=1e-4)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(score(forward_ad.make_dual(place, direction))).tangent
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("name", ANSWERING)
def test_values_are_checked_again_after_a_transform(name):
    model, given = make(name), tensors(small_inputs(name))
    wrong = {**given, "input_ids": given["input_ids"] + 99}
    vmap(lambda ids: model.base.embeddings.word(ids))(given["input_ids"])
    with pytest.raises(ValueError, match="input_ids must be 0 to 28"):
        model(**wrong)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", TASKS)
def test_training_under_autocast(name, dtype):
    """The loss and the gradients are float32, as accelerate's mixed precision expects."""
    dropout = dict(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1)
    model = make(name, **dropout).train()
    with torch.autocast("cpu", dtype=dtype):
        output = model(**labelled(name))
    assert output.loss.dtype == torch.float32
    assert output[1].dtype == dtype
    output.loss.backward()
    for key, weight in model.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None, key
            assert weight.grad.dtype == torch.float32, key


@pytest.mark.parametrize("name", ANSWERING)
def test_tools_that_wrap_forward(name):
    """As accelerate does: a hook around `forward`, which may take arguments of its own, and outputs in float32."""
    model, given = make(name), labelled(name)
    names = list(inspect.signature(model.forward).parameters)
    expected, calls = model(**given), []

    def hooked(module, *args, scale=1.0, **kwargs):
        calls.append(scale)
        return plain(*args, **kwargs)

    plain = model.forward
    model.forward = functools.update_wrapper(functools.partial(hooked, model), plain)
    assert list(inspect.signature(model.forward).parameters) == names
    torch.testing.assert_close(model(**given, scale=2.0).loss, expected.loss)
    assert calls == [2.0]
    with pytest.raises(TypeError, match="label"):
        model(**given, label=1)
    del model.forward
    with pytest.raises(TypeError, match="Did you mean 'labels'"):
        model(**given, label=1)

    def widened(self, *args, **kwargs):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = type(self).forward(self, *args, **kwargs)
        return type(output)({key: value.float() for key, value in output.items()})

    model.forward = types.MethodType(widened, model)
    found = model(**given)
    assert type(found) is type(expected)
    assert found.logits.dtype == torch.float32

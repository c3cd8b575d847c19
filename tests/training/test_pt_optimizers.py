"""What PyTorch's side of the optimizers does beyond the steps themselves, which tests/equivalence compares."""

import copy

import numpy as np
import torch

from lxmert.training.pt.optimizers import BertAdam, load_optimizer_state, make_optimizer, optimizer_state
from tests.inputs import Sizes
from tests.models import SMALLEST, labelled, new_pt, run_pt

NAME = "LxmertForPreTraining"
CONFIG = SMALLEST.replace(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def given(labels):
    """Inputs with some of the labels."""
    every = labelled(CONFIG, NAME, Sizes())
    return {key: x for key, x in every.items() if key in labels or key not in ("labels", "obj_labels", "ans")}


def step(model, optimizer, labels):
    optimizer.zero_grad()
    run_pt(model, given(labels)).loss.backward()
    optimizer.step()


def test_groups_of_adamw():
    """Biases and norms do not decay; with BertAdam everything does; what is frozen is not trained."""
    model = new_pt(CONFIG, "LxmertForQuestionAnswering", "float32")
    decayed, others = make_optimizer(model, "adamw", weight_decay=0.25).param_groups
    names = {id(values): parameter.name for parameter, values in model.weights_by_name()}
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.25, 0.0)
    assert all(names[id(p)].endswith(".weight") and "norm" not in names[id(p)] for p in decayed["params"])
    assert all(names[id(p)].endswith(".bias") or "norm" in names[id(p)] for p in others["params"])
    (group,) = make_optimizer(model, "bert_adam", weight_decay=0.25).param_groups
    assert len(group["params"]) == len(decayed["params"]) + len(others["params"])
    assert all(p.requires_grad for p in group["params"])
    assert len(group["params"]) < len(names)


def test_a_parameter_without_a_gradient_keeps_its_own_count_of_steps():
    """As where a head joins later. What is loaded goes on to the last bit like what was not interrupted."""
    for kind in ("bert_adam", "adamw"):
        model = new_pt(CONFIG, NAME, "float64")
        optimizer = make_optimizer(model, kind, 1e-2)
        before = model.heads.answer.out.weight.detach().clone()
        step(model, optimizer, ("labels", "obj_labels"))
        assert torch.equal(model.heads.answer.out.weight, before)
        step(model, optimizer, ("labels", "obj_labels", "ans"))
        state = optimizer_state(model, optimizer)
        assert int(state["step"]) == 2
        assert int(state["step.heads.answer.out.weight"]) == 1
        other = new_pt(CONFIG, NAME, "float64")
        other.load_state_dict(model.state_dict())
        resumed = make_optimizer(other, kind, 1e-2)
        load_optimizer_state(other, resumed, state)
        for _ in range(2):
            step(model, optimizer, ("labels", "obj_labels", "ans"))
            step(other, resumed, ("labels", "obj_labels", "ans"))
        for name, values in model.state_dict().items():
            assert torch.equal(values, other.state_dict()[name]), name


def test_a_state_does_not_share_memory_with_the_optimizer():
    model = new_pt(CONFIG, NAME, "float32")
    optimizer = make_optimizer(model, "adamw", 1e-2)
    fresh = optimizer_state(model, optimizer)
    assert int(fresh["step"]) == 0
    assert not any(values.any() for values in fresh.values())
    step(model, optimizer, ("labels",))
    state = optimizer_state(model, optimizer)
    kept = {name: values.copy() for name, values in state.items()}
    load_optimizer_state(model, optimizer, state)
    step(model, optimizer, ("labels",))
    for name, values in state.items():
        np.testing.assert_array_equal(values, kept[name])


def test_a_closure_and_pytorchs_own_state():
    weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = BertAdam([weight], lr=0.5, weight_decay=0.0)

    def closure():
        optimizer.zero_grad()
        loss = (weight * 2).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 6
    expected = 1 - 0.5 * 0.2 / ((0.001 * 4) ** 0.5 + 1e-6)
    assert abs(weight[0].item() - expected) < 1e-14
    same = torch.nn.Parameter(weight.detach().clone())
    other = BertAdam([same])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # it shares the tensors that it is given
    optimizer.step(closure)
    same.grad = torch.full_like(same, 2.0)
    other.step()
    assert torch.equal(weight, same)

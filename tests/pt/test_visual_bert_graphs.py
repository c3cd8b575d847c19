"""The PyTorch VisualBERT models under torch.compile and torch.export."""

import pytest
import torch

import lxmert.pt
from tests.small_visual_bert import (
    ALIGNING,
    ANSWERING,
    CHOOSING,
    MODEL,
    NAMES,
    TASKS,
    small_config,
    small_inputs,
    small_labels,
    small_options,
)

from .tensors import flat, tensors

every_name = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(autouse=True)
def _no_graphs_of_other_tests():
    torch.compiler.reset()


def make(name, **changes):
    return getattr(lxmert.pt, name)(small_config(**changes)).eval()


def inputs(name, *sizes):
    return tensors({**small_inputs(name, *sizes), **small_options(name, *sizes)})


def close(found, expected):
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


# "aot_eager" traces forward and backward as the default engine does, and leaves out its minutes of C++.
@every_name
@pytest.mark.parametrize("options", ["none", "all"])
def test_compile_takes_the_model_as_one_graph(name, options):
    model, x = make(name, bypass_transformer=options == "all"), tensors(small_inputs(name))
    asked = {}
    if options == "all":
        x, asked = inputs(name), dict(output_attentions=True, output_hidden_states=True)
    graph = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        output = graph(**x, **asked)
        assert output.keys() == model(**x, **asked).keys()
        close(output, model(**x, **asked))


@pytest.mark.parametrize("name", TASKS)
def test_compile_trains(name):
    model, x, labels = make(name), inputs(name), tensors(small_labels(name))

    def loss(**given):
        return model(**given).loss

    def gradients(function):
        model.zero_grad()
        value = function(**x, **labels)
        value.backward()
        return [value.detach()] + [p.grad.clone() for p in model.parameters() if p.grad is not None]

    close(gradients(torch.compile(loss, fullgraph=True, backend="aot_eager")), gradients(loss))


# PyTorch's own compiler still imports what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_the_default_compiler():
    model, x = make(ANSWERING), inputs(ANSWERING)
    with torch.no_grad():
        close(torch.compile(model, fullgraph=True)(**x), model(**x))


@every_name
def test_export_with_free_sizes(name):
    model, x = make(name), tensors(small_inputs(name))
    most = {"batch": 64, "choices": 9, "length": 8, "regions": 99, "phrases": 99}
    free = {size: torch.export.Dim(size, min=1, max=end) for size, end in most.items()}

    def dims(key):
        lead = ("batch", "choices") if name == CHOOSING else ("batch",)
        last = "regions" if key.startswith("visual") else "phrases" if key.startswith("region") else "length"
        return {axis: free[size] for axis, size in enumerate((*lead, last))}

    program = torch.export.export(model, (), x, dynamic_shapes={key: dims(key) for key in x})
    for sizes in ((3, 3, 4), (5, 8, 2)):
        other = tensors(small_inputs(name, *sizes))
        if name == ALIGNING:
            other["region_to_phrase_position"] = other["region_to_phrase_position"][:, :3]
        if name == CHOOSING:
            other = {key: values[:, :2] for key, values in other.items()}
        with torch.no_grad():
            close(program.module()(**other), model(**other))


@pytest.mark.parametrize("name", [MODEL, ALIGNING])
def test_export_keeps_the_output_class(name, tmp_path):
    model, x = make(name), inputs(name)
    torch.export.save(torch.export.export(model, (), x), tmp_path / "model.pt2")
    output = torch.export.load(tmp_path / "model.pt2").module()(**x)
    assert type(output) is type(model(**x))
    close(output, model(**x))

"""The PyTorch models under torch.compile and torch.export."""

import pytest
import torch

import lxmert.pt
from tests.small import NAMES, TASKS, is_visual_bert, small_config, small_inputs, small_labels, small_options

from .tensors import flat, tensors

ANSWERING = "LxmertForQuestionAnswering"
# The classes that stand for the others in every run: of each model the one with most heads, and one of another shape.
SOME = (
    "LxmertForPreTraining",
    "LxmertForVisualReasoning",
    "VisualBertForMultipleChoice",
    "VisualBertForRegionToPhraseAlignment",
)


def rest_is_full(names, always=SOME):
    """Tracing takes seconds: in every run some classes, all others in `make test-all`."""
    return [pytest.param(name, marks=() if name in always else pytest.mark.full) for name in names]


@pytest.fixture(autouse=True)
def _no_graphs_of_other_tests():
    torch.compiler.reset()


def make(name, **changes):
    return getattr(lxmert.pt, name)(small_config(name, **changes)).eval()


def inputs(name, *sizes):
    return tensors({**small_inputs(name, *sizes), **small_options(name, *sizes)})


def close(found, expected):
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


# "aot_eager" traces forward and backward as the default engine does, and leaves out its minutes of C++.
@pytest.mark.parametrize(
    ("name", "every"),
    [
        *(pytest.param(*name.values, True, marks=name.marks) for name in rest_is_full(NAMES)),
        (SOME[0], False),
        pytest.param(SOME[2], False, marks=pytest.mark.full),
    ],
)
def test_compile_takes_the_model_as_one_graph(name, every):
    changes = {"bypass_transformer": every} if is_visual_bert(name) else {}
    model, x = make(name, **changes), inputs(name) if every else tensors(small_inputs(name))
    asked = dict(output_attentions="all", output_hidden_states=True) if every else {}
    graph = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        output = graph(**x, **asked)
        assert list(output) == list(model(**x, **asked))
        close(output, model(**x, **asked))


@pytest.mark.parametrize("name", rest_is_full(TASKS, (SOME[0], SOME[3])))
def test_compile_trains(name):
    model, x, labels = make(name).train(), inputs(name), tensors(small_labels(name))

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
@pytest.mark.full
def test_the_default_compiler():
    model, x = make(ANSWERING), inputs(ANSWERING)
    with torch.no_grad():
        close(torch.compile(model, fullgraph=True)(**x), model(**x))


# The words may be as many as there are positions, and all else any number.
FREE = {size: torch.export.Dim(size, min=1) for size in ("batch", "choices", "regions", "phrases")}
FREE["length"] = torch.export.Dim("length", min=1, max=8)


def free_axes(name, key):
    """The axes of an input that may have any size."""
    if name == "LxmertForVisualReasoning" and key.startswith("visual"):
        return {0: FREE["batch"], 2: FREE["regions"]}  # the two images lie between
    lead = ("batch", "choices") if name == "VisualBertForMultipleChoice" else ("batch",)
    last = "regions" if key.startswith("visual") else "phrases" if key.startswith("region") else "length"
    return {axis: FREE[size] for axis, size in enumerate((*lead, last))}


@pytest.mark.parametrize("name", rest_is_full(NAMES, SOME[1:3]))
def test_export_with_free_sizes(name, tmp_path):
    """And the exported model keeps the class of its output in a file."""
    model, x = make(name), tensors(small_inputs(name))
    program = torch.export.export(model, (), x, dynamic_shapes={key: free_axes(name, key) for key in x})
    torch.export.save(program, tmp_path / "model.pt2")
    program = torch.export.load(tmp_path / "model.pt2")
    for sizes in ((3, 3, 4), (5, 8, 2), (300, 8, 60)):  # for the last, the CPU kernels would be used
        other = tensors(small_inputs(name, *sizes))
        if "region_to_phrase_position" in other:
            other["region_to_phrase_position"] = other["region_to_phrase_position"][:, :3]
        if name == "VisualBertForMultipleChoice":
            other = {key: values[:, :2] for key, values in other.items()}
        with torch.no_grad():
            output, expected = program.module()(**other), model(**other)
        assert type(output) is type(expected)
        close(output, expected)


# PyTorch's own compiler still imports what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
@pytest.mark.full
def test_ahead_of_time_compilation(tmp_path):
    name = ANSWERING
    model, x = make(name), tensors(small_inputs(name))
    program = torch.export.export(model, (), x, dynamic_shapes={key: free_axes(name, key) for key in x})
    path = torch._inductor.aoti_compile_and_package(program, package_path=str(tmp_path / "model.pt2"))
    compiled = torch._inductor.aoti_load_package(path)
    for sizes in ((2, 5, 7), (300, 8, 60)):
        other = tensors(small_inputs(name, *sizes))
        output = compiled(**other)
        assert type(output) is type(model(**other))
        with torch.no_grad():
            close(output, model(**other))

"""The PyTorch models under torch.compile and torch.export."""

import pytest
import torch

from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering, LxmertForVisualReasoning, LxmertModel
from tests.small_lxmert import small_config

from .tensors import flat, inputs, labels_of

KINDS = (LxmertModel, LxmertForPreTraining, LxmertForQuestionAnswering, LxmertForVisualReasoning)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@pytest.fixture(autouse=True)
def _no_graphs_of_other_tests():
    torch.compiler.reset()


def close(found, expected):
    for a, b in zip(flat(found), flat(expected), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


# "aot_eager" traces forward and backward as the default engine does, and leaves out its minutes of C++.
@every_kind
def test_compile_takes_the_model_as_one_graph(kind):
    model, x = kind(small_config()).eval(), inputs(architecture=kind.__name__)
    graph = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        output = graph(**x)
        assert output.keys() == model(**x).keys()
        close(output, model(**x))


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.__name__)
def test_compile_trains(kind):
    name = kind.__name__
    model, x, labels = kind(small_config()), inputs(architecture=name), labels_of(name)

    def loss(**given):
        return model(**given).loss

    def gradients(function):
        model.zero_grad()
        value = function(**x, **labels)
        value.backward()
        return [value.detach()] + [p.grad.clone() for p in model.parameters() if p.grad is not None]

    close(gradients(torch.compile(loss, fullgraph=True, backend="aot_eager")), gradients(loss))


def test_compile_gives_states_and_maps():
    model, x = LxmertForQuestionAnswering(small_config()).eval(), inputs()
    options = dict(output_attentions="all", output_hidden_states=True)
    graph = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        close(graph(**x, **options), model(**x, **options))


# PyTorch's own compiler still imports what PyTorch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_the_default_compiler():
    model, x = LxmertForQuestionAnswering(small_config()).eval(), inputs()
    with torch.no_grad():
        close(torch.compile(model, fullgraph=True)(**x), model(**x))


@every_kind
def test_export_with_free_batch_length_and_regions(kind):
    model, name = kind(small_config()).eval(), kind.__name__
    x = inputs(3, 5, 7, architecture=name)
    batch, length, regions = (
        torch.export.Dim(name, min=1, max=most) for name, most in (("B", 64), ("L", 8), ("R", 99))
    )
    behind = 2 if kind is LxmertForVisualReasoning else 1  # there the two images lie between
    shapes = {key: {0: batch, behind: regions} if key.startswith("visual") else {0: batch, 1: length} for key in x}
    program = torch.export.export(model, (), x, dynamic_shapes=shapes)
    for sizes in ((2, 3, 4), (5, 8, 2)):
        with torch.no_grad():
            given = inputs(*sizes, architecture=name)
            close(program.module()(**given), model(**given))


def test_export_keeps_the_output_class(tmp_path):
    model, x = LxmertForQuestionAnswering(small_config()).eval(), inputs()
    torch.export.save(torch.export.export(model, (), x), tmp_path / "model.pt2")
    output = torch.export.load(tmp_path / "model.pt2").module()(**x)
    assert type(output) is type(model(**x))
    close(output, model(**x))

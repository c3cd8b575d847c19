"""PyTorch against `transformers`, an independent program, from one set of weights: where the two are to agree."""

from functools import cache

import pytest
import torch
import transformers

import lxmert.pt
from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import MASKS, Sizes, inputs, labels
from tests.models import CASES, DTYPES, SMALLEST, gradients_pt, pt_model, run_pt, weight
from tests.pairwise import under_masks

CLASSES = ("LxmertModel", "LxmertForPreTraining", "LxmertForQuestionAnswering")  # it has no visual reasoning
TASKS = CLASSES[1:]
SIZES = Sizes()


@cache
def theirs(config, name, dtype):
    """The model of `transformers` with the weights of ours, in evaluation."""
    model = getattr(transformers, name)(transformers.LxmertConfig(**config.to_dict())).to(getattr(torch, dtype)).eval()
    state = model.state_dict()
    for parameter, _ in pt_model(config, name, dtype).weights_by_name():
        state[HUGGING_FACE.key(parameter, nested=name != "LxmertModel")].copy_(torch.from_numpy(weight(parameter)))
    return model


def run_theirs(model, given, **options):
    """Their outputs. Their sum of losses starts as a number of the default format, and would be rounded to that."""
    torch.set_default_dtype(model.dtype)
    try:
        return run_pt(model, given, **options)
    finally:
        torch.set_default_dtype(torch.float32)


def gradients_theirs(config, name, dtype, given):
    """Their outputs, and their gradients under our names."""
    model = theirs(config, name, dtype)
    output = run_theirs(model, given)
    trained = [p for p, values in pt_model(config, name, dtype).weights_by_name() if values.requires_grad]
    tensors = [model.get_parameter(HUGGING_FACE.key(p, nested=True)) for p in trained]
    found = torch.autograd.grad(output.loss, tensors, allow_unused=True)
    return output, dict(zip([p.name for p in trained], found, strict=True))


@pytest.mark.parametrize(("name", "case", "masks", "dtype"), under_masks(CASES, *CLASSES))
def test_outputs_agree(name, case, masks, dtype):
    config, sizes = CASES[case]
    given = inputs(config, sizes, masks)
    if name != "LxmertModel":
        every = labels(config, sizes)
        given |= every if name == "LxmertForPreTraining" else {"labels": every["ans"]}
    asked = dict(output_attentions=True, output_hidden_states=True)
    expected = dict(run_theirs(theirs(config, name, dtype), given, **asked).items())
    if name == "LxmertForPreTraining" and not config.task_qa:
        # Theirs gives a number of the pooled output in place of the score that there is no head for.
        assert expected.pop("question_answering_score").ndim == 0
    found = dict(run_pt(pt_model(config, name, dtype), given, **asked).items())
    assert_same(found, expected, tolerances.OUTPUTS[dtype])


@pytest.mark.parametrize(
    ("name", "case", "masks", "dtype"),
    [row for row in under_masks(CASES, *TASKS) if "row" not in MASKS[row.values[2]]],
)
def test_gradients_agree(name, case, masks, dtype):
    """But where a whole row is masked: see test_differences.py."""
    config, sizes = CASES[case]
    every = labels(config, sizes)
    given = inputs(config, sizes, masks) | (every if name == "LxmertForPreTraining" else {"labels": every["ans"]})
    _, expected = gradients_theirs(config, name, dtype, given)
    _, found = gradients_pt(pt_model(config, name, dtype), given)
    assert_same_gradients(found, expected, tolerances.GRADIENTS[dtype])


ALL = labels(SMALLEST, SIZES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("asked", [*ALL, "all but objects"])
def test_losses_agree(asked, dtype):
    given = {
        name: values for name, values in ALL.items() if name == asked or (asked not in ALL and name != "obj_labels")
    }
    given |= inputs(SMALLEST, SIZES)
    name = "LxmertForPreTraining"
    expected, expected_gradients = gradients_theirs(SMALLEST, name, dtype, given)
    output, found = gradients_pt(pt_model(SMALLEST, name, dtype), given)
    assert_same(output, expected, tolerances.OUTPUTS[dtype])
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS[dtype])


@pytest.mark.parametrize("name", CLASSES)
def test_tuples_have_their_order(name):
    given = inputs(SMALLEST, SIZES)
    if name != "LxmertModel":
        given |= ALL if name == "LxmertForPreTraining" else {"labels": ALL["ans"]}
    ours, other = pt_model(SMALLEST, name, "float64"), theirs(SMALLEST, name, "float64")
    for asked in ({}, {"output_attentions": True}, {"output_hidden_states": True, "output_attentions": True}):
        expected = run_theirs(other, given, return_dict=False, **asked)
        assert_same(run_pt(ours, given, return_dict=False, **asked), expected, tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize("name", CLASSES)
def test_folders_go_both_ways(name, tmp_path):
    """What either side saves, the other loads, with nothing missing and nothing left over."""
    given = inputs(SMALLEST, SIZES)
    ours, other = pt_model(SMALLEST, name, "float32"), theirs(SMALLEST, name, "float32")
    expected = run_pt(ours, given)
    ours.save_pretrained(tmp_path / "ours")
    loaded, report = getattr(transformers, name).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    assert_same(run_pt(loaded.eval(), given), expected, tolerances.OUTPUTS["float32"])
    other.save_pretrained(tmp_path / "theirs")
    again = getattr(lxmert.pt, name).from_pretrained(tmp_path / "theirs")
    assert not again.load_report.new
    assert not again.load_report.unexpected
    assert_same(run_pt(again, given), expected, tolerances.OUTPUTS["float32"])


@pytest.mark.parametrize("name", CLASSES)
def test_inputs_embeds_agree(name):
    ours, other = pt_model(SMALLEST, name, "float64"), theirs(SMALLEST, name, "float64")
    given = inputs(SMALLEST, SIZES)
    words = ours.get_input_embeddings().weight.detach().numpy()
    given["inputs_embeds"] = words[given.pop("input_ids")]
    assert_same(run_pt(ours, given), run_pt(other, given), tolerances.OUTPUTS["float64"])


def test_fresh_weights_are_drawn_alike():
    """Normal with the same spread, the same rows and biases 0, the same norms 1."""
    torch.manual_seed(0)
    config = SMALLEST.replace(hidden_size=96, vocab_size=500)
    ours = lxmert.pt.LxmertForPreTraining(config)
    other = transformers.LxmertForPreTraining(transformers.LxmertConfig(**config.to_dict()))
    for parameter, values in ours.weights_by_name():
        their_values = other.get_parameter(HUGGING_FACE.key(parameter, nested=True))
        for tensor in (values, their_values):
            if parameter.leaf.torch == "weight" and parameter.kind in ("dense", "embedding"):
                spread = tensor[1:].std() if parameter.kind == "embedding" else tensor.std()
                assert abs(float(spread.detach()) / config.initializer_range - 1) < 0.25
                assert parameter.kind == "dense" or not tensor[0].any()
            else:
                expected = torch.ones_like(tensor) if parameter.leaf.torch == "weight" else torch.zeros_like(tensor)
                assert torch.equal(tensor, expected), parameter.name

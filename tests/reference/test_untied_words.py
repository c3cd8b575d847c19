"""PyTorch against `transformers` with `tie_word_embeddings=False`: a word head with a decoder of its own."""

import pytest
import torch
import transformers

from lxmert.common.config import LxmertConfig
from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.models import CASES, DTYPES, VISUAL_BERT_CASES, gradients_pt, labelled, pt_model, run_pt, weight

LXMERT, VISUAL_BERT = "LxmertForPreTraining", "VisualBertForPreTraining"
UNTIED = [
    (name, config.replace(tie_word_embeddings=False), sizes)
    for name, config, sizes in (
        (LXMERT, *CASES["smallest"]),
        (LXMERT, *CASES["deep"]),
        (VISUAL_BERT, *VISUAL_BERT_CASES["smallest"]),
        (VISUAL_BERT, *VISUAL_BERT_CASES["deep"]),
    )
]
WORD_BIAS, DECODER_BIAS = "heads.word.bias", "cls.predictions.decoder.bias"


def their_name(model, parameter):
    """Their name of a parameter. Untied, their VisualBERT adds the decoder's bias and leaves the other one unused."""
    used = parameter.name == WORD_BIAS and DECODER_BIAS in model.state_dict()
    return DECODER_BIAS if used else HUGGING_FACE.key(parameter, nested=True)


def theirs(config, name, dtype):
    """The model of `transformers` with the weights of ours, in evaluation."""
    kind = transformers.LxmertConfig if isinstance(config, LxmertConfig) else transformers.VisualBertConfig
    model = getattr(transformers, name)(kind(**config.to_dict())).to(getattr(torch, dtype)).eval()
    assert model.get_output_embeddings() is None or (
        model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    )
    state = model.state_dict()
    for parameter, _ in pt_model(config, name, dtype).weights_by_name():
        state[their_name(model, parameter)].copy_(torch.from_numpy(weight(parameter)))
    return model


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "config", "sizes"), UNTIED)
def test_outputs_and_gradients_agree(name, config, sizes, dtype):
    ours, other = pt_model(config, name, dtype), theirs(config, name, dtype)
    given = labelled(config, name, sizes)
    torch.set_default_dtype(other.dtype)  # their sum of losses starts as a number of the default format
    try:
        expected = run_pt(other, given, output_hidden_states=True)
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(run_pt(ours, given, output_hidden_states=True), dict(expected.items()), tolerances.OUTPUTS[dtype])
    named = list(ours.weights_by_name())
    slopes = torch.autograd.grad(expected.loss, [other.get_parameter(their_name(other, p)) for p, _ in named])
    _, found = gradients_pt(ours, given)
    assert_same_gradients(
        found, {p.name: x for (p, _), x in zip(named, slopes, strict=True)}, tolerances.GRADIENTS[dtype]
    )
    assert found["heads.word.decoder.weight"].any()


def test_lxmert_folders_go_both_ways(tmp_path):
    name, config, sizes = UNTIED[0]
    ours, other = pt_model(config, name, "float32"), theirs(config, name, "float32")
    given = labelled(config, name, sizes)
    ours.save_pretrained(tmp_path / "ours")
    loaded, report = getattr(transformers, name).from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    assert loaded.config.tie_word_embeddings is False
    assert_same(dict(run_pt(loaded.eval(), given).items()), run_pt(ours, given), tolerances.OUTPUTS["float32"])
    other.save_pretrained(tmp_path / "theirs")
    again = type(ours).from_pretrained(tmp_path / "theirs")
    assert again.config.untied_words
    assert again.load_report.new == again.load_report.unexpected == ()
    assert_same(run_pt(again, given), run_pt(ours, given), tolerances.OUTPUTS["float32"])

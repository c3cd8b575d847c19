"""Files with an untied decoder, or without any decoder: we read them as transformers 5 does, and it reads ours."""

import logging
import warnings
from contextlib import contextmanager, nullcontext

import numpy as np
import pytest
import torch
import transformers

import lxmert.pt
import lxmert.tf
from lxmert import CheckpointMismatchError, convert
from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes, inputs
from tests.models import run_pt, run_tf
from tests.visual_bert_inputs import visual_bert_inputs
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, make_folder, read_folder, tensors_of

LXMERT, OTHER = "LxmertForPreTraining", "VisualBertForPreTraining"
CONFIGS = {LXMERT: CONFIG, OTHER: VISUAL_BERT}
WORDS = {LXMERT: "lxmert.embeddings.word_embeddings.weight", OTHER: "visual_bert.embeddings.word_embeddings.weight"}
DECODER, DECODER_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"


def some_inputs(name):
    given = inputs(CONFIG, Sizes()) if name == LXMERT else visual_bert_inputs(VISUAL_BERT, Sizes())
    return {key: x for key, x in given.items() if isinstance(x, np.ndarray)}


def of_transformers(name, folder):
    """Their model, which says in its log what it finds in the file."""
    logging.getLogger("transformers").setLevel(logging.CRITICAL)
    return getattr(transformers, name).from_pretrained(folder).double().eval()


@contextmanager
def expecting_untied_warning(name):
    said = rf"holds {DECODER} with other values than {WORDS[name]}; the model gets both: tie_word_embeddings=False\.$"
    with pytest.warns(UserWarning, match=said):
        yield


def ours(name, folder):
    yield getattr(lxmert.pt, name).from_pretrained(folder, dtype=torch.float64), run_pt
    yield getattr(lxmert.tf, f"TF{name}").from_pretrained(folder, dtype="float64"), run_tf


def other_values(shape):
    return np.random.default_rng(5).standard_normal(shape).astype("f4")


@pytest.mark.parametrize(
    ("name", "own_bias"),
    [(LXMERT, False), (OTHER, False), (OTHER, True)],  # their LXMERT's decoder has no bias of its own
)
@pytest.mark.parametrize("stated", [True, False], ids=["from the values", "from the configuration"])
def test_a_decoder_of_its_own(name, own_bias, stated, tmp_path):
    changed = {DECODER: other_values((23, 12))}
    if name == OTHER:
        changed[DECODER_BIAS] = other_values(23) if own_bias else tensors_of(name)["cls.predictions.bias"]
    folder = make_folder(tmp_path / "source", name, CONFIGS[name].replace(tie_word_embeddings=stated), **changed)
    given = some_inputs(name)
    expected = run_pt(of_transformers(name, folder), given).prediction_logits
    with expecting_untied_warning(name) if stated else nullcontext():
        models = list(ours(name, folder))
    for model, run in models:
        assert not model.config.tie_word_embeddings
        assert_same(run(model, given).prediction_logits, expected, tolerances.OUTPUTS["float64"])
    # What is written is read there alike.
    with expecting_untied_warning(name) if stated else nullcontext():
        convert(folder, tmp_path / "converted")
    for model, run in models:
        model.save_pretrained(tmp_path / run.__name__)
    for written in ("converted", "run_pt", "run_tf"):
        again = run_pt(of_transformers(name, tmp_path / written), given).prediction_logits
        assert_same(again, expected, tolerances.OUTPUTS["float64"])
        assert np.array_equal(read_folder(tmp_path / written)[DECODER], changed[DECODER])


@pytest.mark.parametrize("name", [LXMERT, OTHER])
@pytest.mark.parametrize("held", ["both, equal", "the word embedding", "the decoder"])
def test_one_matrix(name, held, tmp_path):
    words = tensors_of(name)[WORDS[name]]
    changed = {
        "both, equal": {DECODER: words.copy()},
        "the word embedding": {},
        "the decoder": {DECODER: words, WORDS[name]: None},
    }[held]
    folder = make_folder(tmp_path, name, **changed)
    given = some_inputs(name)
    expected = run_pt(of_transformers(name, folder), given).prediction_logits
    for model, run in ours(name, folder):
        assert model.config.tie_word_embeddings
        assert model.load_report.unexpected == ()
        assert_same(run(model, given).prediction_logits, expected, tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize("name", [LXMERT, OTHER])
def test_no_warning_where_the_decoder_is_not_used(name, tmp_path):
    folder = make_folder(tmp_path, name, **{DECODER: other_values((23, 12))})
    backbone = name.replace("ForPreTraining", "Model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = getattr(lxmert.pt, backbone).from_pretrained(folder)
        assert DECODER in model.load_report.unexpected
        # tie_word_embeddings=True is an error where the file has two different matrices.
        with pytest.raises(CheckpointMismatchError, match=rf"{DECODER} \[23, 12\] next to .* with other values"):
            getattr(lxmert.pt, name).from_pretrained(folder, tie_word_embeddings=True)
        untied = getattr(lxmert.pt, name).from_pretrained(folder, tie_word_embeddings=False)
    assert np.array_equal(untied.heads.word.decoder.weight.detach().numpy(), other_values((23, 12)))


@pytest.mark.parametrize("name", [LXMERT, OTHER])
def test_untying_a_tied_file(name, tmp_path):
    """The new decoder starts as a copy of the word embedding."""
    model = getattr(lxmert.pt, name).from_pretrained(make_folder(tmp_path, name), tie_word_embeddings=False)
    words, decoder = model.get_input_embeddings().weight, model.heads.word.decoder.weight
    assert decoder is not words
    assert torch.equal(decoder, words)
    assert model.load_report.new == ()

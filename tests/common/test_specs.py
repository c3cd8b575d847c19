"""The declared arguments, ranges, labels and scores of every class against the models of both backends."""

import dataclasses
import inspect

import numpy as np
import pytest
import torch
import transformers

import lxmert.pt
import lxmert.tf
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import DETECTORS, LXMERT_INPUTS, SPECS, VISUAL_BERT_INPUTS, input_shapes, value_ranges
from lxmert.common.validation.shared import Range
from lxmert.inference.verify import random_inputs
from lxmert.weights.naming.tables import MODELS
from tests.weights.weight_folders import CONFIG_OF

OPTIONS = ("output_attentions", "output_hidden_states", "return_dict")
INPUTS = {"lxmert": LXMERT_INPUTS, "visual_bert": VISUAL_BERT_INPUTS}
KEYWORDS = {
    "VisualBertModel": (*VISUAL_BERT_INPUTS, *OPTIONS, "output_positions"),
    "VisualBertForPreTraining": (*VISUAL_BERT_INPUTS, *OPTIONS, "labels", "sentence_image_labels"),
    "VisualBertForMultipleChoice": (*VISUAL_BERT_INPUTS, *OPTIONS, "labels"),
    "VisualBertForQuestionAnswering": (*VISUAL_BERT_INPUTS, *OPTIONS, "labels"),
    "VisualBertForVisualReasoning": (*VISUAL_BERT_INPUTS, *OPTIONS, "labels"),
    "VisualBertForRegionToPhraseAlignment": (*VISUAL_BERT_INPUTS, *OPTIONS, "region_to_phrase_position", "labels"),
}


@pytest.mark.parametrize(("name", "expected"), KEYWORDS.items())
def test_arguments_in_order(name, expected):
    """Those of the contract, and of `transformers`, which lets the labels come last too."""
    assert getattr(lxmert.pt, name).keywords() == getattr(lxmert.tf, f"TF{name}").keywords() == expected
    theirs = inspect.signature(getattr(transformers, name).forward).parameters
    there = [key for key in expected if key in theirs]
    # The first is gone from their version 5, the second is of this package.
    assert set(expected) - set(there) - {"output_positions"} == {"head_mask"}
    assert [key for key in theirs if key in SPECS[name].labels or key in VISUAL_BERT_INPUTS] == [
        key for key in there if key in SPECS[name].labels or key in VISUAL_BERT_INPUTS
    ]


@pytest.mark.parametrize("name", CONFIG_OF)
def test_what_is_declared_exists(name):
    config = CONFIG_OF[name]
    known = set(getattr(lxmert.pt, name).keywords()) & set(getattr(lxmert.tf, f"TF{name}").keywords())
    assert set(INPUTS[config.model_type]) <= known
    assert set(SPECS[name].labels) <= known
    assert set(value_ranges(config, name)) <= known
    assert set(input_shapes(config, name)) <= known
    assert not set(input_shapes(config, name)) & set(SPECS[name].labels)
    fields = {f.name for f in dataclasses.fields(SPECS[name].output)}
    assert SPECS[name].scores in fields
    assert ("loss" in fields) == bool(SPECS[name].labels)


def test_every_class_has_a_row():
    assert set(SPECS) == set(CONFIG_OF)
    assert {spec.model for spec in SPECS.values()} == set(INPUTS)
    assert {spec.model for spec in (*SPECS.values(), *DETECTORS.values())} == set(MODELS)
    for config in set(CONFIG_OF.values()):
        assert isinstance(config, ModelConfig)
        assert all(type(getattr(config, field)) is int for field in MODELS[config.model_type].layers)


WORDS, POSITIONS, TYPES, LABELS_OF, MATCH = (
    Range(23, ignored=True),
    Range(9),
    Range(3),
    Range(5, ignored=True),
    Range(2, ignored=True),
)
SHARED = {
    "input_ids": Range(23),
    "token_type_ids": TYPES,
    "position_ids": POSITIONS,
    "visual_token_type_ids": TYPES,
    "image_text_alignment": Range(9, lowest=-1),
}


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("VisualBertModel", {}),
        ("VisualBertForPreTraining", {"labels": WORDS, "sentence_image_labels": MATCH}),
        ("VisualBertForMultipleChoice", {}),  # as many as there are choices, or positions, in a call
        ("VisualBertForQuestionAnswering", {"labels": LABELS_OF}),
        ("VisualBertForVisualReasoning", {"labels": LABELS_OF}),
        ("VisualBertForRegionToPhraseAlignment", {}),
    ],
)
def test_ranges(name, labels):
    assert value_ranges(CONFIG_OF[name], name) == SHARED | labels


@pytest.mark.parametrize("name", CONFIG_OF)
def test_a_model_runs_on_what_is_declared(name):
    """Inputs of the declared shapes and kinds, and nothing else, give the declared scores."""
    config = CONFIG_OF[name]
    inputs = random_inputs(config, name)
    assert list(inputs) == list(input_shapes(config, name))
    for key, (letters, kind, _) in input_shapes(config, name).items():
        assert inputs[key].ndim == len(letters)
        assert inputs[key].dtype == ("float32" if kind == "float" else "int64")
        wanted = [
            size if isinstance(letter, str) else letter for size, letter in zip(inputs[key].shape, letters, strict=True)
        ]
        assert list(inputs[key].shape) == wanted
    for key, allowed in value_ranges(config, name).items():
        if key in inputs:
            assert allowed.lowest <= inputs[key].min() <= inputs[key].max() < allowed.end
    model = getattr(lxmert.pt, name)(config).eval()
    with torch.no_grad():
        output = model(**{key: torch.from_numpy(value) for key, value in inputs.items()})
    keras_output = getattr(lxmert.tf, f"TF{name}")(config)(**inputs)
    assert type(output) is type(keras_output) is SPECS[name].output
    scores, keras_scores = output[SPECS[name].scores], np.asarray(keras_output[SPECS[name].scores])
    assert tuple(scores.shape) == keras_scores.shape
    assert np.isfinite(scores.numpy()).all()
    assert np.isfinite(keras_scores).all()

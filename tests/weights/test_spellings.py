"""The mappings: how each file format writes the names of the table, and what it is told by."""

from collections import Counter

import pytest

from lxmert import LxmertConfig, VisualBertConfig
from lxmert.common.specs import architectures
from lxmert.weights.naming.key_mapping import (
    HUGGING_FACE,
    HUGGING_FACE_TF,
    KERAS_H5,
    KEY_MAPPINGS,
    NATIVE,
    ORIGINAL,
    ORIGINAL_FINE_TUNED,
    ORIGINAL_VISUAL_BERT,
    layer_counts,
    parameters,
)
from lxmert.weights.naming.tables import LAYERS, every_head, head_names

from .weight_folders import CONFIG, VISUAL_BERT


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("config", "mapping"),
    [
        pytest.param(config, mapping, id=f"{config.model_type}, {mapping.title}")
        for config in (
            LxmertConfig(),
            LxmertConfig(l_layers=12, x_layers=11, r_layers=13),
            VisualBertConfig(num_hidden_layers=13, bypass_transformer=True),
        )
        for mapping in KEY_MAPPINGS[config.model_type]
    ],
)
def test_no_two_parameters_have_one_name(config, mapping, nested):
    for architecture in architectures(config.model_type):
        names = [mapping.key(p, nested) for p in parameters(config, head_names(architecture, config))]
        assert len(set(names)) == len(names)
        assert not {*names} & {*mapping.tied_copies()}
        assert not any(mapping.is_unused(name) for name in names)
    # Even of all heads together, but for the two that lie under one name of theirs.
    counted = Counter(mapping.key(p, nested) for p in parameters(config, every_head(config.model_type)))
    shared = {name for name, count in counted.items() if count > 1}
    if config.model_type == "visual_bert":
        theirs = {HUGGING_FACE: {"cls"}, ORIGINAL_VISUAL_BERT: {"bert.classifier"}}
    else:
        answer = {f"answer_head.logit_fc.{i}" for i in (0, 2, 3)}
        theirs = {HUGGING_FACE: answer, ORIGINAL: answer, ORIGINAL_FINE_TUNED: {f"logit_fc.{i}" for i in (0, 2, 3)}}
    expected = {f"{module}.{leaf}" for module in theirs.get(mapping, ()) for leaf in ("weight", "bias")}
    if mapping is HUGGING_FACE_TF:
        dense, norm = ("kernel", "bias"), ("gamma", "beta")
        parts = {f"answer_head/logit_fc_._{i}": norm if i == 2 else dense for i in (0, 2, 3)}
        expected = {f"{module}/{leaf}:0" for module, leaves in parts.items() for leaf in leaves}
    assert shared == expected


def test_how_each_format_writes_one_name():
    named = {p.name: p for p in parameters(CONFIG, every_head("lxmert"))}
    layer = named["language_layers.1.attention.query.weight"]
    first, bias = named["language_layers.0.attention.norm.bias"], named["heads.word.bias"]
    assert HUGGING_FACE.key(layer, True) == "lxmert.encoder.layer.1.attention.self.query.weight"
    assert HUGGING_FACE.key(layer, False) == "encoder.layer.1.attention.self.query.weight"
    assert ORIGINAL.key(layer, True) == "bert.encoder.layer.1.attention.self.query.weight"
    assert NATIVE.key(layer, True) == "backbone.language_layers.1.attention.query.weight"
    assert KERAS_H5.key(layer, True) == "backbone/language_layers/transformer_layer_1/attention/query/vars/0"
    assert KERAS_H5.key(first, False) == "language_layers/transformer_layer/attention/norm/vars/1"
    assert (HUGGING_FACE.key(bias, True), KERAS_H5.key(bias, True)) == ("cls.predictions.bias", "heads/word/vars/0")
    assert (layer.head, bias.head) == (None, "word")


@pytest.mark.parametrize(
    ("name", "theirs", "original", "keras"),
    [
        (
            "embeddings.visual_token_type.weight",
            "visual_bert.embeddings.visual_token_type_embeddings.weight",
            "bert.bert.embeddings.token_type_embeddings_visual.weight",
            "backbone/embeddings/visual_token_type/vars/0",
        ),
        (
            "embeddings.visual_position.weight",
            "visual_bert.embeddings.visual_position_embeddings.weight",
            "bert.bert.embeddings.position_embeddings_visual.weight",
            "backbone/embeddings/visual_position/vars/0",
        ),
        (
            "embeddings.feature.bias",
            "visual_bert.embeddings.visual_projection.bias",
            "bert.bert.embeddings.projection.bias",
            "backbone/embeddings/feature/vars/1",
        ),
        (
            "encoder_layers.1.feed_forward.norm.weight",
            "visual_bert.encoder.layer.1.output.LayerNorm.weight",
            "bert.bert.encoder.layer.1.output.LayerNorm.weight",
            "backbone/encoder_layers/transformer_layer_1/feed_forward/norm/vars/0",
        ),
        (
            "additional_layer.attention.out.weight",
            "visual_bert.additional_layer.attention.output.dense.weight",
            "bert.bert.additional_layer.attention.output.dense.weight",
            "backbone/additional_layer/attention/out/vars/0",
        ),
        ("heads.word.bias", "cls.predictions.bias", "bert.cls.predictions.bias", "heads/word/vars/0"),
        (
            "heads.match.bias",
            "cls.seq_relationship.bias",
            "bert.cls.seq_relationship.bias",
            "heads/match/vars/1",
        ),
        ("heads.classifier.weight", "cls.weight", "bert.classifier.weight", "heads/classifier/vars/0"),
        ("heads.choice.weight", "cls.weight", "bert.classifier.weight", "heads/choice/vars/0"),
        (
            "heads.alignment.query.weight",
            "attention.query.weight",
            "bert.flickr_attention.query.weight",
            "heads/alignment/query/vars/0",
        ),
    ],
)
def test_how_each_format_writes_a_name_of_visual_bert(name, theirs, original, keras):
    config = VISUAL_BERT.replace(bypass_transformer=True)
    parameter = next(p for p in parameters(config, every_head("visual_bert")) if p.name == name)
    mappings = (NATIVE, HUGGING_FACE, ORIGINAL_VISUAL_BERT, KERAS_H5)
    native = name if parameter.head else f"backbone.{name}"
    assert [mapping.key(parameter, True) for mapping in mappings] == [native, theirs, original, keras]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("config", "counts"),
    [
        (CONFIG, {"l_layers": 2, "r_layers": 3, "x_layers": 1}),
        (VISUAL_BERT.replace(bypass_transformer=True), {"num_hidden_layers": 2}),
    ],
)
def test_layers_are_counted_by_names(config, counts, nested):
    assert set(counts) == set(LAYERS[config.model_type])
    for mapping in KEY_MAPPINGS[config.model_type]:
        names = {mapping.key(p, nested) for p in parameters(config, ())}
        assert layer_counts(config.model_type, mapping, nested, names) == counts

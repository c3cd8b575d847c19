"""VisualBertConfig as a value: its fields, its checks, equality, copies, pruned heads by number, labels by name."""

import dataclasses
import json

import numpy as np
import pytest

from lxmert import LxmertConfig, VisualBertConfig
from lxmert.common.config import CONFIGS, config_class, config_from_dict
from lxmert.common.config.common_attributes import COMMON

# The contract: every name and default, in this order.
DEFAULTS = dict(
    vocab_size=30522,
    hidden_size=768,
    visual_embedding_dim=512,
    num_hidden_layers=12,
    num_attention_heads=12,
    intermediate_size=3072,
    hidden_act="gelu",
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    max_position_embeddings=512,
    type_vocab_size=2,
    initializer_range=0.02,
    layer_norm_eps=1e-12,
    bypass_transformer=False,
    special_visual_initialize=True,
    pad_token_id=1,
    bos_token_id=0,
    eos_token_id=2,
    num_labels=2,
)
# What every model of theirs has, and LXMERT's configuration here too.
BESIDE = dict(output_attentions=False, output_hidden_states=False, return_dict=True)
OTHER = {
    name: not value if isinstance(value, bool) else "relu" if isinstance(value, str) else value / 2 if value < 1 else 7
    for name, value in DEFAULTS.items()
} | {"hidden_size": 21, "pad_token_id": 5, "bos_token_id": 3, "eos_token_id": None}
FIRST, SECOND, ADDITIONAL = "encoder_layers.0.attention", "encoder_layers.1.attention", "additional_layer.attention"


def test_defaults():
    config = VisualBertConfig()
    assert {name: getattr(config, name) for name in DEFAULTS | BESIDE} == DEFAULTS | BESIDE
    assert config.model_type == "visual_bert"
    assert (config.pruned_heads, config.unknown_values()) == ({}, {})


def test_order_of_positional_arguments():
    config = VisualBertConfig(*OTHER.values())
    assert {name: getattr(config, name) for name in OTHER} == OTHER
    assert config == VisualBertConfig(**OTHER)
    names = [f.name for f in dataclasses.fields(config) if not f.kw_only]
    assert names == [*DEFAULTS, *BESIDE, "tie_word_embeddings"]


def test_round_trips_hold_every_field():
    config = VisualBertConfig(**OTHER, pruned_heads={FIRST: [2]}, x=[1, None])
    values = config.to_dict()
    assert {name: values[name] for name in OTHER} == OTHER
    also = ("_name_or_path", "model_type", "pruned_heads", "tie_word_embeddings", "x")
    assert set(values) == {*OTHER, *BESIDE, *COMMON, *also}
    for again in (values, json.loads(config.to_json_string())):
        twin = VisualBertConfig.from_dict(again)
        assert (twin, twin.unknown_values()) == (config, config.unknown_values())
    assert config.x == [1, None]


@pytest.mark.parametrize("name", ["pad_token_id", "bos_token_id", "eos_token_id"])
def test_ids_may_be_absent(name):
    assert VisualBertConfig.from_dict({name: None}).to_dict()[name] is None


COUNTS = [name for name, value in DEFAULTS.items() if type(value) is int and not name.endswith("_token_id")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: 0}, f"{name} must be at least 1; got 0.") for name in COUNTS),
        ({"num_hidden_layers": -2}, "num_hidden_layers must be at least 1; got -2."),
        ({"attention_probs_dropout_prob": 1}, "attention_probs_dropout_prob must be in [0, 1); got 1.0."),
        ({"layer_norm_eps": float("nan")}, "layer_norm_eps must be above 0; got nan."),
        ({"initializer_range": -0.1}, "initializer_range must be above 0; got -0.1."),
        ({"hidden_act": "tanh"}, "hidden_act must be one of gelu, relu, selu, gelu_new, silu; got 'tanh'."),
        ({"pad_token_id": 30522}, "pad_token_id must be a word's id, 0 to 30521, or None; got 30522."),
        ({"pad_token_id": -1}, "pad_token_id must be a word's id, 0 to 30521, or None; got -1."),
        ({"vocab_size": 1}, "pad_token_id must be a word's id, 0 to 0, or None; got 1."),
        (
            {"hidden_size": 10, "num_attention_heads": 3},
            "hidden_size must be a multiple of num_attention_heads; got hidden_size 10 and num_attention_heads 3.",
        ),
    ],
)
def test_values_out_of_range(changes, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 the whole message is compared
        VisualBertConfig(**changes)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        # As LXMERT's configuration has it.
        (
            {"num_hidden_layers": {"vision": 5, "language": 9}},
            "num_hidden_layers must be an integer; got {'vision': 5, 'language': 9} (dict).",
        ),
        ({"num_labels": None}, "num_labels must be an integer; got None (NoneType)."),
        ({"num_labels": 2.0}, "num_labels must be an integer; got 2.0 (float)."),
        ({"visual_embedding_dim": True}, "visual_embedding_dim must be an integer; got True (bool)."),
        ({"bypass_transformer": 1}, "bypass_transformer must be true or false; got 1 (int)."),
        ({"special_visual_initialize": None}, "special_visual_initialize must be true or false; got None (NoneType)."),
        ({"pad_token_id": "1"}, "pad_token_id must be an integer or null; got '1' (str)."),
        ({"eos_token_id": [2]}, "eos_token_id must be an integer or null; got [2] (list)."),
        ({"hidden_act": None}, "hidden_act must be a string; got None (NoneType)."),
        ({"pruned_heads": [1]}, "pruned_heads must be a mapping of names; got [1] (list)."),
        ({"pruned_heads": {"0": 1}}, f"pruned_heads['{FIRST}'] must be a list of integers; got 1."),
    ],
)
def test_values_of_the_wrong_kind(changes, message):
    for make in (lambda: VisualBertConfig(**changes), lambda: VisualBertConfig.from_dict(changes)):
        with pytest.raises(TypeError) as error:
            make()
        assert str(error.value) == message


def test_misspelled_keywords():
    with pytest.raises(TypeError, match=r"VisualBertConfig.replace: unexpected .* Did you mean 'num_labels'\?"):
        VisualBertConfig().replace(num_label=3)


def test_equality():
    config = VisualBertConfig(num_labels=3)
    assert config.replace(pruned_heads={"0": [2, 1]}) == config.replace(pruned_heads={FIRST: (1, 2)}) != config
    assert VisualBertConfig() != LxmertConfig()


# By its number as `transformers` wrote it (JSON makes it text), or by its path.
@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, {}),
        ({"0": [1]}, {FIRST: (1,)}),
        ({0: [2, 0, 2], 1: {1}}, {FIRST: (0, 2), SECOND: (1,)}),
        ({"1": [0], FIRST: [2]}, {SECOND: (0,), FIRST: (2,)}),
        ({"1": []}, {}),
        ({ADDITIONAL: [1]}, {ADDITIONAL: (1,)}),
    ],
)
def test_pruned_heads_by_number_and_by_path(given, kept):
    config = VisualBertConfig(num_attention_heads=3, bypass_transformer=True, pruned_heads=given)
    assert config.pruned_heads == kept
    assert config == VisualBertConfig.from_dict(json.loads(config.to_json_string()))
    assert ("pruned_heads" in config.to_dict()) == bool(kept)
    for path in (FIRST, SECOND, ADDITIONAL):
        assert config.kept_heads(path) == [head for head in range(3) if head not in kept.get(path, ())]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"2": [0]}, "names attentions by path, as 'encoder_layers.0.attention'; got 'encoder_layers.2.attention'."),
        ({"-1": [0]}, "got '-1'."),
        ({"encoder_layers.01.attention": [0]}, "got 'encoder_layers.01.attention'."),
        ({"language_layers.0.attention": [0]}, "got 'language_layers.0.attention'."),
        ({ADDITIONAL: [0]}, "got 'additional_layer.attention'."),  # without the switch there is no such layer
        ({"0": [0, 1, 2]}, "pruned_heads['encoder_layers.0.attention'] must be some of the heads 0 to 2, not all;"),
        ({1: [3]}, "pruned_heads['encoder_layers.1.attention'] must be some of the heads 0 to 2, not all; got [3]."),
        ({"0": [0], FIRST: [1]}, "must name each attention once; got '0', 'encoder_layers.0.attention'."),
        ({0: [0], "0": [0]}, "must name each attention once; got 0, '0'."),
    ],
)
def test_pruned_heads_that_are_refused(given, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 the message is compared
        VisualBertConfig(num_hidden_layers=2, num_attention_heads=3, pruned_heads=given)
    assert message in str(error.value)


def test_every_attention_has_a_path():
    config = VisualBertConfig(num_hidden_layers=2)
    assert config.attention_paths == (FIRST, SECOND)
    assert config.replace(bypass_transformer=True).attention_paths == (FIRST, SECOND, ADDITIONAL)


def labels(count):
    return {str(i): f"NAME_{i}" for i in range(count)}


@pytest.mark.parametrize(
    ("values", "overrides", "count", "kept"),
    [
        ({}, {}, 2, None),
        ({"num_labels": 5}, {}, 5, None),
        ({"id2label": labels(3)}, {}, 3, 3),
        ({"id2label": labels(3), "num_labels": 3}, {}, 3, 3),
        # Where they disagree the number counts, as in `transformers`, and the names are stale.
        ({"id2label": labels(3), "num_labels": 5}, {}, 5, None),
        ({"id2label": labels(3)}, {"num_labels": 4}, 4, None),
        ({"id2label": labels(3)}, {"num_labels": 3}, 3, 3),
        ({"id2label": {}}, {}, 2, None),
        ({"id2label": {0: "no"}}, {}, 1, 1),
    ],
)
def test_names_of_labels_tell_their_number(values, overrides, count, kept):
    values = {**values, "label2id": {name: int(i) for i, name in (values.get("id2label") or {}).items()}}
    config = VisualBertConfig.from_dict(values, **overrides)
    assert config.num_labels == count
    assert list(config.id2label) == list(range(count))
    assert config.has_label_names == bool(kept)
    if kept:
        assert config.replace(hidden_size=24).label2id == values["label2id"]
        assert not config.replace(num_labels=count + 1).has_label_names


@pytest.mark.parametrize("odd", [5, ["a", "b", "c"], "abc", {"a": 1}])
def test_names_of_labels_that_are_no_mapping_are_refused(odd):
    assert VisualBertConfig.from_dict({"id2label": None}).num_labels == 2
    with pytest.raises(TypeError, match="id2label must be a mapping of numbers to names; got"):
        VisualBertConfig.from_dict({"id2label": odd})


def test_the_model_type_tells_the_class():
    assert set(CONFIGS) == {"lxmert", "visual_bert"}
    for kind in (LxmertConfig, VisualBertConfig):
        assert config_class(kind().to_dict()) is kind
        assert config_from_dict(kind().to_dict(), hidden_size=24, num_attention_heads=3) == kind(
            hidden_size=24, num_attention_heads=3
        )
        assert config_class({}, default=kind) is kind
    for odd in (None, 3, ["lxmert"], {}):
        with pytest.raises(ValueError, match=r"model_type must be one of lxmert, visual_bert, .*; got"):
            config_class({"model_type": odd}, default=LxmertConfig)
    with pytest.raises(TypeError, match="a configuration is a mapping of keys to values; got list"):
        config_from_dict([1])


@pytest.mark.parametrize(("kind", "other"), [(LxmertConfig, VisualBertConfig), (VisualBertConfig, LxmertConfig)])
def test_the_other_models_configuration_is_refused(kind, other):
    message = (
        f"of a '{other.model_type}' model; {kind.__name__} reads '{kind.model_type}'. Use the classes of that model,"
    )
    with pytest.raises(ValueError, match=message):
        kind.from_dict(other().to_dict())


def test_more_heads_gone():
    config = VisualBertConfig(num_hidden_layers=2, num_attention_heads=4, hidden_size=8, pruned_heads={1: [3]})
    # One attention under two names, and a head that is gone already.
    more = config.with_pruned_heads(
        {1: np.array([0]), "encoder_layers.1.attention": {3, 2}, "encoder_layers.0.attention": (1,)}
    )
    assert more.pruned_heads == {"encoder_layers.1.attention": (0, 2, 3), "encoder_layers.0.attention": (1,)}
    assert config.pruned_heads == {"encoder_layers.1.attention": (3,)}
    for heads in (5, "0", [0.5]):
        with pytest.raises(TypeError, match="must be a list of integers; got"):
            config.with_pruned_heads({0: heads})
    with pytest.raises(ValueError, match="not all"):
        config.with_pruned_heads({1: [0, 1, 2]})

"""LxmertConfig as a value: fields, checks, misspelled keywords; and what both configurations share."""

import copy
import pickle

import numpy as np
import pytest

from lxmert import LxmertConfig, VisualBertConfig
from lxmert.common.config import config_from_dict
from lxmert.common.config.common_attributes import COMMON

every_kind = pytest.mark.parametrize("kind", [LxmertConfig, VisualBertConfig])

# The contract: every name and default, in this order.
DEFAULTS = dict(
    vocab_size=30522,
    hidden_size=768,
    num_attention_heads=12,
    num_qa_labels=9500,
    num_object_labels=1600,
    num_attr_labels=400,
    intermediate_size=3072,
    hidden_act="gelu",
    hidden_dropout_prob=0.1,
    attention_probs_dropout_prob=0.1,
    max_position_embeddings=512,
    type_vocab_size=2,
    initializer_range=0.02,
    layer_norm_eps=1e-12,
    l_layers=9,
    x_layers=5,
    r_layers=5,
    visual_feat_dim=2048,
    visual_pos_dim=4,
    visual_loss_normalizer=6.67,
    task_matched=True,
    task_mask_lm=True,
    task_obj_predict=True,
    task_qa=True,
    visual_obj_loss=True,
    visual_attr_loss=True,
    visual_feat_loss=True,
    output_attentions=False,
    output_hidden_states=False,
    return_dict=True,
    tie_word_embeddings=True,
)
OTHER = {
    name: not value if isinstance(value, bool) else "relu" if isinstance(value, str) else value / 2 if value < 1 else 7
    for name, value in DEFAULTS.items()
} | {"hidden_size": 21, "visual_loss_normalizer": 2.5}


def test_defaults():
    config = LxmertConfig()
    assert {name: getattr(config, name) for name in DEFAULTS} == DEFAULTS
    assert config.num_hidden_layers == {"vision": 5, "cross_encoder": 5, "language": 9}
    assert config.model_type == "lxmert"


def test_order_of_positional_arguments():
    config = LxmertConfig(*OTHER.values())
    assert {name: getattr(config, name) for name in OTHER} == OTHER
    assert config == LxmertConfig(**OTHER)


def test_dict_round_trip_holds_every_field():
    config = LxmertConfig(**OTHER)
    values = config.to_dict()
    assert {name: values[name] for name in OTHER} == OTHER
    assert set(values) == {*OTHER, *COMMON, "_name_or_path", "model_type", "num_hidden_layers"}
    assert LxmertConfig.from_dict(values) == config
    assert LxmertConfig.from_dict(values).unknown_values() == {}


@every_kind
@pytest.mark.parametrize("tied", [True, False])
def test_the_word_head_may_be_untied(kind, tied):
    config = kind.from_dict({"tie_word_embeddings": tied})
    assert (config.tie_word_embeddings, config.untied_words, config.unknown_values()) == (tied, not tied, {})
    assert (config == kind()) == tied
    with pytest.raises(TypeError, match="tie_word_embeddings must be true or false; got 1"):
        kind(tie_word_embeddings=1)


@every_kind
def test_activations(kind):
    assert {"gelu", "relu", "silu", "gelu_new"} <= set(kind.activations) <= {"gelu", "relu", "silu", "gelu_new", "selu"}
    for name in kind.activations:
        assert kind(hidden_act=name).hidden_act == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({name: 0}, f"{name} must be at least 1; got 0.") for name in ("vocab_size", "hidden_size", "x_layers")),
        *(({name: 0}, f"{name} must be at least 1; got 0.") for name in ("num_qa_labels", "visual_pos_dim")),
        ({"type_vocab_size": -2}, "type_vocab_size must be at least 1; got -2."),
        ({"l_layers": -1}, "l_layers must be at least 0; got -1."),
        ({"r_layers": -1}, "r_layers must be at least 0; got -1."),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob must be in [0, 1); got 1.0."),
        ({"attention_probs_dropout_prob": -0.1}, "attention_probs_dropout_prob must be in [0, 1); got -0.1."),
        ({"hidden_dropout_prob": float("nan")}, "hidden_dropout_prob must be in [0, 1); got nan."),
        ({"layer_norm_eps": 0}, "layer_norm_eps must be above 0; got 0.0."),
        ({"initializer_range": float("inf")}, "initializer_range must be above 0; got inf."),
        ({"visual_loss_normalizer": -1}, "visual_loss_normalizer must be at least 0; got -1.0."),
        ({"hidden_act": "tanh"}, "hidden_act must be one of gelu, relu, silu, gelu_new; got 'tanh'."),
        (
            {"hidden_size": 10, "num_attention_heads": 3},
            "hidden_size must be a multiple of num_attention_heads; got hidden_size 10 and num_attention_heads 3.",
        ),
        (
            {"pruned_heads": {"layer.0": [1]}},
            "pruned_heads names attentions by path, as 'language_layers.0.attention'; got 'layer.0'. "
            "This model has l_layers=9, r_layers=5, x_layers=5.",
        ),
        (
            {"pruned_heads": {"language_layers.0.attention": range(12)}},
            "pruned_heads['language_layers.0.attention'] must be some of the heads 0 to 11, not all; "
            "got [0, 1, 2, 3, 4, 5, …].",
        ),
        (
            {"pruned_heads": {"visual_layers.4.attention": [12]}},
            "pruned_heads['visual_layers.4.attention'] must be some of the heads 0 to 11, not all; got [12].",
        ),
        (
            {"num_attention_heads": 2, "pruned_heads": {"cross_layers.0.cross_attention": [0, 1]}},
            "pruned_heads['cross_layers.0.cross_attention'] must be some of the heads 0 to 1, not all; got [0, 1].",
        ),
    ],
)
def test_values_out_of_range(changes, message):
    with pytest.raises((ValueError, TypeError)) as error:
        LxmertConfig(**changes)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 768.0}, "hidden_size must be an integer; got 768.0 (float)."),
        ({"hidden_size": "768"}, "hidden_size must be an integer; got '768' (str)."),
        ({"l_layers": True}, "l_layers must be an integer; got True (bool)."),
        ({"x_layers": None}, "x_layers must be an integer; got None (NoneType)."),
        ({"layer_norm_eps": "1e-12"}, "layer_norm_eps must be a number; got '1e-12' (str)."),
        ({"hidden_dropout_prob": False}, "hidden_dropout_prob must be a number; got False (bool)."),
        ({"task_qa": 1}, "task_qa must be true or false; got 1 (int)."),
        ({"return_dict": "yes"}, "return_dict must be true or false; got 'yes' (str)."),
        ({"hidden_act": 3}, "hidden_act must be a string; got 3 (int)."),
        ({"pruned_heads": [1]}, "pruned_heads must be a mapping of names; got [1] (list)."),
        (
            {"pruned_heads": {"language_layers.0.attention": "1"}},
            "pruned_heads['language_layers.0.attention'] must be a list of integers; got '1'.",
        ),
    ],
)
def test_values_of_the_wrong_kind(changes, message):
    with pytest.raises(TypeError) as error:
        LxmertConfig(**changes)
    assert str(error.value) == message


def test_numpy_numbers_are_numbers():
    config = LxmertConfig(hidden_size=np.int64(24), layer_norm_eps=np.float64(1e-5), hidden_dropout_prob=0)
    assert type(config.hidden_size) is int
    assert type(config.layer_norm_eps) is float
    assert config.hidden_dropout_prob == 0.0


def test_no_layers_of_one_stream_are_allowed():
    assert LxmertConfig(l_layers=0, r_layers=0).num_hidden_layers == {"vision": 0, "cross_encoder": 5, "language": 0}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: LxmertConfig().replace(num_qa_label=3),
            "LxmertConfig.replace: unexpected keyword 'num_qa_label'. Did you mean 'num_qa_labels'?",
        ),
    ],
)
def test_misspelled_keywords(call, message):
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value) == message


def test_a_replaced_value_is_in_a_copy():
    config = LxmertConfig()
    changed = config.replace(l_layers=3)
    assert (config.l_layers, changed.l_layers) == (9, 3)
    assert changed.num_hidden_layers["language"] == 3


def test_what_goes_in_and_out_is_the_callers_own():
    given = {"my_key": {"0": ["no"]}, "hidden_size": 24}
    config = LxmertConfig.from_dict(given)
    given["my_key"]["0"].append("changed")
    config.to_dict()["my_key"]["0"].append("changed")
    assert config.my_key == {"0": ["no"]}
    assert given == {"my_key": {"0": ["no", "changed"]}, "hidden_size": 24}


@every_kind
def test_equality_and_hash(kind):
    config, path = kind(hidden_size=24), kind().attention_paths[0]
    assert config == kind(hidden_size=24)
    assert hash(config) == hash(kind(hidden_size=24))
    assert config != kind(hidden_size=36)
    assert config != config.to_dict()
    assert config == config.replace(architectures=["LxmertModel"])
    assert config.replace(pruned_heads={path: [2, 1]}) == config.replace(pruned_heads={path: (1, 2)})
    assert config.replace(pruned_heads={path: [1]}) != config


@every_kind
@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, lambda config: pickle.loads(pickle.dumps(config))])
def test_copies(kind, way):
    values = {"id2label": {"0": "no", "1": "yes"}, "__deepcopy__": 1, "__reduce_ex__": 2, "my_key": 3}
    config = kind.from_dict({"hidden_size": 24, "pruned_heads": {kind().attention_paths[3]: [1]}, **values})
    twin = way(config)
    assert (twin, twin.to_dict(), hash(twin)) == (config, config.to_dict(), hash(config))


def test_unknown_keys_are_attributes():
    config = LxmertConfig.from_dict({"my_key": {"0": "no"}, "extra": 5})
    assert config.my_key == {"0": "no"}
    assert config.unknown_values() == {"my_key": {"0": "no"}, "extra": 5}
    assert config.to_dict()["extra"] == 5
    with pytest.raises(AttributeError, match=r"'LxmertConfig' object has no attribute 'num_layers'"):
        _ = config.num_layers


def test_pruned_heads_are_written_only_where_there_are_some():
    path = "cross_layers.0.cross_attention"
    config = LxmertConfig(pruned_heads={path: [5, 1, 1], "visual_layers.0.attention": []})
    assert config.pruned_heads == {path: (1, 5)}
    assert config.to_dict()["pruned_heads"] == {path: (1, 5)}
    assert LxmertConfig.from_dict({"pruned_heads": {path: [1, 5]}}) == config
    assert "pruned_heads" not in LxmertConfig().to_dict()


def test_visual_losses_in_the_order_of_the_head():
    assert LxmertConfig().visual_losses == {"obj": 1600, "attr": 400, "feat": 2048}
    assert LxmertConfig(visual_attr_loss=False).visual_losses == {"obj": 1600, "feat": 2048}


def test_config_from_dict_tells_the_model_type():
    assert config_from_dict({"model_type": "lxmert", "l_layers": 2}) == LxmertConfig(l_layers=2)
    with pytest.raises(ValueError, match=r"model_type must be one of lxmert.*; got 'bert'"):
        config_from_dict({"model_type": "bert"})
    with pytest.raises(ValueError, match=r"got None"):
        config_from_dict({})
    with pytest.raises(TypeError, match=r"expects a mapping of keys to values; got list"):
        LxmertConfig.from_dict([1])


@pytest.mark.parametrize("path", ["language_layers.9.attention", "cross_layers.0.attention", "pooler.0.attention", "x"])
def test_pruned_heads_name_attentions_that_exist(path):
    assert path not in LxmertConfig().attention_paths
    with pytest.raises(ValueError, match=r"pruned_heads names attentions by path"):
        LxmertConfig(pruned_heads={path: [1]})


def test_every_attention_has_a_path():
    config = LxmertConfig(l_layers=11)
    assert len(config.attention_paths) == 11 + 5 + 3 * 5
    assert config.replace(pruned_heads={path: [1] for path in config.attention_paths}).pruned_heads
    with pytest.raises(ValueError, match=r"got 'language_layers.01.attention'"):
        config.replace(pruned_heads={"language_layers.01.attention": [1]})

"""Configurations made to take time or memory: each is refused at once, in a short sentence that names the file."""

import json

import pytest

from lxmert.common.config import (
    DetectorConfig,
    LxmertConfig,
    VcrDetectorConfig,
    VisualBertConfig,
    config_from_pretrained,
)
from lxmert.common.config.values import MOST_VALUES

LONG = "a" * 10**6
DIGITS = "9" * 5000  # more than Python reads as a number
LAYER = "language_layers.0.attention"

BAD = {
    "many unknown keys": ({f"key_{i}": 1 for i in range(MOST_VALUES)}, "at most 20,000 values beside its labels"),
    "names like those of fields": ({f"hidden_sizf{i}": 1 for i in range(50_000)}, "at most 20,000 values"),
    "many lists": ({"x": [[]] * 50_000}, "at most 20,000 values"),
    "many architectures": ({"architectures": ["a"] * 50_000}, "at most 20,000 values"),
    "many layers": ({"l_layers": 10**9}, "l_layers must be at most 256"),
    "one attention of many layers": ({"x_layers": 10**7, "l_layers": 9, "pruned_heads": {"7": [0]}}, "at most 256"),
    "many heads": ({"num_attention_heads": 2**26, "hidden_size": 2**26, "pruned_heads": {LAYER: [0]}}, "at most 4,096"),
    "a huge size": ({"vocab_size": 10**4000}, "vocab_size must be at most 2,147,483,647; got an integer of"),
    "a size above 32 bits": ({"visual_feat_dim": 2**31}, "visual_feat_dim must be at most 2,147,483,647"),
    "many labels": ({"num_labels": 2**20}, "num_labels must be at most 65536"),
    "many numbers of labels": (
        {"label2id": {f"l{i}": 0 for i in range(2**16 + 1)}},
        "num_labels must be at most 65536",
    ),
    "an infinite label": ({"label2id": {"a": float("inf")}}, "label2id must be a mapping of names to numbers"),
    "a label of many digits": ({"id2label": {DIGITS: "a"}}, "id2label must be a mapping of numbers to names"),
    "a layer of many digits": ({"pruned_heads": {DIGITS: [0]}}, "pruned_heads names attentions by path"),
    "a path of many digits": ({"pruned_heads": {f"language_layers.{DIGITS}.attention": [0]}}, "attentions by path"),
    "a long attention": ({"pruned_heads": {LONG: [0]}}, "pruned_heads names attentions by path"),
    "long heads": ({"pruned_heads": {LAYER: [LONG]}}, "must be a list of integers"),
    "many pruned heads": ({"pruned_heads": {LAYER: list(range(50_000))}}, "must be some of the heads 0 to 11"),
    "a long function": ({"hidden_act": LONG}, "hidden_act must be one of gelu"),
    "a long number": ({"hidden_size": LONG}, "hidden_size must be an integer"),
    "a long problem": ({"problem_type": [LONG]}, "problem_type must be one of"),
    "a long dtype": ({"dtype": "float" + DIGITS}, "dtype must be the name of a dtype"),
    "a long model": ({"model_type": LONG}, "model_type must be one of"),
    "a name that is read only": ({"use_return_dict": False}, "LxmertConfig.use_return_dict cannot be assigned"),
    "not a number": ({"layer_norm_eps": float("nan")}, "layer_norm_eps must be above 0"),
    "a large number": ({"layer_norm_eps": 10**400}, "layer_norm_eps is larger than any float"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_configuration_is_refused_by_its_name(name, tmp_path):
    change, message = BAD[name]
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"model_type": "lxmert"} | change))
    with pytest.raises((ValueError, TypeError), match=message) as error:
        config_from_pretrained(tmp_path)
    assert str(error.value).startswith(str(file))
    assert len(str(error.value)) < 700


def test_the_most_that_is_kept():
    config = LxmertConfig.from_dict({f"key_{i}": 1 for i in range(MOST_VALUES)} | {"id2label": {0: "a", 1: "b"}})
    assert len(config.unknown_values()) == MOST_VALUES
    assert len(repr(LxmertConfig.from_dict({"x": LONG}))) < 2000


def test_keys_that_are_no_texts_are_refused(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("1: 2\nmodel_type: visual_bert\n")
    with pytest.raises(ValueError, match=r"config.yaml: the keys of a configuration are texts; got 1"):
        VisualBertConfig.from_pretrained(file)


@pytest.mark.parametrize("kind", [DetectorConfig, VcrDetectorConfig])
@pytest.mark.parametrize(("name", "value"), [("res4_blocks", 257), ("pool_size", 101), ("stem_channels", 2**31)])
def test_sizes_of_detectors_have_a_bound(kind, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be at most .*; got {value}"):
        kind(**{name: value})


@pytest.mark.parametrize("name", ["anchor_sizes", "suppression_thresholds"])
def test_lists_of_numbers_have_a_bound(name):
    with pytest.raises(ValueError, match=rf"{name} must be a list of at most 1,000 numbers; got \[0.5, "):
        DetectorConfig(**{name: [0.5] * 1001})

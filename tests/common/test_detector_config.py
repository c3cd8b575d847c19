"""The detector's configuration: as a value, as our config.json, and as the config.yaml of the published weights."""

import copy
import json
import pickle
from pathlib import Path

import pytest
import yaml

from lxmert import DetectorConfig
from tests.weights.hub_server import running_hub

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "frcnn" / "config.json").read_text())
SMALL = {"num_objects": 100, "anchor_sizes": [16, 32.5], "channel_order": "RGB", "min_regions": 10, "max_regions": 100}


def published(**changes):
    """The published values; "a.b" = None leaves a key out."""
    values = copy.deepcopy(GOLDEN["full"])
    for name, value in changes.items():
        *parts, last = name.split("__")
        place = values
        for part in parts:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return values


def write(folder, values, name="config.yaml"):
    (folder / name).write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return folder / name


def test_the_defaults_are_the_published_values(tmp_path):
    write(tmp_path, GOLDEN["full"])
    assert DetectorConfig.from_pretrained(tmp_path) == DetectorConfig()
    assert DetectorConfig.from_pretrained(tmp_path / "config.yaml") == DetectorConfig()
    # As PyYAML's defaults and Detectron write keys.
    write(tmp_path, {name.upper(): value for name, value in GOLDEN["full"].items()}, "other.YML")
    assert DetectorConfig.from_pretrained(tmp_path / "other.YML") == DetectorConfig()


@pytest.mark.parametrize("name", ["small", "small_at_yaml_size"])
def test_every_field_of_a_narrow_network_is_read(name):
    config, values = DetectorConfig.from_dict(GOLDEN[name]), GOLDEN[name]
    assert (config.stem_channels, config.res2_channels, config.width_per_group) == (4, 16, 4)
    assert config.proposal_channels == 32
    assert (config.num_objects, config.num_attributes, config.feature_size, config.map_channels) == (100, 25, 128, 64)
    assert (config.object_embedding_size, config.attribute_hidden_size, config.num_anchors) == (16, 32, 12)
    assert config.anchor_sizes == tuple(values["anchor_generator"]["sizes"][0])
    assert (config.min_size, config.max_size) == (values["input"]["min_size_test"], values["input"]["max_size_test"])
    assert config.proposals_before_suppression == values["rpn"]["pre_nms_topk_test"]
    assert config.num_proposals == values["rpn"]["post_nms_topk_test"]
    assert (config.min_regions, config.max_regions) == (values["min_detections"], values["max_detections"])


def test_our_file_is_read_back_and_comes_first(tmp_path):
    config = DetectorConfig(**SMALL)
    config.save_pretrained(tmp_path)
    write(tmp_path, GOLDEN["full"])
    assert DetectorConfig.from_pretrained(tmp_path) == config
    assert DetectorConfig.from_pretrained(tmp_path).unknown_values() == {}
    assert DetectorConfig.from_dict(config.to_dict()) == config == DetectorConfig.from_dict(config.to_diff_dict())
    assert json.loads((tmp_path / "config.json").read_text()) == json.loads(json.dumps(config.to_diff_dict()))
    assert set(config.to_diff_dict()) == {*config.field_names(), "model_type"}  # nothing of transformers
    assert pickle.loads(pickle.dumps(config)) == copy.deepcopy(config) == config
    assert hash(config) == hash(DetectorConfig(**SMALL)) != hash(DetectorConfig())
    assert config.anchor_sizes == (16.0, 32.5)
    assert config.replace(num_objects=7).num_objects == 7


def test_overrides_count_as_fields_of_the_file(tmp_path):
    write(tmp_path, published(max_detections=None))
    with pytest.raises(ValueError, match="must hold max_detections"):
        DetectorConfig.from_pretrained(tmp_path)
    write(tmp_path, GOLDEN["full"])
    assert DetectorConfig.from_pretrained(tmp_path, max_regions=50).max_regions == 50
    with pytest.raises(TypeError, match=r"unexpected keyword 'max_region'. Did you mean 'max_regions'"):
        DetectorConfig.from_pretrained(tmp_path, max_region=50)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("resnets__depth", 18),
        ("resnets__norm", "GN"),
        ("resnets__num_groups", 32),
        ("resnets__stride_in_1x1", False),
        ("resnets__out_features", ["res2", "res4"]),
        ("roi_box_head__attr", False),
        ("roi_box_head__res5halve", True),
        ("roi_box_head__cls_agnostic_bbox_reg", True),
        ("rpn__in_features", ["p2"]),
    ],
)
def test_the_file_of_another_network_is_refused(change, value, tmp_path):
    file = write(tmp_path, published(**{change: value}))
    key = change.replace("__", ".")
    with pytest.raises(ValueError, match="this is the configuration of another network") as error:
        DetectorConfig.from_pretrained(file)
    assert str(file) in str(error.value)
    assert f"{key} is {value!r}, not" in str(error.value)


BAD = {
    "several keys missing": (published(input__format=None, rpn=None), "must hold input.format, rpn.bbox_reg_weights"),
    "a kind": (published(roi_heads__num_classes="1600"), "num_objects must be an integer; got '1600'"),
    "a list of texts": (published(model__pixel_mean=["a"]), "pixel_mean must be a list of numbers"),
    "two numbers of three": (published(model__pixel_mean=[1, 2]), "pixel_mean must be 3 numbers"),
    "no maps alike": (published(anchor_generator__sizes=[[32], [64]]), "anchor_sizes must be a list of numbers"),
    "a name": (published(input__format="HSV"), "channel_order must be 'BGR' or 'RGB'; got 'HSV'"),
    "the order of sizes": (published(input__max_size_test=700), "min_size must be at most max_size, 700; got 800"),
    "another's": ("model_type: bert\n", "this is the configuration of a 'bert' model"),
    "other keys": ("a: 1\n", "the configuration lacks num_objects, num_attributes, .*, and DetectorConfig needs every"),
    "no mapping": ("- 1\n", "must hold a YAML mapping of keys and values; it holds a list"),
    "no YAML": ("a: [1\n", "is not a YAML file of plain values"),
    "an object": ("a: !!python/object/apply:os.getcwd []\n", "is not a YAML file of plain values"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", "the key 'a' is there twice"),
    "merged mappings": ("a: &a {b: 1}\nc: {<<: *a}\n", "a key is no plain value"),
    "aliases of aliases": (
        "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else '1'] * 9)}]\n" for i in range(30)),
        "repeats its values by aliases",
    ),
    "an alias of itself": ("a: &a [*a]\n", "is nested more than 100 deep"),
    "a number of thirty thousand parts": ("a: " + "1:" * 30_000 + "1\n", "a number is too long"),
    "a number that is none": ("a: !!int ''\n", "is not a YAML file of plain values"),
    "deep": ("[" * 1000, "is not a YAML file of plain values"),
    "large": (" " * (2**16 + 1), "is larger than 65536 bytes"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_by_name(name, tmp_path):
    content, message = BAD[name]
    file = write(tmp_path, content)
    with pytest.raises((ValueError, TypeError), match=message) as error:
        DetectorConfig.from_pretrained(file)
    assert str(file) in str(error.value)


def test_a_field_that_our_file_lacks_is_named(tmp_path):
    values = DetectorConfig().to_diff_dict()
    del values["pool_size"], values["box_weights"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"config.json: the configuration lacks pool_size, box_weights, and"):
        DetectorConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_objects": 0}, "num_objects must be at least 1; got 0."),
        ({"anchor_sizes": []}, r"anchor_sizes must be at least one number; got \(\)."),
        ({"anchor_ratios": (0.5, -1)}, "anchor_ratios must be above 0"),
        ({"pixel_std": (1, 0, 1)}, "pixel_std must be above 0"),
        ({"pixel_mean": (1, float("nan"), 1)}, "pixel_mean must be finite"),
        ({"pixel_mean": (1, 10**400, 1)}, "pixel_mean is larger than any float"),
        ({"batch_norm_eps": 10**400}, "batch_norm_eps is larger than any float"),
        ({"box_weights": (1, 1)}, "box_weights must be 4 numbers"),
        ({"proposal_threshold": 1.5}, "proposal_threshold must be from 0 to 1"),
        ({"suppression_thresholds": (0.7, 0.5)}, "suppression_thresholds must be in rising order"),
        ({"min_proposal_side": -1}, "min_proposal_side must be at least 0"),
        ({"batch_norm_eps": 0}, "batch_norm_eps must be above 0"),
        ({"min_regions": 40}, "min_regions must be at most max_regions, 36; got 40"),
        ({"pixel_mean": "abc"}, "pixel_mean must be a list of numbers; got 'abc'"),
        ({"pool_size": 14.0}, "pool_size must be an integer"),
        ({"pool_size": 10**6}, "pool_size must be at most 100; got 1000000"),
        ({"min_size": 10**9, "max_size": 10**9}, "max_size must be at most 20,000; got 1000000000"),
    ],
)
def test_values_out_of_range(changes, message):
    with pytest.raises((ValueError, TypeError), match=message):
        DetectorConfig(**changes)


def test_a_misspelled_field_and_what_counts_once():
    config = DetectorConfig()
    with pytest.warns(UserWarning, match="has no field 'anchor_size': did you mean anchor_sizes"):
        config.anchor_size = (1.0,)
    config.note_model()
    with pytest.warns(UserWarning, match="pool_size counts when a model is made"):
        config.pool_size = 7


def test_the_hub_gives_either_file(tmp_path, monkeypatch):
    text = yaml.safe_dump(GOLDEN["small"]).encode()
    with running_hub(monkeypatch, tmp_path) as server:
        server.add("unc-nlp/frcnn-vg-finetuned", {"config.yaml": text, "pytorch_model.bin": b"weights"})
        server.add("someone/other", {"config.json": DetectorConfig(**SMALL).to_json_string().encode()})
        server.add("someone/none", {"pytorch_model.bin": b"weights"})
        read = DetectorConfig.from_pretrained
        assert read("unc-nlp/frcnn-vg-finetuned") == DetectorConfig.from_dict(GOLDEN["small"])
        assert read("someone/other") == DetectorConfig(**SMALL)
        with pytest.raises(FileNotFoundError, match=r"config.json or config.yaml"):
            read("someone/none")

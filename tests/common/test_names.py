"""The weight-name table against what it describes: models of both backends, `transformers`, and what Keras writes."""

from collections import Counter

import h5py
import pytest
import torch
import transformers

import lxmert.pt
import lxmert.tf
from lxmert import LxmertConfig
from lxmert.common.keras_files import KERAS_TRAINING_GROUPS
from lxmert.common.names import (
    HUGGING_FACE,
    KERAS_H5,
    NATIVE,
    ORIGINAL,
    SPELLINGS,
    TIED_DECODER,
    layer_counts,
    parameters,
)
from lxmert.common.tables import ARCHITECTURES, HEADS, KINDS, LXMERT, head_names, sizes

from .weight_folders import CONFIG

CONFIGS = {
    "all tasks": CONFIG,
    "no answers": CONFIG.replace(task_qa=False, visual_attr_loss=False),
    "no objects, no visual layers": CONFIG.replace(task_obj_predict=False, r_layers=0, x_layers=2),
    "no visual losses, no language layers": CONFIG.replace(
        visual_obj_loss=False, visual_attr_loss=False, visual_feat_loss=False, l_layers=0
    ),
    "pruned": CONFIG.replace(
        pruned_heads={"language_layers.1.attention": [0, 2], "cross_layers.0.cross_attention": [1]}
    ),
}
EACH = [
    pytest.param(architecture, config, id=f"{architecture}, {name}")
    for name, config in CONFIGS.items()
    for architecture in ARCHITECTURES["lxmert"]
]


def expanded(architecture, config):
    return list(parameters(config, head_names(architecture, config)))


def test_the_table():
    assert len(LXMERT) == 58
    assert len({row.ours for row in LXMERT}) == len({row.theirs for row in LXMERT}) == 58
    assert {row.kind for row in LXMERT} == set(KINDS)
    symbols = {*sizes(CONFIG), "W"}
    assert all(set(row.size) <= symbols for row in LXMERT)
    assert all(("{i}" in row.ours) == ("{i}" in row.theirs) == (row.repeat is not None) for row in LXMERT)


@pytest.mark.parametrize(("architecture", "config"), EACH)
def test_parameters_are_those_of_the_pytorch_model(architecture, config):
    with torch.device("meta"):
        model = getattr(lxmert.pt, architecture)(config)
    nested = architecture != "LxmertModel"
    table = {NATIVE.write(p, nested): p.shape for p in expanded(architecture, config)}
    assert table == {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert Counter(list(table)) == Counter(NATIVE.write(p, nested) for p in expanded(architecture, config))


@pytest.mark.parametrize(("architecture", "config"), EACH)
def test_parameters_are_those_of_the_keras_model_and_its_file(architecture, config, tmp_path):
    model = getattr(lxmert.tf, f"TF{architecture}")(config)
    nested = architecture != "LxmertModel"
    turned = {p: p.shape[::-1] if p.leaf.transposed else p.shape for p in expanded(architecture, config)}
    # The variables, by their paths: the name of the model, then the attributes.
    paths = {}
    for p in turned:
        owner = "backbone/" if nested and not p.head else ""
        leaf = p.leaf.keras or p.module.rpartition(".")[2]
        module = p.module if p.leaf.keras else p.module.rpartition(".")[0]
        parts = module.split(".")
        if parts[0].endswith("_layers"):
            parts[:2] = [".".join(parts[:2])]
        paths[owner + "/".join([*parts, leaf])] = turned[p]
    assert paths == {w.path.partition("/")[2]: tuple(w.shape) for w in model.weights}
    # The file that Keras writes.
    model.save_weights(tmp_path / "model.weights.h5")
    written = {}
    with h5py.File(tmp_path / "model.weights.h5") as file:
        file.visititems(lambda name, item: written.update({name: item.shape}) if hasattr(item, "shape") else None)
    written = {name: shape for name, shape in written.items() if name.split("/")[0] not in KERAS_TRAINING_GROUPS}
    assert written == {KERAS_H5.write(p, nested): shape for p, shape in turned.items()}


@pytest.mark.parametrize(("architecture", "count"), [*zip(ARCHITECTURES["lxmert"], (449, 472, 455), strict=True)])
def test_hugging_face_names_and_shapes_at_full_size(architecture, count):
    with torch.device("meta"):
        model = getattr(transformers, architecture)(transformers.LxmertConfig())
    theirs = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name != TIED_DECODER}
    ours = {
        HUGGING_FACE.write(p, architecture != "LxmertModel"): p.shape for p in expanded(architecture, LxmertConfig())
    }
    assert ours == theirs
    assert len(ours) == count


@pytest.mark.parametrize(("architecture", "config"), [e for e in EACH if "pruned" not in e.id])
def test_hugging_face_names_and_shapes_of_small_models(architecture, config):
    values = {k: v for k, v in config.to_dict().items() if k not in ("layer_norm_eps", "num_hidden_layers")}
    with torch.device("meta"):
        model = getattr(transformers, architecture)(transformers.LxmertConfig(**values))
    theirs = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name != TIED_DECODER}
    ours = {HUGGING_FACE.write(p, architecture != "LxmertModel"): p.shape for p in expanded(architecture, config)}
    assert ours == theirs


@pytest.mark.parametrize("spelling", SPELLINGS["lxmert"], ids=lambda s: s.title)
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("config", [LxmertConfig(), LxmertConfig(l_layers=12, x_layers=11, r_layers=13)])
def test_no_two_parameters_have_one_name(spelling, nested, config):
    every = list(parameters(config, HEADS["lxmert"]))
    assert len({spelling.write(p, nested) for p in every}) == len(every)


def test_how_each_format_writes_one_name():
    layer = next(p for p in parameters(CONFIG, HEADS["lxmert"]) if p.name == "language_layers.1.attention.query.weight")
    first = next(p for p in parameters(CONFIG, HEADS["lxmert"]) if p.name == "language_layers.0.attention.norm.bias")
    bias = next(p for p in parameters(CONFIG, HEADS["lxmert"]) if p.name == "heads.word.bias")
    assert HUGGING_FACE.write(layer, True) == "lxmert.encoder.layer.1.attention.self.query.weight"
    assert HUGGING_FACE.write(layer, False) == "encoder.layer.1.attention.self.query.weight"
    assert ORIGINAL.write(layer, True) == "bert.encoder.layer.1.attention.self.query.weight"
    assert NATIVE.write(layer, True) == "backbone.language_layers.1.attention.query.weight"
    assert KERAS_H5.write(layer, True) == "backbone/language_layers/transformer_layer_1/attention/query/vars/0"
    assert KERAS_H5.write(first, False) == "language_layers/transformer_layer/attention/norm/vars/1"
    assert (HUGGING_FACE.write(bias, True), KERAS_H5.write(bias, True)) == ("cls.predictions.bias", "heads/word/vars/0")
    assert (layer.head, bias.head) == (None, "word")


def test_heads_of_each_class():
    assert head_names("LxmertModel", CONFIG) == ()
    assert head_names("LxmertForQuestionAnswering", CONFIG.replace(task_qa=False)) == ("answer",)
    assert head_names("LxmertForPreTraining", CONFIG) == HEADS["lxmert"]
    assert head_names("LxmertForPreTraining", CONFIG.replace(task_obj_predict=False)) == ("word", "match", "answer")
    with pytest.raises(ValueError, match=r"unknown architecture 'TFLxmertModel'; known: LxmertModel, "):
        head_names("TFLxmertModel", CONFIG)


@pytest.mark.parametrize("spelling", SPELLINGS["lxmert"], ids=lambda s: s.title)
def test_layers_are_counted_by_names(spelling):
    names = {spelling.write(p, True) for p in parameters(CONFIG, ())}
    assert layer_counts("lxmert", spelling, True, names) == {"l_layers": 2, "r_layers": 3, "x_layers": 1}

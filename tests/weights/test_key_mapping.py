"""The weight-name table against what it describes: models of both backends, `transformers`, and what Keras writes."""

from collections import Counter

import h5py
import pytest
import torch
import transformers

import lxmert.pt
import lxmert.tf
from lxmert import LxmertConfig, VisualBertConfig
from lxmert.common.specs import architectures
from lxmert.weights.formats.hdf5 import KERAS_TRAINING_GROUPS
from lxmert.weights.naming.key_mapping import (
    HUGGING_FACE,
    HUGGING_FACE_TF,
    KERAS_H5,
    KEY_MAPPINGS,
    NATIVE,
    ORIGINAL,
    ORIGINAL_FINE_TUNED,
    ORIGINAL_VISUAL_BERT,
    TIED,
    layer_counts,
    parameters,
)
from lxmert.weights.naming.kinds import KINDS
from lxmert.weights.naming.tables import MODELS, every_head, head_names, is_task_model

from .cases import covering
from .weight_folders import CONFIG, VISUAL_BERT

CONFIGS = {
    "all tasks": CONFIG,
    "no answers": CONFIG.replace(task_qa=False, visual_attr_loss=False),
    "no objects, no visual layers": CONFIG.replace(task_obj_predict=False, r_layers=0, x_layers=2),
    "no visual losses, no language layers": CONFIG.replace(
        visual_obj_loss=False, visual_attr_loss=False, visual_feat_loss=False, l_layers=0
    ),
    "a decoder of its own": CONFIG.replace(tie_word_embeddings=False),
    "pruned": CONFIG.replace(
        pruned_heads={"language_layers.1.attention": [0, 2], "cross_layers.0.cross_attention": [1]}
    ),
}
VISUAL_BERT_CONFIGS = {
    "regions among the words": VISUAL_BERT,
    "regions bypass the layers, one label": VISUAL_BERT.replace(
        bypass_transformer=True, num_hidden_layers=1, num_labels=1
    ),
    "a decoder of its own": VISUAL_BERT.replace(tie_word_embeddings=False),
    "pruned": VISUAL_BERT.replace(
        bypass_transformer=True, pruned_heads={"1": [0, 2], "additional_layer.attention": [1]}
    ),
}
EACH = [
    *covering(list(architectures("lxmert")), CONFIGS),
    *covering(list(architectures("visual_bert")), VISUAL_BERT_CONFIGS),
]


def expanded(architecture, config, pooler=True):
    return list(parameters(config, head_names(architecture, config), pooler))


@pytest.mark.parametrize(("config", "rows"), [(CONFIG, 62), (VISUAL_BERT, 34)])
def test_the_table(config, rows):
    model = MODELS[config.model_type]
    table = model.rows
    assert len(table) == len({row.path for row in table}) == rows
    symbols = {*model.sizes(config), "W"}
    assert all({size for size in row.size if isinstance(size, str)} <= symbols for row in table)
    assert all(("{i}" in row.path) == ("{i}" in row.hf_path) == (row.layers_field is not None) for row in table)
    # Nothing shares a name of theirs but the layers of two kinds of heads.
    shared = {name for name, count in Counter(row.hf_path for row in table).items() if count > 1}
    assert shared == ({"cls"} if config is VISUAL_BERT else {f"answer_head.logit_fc.{i}" for i in (0, 2, 3)})
    assert {row.path.split(".")[1] for row in table if row.path.startswith("heads.")} == set(
        every_head(config.model_type)
    )


def test_every_kind_of_module_is_used():
    assert {row.kind for model in MODELS.values() for row in model.rows} == set(KINDS)


@pytest.mark.parametrize(("architecture", "config"), EACH)
def test_parameters_are_those_of_the_pytorch_model(architecture, config):
    with torch.device("meta"):
        model = getattr(lxmert.pt, architecture)(config)
    nested = is_task_model(architecture)
    table = {NATIVE.key(p, nested): p.shape for p in expanded(architecture, config)}
    assert table == {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert Counter(list(table)) == Counter(NATIVE.key(p, nested) for p in expanded(architecture, config))


@pytest.mark.parametrize(("architecture", "config"), EACH)
def test_parameters_are_those_of_the_keras_model_and_its_file(architecture, config, tmp_path):
    model = getattr(lxmert.tf, f"TF{architecture}")(config)
    assert_keras_writes(model, architecture, expanded(architecture, config), tmp_path)


def test_a_backbone_without_pooler(tmp_path):
    expected = expanded("VisualBertModel", VISUAL_BERT, pooler=False)
    whole = expanded("VisualBertModel", VISUAL_BERT)
    assert [p for p in whole if p not in expected] == [p for p in whole if p.module == "pooler.dense"]
    with torch.device("meta"):
        ours = lxmert.pt.VisualBertModel(VISUAL_BERT, add_pooling_layer=False)
        theirs = transformers.VisualBertModel(theirs_of(VISUAL_BERT), add_pooling_layer=False)
    for model, mapping in ((ours, NATIVE), (theirs, HUGGING_FACE)):
        held = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        assert held == {mapping.key(p, False): p.shape for p in expected}
    model = lxmert.tf.TFVisualBertModel(VISUAL_BERT, add_pooling_layer=False)
    assert_keras_writes(model, "VisualBertModel", expected, tmp_path)


def assert_keras_writes(model, architecture, expected, folder):
    """The model has the variables that are expected, and Keras writes them under the names of the table."""
    nested = is_task_model(architecture)
    shapes = {p: p.leaf.keras_shape(p.shape) for p in expected}
    # The variables, by their paths: the name of the model, then the attributes.
    paths = {}
    for p in shapes:
        owner = "backbone/" if nested and not p.head else ""
        leaf = p.leaf.keras or p.module.rpartition(".")[2]
        module = p.module if p.leaf.keras else p.module.rpartition(".")[0]
        parts = module.split(".")
        if parts[0].endswith("_layers"):
            parts[:2] = [".".join(parts[:2])]
        paths[owner + "/".join([*parts, leaf])] = shapes[p]
    assert paths == {w.path.partition("/")[2]: tuple(w.shape) for w in model.weights}
    # The file that Keras writes.
    model.save_weights(folder / "model.weights.h5")
    written = {}
    with h5py.File(folder / "model.weights.h5") as file:
        file.visititems(lambda name, item: written.update({name: item.shape}) if hasattr(item, "shape") else None)
    written = {name: shape for name, shape in written.items() if name.split("/")[0] not in KERAS_TRAINING_GROUPS}
    assert written == {KERAS_H5.key(p, nested): shape for p, shape in shapes.items()}


def theirs_of(config):
    """The configuration as `transformers` takes it."""
    values = {k: v for k, v in config.to_dict().items() if k not in ("layer_norm_eps", "num_hidden_layers")}
    if config.model_type == "lxmert":
        return transformers.LxmertConfig(**values)
    return transformers.VisualBertConfig(**values, num_hidden_layers=config.num_hidden_layers)


def theirs_and_ours(architecture, config):
    """Names and shapes of a model of `transformers` without its copies of tied tensors, and those of the table."""
    with torch.device("meta"):
        model = getattr(transformers, architecture)(theirs_of(config))
    theirs = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    ours = {HUGGING_FACE.key(p, is_task_model(architecture)): p.shape for p in expanded(architecture, config)}
    copies = theirs.keys() & HUGGING_FACE.tied_copies() - ours.keys()
    assert copies == ({*TIED} & {*theirs} - {*ours} if any(".predictions." in name for name in ours) else set())
    return {name: shape for name, shape in theirs.items() if name not in copies}, ours, len(theirs)


# How many names a model of theirs has, copies of tied tensors among them.
AT_FULL_SIZE = {
    "LxmertModel": 449,
    "LxmertForPreTraining": 473,
    "LxmertForQuestionAnswering": 455,
    "VisualBertModel": 203,
    "VisualBertForPreTraining": 212,
    "VisualBertForMultipleChoice": 205,
    "VisualBertForQuestionAnswering": 205,
    "VisualBertForVisualReasoning": 205,
    "VisualBertForRegionToPhraseAlignment": 218,
}


@pytest.mark.parametrize(("architecture", "count"), AT_FULL_SIZE.items())
def test_hugging_face_names_and_shapes_at_full_size(architecture, count):
    config = LxmertConfig() if architecture in architectures("lxmert") else VisualBertConfig(num_labels=3129)
    theirs, ours, whole = theirs_and_ours(architecture, config)
    assert ours == theirs
    assert whole == count


@pytest.mark.parametrize(
    ("architecture", "config"), [e for e in EACH if "pruned" not in e.id and hasattr(transformers, e.values[0])]
)
def test_hugging_face_names_and_shapes_of_small_models(architecture, config):
    theirs, ours, _ = theirs_and_ours(architecture, config)
    assert ours == theirs


def test_heads_of_each_class():
    assert head_names("LxmertModel", CONFIG) == ()
    assert head_names("LxmertForQuestionAnswering", CONFIG.replace(task_qa=False)) == ("answer",)
    assert head_names("LxmertForPreTraining", CONFIG) == every_head("lxmert")[:-1]
    assert head_names("LxmertForPreTraining", CONFIG.replace(task_obj_predict=False)) == ("word", "match", "answer")
    with pytest.raises(ValueError, match=r"unknown architecture 'TFLxmertModel'; known: LxmertModel, "):
        head_names("TFLxmertModel", CONFIG)
    with pytest.raises(ValueError, match=r"unknown architecture 'LxmertModel'; known: VisualBertModel, "):
        head_names("LxmertModel", VISUAL_BERT)
    with pytest.raises(ValueError, match=r"unknown architecture 'BertModel'; known: LxmertModel, .*VisualBertModel, "):
        is_task_model("BertModel")
    for model_type in MODELS:
        classes = architectures(model_type)
        assert [name for name in classes if not is_task_model(name)] == [next(iter(classes))]


# How each format writes the names of the table


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
        ("heads.match.bias", "cls.seq_relationship.bias", "bert.cls.seq_relationship.bias", "heads/match/vars/1"),
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
    assert set(counts) == set(MODELS[config.model_type].layers)
    for mapping in KEY_MAPPINGS[config.model_type]:
        names = {mapping.key(p, nested) for p in parameters(config, ())}
        assert layer_counts(config.model_type, mapping, nested, names) == counts

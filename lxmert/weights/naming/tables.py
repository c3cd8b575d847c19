"""The modules of each model: our path, Hugging Face's path, kind and size.

The kind of a module decides its parameters, their leaf names, and the only transform there is, a transpose.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import SPECS, ModuleRow, architectures, spec_of


class Leaf(NamedTuple):
    """One parameter of a module: its name in PyTorch and in Keras, and whether Keras stores it transposed."""

    torch: str
    keras: str
    transposed: bool = False


KINDS: dict[str, tuple[Leaf, ...]] = {
    "dense": (Leaf("weight", "kernel", transposed=True), Leaf("bias", "bias")),
    "norm": (Leaf("weight", "gamma"), Leaf("bias", "beta")),
    "embedding": (Leaf("weight", "embeddings"),),
    "vector": (Leaf("", ""),),
}


def _attention(path: str, hf_path: str, layers_field: str | None, inner: str = "self") -> tuple[ModuleRow, ...]:
    return (
        ModuleRow(f"{path}.query", f"{hf_path}.{inner}.query", "dense", ("W", "D"), layers_field),
        ModuleRow(f"{path}.key", f"{hf_path}.{inner}.key", "dense", ("W", "D"), layers_field),
        ModuleRow(f"{path}.value", f"{hf_path}.{inner}.value", "dense", ("W", "D"), layers_field),
        ModuleRow(f"{path}.out", f"{hf_path}.output.dense", "dense", ("D", "W"), layers_field),
        ModuleRow(f"{path}.norm", f"{hf_path}.output.LayerNorm", "norm", ("D",), layers_field),
    )


def _feed_forward(path: str, up: str, down: str, layers_field: str | None) -> tuple[ModuleRow, ...]:
    return (
        ModuleRow(f"{path}.up", f"{up}.dense", "dense", ("I", "D"), layers_field),
        ModuleRow(f"{path}.down", f"{down}.dense", "dense", ("D", "I"), layers_field),
        ModuleRow(f"{path}.norm", f"{down}.LayerNorm", "norm", ("D",), layers_field),
    )


def _layer(path: str, hf_path: str, layers_field: str | None) -> tuple[ModuleRow, ...]:
    return (
        *_attention(f"{path}.attention", f"{hf_path}.attention", layers_field),
        *_feed_forward(f"{path}.feed_forward", f"{hf_path}.intermediate", f"{hf_path}.output", layers_field),
    )


_WORD_AND_MATCH = (
    ModuleRow("heads.word.transform", "cls.predictions.transform.dense", "dense", ("D", "D")),
    ModuleRow("heads.word.norm", "cls.predictions.transform.LayerNorm", "norm", ("D",)),
    ModuleRow("heads.word.bias", "cls.predictions.bias", "vector", ("V",)),
    ModuleRow("heads.word.decoder", "cls.predictions.decoder", "embedding", ("V", "D"), switch="untied_words"),
    ModuleRow("heads.match", "cls.seq_relationship", "dense", (2, "D")),
)

LXMERT: tuple[ModuleRow, ...] = (
    ModuleRow("embeddings.word", "embeddings.word_embeddings", "embedding", ("V", "D")),
    ModuleRow("embeddings.position", "embeddings.position_embeddings", "embedding", ("positions", "D")),
    ModuleRow("embeddings.token_type", "embeddings.token_type_embeddings", "embedding", ("types", "D")),
    ModuleRow("embeddings.norm", "embeddings.LayerNorm", "norm", ("D",)),
    ModuleRow("region_embeddings.feature", "encoder.visn_fc.visn_fc", "dense", ("D", "F")),
    ModuleRow("region_embeddings.feature_norm", "encoder.visn_fc.visn_layer_norm", "norm", ("D",)),
    ModuleRow("region_embeddings.box", "encoder.visn_fc.box_fc", "dense", ("D", "P")),
    ModuleRow("region_embeddings.box_norm", "encoder.visn_fc.box_layer_norm", "norm", ("D",)),
    *_layer("language_layers.{i}", "encoder.layer.{i}", "l_layers"),
    *_layer("visual_layers.{i}", "encoder.r_layers.{i}", "r_layers"),
    *_attention("cross_layers.{i}.cross_attention", "encoder.x_layers.{i}.visual_attention", "x_layers", inner="att"),
    *_attention("cross_layers.{i}.language_self_attention", "encoder.x_layers.{i}.lang_self_att", "x_layers"),
    *_attention("cross_layers.{i}.visual_self_attention", "encoder.x_layers.{i}.visn_self_att", "x_layers"),
    *_feed_forward(
        "cross_layers.{i}.language_feed_forward",
        "encoder.x_layers.{i}.lang_inter",
        "encoder.x_layers.{i}.lang_output",
        "x_layers",
    ),
    *_feed_forward(
        "cross_layers.{i}.visual_feed_forward",
        "encoder.x_layers.{i}.visn_inter",
        "encoder.x_layers.{i}.visn_output",
        "x_layers",
    ),
    ModuleRow("pooler.dense", "pooler.dense", "dense", ("D", "D")),
    *_WORD_AND_MATCH,
    ModuleRow("heads.object.transform", "obj_predict_head.transform.dense", "dense", ("D", "D")),
    ModuleRow("heads.object.norm", "obj_predict_head.transform.LayerNorm", "norm", ("D",)),
    ModuleRow("heads.object.obj", "obj_predict_head.decoder_dict.obj", "dense", ("obj", "D")),
    ModuleRow("heads.object.attr", "obj_predict_head.decoder_dict.attr", "dense", ("attr", "D")),
    ModuleRow("heads.object.feat", "obj_predict_head.decoder_dict.feat", "dense", ("F", "D")),
    # Two heads with one name in Hugging Face's files, which have one or the other.
    ModuleRow("heads.answer.up", "answer_head.logit_fc.0", "dense", ("2D", "D")),
    ModuleRow("heads.answer.norm", "answer_head.logit_fc.2", "norm", ("2D",)),
    ModuleRow("heads.answer.out", "answer_head.logit_fc.3", "dense", ("A", "2D")),
    ModuleRow("heads.reasoning.up", "answer_head.logit_fc.0", "dense", ("2D", "2D")),
    ModuleRow("heads.reasoning.norm", "answer_head.logit_fc.2", "norm", ("2D",)),
    ModuleRow("heads.reasoning.out", "answer_head.logit_fc.3", "dense", (2, "2D")),
)

VISUAL_BERT: tuple[ModuleRow, ...] = (
    ModuleRow("embeddings.word", "embeddings.word_embeddings", "embedding", ("V", "D")),
    ModuleRow("embeddings.position", "embeddings.position_embeddings", "embedding", ("positions", "D")),
    ModuleRow("embeddings.token_type", "embeddings.token_type_embeddings", "embedding", ("types", "D")),
    ModuleRow("embeddings.feature", "embeddings.visual_projection", "dense", ("D", "F")),
    ModuleRow("embeddings.visual_position", "embeddings.visual_position_embeddings", "embedding", ("positions", "D")),
    ModuleRow("embeddings.visual_token_type", "embeddings.visual_token_type_embeddings", "embedding", ("types", "D")),
    ModuleRow("embeddings.norm", "embeddings.LayerNorm", "norm", ("D",)),
    *_layer("encoder_layers.{i}", "encoder.layer.{i}", "num_hidden_layers"),
    *(
        row._replace(switch="bypass_transformer")
        for row in _layer("additional_layer", "additional_layer", layers_field=None)
    ),
    ModuleRow("pooler.dense", "pooler.dense", "dense", ("D", "D")),
    *_WORD_AND_MATCH,
    # Likewise two heads with one name.
    ModuleRow("heads.classifier", "cls", "dense", ("labels", "D")),
    ModuleRow("heads.choice", "cls", "dense", (1, "D")),
    ModuleRow("heads.alignment.query", "attention.query", "dense", ("K", "D")),
    ModuleRow("heads.alignment.key", "attention.key", "dense", ("K", "D")),
    ModuleRow("heads.alignment.value", "attention.value", "dense", ("K", "D")),
)

OBJECTS = ("obj", "attr", "feat")  # the rows of the object head that a config can switch off

# By the model type of the configuration.
TITLES = {"lxmert": "LXMERT", "visual_bert": "VisualBERT"}
TABLES = {"lxmert": LXMERT, "visual_bert": VISUAL_BERT}
# The config fields that count the layers.
LAYERS = {"lxmert": ("l_layers", "x_layers", "r_layers"), "visual_bert": ("num_hidden_layers",)}
# Where the scores of the answers are made, and the config field that counts them.
ANSWERS = {"lxmert": ("heads.answer.out", "num_qa_labels"), "visual_bert": ("heads.classifier", "num_labels")}


def module_rows(model_type: str) -> tuple[ModuleRow, ...]:
    """The modules of a model with all of its heads, those of registered classes last."""
    return (*TABLES[model_type], *(row for spec in architectures(model_type).values() for row in spec.modules))


def every_head(model_type: str) -> tuple[str, ...]:
    """The heads of a model, in the order of the table."""
    heads = (row.path.split(".")[1] for row in module_rows(model_type) if row.path.startswith("heads."))
    return tuple(dict.fromkeys(heads))


def head_modules(config: ModelConfig, head: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """The modules of one head by their path below it ("" for the head itself): kind, and shape of the weight."""
    symbols, prefix = sizes(config), f"heads.{head}"
    return {
        row.path.removeprefix(prefix).removeprefix("."): (row.kind, row.shape(symbols))
        for row in module_rows(config.model_type)
        if row.path == prefix or row.path.startswith(f"{prefix}.")
    }


def modules_of_hugging_face(architecture: str) -> dict[str, tuple[str, ...]]:
    """The modules that `transformers` keeps in a task model, by their names there: paths of the backbone and heads."""
    return _modules_of_hugging_face(architecture) if architecture in SPECS else {}


@functools.cache
def _modules_of_hugging_face(architecture: str) -> dict[str, tuple[str, ...]]:
    spec = spec_of(architecture)
    if not spec.heads:
        return {}
    paths: dict[str, dict[str, None]] = {spec.model: {"backbone": None}}
    for row in module_rows(spec.model):
        kind, _, rest = row.path.partition(".")
        head = rest.split(".")[0]
        if kind == "heads" and head in spec.heads:
            paths.setdefault(row.hf_path.split(".")[0], {})[f"heads.{head}"] = None
    return {name: tuple(found) for name, found in paths.items()}


def is_task_model(architecture: str) -> bool:
    """Whether a class, named without the prefix TF, has heads on a backbone rather than being one."""
    return bool(spec_of(architecture).heads)


def head_names(architecture: str, config: ModelConfig) -> tuple[str, ...]:
    """The heads that a model class, named without the prefix TF, has under a config, in the order of the table.

    Raises:
        ValueError: no such class of this model.
    """
    spec = spec_of(architecture)
    if spec.model != config.model_type:
        known = ", ".join(architectures(config.model_type))
        raise ValueError(f"unknown architecture {architecture!r}; known: {known}.")
    switches = spec.optional_heads
    return tuple(head for head in spec.heads if head not in switches or getattr(config, switches[head]))


def sizes(config: ModelConfig) -> dict[str, int]:
    """The values of the sizes in the table: symbols, and the integers of a config.

    W, the width of an attention, is not among them: it depends on its pruned heads.
    """
    shared = {
        **{name: value for name, value in config.attributes().items() if isinstance(value, int)},
        "D": config.hidden_size,
        "K": config.hidden_size // config.num_attention_heads,
        "I": config.intermediate_size,
        "V": config.vocab_size,
        "positions": config.max_position_embeddings,
        "types": config.type_vocab_size,
    }
    if config.model_type == "visual_bert":
        return {**shared, "F": config.visual_embedding_dim, "labels": config.num_labels}
    return {
        **shared,
        "2D": 2 * config.hidden_size,
        "F": config.visual_feat_dim,
        "P": config.visual_pos_dim,
        "A": config.num_qa_labels,
        "obj": config.num_object_labels,
        "attr": config.num_attr_labels,
    }

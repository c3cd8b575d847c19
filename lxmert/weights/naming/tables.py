"""The modules of each model, once: our path, Hugging Face's path, kind and size; and which heads each class has.

A row names one module. The kind decides the parameters inside, their leaf names, and the only transform there is, a
transpose. Everything here is text and numbers; names.py makes the parameters of a model from it.
"""

from __future__ import annotations

from typing import NamedTuple

from lxmert.common.config.base import ModelConfig


class Leaf(NamedTuple):
    """One parameter of a kind: its name in PyTorch and in Keras, and whether Keras keeps it transposed."""

    torch: str
    keras: str
    transposed: bool = False


KINDS: dict[str, tuple[Leaf, ...]] = {
    "dense": (Leaf("weight", "kernel", transposed=True), Leaf("bias", "bias")),
    "norm": (Leaf("weight", "gamma"), Leaf("bias", "beta")),
    "embedding": (Leaf("weight", "embeddings"),),
    "vector": (Leaf("", ""),),
}


class Row(NamedTuple):
    """One module, or one per layer where `repeat` names the config field that counts the layers (`{i}` is the layer).

    `size` is the shape of the weight, PyTorch's way round ([out, in] for dense), in the symbols of `sizes`. `only_if`
    names the config switch without which there is no such module.
    """

    ours: str
    theirs: str
    kind: str
    size: tuple[str, ...]
    repeat: str | None = None
    only_if: str | None = None


def _attention(ours: str, theirs: str, repeat: str | None, inner: str = "self") -> tuple[Row, ...]:
    return (
        Row(f"{ours}.query", f"{theirs}.{inner}.query", "dense", ("W", "D"), repeat),
        Row(f"{ours}.key", f"{theirs}.{inner}.key", "dense", ("W", "D"), repeat),
        Row(f"{ours}.value", f"{theirs}.{inner}.value", "dense", ("W", "D"), repeat),
        Row(f"{ours}.out", f"{theirs}.output.dense", "dense", ("D", "W"), repeat),
        Row(f"{ours}.norm", f"{theirs}.output.LayerNorm", "norm", ("D",), repeat),
    )


def _feed_forward(ours: str, up: str, down: str, repeat: str | None) -> tuple[Row, ...]:
    return (
        Row(f"{ours}.up", f"{up}.dense", "dense", ("I", "D"), repeat),
        Row(f"{ours}.down", f"{down}.dense", "dense", ("D", "I"), repeat),
        Row(f"{ours}.norm", f"{down}.LayerNorm", "norm", ("D",), repeat),
    )


def _layer(ours: str, theirs: str, repeat: str | None) -> tuple[Row, ...]:
    return (
        *_attention(f"{ours}.attention", f"{theirs}.attention", repeat),
        *_feed_forward(f"{ours}.feed_forward", f"{theirs}.intermediate", f"{theirs}.output", repeat),
    )


_WORD_AND_MATCH = (
    Row("heads.word.transform", "cls.predictions.transform.dense", "dense", ("D", "D")),
    Row("heads.word.norm", "cls.predictions.transform.LayerNorm", "norm", ("D",)),
    Row("heads.word.bias", "cls.predictions.bias", "vector", ("V",)),
    Row("heads.word.decoder", "cls.predictions.decoder", "embedding", ("V", "D"), only_if="untied_words"),
    Row("heads.match", "cls.seq_relationship", "dense", ("2", "D")),
)

LXMERT: tuple[Row, ...] = (
    Row("embeddings.word", "embeddings.word_embeddings", "embedding", ("V", "D")),
    Row("embeddings.position", "embeddings.position_embeddings", "embedding", ("positions", "D")),
    Row("embeddings.token_type", "embeddings.token_type_embeddings", "embedding", ("types", "D")),
    Row("embeddings.norm", "embeddings.LayerNorm", "norm", ("D",)),
    Row("region_embeddings.feature", "encoder.visn_fc.visn_fc", "dense", ("D", "F")),
    Row("region_embeddings.feature_norm", "encoder.visn_fc.visn_layer_norm", "norm", ("D",)),
    Row("region_embeddings.box", "encoder.visn_fc.box_fc", "dense", ("D", "P")),
    Row("region_embeddings.box_norm", "encoder.visn_fc.box_layer_norm", "norm", ("D",)),
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
    Row("pooler.dense", "pooler.dense", "dense", ("D", "D")),
    *_WORD_AND_MATCH,
    Row("heads.object.transform", "obj_predict_head.transform.dense", "dense", ("D", "D")),
    Row("heads.object.norm", "obj_predict_head.transform.LayerNorm", "norm", ("D",)),
    Row("heads.object.obj", "obj_predict_head.decoder_dict.obj", "dense", ("obj", "D")),
    Row("heads.object.attr", "obj_predict_head.decoder_dict.attr", "dense", ("attr", "D")),
    Row("heads.object.feat", "obj_predict_head.decoder_dict.feat", "dense", ("F", "D")),
    # Two heads under one name of theirs: a file holds one or the other.
    Row("heads.answer.up", "answer_head.logit_fc.0", "dense", ("2D", "D")),
    Row("heads.answer.norm", "answer_head.logit_fc.2", "norm", ("2D",)),
    Row("heads.answer.out", "answer_head.logit_fc.3", "dense", ("A", "2D")),
    Row("heads.reasoning.up", "answer_head.logit_fc.0", "dense", ("2D", "2D")),
    Row("heads.reasoning.norm", "answer_head.logit_fc.2", "norm", ("2D",)),
    Row("heads.reasoning.out", "answer_head.logit_fc.3", "dense", ("2", "2D")),
)

VISUAL_BERT: tuple[Row, ...] = (
    Row("embeddings.word", "embeddings.word_embeddings", "embedding", ("V", "D")),
    Row("embeddings.position", "embeddings.position_embeddings", "embedding", ("positions", "D")),
    Row("embeddings.token_type", "embeddings.token_type_embeddings", "embedding", ("types", "D")),
    Row("embeddings.feature", "embeddings.visual_projection", "dense", ("D", "F")),
    Row("embeddings.visual_position", "embeddings.visual_position_embeddings", "embedding", ("positions", "D")),
    Row("embeddings.visual_token_type", "embeddings.visual_token_type_embeddings", "embedding", ("types", "D")),
    Row("embeddings.norm", "embeddings.LayerNorm", "norm", ("D",)),
    *_layer("encoder_layers.{i}", "encoder.layer.{i}", "num_hidden_layers"),
    *(
        row._replace(only_if="bypass_transformer")
        for row in _layer("additional_layer", "additional_layer", repeat=None)
    ),
    Row("pooler.dense", "pooler.dense", "dense", ("D", "D")),
    *_WORD_AND_MATCH,
    # Likewise two heads under one name.
    Row("heads.classifier", "cls", "dense", ("labels", "D")),
    Row("heads.choice", "cls", "dense", ("1", "D")),
    Row("heads.alignment.query", "attention.query", "dense", ("K", "D")),
    Row("heads.alignment.key", "attention.key", "dense", ("K", "D")),
    Row("heads.alignment.value", "attention.value", "dense", ("K", "D")),
)

OBJECTS = ("obj", "attr", "feat")  # the rows of the object head that a config can switch off

# By the model type of the configuration.
TITLES = {"lxmert": "LXMERT", "visual_bert": "VisualBERT"}
TABLES = {"lxmert": LXMERT, "visual_bert": VISUAL_BERT}
HEADS = {
    "lxmert": ("word", "match", "object", "answer", "reasoning"),
    "visual_bert": ("word", "match", "classifier", "choice", "alignment"),
}
# The config fields that count the layers.
LAYERS = {"lxmert": ("l_layers", "x_layers", "r_layers"), "visual_bert": ("num_hidden_layers",)}
# Each class without the prefix TF and its heads, the backbone first.
ARCHITECTURES: dict[str, dict[str, tuple[str, ...]]] = {
    "lxmert": {
        "LxmertModel": (),
        "LxmertForPreTraining": ("word", "match", "object", "answer"),
        "LxmertForQuestionAnswering": ("answer",),
        "LxmertForVisualReasoning": ("reasoning",),
    },
    "visual_bert": {
        "VisualBertModel": (),
        "VisualBertForPreTraining": ("word", "match"),
        "VisualBertForMultipleChoice": ("choice",),
        "VisualBertForQuestionAnswering": ("classifier",),
        "VisualBertForVisualReasoning": ("classifier",),
        # As in `transformers`, it keeps the heads of its pre-training, which it does not use.
        "VisualBertForRegionToPhraseAlignment": ("word", "match", "alignment"),
    },
}
# Where the scores of the answers are made, and the config field that counts them.
ANSWERS = {"lxmert": ("heads.answer.out", "num_qa_labels"), "visual_bert": ("heads.classifier", "num_labels")}


def is_task_model(architecture: str) -> bool:
    """Whether a class has heads, and a backbone below them, rather than being a backbone.

    Args:
        architecture: a class name without the prefix TF.

    Raises:
        ValueError: no such class.
    """
    for classes in ARCHITECTURES.values():
        if architecture in classes:
            return bool(classes[architecture])
    known = [name for classes in ARCHITECTURES.values() for name in classes]
    raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(known)}.")


def head_names(architecture: str, config: ModelConfig) -> tuple[str, ...]:
    """The heads that a model class has under a config, in the order of the table.

    Args:
        architecture: a class name without the prefix TF.
        config: says which tasks of LXMERT's pre-training have heads.

    Raises:
        ValueError: no such class of this kind of model.
    """
    classes = ARCHITECTURES[config.model_type]
    if architecture not in classes:
        raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(classes)}.")
    off = set()
    if architecture == "LxmertForPreTraining":
        off = {
            head for head, task in (("object", "task_obj_predict"), ("answer", "task_qa")) if not config.__dict__[task]
        }
    return tuple(head for head in classes[architecture] if head not in off)


def sizes(config: ModelConfig) -> dict[str, int]:
    """What the symbols of the table's sizes stand for; W, the width of an attention, depends on its pruned heads."""
    shared = {
        "1": 1,
        "2": 2,
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

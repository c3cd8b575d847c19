"""The weight-name table: every module of a model once, from which each parameter's name in each file format follows.

A row names one module: our path, Hugging Face's path, its kind and its size. The kind decides the parameters inside,
their leaf names, and the only transform there is, a transpose. A spelling says how one file format writes a row.
Conversion is then a dictionary lookup, and completeness a comparison of sets. Everything here is text and numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from .config import LxmertConfig


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

    `size` is the shape of the weight, PyTorch's way round ([out, in] for dense), in the symbols of `sizes`.
    """

    ours: str
    theirs: str
    kind: str
    size: tuple[str, ...]
    repeat: str | None = None


def _attention(ours: str, theirs: str, repeat: str, inner: str = "self") -> tuple[Row, ...]:
    return (
        Row(f"{ours}.query", f"{theirs}.{inner}.query", "dense", ("W", "D"), repeat),
        Row(f"{ours}.key", f"{theirs}.{inner}.key", "dense", ("W", "D"), repeat),
        Row(f"{ours}.value", f"{theirs}.{inner}.value", "dense", ("W", "D"), repeat),
        Row(f"{ours}.out", f"{theirs}.output.dense", "dense", ("D", "W"), repeat),
        Row(f"{ours}.norm", f"{theirs}.output.LayerNorm", "norm", ("D",), repeat),
    )


def _feed_forward(ours: str, up: str, down: str, repeat: str) -> tuple[Row, ...]:
    return (
        Row(f"{ours}.up", f"{up}.dense", "dense", ("I", "D"), repeat),
        Row(f"{ours}.down", f"{down}.dense", "dense", ("D", "I"), repeat),
        Row(f"{ours}.norm", f"{down}.LayerNorm", "norm", ("D",), repeat),
    )


def _layer(ours: str, theirs: str, repeat: str) -> tuple[Row, ...]:
    return (
        *_attention(f"{ours}.attention", f"{theirs}.attention", repeat),
        *_feed_forward(f"{ours}.feed_forward", f"{theirs}.intermediate", f"{theirs}.output", repeat),
    )


_CROSS = ("cross_layers.{i}", "encoder.x_layers.{i}", "x_layers")

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
    Row("heads.word.transform", "cls.predictions.transform.dense", "dense", ("D", "D")),
    Row("heads.word.norm", "cls.predictions.transform.LayerNorm", "norm", ("D",)),
    Row("heads.word.bias", "cls.predictions.bias", "vector", ("V",)),
    Row("heads.match", "cls.seq_relationship", "dense", ("2", "D")),
    Row("heads.object.transform", "obj_predict_head.transform.dense", "dense", ("D", "D")),
    Row("heads.object.norm", "obj_predict_head.transform.LayerNorm", "norm", ("D",)),
    Row("heads.object.obj", "obj_predict_head.decoder_dict.obj", "dense", ("obj", "D")),
    Row("heads.object.attr", "obj_predict_head.decoder_dict.attr", "dense", ("attr", "D")),
    Row("heads.object.feat", "obj_predict_head.decoder_dict.feat", "dense", ("F", "D")),
    Row("heads.answer.up", "answer_head.logit_fc.0", "dense", ("2D", "D")),
    Row("heads.answer.norm", "answer_head.logit_fc.2", "norm", ("2D",)),
    Row("heads.answer.out", "answer_head.logit_fc.3", "dense", ("A", "2D")),
)

OBJECTS = ("obj", "attr", "feat")  # the rows of the object head that a config can switch off
HEADS = ("word", "match", "object", "answer")
ARCHITECTURES = ("LxmertModel", "LxmertForPreTraining", "LxmertForQuestionAnswering")


def head_names(architecture: str, config: LxmertConfig) -> tuple[str, ...]:
    """The heads that a model class has under a config, in the order of the table.

    Args:
        architecture: a class name without the prefix TF.
        config: says which tasks of pre-training have heads.

    Raises:
        ValueError: no such class.
    """
    if architecture == "LxmertModel":
        return ()
    if architecture == "LxmertForQuestionAnswering":
        return ("answer",)
    if architecture == "LxmertForPreTraining":
        objects = ("object",) if config.task_obj_predict else ()
        return ("word", "match", *objects, *(("answer",) if config.task_qa else ()))
    raise ValueError(f"unknown architecture {architecture!r}; known: {', '.join(ARCHITECTURES)}.")


def sizes(config: LxmertConfig) -> dict[str, int]:
    """What the symbols of the table's sizes stand for; W, the width of an attention, depends on its pruned heads."""
    return {
        "2": 2,
        "D": config.hidden_size,
        "2D": 2 * config.hidden_size,
        "I": config.intermediate_size,
        "V": config.vocab_size,
        "positions": config.max_position_embeddings,
        "types": config.type_vocab_size,
        "F": config.visual_feat_dim,
        "P": config.visual_pos_dim,
        "A": config.num_qa_labels,
        "obj": config.num_object_labels,
        "attr": config.num_attr_labels,
    }


@dataclass(frozen=True)
class Parameter:
    """One tensor of a model: where it sits, and its shape PyTorch's way round."""

    module: str
    theirs: str
    kind: str
    leaf: Leaf
    shape: tuple[int, ...]

    @property
    def head(self) -> str | None:
        """The head that it belongs to, None in the backbone."""
        return self.module.split(".")[1] if self.module.startswith("heads.") else None

    @property
    def name(self) -> str:
        """Its name: the attribute path in a backbone, with PyTorch's leaf."""
        return _joined(".", self.module, self.leaf.torch)


def _joined(separator: str, *parts: str) -> str:
    return separator.join(part for part in parts if part)


def parameters(config: LxmertConfig, heads: Collection[str]) -> Iterator[Parameter]:
    """Every parameter of a model with the given heads, in the order of the table.

    Args:
        config: sizes and layer counts.
        heads: some of "word", "match", "object", "answer"; see `head_names`.
    """
    symbols = sizes(config)
    head_size = config.hidden_size // config.num_attention_heads
    for row in LXMERT:
        parts = row.ours.split(".")
        if parts[0] == "heads" and parts[1] not in heads:
            continue
        if parts[:2] == ["heads", "object"] and parts[2] in OBJECTS and parts[2] not in config.visual_losses:
            continue
        for i in range(getattr(config, row.repeat) if row.repeat else 1):
            module = row.ours.format(i=i)
            pruned = len(config.pruned_heads.get(module.rpartition(".")[0], ()))
            symbols["W"] = (config.num_attention_heads - pruned) * head_size
            shape = tuple(symbols[symbol] for symbol in row.size)
            for leaf in KINDS[row.kind]:
                # Beside the weight, a module has vectors of its outputs only.
                size = shape if leaf is KINDS[row.kind][0] else shape[:1]
                yield Parameter(module, row.theirs.format(i=i), row.kind, leaf, size)


class Spelling(NamedTuple):
    """How one file format writes names: the prefix of the backbone, and whether dense kernels lie transposed.

    `alone` is the backbone's prefix in a file of the backbone alone, `nested` in a file of a task model. `tied` tells
    whether some writers store the word head's decoder (`TIED_DECODER`) beside the embedding that it is tied to.
    """

    title: str
    alone: str
    nested: str
    transposed: bool
    tied: bool = False

    def write(self, parameter: Parameter, nested: bool) -> str:
        """The name of `parameter` in this spelling."""
        prefix = "" if parameter.head else self.nested if nested else self.alone
        if self is KERAS_H5:
            return prefix + _keras_h5_path(parameter)
        if self is NATIVE:
            return prefix + parameter.name
        return prefix + _joined(".", parameter.theirs, parameter.leaf.torch)


NATIVE = Spelling("lxmert (PyTorch)", "", "backbone.", transposed=False)
HUGGING_FACE = Spelling("Hugging Face (PyTorch)", "", "lxmert.", transposed=False, tied=True)
ORIGINAL = Spelling("the original authors'", "bert.", "bert.", transposed=False, tied=True)
KERAS_H5 = Spelling("Keras weights", "", "backbone/", transposed=True)
SPELLINGS = (HUGGING_FACE, ORIGINAL, NATIVE, KERAS_H5)

# Keras calls the entries of a list by their class, and numbers them from the second on.
_KERAS_LISTS = {
    "language_layers": "transformer_layer",
    "visual_layers": "transformer_layer",
    "cross_layers": "cross_layer",
}


def _keras_h5_path(parameter: Parameter) -> str:
    """Where Keras' weight file keeps a parameter: attribute names as groups, `vars/0`, `vars/1` below the layer."""
    parts = parameter.module.split(".")
    if parts[0] in _KERAS_LISTS:
        number = "" if parts[1] == "0" else f"_{parts[1]}"
        parts[1] = _KERAS_LISTS[parts[0]] + number
    if parameter.kind == "vector":
        parts = parts[:-1]  # a variable of the layer itself
    place = [leaf.torch for leaf in KINDS[parameter.kind]].index(parameter.leaf.torch)
    return "/".join([*parts, "vars", str(place)])


def layer_counts(spelling: Spelling, nested: bool, names: Collection[str]) -> dict[str, int]:
    """How many layers of each kind a file has, by the config field that counts them, judged by its names.

    Args:
        spelling: the file's.
        nested: whether its backbone is a task model's.
        names: the names in the file.
    """
    counts = {}
    for row in LXMERT:
        if row.repeat and row.repeat not in counts:
            leaf, i = KINDS[row.kind][0], 0
            while (
                spelling.write(Parameter(row.ours.format(i=i), row.theirs.format(i=i), row.kind, leaf, ()), nested)
                in names
            ):
                i += 1
            counts[row.repeat] = i
    return counts


# Where some writers store the word embedding a second time, as the word head's decoder.
TIED_DECODER = "cls.predictions.decoder.weight"

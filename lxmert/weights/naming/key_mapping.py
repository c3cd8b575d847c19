"""Every parameter of a model by name, made from the tables of modules: nothing is parsed.

A mapping says how one file format writes a parameter. Conversion is then a dictionary lookup, and completeness a
comparison of sets. Everything here is text and numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from lxmert.common.config.base import ModelConfig

from .tables import KINDS, OBJECTS, Leaf, every_head, module_rows, sizes


@dataclass(frozen=True)
class Parameter:
    """One tensor of a model: where it sits, and its shape PyTorch's way round."""

    model_type: str
    module: str
    hf_module: str
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


def parameters(config: ModelConfig, heads: Collection[str], pooler: bool = True) -> Iterator[Parameter]:
    """Every parameter of a model with the given heads, in the order of the table.

    Args:
        config: sizes, layer counts and switches.
        heads: some of the model's heads; see `tables.head_names`.
        pooler: whether the model has one.
    """
    symbols, kind_of_model = sizes(config), config.model_type
    for row in module_rows(kind_of_model):
        parts = row.path.split(".")
        if parts[0] == "heads" and parts[1] not in heads:
            continue
        if parts[:2] == ["heads", "object"] and parts[2] in OBJECTS and parts[2] not in config.visual_losses:
            continue
        if (row.switch and not getattr(config, row.switch)) or (parts[0] == "pooler" and not pooler):
            continue
        for i in range(getattr(config, row.layers_field) if row.layers_field else 1):
            module = row.path.format(i=i)
            pruned = len(config.pruned_heads.get(module.rpartition(".")[0], ()))
            symbols["W"] = (config.num_attention_heads - pruned) * symbols["K"]
            shape = tuple(size if isinstance(size, int) else symbols[size] for size in row.size)
            for leaf in KINDS[row.kind]:
                # Beside the weight, a module has vectors of its outputs only.
                size = shape if leaf is KINDS[row.kind][0] else shape[:1]
                yield Parameter(kind_of_model, module, row.hf_path.format(i=i), row.kind, leaf, size)


def all_parameters(config: ModelConfig) -> Iterator[Parameter]:
    """Every parameter that files of a configuration may hold: those of all heads, whole, whatever it has switched off.

    Args:
        config: sizes and layer counts.
    """
    if config.model_type == "lxmert":
        # The switches that leave out a part of a head.
        config = config.replace(visual_obj_loss=True, visual_attr_loss=True, visual_feat_loss=True)
    yield from parameters(config, every_head(config.model_type))


class KeyMapping(NamedTuple):
    """How one file format writes names.

    `alone` is the backbone's prefix in a file of the backbone alone, `nested` in a file of a task model, `{model}` the
    model's type; `heads` is the prefix of the heads. `path` writes what follows the prefix. `renamed` are modules that
    the format calls otherwise than Hugging Face. `unused` are parts of paths below which lies what no model of ours
    has. `tied` tells that writers may store the word head's decoder beside the word embedding that it is.
    """

    title: str
    backbone_prefix: str
    task_prefix: str
    format_key: Callable[[Parameter, Mapping[str, str]], str]
    transposed: bool = False
    head_prefix: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    tied: bool = False

    def key(self, parameter: Parameter, nested: bool) -> str:
        """The name of `parameter` in this mapping."""
        prefix = self.head_prefix if parameter.head else self.task_prefix if nested else self.backbone_prefix
        return prefix.format(model=parameter.model_type) + self.format_key(parameter, dict(self.renamed))

    def tied_copies(self) -> dict[str, str]:
        """Names under which some writers store a tensor of ours a second time, each with our module."""
        return {self.head_prefix + name: module for name, module in TIED.items()} if self.tied else {}

    def is_unused(self, name: str) -> bool:
        """Whether a name in a file belongs to what no model of ours has."""
        return any(part in self.unused for part in name.split("."))


def _native(parameter: Parameter, renamed: Mapping[str, str]) -> str:
    return parameter.name


def _torch(parameter: Parameter, renamed: Mapping[str, str]) -> str:
    return _joined(".", renamed.get(parameter.hf_module, parameter.hf_module), parameter.leaf.torch)


# Keras calls the entries of a list by their class, and numbers them from the second on.
_KERAS_LISTS = {
    "language_layers": "transformer_layer",
    "visual_layers": "transformer_layer",
    "cross_layers": "cross_layer",
    "encoder_layers": "transformer_layer",
}


def _keras_h5(parameter: Parameter, renamed: Mapping[str, str]) -> str:
    """Where Keras' weight file keeps a parameter: attribute names as groups, `vars/0`, `vars/1` below the layer."""
    parts = parameter.module.split(".")
    if parts[0] in _KERAS_LISTS:
        number = "" if parts[1] == "0" else f"_{parts[1]}"
        parts[1] = _KERAS_LISTS[parts[0]] + number
    if parameter.kind == "vector":
        parts = parts[:-1]  # a variable of the layer itself
    place = [leaf.torch for leaf in KINDS[parameter.kind]].index(parameter.leaf.torch)
    return "/".join([*parts, "vars", str(place)])


def _tensorflow(parameter: Parameter, renamed: Mapping[str, str]) -> str:
    """The name of a variable in Hugging Face's TensorFlow models: `_._` before a number, `:0` behind, `/` between."""
    parts: list[str] = []
    for part in parameter.hf_module.split("."):
        if part.isdigit():
            parts[-1] += f"_._{part}"
        elif parts and parts[-1] == "decoder_dict":
            parts[-1] += f".{part}"  # a name with a dot in it
        else:
            parts.append(part)
    # Their word embedding is a layer of their own making, which called its variable as PyTorch does.
    leaf = "weight" if parts[-1] == "word_embeddings" else parameter.leaf.keras
    return _joined("/", *parts, leaf) + ":0"


# The word head's decoder is the word embedding, with the head's own bias.
TIED_DECODER = "cls.predictions.decoder.weight"
# transformers' VisualBERT has a bias in the decoder too; where the decoder is untied, it is the one that is used.
DECODER_BIAS = "cls.predictions.decoder.bias"
TIED = {TIED_DECODER: "embeddings.word", DECODER_BIAS: "heads.word.bias"}

NATIVE = KeyMapping("lxmert (PyTorch)", "", "backbone.", _native)
# Old files hold the numbers of the positions, 0, 1, 2, ..., as a tensor.
HUGGING_FACE = KeyMapping("Hugging Face (PyTorch)", "", "{model}.", _torch, unused=("position_ids",), tied=True)
HUGGING_FACE_TF = KeyMapping("Hugging Face (TensorFlow)", "{model}/", "{model}/", _tensorflow, transposed=True)
KERAS_H5 = KeyMapping("Keras weights", "", "backbone/", _keras_h5, transposed=True)
ORIGINAL = KeyMapping("the original authors'", "bert.", "bert.", _torch, tied=True)
ORIGINAL_FINE_TUNED = KeyMapping(
    "the original authors', fine-tuned",
    "lxrt_encoder.model.bert.",
    "lxrt_encoder.model.bert.",
    _torch,
    renamed=tuple((f"answer_head.logit_fc.{i}", f"logit_fc.{i}") for i in (0, 2, 3)),
)
ORIGINAL_VISUAL_BERT = KeyMapping(
    "the original authors'",
    "bert.bert.",
    "bert.bert.",
    _torch,
    head_prefix="bert.",
    renamed=(
        ("embeddings.visual_projection", "embeddings.projection"),
        ("embeddings.visual_position_embeddings", "embeddings.position_embeddings_visual"),
        ("embeddings.visual_token_type_embeddings", "embeddings.token_type_embeddings_visual"),
        ("cls", "classifier"),
        ("attention.query", "flickr_attention.query"),
        ("attention.key", "flickr_attention.key"),
        ("attention.value", "flickr_attention.value"),
    ),
    # The models of commonsense reasoning hold the detector that they were trained with.
    unused=("detector", "position_ids"),
    tied=True,
)
# A plain BERT: the part of both models that reads words.
BERT = KeyMapping("BERT", "", "bert.", _torch, unused=("position_ids",), tied=True)
KEY_MAPPINGS = {
    "lxmert": (HUGGING_FACE, HUGGING_FACE_TF, ORIGINAL, ORIGINAL_FINE_TUNED, NATIVE, KERAS_H5),
    "visual_bert": (HUGGING_FACE, ORIGINAL_VISUAL_BERT, NATIVE, KERAS_H5),
}

# What engines put in front of the names of the modules that they wrap, at any depth.
_WRAPPERS = frozenset(("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
# What layer norms called their weights in the days of TensorFlow 1.
_OLD_LEAVES = {"gamma": "weight", "beta": "bias"}


def normalize_key(name: str) -> str:
    """A name as the table would write it, without what engines put in front and with today's names of weights."""
    parts = [part for part in name.split(".") if part not in _WRAPPERS] or [name]
    parts[-1] = _OLD_LEAVES.get(parts[-1], parts[-1])
    # A word embedding that was an ordinary layer of Keras.
    return ".".join(parts).replace("/word_embeddings/embeddings:0", "/word_embeddings/weight:0")


def shapeless_parameters(model_type: str, counts: Mapping[str, int]) -> Iterator[Parameter]:
    """Every parameter that a model with so many layers can have, whatever its switches, without shapes.

    Args:
        model_type: of the model.
        counts: how many layers of each kind, by the config field that counts them.
    """
    for row in module_rows(model_type):
        for i in range(counts[row.layers_field] if row.layers_field else 1):
            for leaf in KINDS[row.kind]:
                yield Parameter(model_type, row.path.format(i=i), row.hf_path.format(i=i), row.kind, leaf, ())


def layer_counts(model_type: str, mapping: KeyMapping, nested: bool, names: Collection[str]) -> dict[str, int]:
    """How many layers of each kind a file has, by the config field that counts them, judged by its names.

    Args:
        model_type: of the model that the file is taken for.
        mapping: the file's.
        nested: whether its backbone is a task model's.
        names: the names in the file.
    """
    counts: dict[str, int] = {}
    for row in module_rows(model_type):
        if row.layers_field and row.layers_field not in counts:
            leaf, i = KINDS[row.kind][0], 0
            while (
                mapping.key(
                    Parameter(model_type, row.path.format(i=i), row.hf_path.format(i=i), row.kind, leaf, ()), nested
                )
                in names
            ):
                i += 1
            counts[row.layers_field] = i
    return counts

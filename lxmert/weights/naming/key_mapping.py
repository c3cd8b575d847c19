"""Every parameter of a model, generated from the table of modules, and its key in every format: nothing is parsed.

So conversion is a dictionary lookup, and completeness a comparison of sets.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import count, pairwise
from typing import NamedTuple

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import ModuleRow

from .kinds import KINDS, Leaf
from .tables import MODELS, every_head, module_rows


@dataclass(frozen=True)
class Parameter:
    """One tensor of a model: its module, and its shape in PyTorch's layout."""

    model_type: str
    module: str
    hf_module: str
    kind: str
    leaf: Leaf
    shape: tuple[int, ...]

    @property
    def head(self) -> str | None:
        """The head that it belongs to; None in the backbone."""
        return self.module.split(".")[1] if self.module.startswith("heads.") else None

    @property
    def name(self) -> str:
        """Its name: the attribute path in PyTorch."""
        return _joined(".", self.module, self.leaf.torch)


def _joined(separator: str, *parts: str) -> str:
    return separator.join(part for part in parts if part)


def parameters(config: ModelConfig, heads: Collection[str], pooler: bool = True) -> Iterator[Parameter]:
    """Every parameter of a model with some of its heads (`tables.head_names`), in the order of the table."""
    model_type = config.model_type
    table = MODELS[model_type]
    symbols = table.sizes(config)
    for row in module_rows(model_type):
        parts = row.path.split(".")
        if (parts[0] == "heads" and parts[1] not in heads) or (parts[0] == "pooler" and not pooler):
            continue
        if row.switch and not (symbols[row.switch] if row.switch in symbols else getattr(config, row.switch)):
            continue
        for i in range(getattr(config, row.layers_field) if row.layers_field else 1):
            shape = row.shape(symbols | table.layer_sizes(config, row.path.format(i=i)))
            for leaf in KINDS[row.kind]:
                # Besides the weight, a module only has vectors with a value for each output.
                size = shape if leaf is KINDS[row.kind][0] else shape[:1]
                yield _parameter(model_type, row, i, leaf, size)


def _parameter(model_type: str, row: ModuleRow, i: int, leaf: Leaf, shape: tuple[int, ...] = ()) -> Parameter:
    return Parameter(model_type, row.path.format(i=i), row.hf_path.format(i=i), row.kind, leaf, shape)


def all_parameters(config: ModelConfig) -> Iterator[Parameter]:
    """Every parameter that files of a configuration may have: those of all heads, also of those switched off."""
    whole = MODELS[config.model_type].all_parts
    yield from parameters(config.replace(**whole) if whole else config, every_head(config.model_type))


class KeyMapping(NamedTuple):
    """How one file format names parameters.

    Attributes:
        title: whose names these are.
        backbone_prefix: in a file of a backbone; `{model}` is the model type.
        task_prefix: of the backbone in a file of a task model.
        format_key: writes what follows the prefix.
        keras_layout: whether kernels are in Keras' layout.
        head_prefix: of the heads.
        renamed: modules with other names than Hugging Face's.
        unused: parts of keys below which no model of ours has anything.
        tied: whether writers may store the word head's decoder next to the word embedding that it is tied to.
        contained: whether this is how the files of another model name a model that they contain. It is taken where
            that model is asked for, or the file has nothing else.
    """

    title: str
    backbone_prefix: str
    task_prefix: str
    format_key: Callable[[Parameter, Mapping[str, str]], str]
    keras_layout: bool = False
    head_prefix: str = ""
    renamed: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    tied: bool = False
    contained: bool = False

    def key(self, parameter: Parameter, nested: bool) -> str:
        """The key of a parameter; `nested` says whether the backbone is inside of a task model."""
        prefix = self.head_prefix if parameter.head else self.task_prefix if nested else self.backbone_prefix
        return prefix.format(model=parameter.model_type) + self.format_key(parameter, dict(self.renamed))

    def tied_copies(self) -> dict[str, str]:
        """Keys under which some writers store a tied tensor a second time, each with our module."""
        return {self.head_prefix + name: module for name, module in TIED.items()} if self.tied else {}

    def is_unused(self, name: str) -> bool:
        """Whether a key belongs to something that no model of ours has."""
        return any(part in self.unused for part in name.split("."))


def _native(parameter: Parameter, renamed: Mapping[str, str]) -> str:
    return parameter.name


def _torch(parameter: Parameter, renamed: Mapping[str, str]) -> str:
    return _joined(".", renamed.get(parameter.hf_module, parameter.hf_module), parameter.leaf.torch)


# Keras names the layers in a list by their class, and numbers them from the second on.
_KERAS_LISTS = {
    "language_layers": "transformer_layer",
    "visual_layers": "transformer_layer",
    "cross_layers": "cross_layer",
    "encoder_layers": "transformer_layer",
    **dict.fromkeys(("res2", "res3", "res4", "res5"), "bottleneck"),
}


def _keras_h5(parameter: Parameter, renamed: Mapping[str, str]) -> str:
    """The place in Keras' weight file: attribute names as groups, then `vars/0`, `vars/1` in the layer."""
    parts = parameter.module.split(".")
    for place, (name, number) in enumerate(pairwise(parts), start=1):
        if name in _KERAS_LISTS:
            parts[place] = _KERAS_LISTS[name] + ("" if number == "0" else f"_{number}")
    if not parameter.leaf.keras:
        parts = parts[:-1]  # a variable of the parent layer
    place = [leaf.torch for leaf in KINDS[parameter.kind]].index(parameter.leaf.torch)
    return "/".join([*parts, "vars", str(place)])


def _tensorflow(parameter: Parameter, renamed: Mapping[str, str]) -> str:
    """A variable's name in Hugging Face's TensorFlow models: `/` between parts, `_._` before numbers, `:0` last."""
    parts: list[str] = []
    for part in parameter.hf_module.split("."):
        if part.isdigit():
            parts[-1] += f"_._{part}"
        elif parts and parts[-1] == "decoder_dict":
            parts[-1] += f".{part}"  # this name has a dot
        else:
            parts.append(part)
    # Their word embedding is a custom layer, whose variable is called as in PyTorch.
    leaf = "weight" if parts[-1] == "word_embeddings" else parameter.leaf.keras
    return _joined("/", *parts, leaf) + ":0"


# The word head's decoder is tied to the word embedding, and has its own bias.
TIED_DECODER = "cls.predictions.decoder.weight"
# transformers' VisualBERT has a bias in the decoder too, and uses it where the decoder is untied.
DECODER_BIAS = "cls.predictions.decoder.bias"
TIED = {TIED_DECODER: "embeddings.word", DECODER_BIAS: "heads.word.bias"}

NATIVE = KeyMapping("lxmert (PyTorch)", "", "backbone.", _native)
# The state dict of a user's model, whose backbone has the name that `transformers` gives it.
NATIVE_IN_USER_MODEL = KeyMapping("lxmert (PyTorch), in a user's model", "", "{model}.", _native)
# Old files have position ids, 0, 1, 2, ..., as a tensor.
HUGGING_FACE = KeyMapping("Hugging Face (PyTorch)", "", "{model}.", _torch, unused=("position_ids",), tied=True)
HUGGING_FACE_TF = KeyMapping("Hugging Face (TensorFlow)", "{model}/", "{model}/", _tensorflow, keras_layout=True)
KERAS_H5 = KeyMapping("Keras weights", "", "backbone/", _keras_h5, keras_layout=True)
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
    # The models for VCR contain the detector that they were trained with.
    unused=("detector", "position_ids"),
    tied=True,
)
# A plain BERT: the language part of both models.
BERT = KeyMapping("BERT", "", "bert.", _torch, unused=("position_ids",), tied=True)
# What counts batches is of no use where statistics are frozen.
_COUNTERS = ("num_batches_tracked",)
DETECTRON = KeyMapping("Detectron2", "", "", _torch, unused=_COUNTERS)
VCR_DETECTOR = KeyMapping("the original authors'", "", "", _torch, unused=_COUNTERS)
VCR_DETECTOR_IN_VISUAL_BERT = KeyMapping(
    "the original authors', inside of a VisualBERT", "detector.", "detector.", _torch, unused=_COUNTERS, contained=True
)
KEY_MAPPINGS = {
    "lxmert": (HUGGING_FACE, HUGGING_FACE_TF, ORIGINAL, ORIGINAL_FINE_TUNED, NATIVE, KERAS_H5, NATIVE_IN_USER_MODEL),
    "visual_bert": (HUGGING_FACE, ORIGINAL_VISUAL_BERT, NATIVE, KERAS_H5, NATIVE_IN_USER_MODEL),
    "visual_genome_detector": (DETECTRON, NATIVE, KERAS_H5),
    "vcr_detector": (VCR_DETECTOR, VCR_DETECTOR_IN_VISUAL_BERT, NATIVE, KERAS_H5),
}
"""How files name the parameters of each model, first as published: so folders are written."""


def published(model_type: str) -> KeyMapping:
    """The names under which a model's weights are published, and written into folders."""
    return KEY_MAPPINGS[model_type][0]


# What wrappers such as FSDP add to the names of modules, at any depth.
_WRAPPERS = frozenset(("module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
# The weights of layer norms in files that come from TensorFlow 1.
_OLD_LEAVES = {"gamma": "weight", "beta": "bias"}


def normalize_key(name: str) -> str:
    """A key without the prefixes of wrappers, and with today's names of weights."""
    parts = [part for part in name.split(".") if part not in _WRAPPERS] or [name]
    parts[-1] = _OLD_LEAVES.get(parts[-1], parts[-1])
    # A word embedding that was an ordinary Keras layer.
    return ".".join(parts).replace("/word_embeddings/embeddings:0", "/word_embeddings/weight:0")


def shapeless_parameters(model_type: str, counts: Mapping[str, int]) -> Iterator[Parameter]:
    """Every parameter that a model may have, whatever its switches, without shapes; `counts` are its layers."""
    for row in module_rows(model_type):
        for i in range(counts[row.layers_field] if row.layers_field else 1):
            yield from (_parameter(model_type, row, i, leaf) for leaf in KINDS[row.kind])


def layer_counts(model_type: str, mapping: KeyMapping, nested: bool, names: Collection[str]) -> dict[str, int]:
    """The numbers of layers in a file, by config field, judged by its names as keys of a mapping."""
    counts: dict[str, int] = {}
    for row in module_rows(model_type):
        if row.layers_field and row.layers_field not in counts:
            keys = (mapping.key(_parameter(model_type, row, i, KINDS[row.kind][0]), nested) for i in count())
            counts[row.layers_field] = next(i for i, key in enumerate(keys) if key not in names)
    return counts

"""What a model is asked: its inputs as arrays, and which rows of its attention maps belong to which example."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import LXMERT_INPUTS, VISUAL_BERT_INPUTS, ModelSpec, architectures, spec_of
from lxmert.common.validation.lxmert import check_lxmert_inputs
from lxmert.common.validation.shared import TensorSpec
from lxmert.common.validation.visual_bert import check_alignment_inputs, check_visual_bert_inputs
from lxmert.utils.messages import unknown_keyword_message

_KINDS = {"b": "bool", "i": "int", "u": "int", "f": "float"}
_REGIONS = {"lxmert": "visual_feats", "visual_bert": "visual_embeds"}
_KNOWN = {"lxmert": LXMERT_INPUTS, "visual_bert": VISUAL_BERT_INPUTS}
_TEXT = ("input_ids", "inputs_embeds", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Batch:
    """The inputs of a model.

    Dimensions: B examples, L tokens, R regions. A model of two images per sentence has 2 of them in an axis after B,
    multiple choice has the choices there; they are one axis in the rows of attention maps.

    Attributes:
        architecture: the class of the model, without the prefix TF.
        spec: its row in the table of classes.
        config: its configuration.
        inputs: arrays by argument name.
        word_mask: bool [B, L], [B, 2, L] or [B, choices, L]: tokens that are read.
        region_mask: bool, with R instead of L; R is 0 of a text alone.
    """

    architecture: str
    spec: ModelSpec
    config: ModelConfig
    inputs: dict[str, np.ndarray]
    word_mask: np.ndarray
    region_mask: np.ndarray

    @property
    def size(self) -> int:
        """B."""
        return len(self.word_mask)

    @property
    def has_choices(self) -> bool:
        """Whether an axis of choices is behind the batch."""
        return _layout(self.spec) == "choices"

    def by_row(self, values: np.ndarray) -> np.ndarray:  # [B, 2, S] -> [2B, S]
        """The same with a row for each row of the attention maps."""
        return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])

    def by_example(self, values: np.ndarray, answers: np.ndarray) -> np.ndarray:  # [2B, ...] -> [B, 2, ...]
        """The same with a row for each example: both images, or of several choices the one that is explained."""
        middle = self.word_mask.shape[1:-1]
        values = values.reshape(self.size, *middle, *values.shape[1:])
        return values[np.arange(self.size), answers] if self.has_choices else values


def read_batch(model: Any, inputs: Mapping[str, Any]) -> Batch:
    """Check the inputs of a model as the model would.

    Args:
        model: of either backend.
        inputs: arrays, or tensors of either backend, by argument name; labels are left out.

    Raises:
        ValueError: the model is a backbone; an input is unknown, missing, or has a shape that does not fit.
        TypeError: an input of another kind, such as floating-point token ids.
    """
    architecture = model.architecture()
    spec = spec_of(architecture)
    if not spec.heads:
        others = ", ".join(name for name, other in architectures(spec.model).items() if other.heads)
        raise ValueError(
            f"model must have a score that can be explained, and {architecture} has no head. Load the weights in one "
            f"of {others}."
        )
    if not isinstance(inputs, Mapping):
        raise TypeError(f"inputs must be a mapping of argument names to arrays; got {type(inputs).__name__}.")
    known = tuple(dict.fromkeys((*_KNOWN[spec.model], *spec.inputs)))
    labels = {*spec.labels, *spec.label_aliases}
    arrays = {name: _array(name, value) for name, value in inputs.items() if value is not None and name not in labels}
    for name in arrays:
        if name not in known:
            raise ValueError(f"{architecture}: {unknown_keyword_message(name, known, 'input')}")
    _check(spec, model.config, arrays)
    if "images" in _layout(spec):
        arrays = _text_for_each_image(arrays)
    return Batch(architecture, spec, model.config, arrays, *_masks(spec, arrays))


def _layout(spec: ModelSpec) -> str:
    """What the axis behind the batch is: "images", "choices", or "" if there is none."""
    if "choices" in spec.inputs["input_ids"].axes:
        return "choices"
    return "images" if 2 in spec.inputs[_REGIONS[spec.model]].axes else ""


def _array(name: str, value: Any) -> np.ndarray:
    """An array or a tensor in NumPy, which has no bfloat16: as float32. PyTorch takes no views that run backwards."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:  # lists of several lengths
        raise ValueError(f"{name} must be an array of numbers: {error}") from error
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32)
    return np.require(array, array.dtype.newbyteorder("="), ("C", "W"))


def _describe(name: str, array: Any) -> TensorSpec:
    if array.dtype.kind not in _KINDS:
        raise TypeError(f"{name} must be an array of numbers; got values of type {array.dtype}.")
    return TensorSpec(array.shape, _KINDS[array.dtype.kind])


def _check(spec: ModelSpec, config: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuse inputs that the model cannot read."""
    if spec.model == "lxmert":
        given = {name: arrays.get(name) for name in LXMERT_INPUTS}
        check_lxmert_inputs(config, given, _describe, images=_layout(spec) == "images")
        return
    given = {name: arrays.get(name) for name in VISUAL_BERT_INPUTS}
    if spec.task == "alignment":
        check_alignment_inputs(arrays.get("visual_embeds"), arrays.get("region_to_phrase_position"), _describe)
    check_visual_bert_inputs(config, given, _describe, choices=_layout(spec) == "choices")


def _text_for_each_image(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Repeat a sentence for its second image: what it contributes with each of them is told apart."""
    shared = arrays["input_ids"].ndim == 2 if "input_ids" in arrays else arrays["inputs_embeds"].ndim == 3
    return {
        name: np.stack([array, array], axis=1) if shared and name in _TEXT else array for name, array in arrays.items()
    }


def _masks(spec: ModelSpec, arrays: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """What is read of words and of regions."""
    words = arrays["input_ids"].shape if "input_ids" in arrays else arrays["inputs_embeds"].shape[:-1]
    regions = arrays[_REGIONS[spec.model]].shape[:-1] if _REGIONS[spec.model] in arrays else (*words[:-1], 0)

    def mask(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return arrays[name] != 0 if name in arrays else np.ones(shape, dtype=bool)

    return mask("attention_mask", words), mask("visual_attention_mask", regions)

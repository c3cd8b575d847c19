"""The base classes of the Keras models: loading and saving, and gradient checkpointing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, TypeVar, cast

import keras

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import SPECS
from lxmert.utils.messages import check_keywords
from lxmert.weights.loading_arguments import Quantize
from lxmert.weights.naming.key_mapping import Parameter

from ._compat import WorkerModel, flatten_layers, register_output
from .dropout import Dropout, ReplayedSeeds
from .int8 import has_int8_layers
from .keras_export import KerasExport
from .layers import ContextBias
from .losses import describe
from .resizing import Resizable

# Arguments that are no tensors.
_OPTIONS = frozenset(
    (
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "language_output",
        "vision_output",
        "prediction_logits",
    )
)


def run_layer(model: PreTrainedModel, layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
    """Run one layer; with gradient checkpointing its activations are recomputed in the backward pass."""
    if not (model.gradient_checkpointing and options["training"]):
        return layer(*inputs, **options)
    # Keras recomputes functions of tensors only, so None in inputs and outputs is put back afterwards. It would
    # also draw other dropout masks the second time, so the seeds of the first are replayed.
    drops = [part for part in flatten_layers(layer) if isinstance(part, Dropout) and part.rate > 0]
    draws = [ReplayedSeeds(drop.seed_generator) for drop in drops]
    is_none = keras.tree.map_structure(lambda x: x is None, inputs)
    structure: list[Any] = []

    def of_tensors(*tensors: Any) -> list[Any]:
        rest = iter(tensors)
        given = keras.tree.map_structure(lambda none: None if none else next(rest), is_none)
        with ExitStack() as replaying:
            for drop, drawn in zip(drops, draws, strict=True):
                replaying.enter_context(drop.replaying(drawn))
            out = layer(*given, **options)
        structure[:] = [out]
        return [x for x in keras.tree.flatten(out) if x is not None]

    tensors = [x for x in keras.tree.flatten(inputs) if x is not None]
    rest = iter(keras.remat(of_tensors)(*tensors))
    return keras.tree.map_structure(lambda x: None if x is None else next(rest), structure[0])


def run_layers(
    model: PreTrainedModel, layers: Iterable[Any], states: Any, bias: ContextBias | None, **options: Any
) -> tuple[Any, list[Any], list[Any]]:
    """Run layers in sequence; returns the last states, the states after each layer, and the maps of each."""
    every, maps = [], []
    for layer in layers:
        states, weights = run_layer(model, layer, states, bias, **options)
        every.append(states)
        maps.append(weights)
    return states, every, maps


Call = TypeVar("Call", bound=Callable[..., Any])


def accept_dict(call: Call) -> Call:
    """Let `call` also take its inputs as one dict, as the first argument.

    Keras passes the inputs of `fit`, for example, as one structure.
    """
    names = [name for name in inspect.signature(call).parameters if name != "self"]

    @functools.wraps(call)
    def by_name(self: Any, *args: Any, **kwargs: Any) -> Any:
        first = args[0] if args else kwargs.get(names[0])
        if isinstance(first, Mapping):
            kwargs = {**dict(zip(names, args, strict=False)), **kwargs, names[0]: None, **first}
            args = ()
        return call(self, *args, **kwargs)

    return cast(Call, by_name)


class PreTrainedModel(WorkerModel, Resizable, KerasExport):
    """Base class of the models of words and regions: what a call takes, training, resizing, pruning, export."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.architecture() in SPECS:
            register_output(SPECS[cls.architecture()].output)
            cls.label_aliases = SPECS[cls.architecture()].label_aliases
        if "call" in vars(cls) and cls.takes_inputs_by_name():  # Keras passes them as one structure
            cls.call = accept_dict(cls.call)

    def __init__(self, config: ModelConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.gradient_checkpointing = getattr(self.config, "gradient_checkpointing", False) is True

    @classmethod
    def _check_quantize(cls, owner: str, quantize: Quantize) -> None:
        """Refuse what `from_pretrained` does not do."""
        if quantize not in (None, False, "int8"):
            raise ValueError(f'{owner}: quantize must be "int8", False or None; got {quantize!r}.')

    @property
    def is_quantized(self) -> bool:
        """Whether linear layers are int8: by `from_pretrained`, or by Keras' own `quantize`."""
        return has_int8_layers(self)

    def prune_heads(self, heads: Mapping[str, Iterable[int]]) -> None:
        """Prune attention heads; see `Resizable.prune_heads`. A quantized model is pruned before it is quantized."""
        if self.is_quantized:
            raise ValueError(f"this {type(self).__name__} is quantized: prune it before.")
        super().prune_heads(heads)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse names that are unknown or given twice, and call the model."""
        if not self.takes_inputs_by_name():
            return super().__call__(*args, **kwargs)
        first = args[0] if args else kwargs.get("input_ids")
        if isinstance(first, (Mapping, list, tuple)):
            inputs, kwargs = self.rename_labels(self.by_name(first)), self.rename_labels(kwargs)
            others = [*self.keywords()[1 : len(args)], *(name for name in kwargs if args or name != "input_ids")]
            twice = [name for name in others if name in inputs]
            if twice:
                raise TypeError(f"{twice[0]} is given twice: among the inputs in the first argument, and as a keyword.")
            for name, value in inputs.items():
                if isinstance(value, (list, tuple)) and name != "obj_labels":  # which is no tensor, and checked later
                    describe(name, value)  # says what to pass instead
            # Keras allows only tensors in a positional argument, so options are passed as keywords.
            kwargs = {**{name: inputs.pop(name) for name in _OPTIONS & set(inputs)}, **kwargs}
            args, kwargs = ((inputs, *args[1:]), kwargs) if args else (args, {**kwargs, "input_ids": inputs})
        check_keywords(type(self).__name__, kwargs, (*self.keywords(), "training"))
        return super().__call__(*args, **self.rename_labels(kwargs))

    def by_name(self, inputs: Any) -> dict[str, Any]:
        """Inputs that came as one dict, or as a list in order, by name."""
        names = self.keywords()
        if isinstance(inputs, Mapping):
            check_keywords(type(self).__name__, inputs, names)
            return dict(inputs)
        if len(inputs) > len(names):
            raise TypeError(f"{type(self).__name__} takes at most {len(names)} inputs; got {len(inputs)}.")
        return dict(zip(names, inputs, strict=False))

    @classmethod
    @functools.cache  # read at every call
    def keywords(cls) -> tuple[str, ...]:
        """The argument names of `call` without `training`, in order, and other names of labels.

        For `**kwargs` those of the class below.
        """
        parameters = inspect.signature(cls.call).parameters.values()
        named = [p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        if any(p.kind is p.VAR_KEYWORD for p in parameters):
            _, *below = (kind for kind in cls.__mro__ if "call" in vars(kind))
            named += below[0].keywords() if issubclass(below[0], PreTrainedModel) else ()
        return tuple(name for name in dict.fromkeys((*named, *cls.label_aliases)) if name not in ("self", "training"))

    @classmethod
    @functools.cache
    def takes_inputs_by_name(cls) -> bool:
        """Whether `call` has the arguments of this package; a subclass may have its own, as any Keras model."""
        return "input_ids" in inspect.signature(cls.call).parameters

    def _init_missing(self, new: list[Parameter]) -> None:
        """Initialize the weights that were not loaded."""
        super()._init_missing(new)
        if "embeddings.visual_position" in {parameter.module for parameter in new}:
            self.base.embeddings.init_visual_tables()


class TFLxmertPreTrainedModel(PreTrainedModel):
    """Base class of the LXMERT models, and of a user's model that has one as its attribute `lxmert`."""

    config_class = LxmertConfig
    config: LxmertConfig
    base_model_prefix = "lxmert"


class TFVisualBertPreTrainedModel(PreTrainedModel):
    """Base class of the VisualBERT models, and of a user's model that has one as its attribute `visual_bert`."""

    config_class = VisualBertConfig
    config: VisualBertConfig
    base_model_prefix = "visual_bert"

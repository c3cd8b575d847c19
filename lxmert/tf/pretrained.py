"""The base classes of the Keras models: loading and saving, and gradient checkpointing."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any, Self, TypeVar, cast

import keras
import numpy as np

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import SPECS
from lxmert.utils.messages import check_keywords
from lxmert.weights.checkpoint import Checkpoint
from lxmert.weights.loading import Found, Placement
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.save_folder import FileKind
from lxmert.weights.saving import Saved

from ._compat import NoSaveSignature, OpenLayer, WorkerModel, flatten_layers, register_output
from .added_layers import build_added, mark_made
from .dropout import Dropout, ReplayedSeeds
from .init import skip_init
from .keras_formats import KerasFormats
from .layers import ContextBias
from .losses import describe
from .own_weights import own_weights, saved_weights
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


class PreTrainedModel(NoSaveSignature, WorkerModel, OpenLayer, Resizable, KerasFormats):
    """Base class of all models: weights by name, loading and saving, resizing, pruning.

    The constructor builds the model: all sizes are in the config.
    """

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.architecture() in SPECS:
            register_output(SPECS[cls.architecture()].output)
            cls.label_aliases = SPECS[cls.architecture()].label_aliases
        if "call" in vars(cls) and cls.takes_inputs_by_name():  # Keras passes them as one structure
            cls.call = accept_dict(cls.call)

    def __init__(self, config: ModelConfig, **kwargs: Any):
        # A subclass may make layers before it calls this.
        self._made_before = frozenset(vars(self))
        # Labels travel in the input dict; casting them to a small dtype would change them. Layers cast.
        super().__init__(**{"autocast": False, **kwargs})
        self.config = self.check_config(config)
        self.made_from = copy.deepcopy(self.config)
        self.gradient_checkpointing = getattr(self.config, "gradient_checkpointing", False) is True

    def finish(self) -> None:
        """Make the weights, at the end of a constructor. A subclass may go on and add layers."""
        with keras.name_scope(self.name):
            self.make_weights()
        mark_made(self, self._made_before)
        if type(self).build is PreTrainedModel.build:  # else Keras calls that of a user's class, as for any layer
            self.build((None, None))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: the constructor made the weights."""
        self.built = True

    def make_weights(self) -> None:
        """Make the weights; their sizes come from the config."""
        raise NotImplementedError

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

    def __dir__(self) -> list[str]:
        # Keras names the groups of a weight file by walking over this list. `layers` repeats what the attributes hold,
        # and would name what follows it in the alphabet by its index: layers/transformer_layer_9, not pooler. And
        # `base` of a backbone is itself: the walk would not end.
        return [name for name in super().__dir__() if name not in ("layers", "base", "base_model")]

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

    # Loading and saving

    @classmethod
    def _check_placement(cls, placement: Placement) -> None:
        """Refuse to place a model: Keras does that by itself."""
        given = [name for name, value in placement._asdict().items() if value]
        if given:
            raise ValueError(
                f"{given[0]} is for PyTorch. In Keras make the model inside of a strategy's scope, or of "
                "`with keras.device(...)`."
            )

    @classmethod
    def _arrays_of(cls, state_dict: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        """Refuse a state dict, which Keras does not have."""
        raise ValueError("state_dict is for PyTorch. In Keras pass the file, or assign values by set_weights.")

    @classmethod
    def _new_with_own_layers(cls, config: ModelConfig, options: Mapping[str, Any]) -> Self | None:
        """A new model of a user's class, whose own tensors can be loaded; None for a class of this package."""
        if not cls.is_users_class():
            return None
        model = cls(config, **options)
        build_added(model)
        return model

    def own_shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors that a user's class adds to those of the name table: names and shapes."""
        return {name: weight.shape for name, weight in own_weights(self).items()}

    @classmethod
    def _load(cls, file: Checkpoint, found: Found, dtype: Any, options: Mapping[str, Any], model: Self | None) -> Self:
        """Make a model from an open file: what was found, and the rest newly initialized."""
        if model is not None:
            model = model if dtype is None else cls._new_with_own_layers(file.config, {**options, "dtype": dtype})
            return model._fill(file, found)  # type: ignore[union-attr]
        with file.arrays(found.parameters, keras_layout=True) as arrays:
            with skip_init():
                model = cls(file.config, dtype=dtype, **options)
            for parameter, values in arrays:
                model._assign_keras_layout(parameter, values)
        new = set(found.report.new)
        model._init_missing([parameter for parameter in model.table_parameters() if parameter.name in new])
        return model

    def _fill(self, file: Checkpoint, found: Found) -> Self:
        """Copy what was found into a model of a user's class."""
        with file.arrays(found.parameters, keras_layout=True) as arrays:
            for parameter, values in arrays:
                self._assign_keras_layout(parameter, values)
        own = own_weights(self)
        for name in found.own:
            own[name].assign(file.read_own(name))
        return self

    def _init_missing(self, new: list[Parameter]) -> None:
        """Initialize the weights that were not loaded."""
        for parameter in new:
            layer, attribute = self.locate(parameter)
            if attribute in ("kernel", "embeddings"):  # the others start at 0 and 1 in any case
                variable = getattr(layer, attribute)
                variable.assign(getattr(layer, f"{attribute}_initializer")(variable.shape, dtype=variable.dtype))
        if "embeddings.visual_position" in {parameter.module for parameter in new}:
            self.base.embeddings.init_visual_tables()

    def _saved(self, state_dict: Mapping[str, Any] | None) -> Saved:
        """What this model writes.

        Raises:
            ValueError: a state dict, which Keras does not have; or weights that are in no name table, or of another
                shape.
        """
        if state_dict is not None:
            raise ValueError("state_dict is for PyTorch; a Keras model writes its own weights.")
        return saved_weights(self)

    def _pickle_kind(self, save_function: Callable[..., Any] | None) -> FileKind:
        """Refuse pickles, which PyTorch alone writes."""
        raise ValueError("safe_serialization=False is for PyTorch, whose pickles it writes.")


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

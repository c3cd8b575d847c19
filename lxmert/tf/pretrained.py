"""The base classes of the Keras models: loading and saving, and gradient checkpointing."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from lxmert.common.config import LxmertConfig, VisualBertConfig, config_from_dict
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import SPECS, input_shapes
from lxmert.utils.messages import check_keywords, first_few
from lxmert.weights.checkpoint import Checkpoint
from lxmert.weights.formats import check_for_keras
from lxmert.weights.loading import Found, Placement
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.save_folder import FileKind, LazyTensor
from lxmert.weights.save_hdf5 import store_config
from lxmert.weights.saving import Saved

from ._compat import NoSaveSignature, flatten_layers, register_output
from .dropout import Dropout, ReplayedSeeds
from .fitting import InternalLossMixin
from .init import skip_init
from .layers import ContextBias
from .losses import describe
from .named_weights import to_torch_layout
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


class PreTrainedModel(NoSaveSignature, Resizable, InternalLossMixin):
    """Base class of all models: weights by name, loading and saving, resizing, pruning.

    The constructor builds the model: all sizes are in the config.
    """

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.architecture() in SPECS:
            register_output(SPECS[cls.architecture()].output)

    def __init__(self, config: ModelConfig, **kwargs: Any):
        # Labels travel in the input dict; casting them to a small dtype would change them. Layers cast.
        super().__init__(**{"autocast": False, **kwargs})
        self.config = self.check_config(config)
        self.made_from = copy.deepcopy(self.config)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse names that are unknown or given twice, and call the model."""
        first = args[0] if args else kwargs.get("input_ids")
        if isinstance(first, (Mapping, list, tuple)):
            inputs = self.by_name(first)
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
        return super().__call__(*args, **kwargs)

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
        """The argument names of `call`, in order, without `training`."""
        return tuple(name for name in inspect.signature(cls.call).parameters if name not in ("self", "training"))

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
    def _load(cls, file: Checkpoint, found: Found, dtype: Any, options: Mapping[str, Any], model: Self | None) -> Self:
        """Make a model from an open file: what was found, and the rest newly initialized."""
        with file.arrays(found.parameters, keras_layout=True) as arrays:
            # A user's subclass may have layers of its own, which are not in the file.
            with skip_init() if cls.__module__.startswith("lxmert.") else nullcontext():
                model = cls(file.config, dtype=dtype, **options)
            for parameter, values in arrays:
                model._assign_keras_layout(parameter, values)
        new = set(found.report.new)
        model._init_missing([parameter for parameter in model.table_parameters() if parameter.name in new])
        return model

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
        try:
            named = list(self.weights_by_name())
        except AttributeError as error:
            raise ValueError(f"a layer of this {type(self).__name__} was replaced by another kind: {error}.") from None
        known = {id(w) for _, w in named}
        own = [w.path for w in self.weights if id(w) not in known and "seed_generator" not in w.path]
        other = [p.name for p, w in named if tuple(w.shape) != (p.shape[::-1] if p.leaf.transposed else p.shape)]
        if own or other:
            raise ValueError(
                f"save_pretrained writes the weights of {self.architecture()} alone; this {type(self).__name__} also "
                f"has {first_few(own)}"
                if own
                else f"{first_few(other)} in another shape than its config says"
            )

        def item(p: Parameter, w: keras.Variable) -> LazyTensor:
            return LazyTensor(p, np.dtype(w.dtype), lambda: to_torch_layout(p, ops.convert_to_numpy(w)))

        return Saved([item(p, w) for p, w in named])

    def _pickle_kind(self, save_function: Callable[..., Any] | None) -> FileKind:
        """Refuse pickles, which PyTorch alone writes."""
        raise ValueError("safe_serialization=False is for PyTorch, whose pickles it writes.")

    def save_weights(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Write a .weights.h5 file, as Keras does, and the config into it, so that the file describes itself."""
        path = Path(filepath)
        before = path.stat() if path.exists() else None
        super().save_weights(filepath, overwrite=overwrite, **kwargs)
        # With overwrite=False Keras asks the user, who may have said no.
        written = path.is_file() and (before is None or path.stat().st_mtime_ns != before.st_mtime_ns)
        if written and path.name.endswith(".weights.h5"):
            store_config(filepath, self.config, self.architecture())

    def load_weights(self, filepath: str | Path, skip_mismatch: bool = False, **kwargs: Any) -> None:
        """Read a weight file as Keras does, after checking that it is safe and what it claims to be."""
        check_for_keras(Path(filepath))
        super().load_weights(filepath, skip_mismatch=skip_mismatch, **kwargs)

    def export(self, filepath: str | Path, format: str = "tf_saved_model", **kwargs: Any) -> None:
        """Write the model for serving; it answers without this package.

        Its input is a dict of the words, the regions, the two masks and the token types (what
        `lxmert.common.specs.input_shapes` lists), of any batch size, length and number of regions; its output a
        dict of the scores. For other inputs wrap the model in a functional `keras.Model` and export that.
        """
        inputs = {}
        for name, (shape, kind) in input_shapes(self.config, self.architecture()).items():
            sizes = tuple(None if isinstance(size, str) else size for size in shape[1:])
            inputs[name] = keras.Input(sizes, dtype=self.variable_dtype if kind == "float" else "int32", name=name)
        scores = self(inputs, output_attentions=False, output_hidden_states=False, return_dict=True)
        keras.Model(inputs, dict(scores.items())).export(str(filepath), format=format, **kwargs)

    # What Keras saves in addition to the weights

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        self.check_config_is_current()
        values = {**self.config.to_diff_dict(), "architectures": [self.architecture()]}
        return {**super().get_config(), "config": values}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Make the model from the output of `get_config`."""
        config = {**config, "config": config_from_dict(config["config"])}
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        return cls(**config)

    def get_build_config(self) -> None:
        """Nothing: the constructor builds."""

    def build_from_config(self, config: Any) -> None:
        """Nothing to do: the constructor builds."""


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

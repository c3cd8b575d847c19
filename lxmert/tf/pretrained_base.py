"""The base class of all Keras models: loading and saving."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, Self

import keras
import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.weights.checkpoint import Checkpoint
from lxmert.weights.loading import Found, Placement
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.save_folder import FileKind
from lxmert.weights.saving import Saved

from ._compat import NoSaveSignature, OpenLayer
from .added_layers import build_added, mark_made
from .init import skip_init
from .int8 import assign_weights, quantize_rest, weight_reader
from .keras_formats import KerasFormats
from .own_weights import own_weights, saved_weights


class PreTrainedBase(NoSaveSignature, OpenLayer, KerasFormats):
    """Base class of all models, those of words and regions and detectors: a configuration, loading and saving.

    The constructor builds the model: all sizes are in the config.
    """

    def __init__(self, config: ModelConfig, **kwargs: Any):
        # A subclass may make layers before it calls this.
        self._made_before = frozenset(vars(self))
        # Labels travel in the input dict; casting them to a small dtype would change them. Layers cast.
        super().__init__(**{"autocast": False, **kwargs})
        self.config = self.check_config(config)
        self.made_from = copy.deepcopy(self.config)

    def finish(self) -> None:
        """Make the weights, at the end of a constructor. A subclass may go on and add layers."""
        with keras.name_scope(self.name):
            self.make_weights()
        mark_made(self, self._made_before)
        if type(self).build is PreTrainedBase.build:  # else Keras calls that of a user's class, as for any layer
            self.build((None, None))

    def build(self, input_shape: Any = None) -> None:
        """Nothing to do: the constructor made the weights."""
        self.built = True

    def make_weights(self) -> None:
        """Make the weights; their sizes come from the config."""
        raise NotImplementedError

    def __dir__(self) -> list[str]:
        # Keras names the groups of a weight file by walking over this list. `layers` repeats what the attributes hold,
        # and would name what follows it in the alphabet by its index: layers/transformer_layer_9, not pooler. And
        # `base` of a backbone is itself: the walk would not end.
        return [name for name in super().__dir__() if name not in ("layers", "base", "base_model")]

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
        with file.reading(found.parameters, weight_reader(file, found)) as weights:
            with skip_init():
                model = cls(file.config, dtype=dtype, **options)
            assign_weights(model, weights)
        new = set(found.report.new)
        model._init_missing([parameter for parameter in model.table_parameters() if parameter.name in new])
        if found.quantize:
            quantize_rest(model)
        return model

    def _fill(self, file: Checkpoint, found: Found) -> Self:
        """Copy what was found into a model of a user's class."""
        with file.reading(found.parameters, weight_reader(file, found)) as weights:
            assign_weights(self, weights)
        own = own_weights(self)
        for name in found.own:
            own[name].assign(file.read_own(name))
        if found.quantize:
            quantize_rest(self)
        return self

    def _init_missing(self, new: list[Parameter]) -> None:
        """Initialize the weights that were not loaded."""
        for parameter in new:
            layer, attribute = self.locate(parameter)
            if attribute in ("kernel", "embeddings"):  # the others start at 0 and 1 in any case
                variable = getattr(layer, attribute)
                variable.assign(getattr(layer, f"{attribute}_initializer")(variable.shape, dtype=variable.dtype))

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

"""The base class of all PyTorch models: loading and saving."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch

from lxmert.common.config.base import ModelConfig
from lxmert.weights.checkpoint import Checkpoint, CheckpointMismatchError
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.loading import Found, Placement
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.save_folder import FileKind
from lxmert.weights.saving import Saved

from .init import skip_init
from .int8_weights import assign_int8, quantize_rest, weight_reader
from .named_weights import NamedWeights, array_of, tensor_of
from .placement import check_placement, place
from .quantization import RoundedWeight
from .state_dicts import own_shapes, pickles, saved_tensors, translate_names


class PreTrainedBase(NamedWeights):
    """Base class of all models, those of words and regions and detectors: a configuration, loading and saving."""

    # What accelerate keeps on one device: these read weights of several modules at once.
    _no_split_modules: ClassVar[list[str]] = []

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = self.check_config(config)
        self.made_from = copy.deepcopy(self.config)
        self.register_load_state_dict_pre_hook(translate_names)

    # Loading and saving

    @classmethod
    def _check_placement(cls, placement: Placement) -> None:
        """Refuse a device map that is none."""
        check_placement(placement)

    @classmethod
    def _arrays_of(cls, state_dict: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        """The tensors of a state dict as arrays on the same memory."""
        other = [name for name, value in state_dict.items() if not isinstance(value, torch.Tensor)]
        if other:
            raise TypeError(f"state_dict must hold tensors by name; {other[0]} is none.")
        return {name: array_of(value) for name, value in state_dict.items()}

    @classmethod
    def _new_with_own_layers(cls, config: ModelConfig, options: Mapping[str, Any]) -> Self | None:
        """A new model of a user's class, whose own tensors can be loaded; None for a class of this package."""
        return cls(config, **options) if cls.is_users_class() else None

    def own_shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors that a user's class adds to those of the name table: names and shapes."""
        return own_shapes(self)

    @classmethod
    def _load(cls, file: Checkpoint, found: Found, dtype: Any, options: Mapping[str, Any], model: Self | None) -> Self:
        """Make a model from an open file: what was found, and the rest newly initialized."""
        dtype = dtype or torch.get_default_dtype()
        dtype = getattr(torch, dtype) if isinstance(dtype, str) and dtype in FLOATS else dtype
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise ValueError(f'dtype must be a torch.dtype, "auto", or one of {", ".join(FLOATS)}; got {dtype!r}.')
        if model is not None:
            return quantize_rest(model.to(dtype)._fill(file, found), found).eval()
        with file.reading(found.parameters, weight_reader(file, found)) as weights:
            with skip_init():
                model = cls(file.config, **options)
            for parameter, values in weights:
                if isinstance(values, RoundedWeight):
                    assign_int8(model, parameter, values, dtype)
                else:
                    model._assign(parameter, values.to(torch.float32 if parameter.leaf.exact else dtype))
        new = set(found.report.new)
        model._init_missing([parameter for parameter in model.table_parameters() if parameter.name in new], dtype)
        return quantize_rest(model, found).eval()

    def _fill(self, file: Checkpoint, found: Found) -> Self:
        """Copy what was found into a model of a user's class, whose own ties stay as they are."""
        with torch.no_grad(), file.reading(found.parameters, weight_reader(file, found)) as weights:
            for parameter, values in weights:
                module, attribute = self.locate(parameter)
                own = getattr(module, attribute)
                if own.shape != parameter.shape:  # copying would repeat rows
                    raise CheckpointMismatchError(
                        f"{type(self).__name__} has {parameter.name} as {list(own.shape)}, and its config and "
                        f"{file.file.path} say {list(parameter.shape)}. Give the layer that size, or a name of its own."
                    )
                if isinstance(values, RoundedWeight):
                    assign_int8(self, parameter, values, own.dtype)
                else:
                    own.copy_(values)
            state = self.state_dict()
            for name in found.own:
                state[name].copy_(tensor_of(file.read_own(name)))
        return self

    def _init_missing(self, new: list[Parameter], dtype: torch.dtype) -> None:
        """Initialize the weights that were not loaded, as those of a new model are."""
        fresh = type(self)(self.config) if new else self
        for parameter in new:
            module, attribute = fresh.locate(parameter)
            values = getattr(module, attribute).detach()
            self._assign(parameter, values if parameter.leaf.exact else values.to(dtype))

    def _place(self, placement: Placement) -> None:
        """Put a loaded model where it belongs."""
        place(self, placement, self._no_split_modules)

    def _saved(self, state_dict: Mapping[str, Any] | None) -> Saved:
        """What this model writes."""
        return saved_tensors(self, state_dict)

    def _pickle_kind(self, save_function: Callable[..., Any] | None) -> FileKind:
        """Pickles as weight files."""
        return pickles(save_function or torch.save)

"""The base classes of the PyTorch models: loading and saving, and gradient checkpointing."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpointed

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import SPECS
from lxmert.pt.cpu_kernels.packing import invalidate_packed_weights
from lxmert.utils.messages import check_keywords
from lxmert.weights.checkpoint import Checkpoint, CheckpointMismatchError
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.loading import Found, Placement
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.naming.tables import modules_of_hugging_face
from lxmert.weights.save_folder import FileKind
from lxmert.weights.saving import Saved

from ._compat import register_output
from .adapters import check_trained_modules
from .embeddings import JointEmbeddings
from .heads import WordHead
from .init import skip_init
from .layers import ContextBias
from .named_weights import array_of, tensor_of
from .placement import check_placement, place
from .resizing import Resizable
from .state_dicts import own_shapes, pickles, saved_tensors, translate_names


def run_layer(model: PreTrainedModel, layer: nn.Module, *inputs: Any, **options: Any) -> Any:
    """Run one layer; with gradient checkpointing its activations are recomputed in the backward pass."""
    if model.gradient_checkpointing and model.training and torch.is_grad_enabled():
        return checkpointed(layer, *inputs, use_reentrant=False, **model.checkpoint_options, **options)
    return layer(*inputs, **options)


def run_layers(
    model: PreTrainedModel, layers: Iterable[nn.Module], states: Tensor, bias: ContextBias | None, **options: Any
) -> tuple[Tensor, list[Tensor], list[Tensor | None]]:
    """Run layers in sequence; returns the last states, the states after each layer, and the maps of each."""
    every, maps = [], []
    for layer in layers:
        states, weights = run_layer(model, layer, states, bias, **options)
        every.append(states)
        maps.append(weights)
    return states, every, maps


class PreTrainedModel(Resizable):
    """Base class of all models: weights by name, loading and saving, resizing, pruning."""

    attention_implementations = ("eager", "sdpa")
    checkpointing_options = ("preserve_rng_state", "context_fn", "determinism_check", "debug", "early_stop")
    # What accelerate keeps on one device: these read weights of several modules at once.
    _no_split_modules: ClassVar[list[str]] = [
        "LanguageEmbeddings",
        "RegionEmbeddings",
        "JointEmbeddings",
        "TransformerLayer",
        "CrossLayer",
    ]
    # The word head reads the word embedding itself: there are no two parameters to tie.
    _tied_weights_keys: ClassVar[None] = None

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.architecture() in SPECS:
            register_output(SPECS[cls.architecture()].output)
            cls.label_aliases = SPECS[cls.architecture()].label_aliases

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = self.check_config(config)
        self.made_from = copy.deepcopy(self.config)
        self.gradient_checkpointing = getattr(self.config, "gradient_checkpointing", False) is True
        self.warnings_issued: dict[str, bool] = {}  # which transformers' Trainer writes
        self.register_load_state_dict_pre_hook(translate_names)

    def post_init(self) -> None:
        """Initialize all weights: what a user's class calls at the end of its constructor."""
        self.init_weights()

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; `PackedWeights` are packed again after training."""
        if mode or self.training:
            invalidate_packed_weights()
        return super().train(mode)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse unknown names, and call the model."""
        wrapped = "forward" in self.__dict__  # by a tool, with arguments of its own
        if kwargs and not (torch.compiler.is_compiling() or wrapped or self._takes_any_keyword()):
            check_keywords(type(self).__name__, kwargs, self.keywords())
        return super().__call__(*args, **self.rename_labels(kwargs))

    @classmethod
    @functools.cache  # read at every call
    def keywords(cls) -> tuple[str, ...]:
        """The argument names of `forward`, in order, and other names of labels."""
        names = (name for name in inspect.signature(cls.forward).parameters if name != "self")
        return (*names, *cls.label_aliases)

    @classmethod
    @functools.cache
    def _takes_any_keyword(cls) -> bool:
        """Whether `forward`, in a user's subclass, has `**kwargs`."""
        return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(cls.forward).parameters.values())

    def reset_parameters(self, part: nn.Module | None = None) -> None:
        """Initialize the weights: normal with `initializer_range`; 0 for a table's padding row and biases; norms 1, 0.

        Args:
            part: the part of the model to initialize; all of it by default.
        """
        self._init_modules(list((self if part is None else part).modules()))

    def init_weights(self) -> None:
        """Initialize all weights, under the name of `transformers`."""
        self.reset_parameters()

    def _init_weights(self, module: nn.Module) -> None:
        """Initialize one module, without the modules inside of it; a user's class may override this."""
        if isinstance(module, (nn.Linear, nn.Embedding)):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
        if isinstance(module, (nn.Linear, WordHead)) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
        if isinstance(module, nn.LayerNorm):
            module.reset_parameters()

    def _init_modules(self, modules: Sequence[nn.Module]) -> None:
        """Initialize these modules, without the modules inside of them."""
        for module in modules:
            self._init_weights(module)
        for module in modules:
            if isinstance(module, JointEmbeddings):
                module.init_visual_tables()

    @property
    def peft_config(self) -> Any:
        """The configurations of the adapters in this model by name, as peft assigns them; an error without any."""
        try:
            return self.__dict__["_adapters"]
        except KeyError:
            raise AttributeError(f"this {type(self).__name__} has no adapters.") from None

    @peft_config.setter
    def peft_config(self, adapters: Any) -> None:
        check_trained_modules(self, adapters, modules_of_hugging_face(self.architecture()))
        self.__dict__["_adapters"] = adapters

    @peft_config.deleter
    def peft_config(self) -> None:
        del self.__dict__["_adapters"]

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
            return model.to(dtype)._fill(file, found).eval()
        with file.arrays(found.parameters, mapped=True) as arrays:
            with skip_init():
                model = cls(file.config, **options)
            for parameter, values in arrays:
                model._assign(parameter, tensor_of(values).to(dtype))
        new = set(found.report.new)
        model._init_missing([parameter for parameter in model.table_parameters() if parameter.name in new], dtype)
        return model.eval()

    def _fill(self, file: Checkpoint, found: Found) -> Self:
        """Copy what was found into a model of a user's class, whose own ties stay as they are."""
        with torch.no_grad(), file.arrays(found.parameters, mapped=True) as arrays:
            for parameter, values in arrays:
                module, attribute = self.locate(parameter)
                own = getattr(module, attribute)
                if own.shape != parameter.shape:  # copying would repeat rows
                    raise CheckpointMismatchError(
                        f"{type(self).__name__} has {parameter.name} as {list(own.shape)}, and its config and "
                        f"{file.file.path} say {list(parameter.shape)}. Give the layer that size, or a name of its own."
                    )
                own.copy_(tensor_of(values))
            state = self.state_dict()
            for name in found.own:
                state[name].copy_(tensor_of(file.read_own(name)))
        return self

    def _init_missing(self, new: list[Parameter], dtype: torch.dtype) -> None:
        """Initialize the weights that were not loaded."""
        modules = {parameter.module: self.locate(parameter)[0] for parameter in new}
        loaded = {}
        for module in modules.values():
            loaded.update({id(p): (p, p.detach().clone()) for p in module.parameters(recurse=False) if not p.is_meta})
        for parameter in new:
            self._assign(parameter, torch.empty(parameter.shape, dtype=dtype))
        self._init_modules(list(modules.values()))
        if "embeddings.visual_position" in modules:
            self.base.embeddings.init_visual_tables()
        with torch.no_grad():
            for p, values in loaded.values():  # of a module whose other parameter is new
                p.copy_(values)

    def _place(self, placement: Placement) -> None:
        """Put a loaded model where it belongs."""
        place(self, placement, self._no_split_modules)

    def _saved(self, state_dict: Mapping[str, Any] | None) -> Saved:
        """What this model writes."""
        return saved_tensors(self, state_dict)

    def _pickle_kind(self, save_function: Callable[..., Any] | None) -> FileKind:
        """Pickles as weight files."""
        return pickles(save_function or torch.save)


class LxmertPreTrainedModel(PreTrainedModel):
    """Base class of the LXMERT models, and of a user's model that has an `LxmertModel` as its attribute `lxmert`."""

    config_class = LxmertConfig
    config: LxmertConfig
    base_model_prefix = "lxmert"


class VisualBertPreTrainedModel(PreTrainedModel):
    """Base class of the VisualBERT models, and of a user's model that has one as its attribute `visual_bert`."""

    config_class = VisualBertConfig
    config: VisualBertConfig
    base_model_prefix = "visual_bert"

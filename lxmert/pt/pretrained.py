"""The base classes of the PyTorch models: loading and saving, and gradient checkpointing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpointed

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import SPECS
from lxmert.pt.cpu_kernels.packing import invalidate_packed_weights
from lxmert.utils.messages import check_keywords
from lxmert.weights.loading_arguments import Quantize
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.naming.tables import modules_of_hugging_face

from ._compat import register_output
from .adapters import check_trained_modules
from .embeddings import JointEmbeddings
from .heads import WordHead
from .layers import ContextBias
from .quantization import has_int8_layers, quantize_model
from .resizing import Resizable


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
        super().__init__(config)
        self.gradient_checkpointing = getattr(self.config, "gradient_checkpointing", False) is True
        self.warnings_issued: dict[str, bool] = {}  # which transformers' Trainer writes

    @classmethod
    def _check_quantize(cls, owner: str, quantize: Quantize) -> None:
        """Refuse what `quantize` does not do."""
        if quantize not in (None, False, "int8"):
            raise ValueError(f'{owner}: quantize must be "int8", False or None; got {quantize!r}.')

    def post_init(self) -> None:
        """Initialize all weights: what a user's class calls at the end of its constructor."""
        self.init_weights()

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; `PackedWeights` are packed again after training.

        Raises:
            ValueError: training mode for a quantized model, whose int8 weights have no gradients.
        """
        if mode and self.is_quantized:
            raise ValueError(
                f"this {type(self).__name__} is quantized, and int8 weights are not trained: train the model that it "
                "was made from, and quantize it again."
            )
        if mode or self.training:
            invalidate_packed_weights()
        return super().train(mode)

    def quantize(self, mode: str = "int8") -> Self:
        """Round the weights of the encoders to int8 in place, for inference on CPUs; returns this model.

        Their linear layers become `Int8Linear`, which rounds each row of its input too. Embeddings, norms, the pooler
        and heads stay as they are. A gradient of the inputs is that of the rounded weights.

        Raises:
            ValueError: an unknown mode; a model in training mode, or that is quantized already; or layers that are no
                plain linear ones, as with adapters or hooks.
        """
        quantize_model(self, mode)
        return self

    @property
    def is_quantized(self) -> bool:
        """Whether the linear layers of the encoders are int8."""
        return has_int8_layers(self)

    def prune_heads(self, heads: Mapping[str, Iterable[int]]) -> None:
        """Prune attention heads; see `Resizable.prune_heads`. A quantized model is pruned before it is quantized."""
        if self.is_quantized:
            raise ValueError(f"this {type(self).__name__} is quantized: prune its heads before quantize().")
        super().prune_heads(heads)

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

    @property
    def base_name(self) -> str:
        """The attribute that holds the backbone, in a user's model under any name; empty in a backbone."""
        if hasattr(self, "pooler"):
            return ""
        inside = (name for name, part in self.named_children() if isinstance(part, PreTrainedModel) and not part.nested)
        return super().base_name or next(inside, "")

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

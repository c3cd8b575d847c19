"""The base class of the PyTorch models: loading and saving, and gradient checkpointing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpointed

from lxmert.common.config.base import ModelConfig
from lxmert.common.outputs import ModelOutput
from lxmert.common.specs import SPECS
from lxmert.pt.cpu_kernels.packing import invalidate_packed_weights
from lxmert.utils.messages import check_keywords
from lxmert.weights.checkpoint import Checkpoint
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.save_folder import LazyTensor, write_folder

from .embeddings import JointEmbeddings
from .heads import WordHead
from .init import skip_init
from .named_weights import array_of, tensor_of
from .resizing import Resizable


def run_layer(model: PreTrainedModel, layer: nn.Module, *inputs: Any, **options: Any) -> Any:
    """Run one layer; with gradient checkpointing its activations are recomputed in the backward pass."""
    if model.gradient_checkpointing and model.training and torch.is_grad_enabled():
        return checkpointed(layer, *inputs, use_reentrant=False, **options)
    return layer(*inputs, **options)


_registered: set[type[ModelOutput]] = set()


def register_output(kind: type[ModelOutput]) -> None:
    """Register an output class with `torch.export`."""
    if kind not in _registered:
        _registered.add(kind)
        torch.export.register_dataclass(kind, serialized_type_name=f"lxmert.{kind.__name__}")


class PreTrainedModel(Resizable):
    """Base class of all models: weights by name, loading and saving, resizing, pruning."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.architecture() in SPECS:
            register_output(SPECS[cls.architecture()].output)

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.check_config(config)
        self.config = config

    def train(self, mode: bool = True) -> Self:
        """Set training or evaluation mode; `PackedWeights` are packed again after training."""
        if mode or self.training:
            invalidate_packed_weights()
        return super().train(mode)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse unknown names, and call the model."""
        if kwargs and not torch.compiler.is_compiling() and not self._takes_any_keyword():
            check_keywords(type(self).__name__, kwargs, self.keywords())
        return super().__call__(*args, **kwargs)

    @classmethod
    @functools.cache  # read at every call
    def keywords(cls) -> tuple[str, ...]:
        """The argument names of `forward`, in order."""
        return tuple(name for name in inspect.signature(cls.forward).parameters if name != "self")

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

    def _init_modules(self, modules: Sequence[nn.Module]) -> None:
        """Initialize these modules, without the modules inside of them."""
        for module in modules:
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, (nn.Linear, WordHead)):
                nn.init.zeros_(module.bias)
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                with torch.no_grad():
                    module.weight[module.padding_idx].zero_()
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()
        for module in modules:
            if isinstance(module, JointEmbeddings):
                module.init_visual_tables()

    # Loading and saving

    @classmethod
    def _load(
        cls, file: Checkpoint, found: list[Parameter], new: set[str], dtype: Any, options: Mapping[str, Any]
    ) -> Self:
        """Make a model from an open file: the parameters that were found, and new ones by name."""
        dtype = dtype or torch.get_default_dtype()
        dtype = getattr(torch, dtype) if isinstance(dtype, str) and dtype in FLOATS else dtype
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise ValueError(f"dtype must be a torch.dtype or one of {', '.join(FLOATS)}; got {dtype!r}.")
        with file.arrays(found, mapped=True) as arrays:
            # A user's subclass may have layers of its own, which are not in the file.
            with skip_init() if cls.__module__.startswith("lxmert.") else nullcontext():
                model = cls(file.config, **options)
            for parameter, values in arrays:
                model._assign(parameter, tensor_of(values).to(dtype))
        model._init_missing([parameter for parameter, _ in model.weights_by_name() if parameter.name in new], dtype)
        return model.eval()

    def _init_missing(self, new: list[Parameter], dtype: torch.dtype) -> None:
        """Initialize the weights that were not loaded."""
        for parameter in new:
            self._assign(parameter, torch.empty(parameter.shape, dtype=dtype))
        modules = {parameter.module: self.locate(parameter)[0] for parameter in new}
        self._init_modules(list(modules.values()))
        if "embeddings.visual_position" in modules:
            self.base.embeddings.init_visual_tables()

    def save_pretrained(self, folder: str | Path, max_shard_size: int | str | None = None) -> None:
        """Write config.json and model.safetensors with Hugging Face's names; `transformers` reads the folder too.

        Args:
            folder: made if it is missing.
            max_shard_size: the largest size of a file ("2GB"); larger weights are split. None writes one file.
        """

        def item(p: Parameter, tensor: Tensor) -> LazyTensor:
            tensor = tensor.detach()
            return LazyTensor(p, FLOATS[str(tensor.dtype).removeprefix("torch.")], lambda: array_of(tensor))

        items = [item(p, w) for p, w in self.weights_by_name()]
        write_folder(folder, self.config, self.architecture(), items, max_shard_size)

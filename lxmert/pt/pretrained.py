"""The base class of the PyTorch models: loading and saving, and gradient checkpointing."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpointed

from lxmert.common.config.base import ModelConfig
from lxmert.common.outputs import ModelOutput
from lxmert.common.specs import SPECS
from lxmert.hub import HubOptions
from lxmert.pt.cpu_kernels.packing import weights_are_trained
from lxmert.utils.messages import check_keywords, signature_names
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.load import LoadReport, match_parameters
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.open import open_checkpoint
from lxmert.weights.save_folder import LazyTensor, write_folder

from .embeddings import JointEmbeddings
from .heads import WordHead
from .init import skip_init
from .named_weights import array_of, tensor_of
from .resizing import Resizable


def run_layer(model: PreTrainedModel, layer: nn.Module, *inputs: Any, **options: Any) -> Any:
    """Run one layer; with gradient checkpointing on, its inner values are recomputed in the backward pass."""
    if model.gradient_checkpointing and model.training and torch.is_grad_enabled():
        return checkpointed(layer, *inputs, use_reentrant=False, **options)
    return layer(*inputs, **options)


_registered: set[type[ModelOutput]] = set()


def register_output(kind: type[ModelOutput]) -> None:
    """Let `torch.export` look into what a class of models returns."""
    if kind not in _registered:
        _registered.add(kind)
        torch.export.register_dataclass(kind, serialized_type_name=f"lxmert.{kind.__name__}")


class PreTrainedModel(Resizable):
    """Base of all models: weights by name, loading and saving, resizing, pruning."""

    config_class: ClassVar[type[ModelConfig]]
    constructor_options: ClassVar[tuple[str, ...]] = ()  # its arguments after the config
    load_report: LoadReport | None = None
    gradient_checkpointing = False

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        if cls.architecture() in SPECS:
            register_output(SPECS[cls.architecture()].output)

    def __init__(self, config: ModelConfig):
        super().__init__()
        if not isinstance(config, self.config_class):
            name, given = self.config_class.__name__, type(config).__name__
            hint = f"To load weights use {type(self).__name__}.from_pretrained(path)."
            if given == name:  # transformers' class has the same name
                given = f"{type(config).__module__}.{given}"
                hint = f"Make one by {name}.from_dict(config.to_dict())."
            raise TypeError(f"{type(self).__name__} is made from a {name}; got {given}. {hint}")
        self.config = config

    def train(self, mode: bool = True) -> Self:
        """Set the model to training or to evaluation; `PackedWeights` are laid out again after training."""
        if mode or self.training:
            weights_are_trained()
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
        """Whether `forward`, in a user's subclass, has a `**kwargs` that hands on what it does not know."""
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

    def format_output(self, output: ModelOutput, return_dict: bool | None) -> Any:
        """An output, or a tuple of its present fields without `return_dict`; None takes the config's choice."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        return output if return_dict else output.to_tuple()

    # Loading and saving

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        config: ModelConfig | None = None,
        dtype: torch.dtype | str | None = None,
        only: str | None = None,
        allow_new_head: bool = False,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Load a model, set to evaluation. `model.load_report` lists what was left out or newly initialized.

        Args:
            source: a folder or file of weights in any published format, recognized by its content; or a model on the
                hub, "owner/name".
            config: the configuration, where the file has none, or to use another.
            dtype: of the parameters, torch.float16 or "float16", say; PyTorch's default by default.
            only: "backbone" leaves every head newly initialized.
            allow_new_head: whether a head that the file has not, or in another size, may be newly initialized.
            revision, cache_dir, token, local_files_only: of a model on the hub: a branch, tag or commit; the folder to
                keep files in; the user's token; whether to do without the network.
            overrides: config fields that take other values than the file's; and what the constructor takes beside the
                config (`add_pooling_layer=False`).

        Raises:
            FileNotFoundError, ValueError: no such file, or a damaged or foreign one.
            CheckpointMismatchError: names or shapes do not fit; all are listed, and nothing is loaded.
        """
        options = (*signature_names(cls.from_pretrained), *cls.constructor_options, *cls.config_class.field_names())
        check_keywords(f"{cls.__name__}.from_pretrained", overrides, options)
        constructor_options = {name: overrides.pop(name) for name in cls.constructor_options if name in overrides}
        hub = HubOptions(revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
        with open_checkpoint(source, config, cls.config_class, hub, **overrides) as file:
            pooler = constructor_options.get("add_pooling_layer", True)
            taken, report = match_parameters(file, cls.architecture(), only, allow_new_head, pooler)
            dtype = dtype or torch.get_default_dtype()
            dtype = getattr(torch, dtype) if isinstance(dtype, str) and dtype in FLOATS else dtype
            if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
                raise ValueError(f"dtype must be a torch.dtype or one of {', '.join(FLOATS)}; got {dtype!r}.")
            with file.arrays(taken, mapped=True) as arrays:
                # A user's subclass may have layers of its own, which are not in the file.
                with skip_init() if cls.__module__.startswith("lxmert.") else nullcontext():
                    model = cls(file.config, **constructor_options)
                for parameter, values in arrays:
                    model._assign(parameter, tensor_of(values).to(dtype))
        model._init_missing(report, dtype)
        model.load_report = report
        return model.eval()

    def _init_missing(self, report: LoadReport, dtype: torch.dtype) -> None:
        """Initialize the weights that were not loaded."""
        new = [parameter for parameter, _ in self.weights_by_name() if parameter.name in set(report.new)]
        for parameter in new:
            self._assign(parameter, torch.empty(parameter.shape, dtype=dtype))
        modules = {parameter.module: self.locate(parameter)[0] for parameter in new}
        self._init_modules(list(modules.values()))
        if "embeddings.visual_position" in modules:
            self.base.embeddings.init_visual_tables()

    def save_pretrained(self, folder: str | Path, max_shard_size: int | str | None = None) -> None:
        """Write config.json and model.safetensors in Hugging Face's spelling; `transformers` reads the folder too.

        Args:
            folder: made if it is missing.
            max_shard_size: above so many bytes ("2GB") the weights go into several files; None keeps one.
        """

        def item(p: Parameter, tensor: Tensor) -> LazyTensor:
            tensor = tensor.detach()
            return LazyTensor(p, FLOATS[str(tensor.dtype).removeprefix("torch.")], lambda: array_of(tensor))

        items = [item(p, w) for p, w in self.weights_by_name()]
        write_folder(folder, self.config, self.architecture(), items, max_shard_size)

    # Memory

    def gradient_checkpointing_enable(self) -> None:
        """Keep only each layer's input in training and recompute the rest: less memory, more time, equal gradients."""
        self.base.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything again."""
        self.base.gradient_checkpointing = False

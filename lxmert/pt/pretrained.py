"""What every PyTorch model of the package can do: load, save, resize, prune, trade memory for time."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint as checkpointed

from lxmert.common.checkpoint import LoadReport, fit, open_checkpoint
from lxmert.common.config import LxmertConfig
from lxmert.common.convert import Item, write_folder
from lxmert.common.names import Parameter, head_names, parameters

from .layers import Attention, Embedding


def run_layer(model: PreTrainedModel, layer: nn.Module, *inputs: Any) -> Any:
    """Run one layer; with gradient checkpointing on, its inner values are recomputed in the backward pass."""
    if model.gradient_checkpointing and model.training and torch.is_grad_enabled():
        return checkpointed(layer, *inputs, use_reentrant=False)
    return layer(*inputs)


class PreTrainedModel(nn.Module):
    """Base of all models: weights by name, loading and saving, resizing, pruning."""

    config_class: ClassVar[type[LxmertConfig]]
    load_report: LoadReport | None = None
    gradient_checkpointing = False

    def __init__(self, config: LxmertConfig):
        super().__init__()
        if not isinstance(config, self.config_class):
            raise TypeError(
                f"{type(self).__name__} is made from a {self.config_class.__name__}; got {type(config).__name__}. "
                f"To load weights use {type(self).__name__}.from_pretrained(path)."
            )
        self.config = config

    @classmethod
    def keywords(cls) -> tuple[str, ...]:
        """The argument names of `forward`, in order."""
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return tuple(p.name for p in inspect.signature(cls.forward).parameters.values() if p.kind in kinds)[1:]

    @classmethod
    def architecture(cls) -> str:
        """The class name that config.json records."""
        return cls.__name__

    @classmethod
    def head_names(cls, config: LxmertConfig) -> tuple[str, ...]:
        """The heads that this class has under a config."""
        return head_names(cls.architecture(), config)

    @property
    def base(self) -> Any:
        """The backbone; a backbone is its own."""
        return getattr(self, "backbone", self)

    def reset_parameters(self) -> None:
        """Draw fresh weights: normal with `initializer_range`, row 0 of each table and every bias 0, norms 1 and 0."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
            if isinstance(module, Embedding):
                with torch.no_grad():
                    module.weight[0].zero_()
            if isinstance(module, nn.LayerNorm):
                module.reset_parameters()

    # Weights by name

    def locate(self, parameter: Parameter) -> tuple[nn.Module, str]:
        """The module that holds a parameter of the name table, and the attribute under which it does."""
        owner: nn.Module = self if parameter.head else self.base
        path = parameter.module if parameter.leaf.torch else parameter.module.rpartition(".")[0]
        return owner.get_submodule(path), parameter.leaf.torch or parameter.module.rpartition(".")[2]

    def weights_by_name(self) -> Iterator[tuple[Parameter, Tensor]]:
        """Every parameter with its row of the name table."""
        for parameter in parameters(self.config, self.head_names(self.config)):
            module, attribute = self.locate(parameter)
            yield parameter, getattr(module, attribute)

    def num_parameters(self, only_trainable: bool = False) -> int:
        """How many numbers the model holds, tied ones once."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not only_trainable)

    # Loading and saving

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        config: LxmertConfig | None = None,
        dtype: torch.dtype | None = None,
        only: str | None = None,
        allow_new_head: bool = False,
        **overrides: Any,
    ) -> Self:
        """Load a model, set to evaluation. `model.load_report` tells what was left out or made fresh.

        Args:
            source: a folder with config.json and model.safetensors, or a .safetensors, .weights.h5 or .keras file.
            config: the configuration, where the file has none or another is wanted.
            dtype: of the parameters; PyTorch's default by default.
            only: "backbone" leaves every head fresh.
            allow_new_head: whether a head that the file does not have, or has in another size, may stay fresh.
            overrides: config fields that take other values than the file's.

        Raises:
            FileNotFoundError, ValueError: no such file, or a damaged or foreign one.
            CheckpointMismatchError: names or shapes do not fit; all are listed, and nothing is loaded.
        """
        with open_checkpoint(source, config, **overrides) as file:
            taken, report = fit(file, cls.architecture(), only, allow_new_head)
            dtype = dtype or torch.get_default_dtype()
            with torch.device("meta"):
                model = cls(file.config)
            made = {p.name for p in taken}
            if report.new:
                fresh = cls(file.config)
                made |= set(report.new)
                for parameter, values in fresh.weights_by_name():
                    if parameter.name in report.new:
                        model._assign(parameter, values.detach().to(dtype))
            for parameter in taken:
                model._assign(parameter, torch.from_numpy(file.read(parameter)).to(dtype))
        model.load_report = report
        return model.eval()

    def _assign(self, parameter: Parameter, values: Tensor) -> None:
        module, attribute = self.locate(parameter)
        trained = getattr(module, attribute).requires_grad
        setattr(module, attribute, nn.Parameter(values, requires_grad=trained))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors in Hugging Face's spelling; `transformers` reads the folder too."""

        def item(p: Parameter, tensor: Tensor) -> Item:
            # NumPy has no bfloat16; float32 holds all of its values.
            tensor = tensor.detach().float() if tensor.dtype == torch.bfloat16 else tensor.detach()
            return Item(p, np.dtype(str(tensor.dtype).removeprefix("torch.")), lambda: tensor.cpu().numpy())

        write_folder(folder, self.config, self.architecture(), [item(p, w) for p, w in self.weights_by_name()])

    # Changing sizes

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embedding."""
        return self.base.embeddings.word

    def set_input_embeddings(self, embeddings: nn.Embedding) -> None:
        """Put another word embedding [V, D] in place; a word head stays tied to it.

        Raises:
            ValueError: the width is not the hidden size.
        """
        count, size = embeddings.weight.shape
        if size != self.config.hidden_size:
            raise ValueError(f"embeddings must be [V, {self.config.hidden_size}] (hidden_size); got [{count}, {size}].")
        self.base.embeddings.word = embeddings
        word_head = getattr(getattr(self, "heads", None), "word", None)
        if word_head is not None:
            word_head.bias = _resized(word_head.bias, count, 0.0)
        self._set_config(vocab_size=count)

    def resize_token_embeddings(self, count: int | None = None, pad_to_multiple_of: int | None = None) -> nn.Embedding:
        """Change the number of words; old rows stay, new ones are drawn afresh. Gives the word embedding.

        Args:
            count: the new number of words; None keeps it.
            pad_to_multiple_of: round the number up to a multiple of this.
        """
        table = self.get_input_embeddings()
        count = table.weight.shape[0] if count is None else count
        if pad_to_multiple_of:
            count = -(-count // pad_to_multiple_of) * pad_to_multiple_of
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        if count != table.weight.shape[0]:
            resized = Embedding(1, 1)
            resized.weight = _resized(table.weight, count, self.config.initializer_range)
            resized.num_embeddings, resized.embedding_dim = resized.weight.shape
            self.set_input_embeddings(resized)
        return self.get_input_embeddings()

    def get_qa_logit_layer(self) -> nn.Linear | None:
        """The last layer of the answer head, None without one."""
        head = getattr(getattr(self, "heads", None), "answer", None)
        return None if head is None else head.out

    def resize_num_qa_labels(self, count: int | None = None) -> nn.Linear | None:
        """Change the number of answers; old rows stay, new ones are drawn afresh. Gives the layer, None without one."""
        layer = self.get_qa_logit_layer()
        if layer is None or count is None or count == layer.out_features:
            return layer
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        layer.weight = _resized(layer.weight, count, self.config.initializer_range)
        layer.bias = _resized(layer.bias, count, 0.0)
        layer.out_features = count
        self._set_config(num_qa_labels=count)
        return layer

    def prune_heads(self, heads: Mapping[str, Iterable[int]]) -> None:
        """Remove attention heads for good: their rows leave the weights, and the config remembers it.

        Args:
            heads: for an attention's path in the backbone ("language_layers.0.attention") the heads to remove,
                counted as in the unpruned model. Heads already gone are left alone.

        Raises:
            ValueError: an unknown path or head, or all heads of an attention.
        """
        old = self.config.pruned_heads
        asked = {path: set(map(int, numbers)) | set(old.get(path, ())) for path, numbers in heads.items()}
        config = self.config.replace(pruned_heads={**old, **{path: tuple(gone) for path, gone in asked.items()}})
        for path in asked:
            attention: Attention = self.base.get_submodule(path)
            before = [head for head in range(config.num_attention_heads) if head not in old.get(path, ())]
            kept = [i for i, head in enumerate(before) if head not in asked[path]]
            size = attention.head_size
            rows = torch.tensor([i * size + j for i in kept for j in range(size)])
            for layer in (attention.query, attention.key, attention.value):
                layer.weight = nn.Parameter(layer.weight.detach()[rows], layer.weight.requires_grad)
                layer.bias = nn.Parameter(layer.bias.detach()[rows], layer.bias.requires_grad)
                layer.out_features = len(rows)
            attention.out.weight = nn.Parameter(
                attention.out.weight.detach()[:, rows], attention.out.weight.requires_grad
            )
            attention.out.in_features = len(rows)
            attention.num_heads = len(kept)
        self._set_config(pruned_heads=config.pruned_heads)

    def _set_config(self, **changes: Any) -> None:
        """Replace the config, here and in the backbone."""
        self.config = self.base.config = self.config.replace(**changes)

    # Memory

    def gradient_checkpointing_enable(self) -> None:
        """Keep only each layer's input in training and recompute the rest: less memory, more time, equal gradients."""
        self.base.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything again."""
        self.base.gradient_checkpointing = False


def _resized(old: Tensor, count: int, std: float) -> nn.Parameter:
    """The first `count` rows of `old`, continued by fresh ones; frozen if it was."""
    new = torch.empty(count, *old.shape[1:], dtype=old.dtype, device=old.device)
    nn.init.normal_(new, std=std) if std else new.zero_()
    kept = min(count, old.shape[0])
    new[:kept] = old.detach()[:kept]
    return nn.Parameter(new, old.requires_grad)

"""Heads on top of a model: words, matching, objects, answers, alignment of phrases with regions.

Dimensions: B batch, S any sequence, L language tokens, R regions, P phrases, D hidden size, N heads, K = D / N,
V vocabulary, A answers.
"""

import math
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from lxmert.pt.cpu_kernels.linear import linear, product
from lxmert.weights.naming.tables import every_head, head_modules

from .layers import Embedding, with_zero_gradients


class WordHead(nn.Module):
    """norm(act(transform(states)))·tableᵀ + bias; the table is the word embedding itself, so the two stay tied.

    With `tie_word_embeddings=False` it is the head's own `decoder` instead, which is None otherwise.
    """

    def __init__(self, config: Any):
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = config.hidden_act
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        own = config.untied_words
        self.decoder = Embedding(config.vocab_size, config.hidden_size, padding_idx=None) if own else None

    def forward(self, states: Tensor, table: Tensor) -> Tensor:  # [B, S, D], [V, D] -> [B, S, V]
        """Score every word of the vocabulary at each position; `table` is the word embedding."""
        table = table if self.decoder is None else self.decoder.weight
        return product(self.norm(linear(self.transform, states, self.activation)), table, self.bias)


class ObjectHead(nn.Module):
    """One linear layer per enabled visual loss, all on norm(act(transform(states)))."""

    def __init__(self, config: Any):
        super().__init__()
        self.transform = nn.Linear(config.hidden_size, config.hidden_size)
        self.activation = config.hidden_act
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.keys = tuple(config.visual_losses)
        for key, width in config.visual_losses.items():
            setattr(self, key, nn.Linear(config.hidden_size, width))

    def forward(self, states: Tensor) -> dict[str, Tensor]:  # [B, R, D] -> {"obj": [B, R, classes], ...}
        """Predict each region's object class, attribute class and feature, of the enabled losses."""
        states = self.norm(linear(self.transform, states, self.activation))
        return {key: linear(getattr(self, key), states) for key in self.keys}


class AnswerHead(nn.Module):
    """out(norm(gelu(up(pooled)))): up to twice the hidden size, always by exact GELU.

    It reads `images` concatenated pooled outputs: one for questions, two for reasoning.
    """

    def __init__(self, config: Any, answers: int, images: int = 1):
        super().__init__()
        hidden = config.hidden_size
        self.up = nn.Linear(images * hidden, 2 * hidden)
        self.norm = nn.LayerNorm(2 * hidden, eps=config.layer_norm_eps)
        self.out = nn.Linear(2 * hidden, answers)

    def forward(self, pooled: Tensor) -> Tensor:  # [B, images · D] -> [B, A]
        """Score every answer."""
        return linear(self.out, self.norm(linear(self.up, pooled, "gelu")))


class AlignmentHead(nn.Module):
    """query(phrases)·key(regions)ᵀ / √K, one head wide; masked regions get the smallest number."""

    def __init__(self, config: Any):
        super().__init__()
        self.head_size = config.hidden_size // config.num_attention_heads
        self.query = nn.Linear(config.hidden_size, self.head_size)
        self.key = nn.Linear(config.hidden_size, self.head_size)
        # As in the original: it is in every file, but unused.
        self.value = nn.Linear(config.hidden_size, self.head_size).requires_grad_(False)

    def forward(self, phrases: Tensor, regions: Tensor, visual_attention_mask: Tensor | None) -> Tensor:
        # [B, P, D], [B, R, D] -> [B, P, R]
        """Score every region for each phrase."""
        scores = self.query(phrases) @ self.key(regions).transpose(-1, -2) * (1 / math.sqrt(self.head_size))
        scores = with_zero_gradients(scores, self.value)
        if visual_attention_mask is None:
            return scores
        return scores.masked_fill((visual_attention_mask == 0)[:, None], torch.finfo(scores.dtype).min)


class TableHead(nn.Module):
    """A head without its own class: its layers in the name table, which the model calls."""

    def __init__(self, config: Any, head: str):
        super().__init__()
        for name, (kind, shape) in head_modules(config, head).items():
            setattr(self, name, _layer(config, kind, shape))


def _layer(config: Any, kind: str, shape: tuple[int, ...]) -> nn.Module:
    """Make a layer of a kind in the name table, with a weight of this shape."""
    return nn.Linear(shape[1], shape[0]) if kind == "dense" else nn.LayerNorm(shape[0], eps=config.layer_norm_eps)


def _head(config: Any, name: str) -> nn.Module:
    """Make a head: its own class, one layer, or several."""
    classes = {
        "word": WordHead,
        "object": ObjectHead,
        "answer": lambda config: AnswerHead(config, config.num_qa_labels),
        "reasoning": lambda config: AnswerHead(config, 2, images=2),
        "alignment": AlignmentHead,
    }
    if name in classes:
        return classes[name](config)
    modules = head_modules(config, name)
    return _layer(config, *modules[""]) if list(modules) == [""] else TableHead(config, name)


class Heads(nn.Module):
    """The heads of one task model, each under its name; None for those that the task does not have."""

    def __init__(self, config: Any, names: Collection[str]):
        super().__init__()
        for name in every_head(config.model_type):
            setattr(self, name, _head(config, name) if name in names else None)


class VisualBertHeads(Heads):
    """The heads of one VisualBERT task model, and the dropout before them."""

    def __init__(self, config: Any, names: Collection[str]):
        super().__init__(config, names)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

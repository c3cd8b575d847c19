"""Attention with dropout, trained on a processor: what is kept for its gradients is what cannot be computed again fast.

PyTorch keeps the weights of the attention twice, before and after dropout, and what they mix, for the layer that
follows; here the second of each is made anew from the first. A training step takes a seventh less memory by it.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from .dropout import STEPS, apply_mask, kept
from .linear import autocast, is_plain, of_weight, product, summed


def attention_weights(query: Tensor, key: Tensor, additive: Tensor | None) -> Tensor:
    # [B, N, S, K], [B, N, C, K], [B, 1, 1, C] -> [B, N, S, C]
    """softmax(query·keyᵀ / √K + additive)."""
    scores = query @ key.transpose(-1, -2) * (1 / math.sqrt(query.shape[-1]))
    return torch.softmax(scores if additive is None else scores + additive, dim=-1)


def recomputed_attention(
    layer: nn.Linear, query: Tensor, key: Tensor, value: Tensor, additive: Tensor | None, rate: float
) -> Tensor:  # [B, N, S, K], [B, N, C, K], [B, N, C, K], [B, 1, 1, C] -> [B, S, D]
    """layer(dropout(softmax(query·keyᵀ / √K + additive))·value), with the heads side by side.

    Args:
        layer: the linear layer after the attention; see `can_recompute`.
        query, key, value: of each head.
        additive: what is added to the scores.
        rate: of the dropout.
    """
    parts = autocast(query, key, value, layer.weight, layer.bias)
    dtype = parts[2].dtype
    if additive is not None and additive.dtype != dtype:
        additive = additive.clamp(min=torch.finfo(dtype).min).to(dtype)
    return _Mixed.apply(*parts, additive, round(rate * STEPS))


def can_recompute(layer: nn.Module, value: Tensor, rate: float) -> bool:
    """Whether `recomputed_attention` may take the place of the attention and the layer after it."""
    return torch.is_grad_enabled() and 0 < round(rate * STEPS) < STEPS and is_plain(layer, value)


class _Mixed(torch.autograd.Function):
    """The attention of all heads, and the linear layer after it."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        additive: Tensor | None,
        steps: int,
    ) -> Tensor:
        weights = attention_weights(query, key, additive)
        keep = kept(weights.shape, steps, weights.device)
        ctx.save_for_backward(query, key, value, weight, bias, weights, keep, additive)
        ctx.steps = steps
        return product(_merged(apply_mask(weights, keep, steps) @ value), weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weight, bias, weights, keep, additive = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradient shall have gradients too: of the same, step by step
            weights = attention_weights(query, key, additive)
            out = product(_merged(apply_mask(weights, keep, ctx.steps) @ value), weight, bias)
            parts = (query, key, value, weight, bias)
            wanted = [part for part, needed in zip(parts, ctx.needs_input_grad, strict=False) if needed]
            found = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True))
            return (*(next(found) if needed else None for needed in ctx.needs_input_grad[:5]), None, None)
        of_query, of_key, of_value, of_weight_, of_bias = ctx.needs_input_grad[:5]
        dropped = apply_mask(weights, keep, ctx.steps)
        given: list[Tensor | None] = [None] * 7
        if of_weight_:
            given[3] = of_weight(gradient, _merged(dropped @ value))
        if of_bias:
            given[4] = summed(gradient)
        if of_query or of_key or of_value:
            split = _split(product(gradient, weight.t()), query)
            given[2] = dropped.transpose(-1, -2) @ split if of_value else None
            of_weights = apply_mask(split @ value.transpose(-1, -2), keep, ctx.steps)
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            of_scores.mul_(1 / math.sqrt(query.shape[-1]))
            given[0] = of_scores @ key if of_query else None
            given[1] = of_scores.transpose(-1, -2) @ query if of_key else None
        return tuple(given)


def _merged(mixed: Tensor) -> Tensor:  # [B, N, S, K] -> [B, S, N·K]
    batch, heads, length, size = mixed.shape
    return mixed.transpose(1, 2).reshape(batch, length, heads * size)


def _split(merged: Tensor, like: Tensor) -> Tensor:  # [B, S, N·K] -> [B, N, S, K]
    batch, heads, length, size = like.shape
    return merged.reshape(batch, length, heads, size).transpose(1, 2)

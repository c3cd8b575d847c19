"""Attention with dropout for training on CPUs: the backward pass recomputes what is cheap instead of storing it.

PyTorch saves the attention weights before and after dropout, and their product with the values. Here only the weights
before dropout are saved. A training step takes a seventh less memory.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lxmert.pt._compat import softmax_backward

from .dispatch import self_test
from .dropout import STEPS, apply_mask, dropout_mask
from .linear import autocast, bias_gradient, can_replace, product, weight_gradient
from .packing import invalidate_packed_weights


def attention_weights(query: Tensor, key: Tensor, additive: Tensor | None) -> Tensor:
    # [B, N, S, K], [B, N, C, K], [B, 1, 1, C] -> [B, N, S, C]
    """softmax(query·keyᵀ / √K + additive)."""
    scores = query @ key.transpose(-1, -2) * (1 / math.sqrt(query.shape[-1]))
    return torch.softmax(scores if additive is None else scores + additive, dim=-1)


def recomputed_attention(
    layer: nn.Linear, query: Tensor, key: Tensor, value: Tensor, additive: Tensor | None, rate: float
) -> Tensor:  # [B, N, S, K], [B, N, C, K], [B, N, C, K], [B, 1, 1, C] -> [B, S, D]
    """layer(dropout(softmax(query·keyᵀ / √K + additive))·value), with the heads concatenated.

    Args:
        layer: the linear layer after the attention; see `can_recompute`.
        query, key, value: of each head.
        additive: what is added to the scores.
        rate: the dropout rate.
    """
    parts = autocast(query, key, value, layer.weight, layer.bias)
    dtype = parts[2].dtype
    if additive is not None and additive.dtype != dtype:
        additive = additive.clamp(min=torch.finfo(dtype).min).to(dtype)
    invalidate_packed_weights()
    return _RecomputedAttention.apply(*parts, additive, round(rate * STEPS))


def can_recompute(layer: nn.Module, value: Tensor, rate: float) -> bool:
    """Whether `recomputed_attention` may replace the attention and the layer after it."""
    return torch.is_grad_enabled() and 0 < round(rate * STEPS) < STEPS and can_replace(layer, value)


class _RecomputedAttention(torch.autograd.Function):
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
        mask = dropout_mask(weights, steps)
        ctx.save_for_backward(query, key, value, weight, bias, weights, mask, additive)
        ctx.steps = steps
        return product(_merge_heads(apply_mask(weights, mask, steps) @ value), weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, weight, bias, weights, mask, additive = ctx.saved_tensors
        if torch.is_grad_enabled():  # double backward: recompute with differentiable operators
            weights = attention_weights(query, key, additive)
            out = product(_merge_heads(apply_mask(weights, mask, ctx.steps) @ value), weight, bias)
            parts = (query, key, value, weight, bias)
            wanted = [part for part, needed in zip(parts, ctx.needs_input_grad, strict=False) if needed]
            found = iter(torch.autograd.grad(out, wanted, gradient, create_graph=True))
            return (*(next(found) if needed else None for needed in ctx.needs_input_grad[:5]), None, None)
        for_query, for_key, for_value, for_weight, for_bias = ctx.needs_input_grad[:5]
        dropped = apply_mask(weights, mask, ctx.steps)
        gradients: list[Tensor | None] = [None] * 7
        if for_weight:
            gradients[3] = weight_gradient(gradient, _merge_heads(dropped @ value))
        if for_bias:
            gradients[4] = bias_gradient(gradient)
        if for_query or for_key or for_value:
            split = _split_heads(product(gradient, weight.t()), query)
            gradients[2] = dropped.transpose(-1, -2) @ split if for_value else None
            to_weights = apply_mask(split @ value.transpose(-1, -2), mask, ctx.steps)
            to_scores = softmax_backward(to_weights, weights)
            to_scores.mul_(1 / math.sqrt(query.shape[-1]))
            gradients[0] = to_scores @ key if for_query else None
            gradients[1] = to_scores.transpose(-1, -2) @ query if for_key else None
        return tuple(gradients)


def _merge_heads(attended: Tensor) -> Tensor:  # [B, N, S, K] -> [B, S, N·K]
    batch, heads, length, size = attended.shape
    return attended.transpose(1, 2).reshape(batch, length, heads * size)


def _split_heads(merged: Tensor, like: Tensor) -> Tensor:  # [B, S, N·K] -> [B, N, S, K]
    batch, heads, length, size = like.shape
    return merged.reshape(batch, length, heads, size).transpose(1, 2)


@self_test
def check_softmax_backward() -> bool:
    """Whether the gradient of softmax equals its formula."""
    gradient = torch.linspace(-1, 1, 24, dtype=torch.float32, device="cpu").view(4, 6)
    weights = torch.full_like(gradient, 1 / 6)
    expected = weights * (gradient - (gradient * weights).sum(-1, keepdim=True))
    return torch.allclose(softmax_backward(gradient, weights), expected, atol=1e-6)

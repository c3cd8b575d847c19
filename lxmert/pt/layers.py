"""The layers that every model of the package is made of.

Dimensions: B batch, S any sequence, C its context (what is attended to), D hidden size, N heads, K = D / N.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lxmert.pt.cpu_kernels.attention import attention_weights, can_recompute, recomputed_attention
from lxmert.pt.cpu_kernels.dispatch import is_transformed, kernels_are_on, known_layer
from lxmert.pt.cpu_kernels.dropout import drop, dropout, drops_nothing
from lxmert.pt.cpu_kernels.feed_forward import linear_pair
from lxmert.pt.cpu_kernels.linear import linear, linears


class ContextBias(NamedTuple):
    """A 0/1 mask of a context as the additive bias and the factor that attention uses.

    If all of the context is masked, attention is uniform over it: `additive` and `live` are 0, so the queries are 0 and
    all scores equal, finite in every dtype and without gradient. (Adding the smallest number to every score has the
    same output, but fused kernels then compute wrong gradients.)
    """

    additive: Tensor  # [B, 1, 1, C]: 0 where the mask is 1, the smallest number where it is 0
    live: Tensor | None  # [B, 1, 1, 1]: 1 where any of the context is unmasked; None if that is everywhere


def context_bias(mask: Tensor, dtype: torch.dtype) -> ContextBias | None:
    """Convert a mask [B, C] of 1 (keep) and 0 (ignore) to a `ContextBias`; None if it is known to be all 1."""
    keep = (mask != 0)[:, None, None, :]
    live = keep.any(dim=-1, keepdim=True)
    additive = torch.zeros(keep.shape, dtype=dtype, device=mask.device)
    additive = additive.masked_fill(live & ~keep, torch.finfo(dtype).min)
    if mask.device.type != "cpu" or not kernels_are_on():  # whose values may not be read, or only after waiting
        return ContextBias(additive, live.to(dtype))
    return None if keep.all() else ContextBias(additive, None if live.all() else live.to(dtype))


def with_zero_gradients(output: Tensor, *unused: nn.Module) -> Tensor:
    """Give the trainable parameters of modules that do not reach an output a gradient of 0 in training.

    Those are adapters that were put into such modules, or weights that a user unfroze. DDP would wait for their
    gradients.
    """
    for module in unused:
        if module.training and torch.is_grad_enabled():
            for parameter in module.parameters():
                if parameter.requires_grad:
                    output = output + parameter.flatten()[:0].sum().to(output.dtype)
    return output


def gather_tokens(states: Tensor, positions: Tensor) -> Tensor:  # [B, S, D], [B, P] -> [B, P, D]
    """The states at these positions of each sequence."""
    return states[torch.arange(positions.shape[0], device=positions.device)[:, None], positions]


class Embedding(nn.Embedding):
    """row = table[id]; row `padding_idx` gets no gradient from the lookup.

    As in the original: all tables of LXMERT have padding_idx 0, so position 0 and token type 0 keep their initial
    values.
    """

    def __init__(self, count: int, size: int, padding_idx: int | None = 0):
        super().__init__(count, size, padding_idx=padding_idx)


@known_layer
class Attention(nn.Module):
    """norm(dropout(out(softmax(query·keyᵀ / √K + bias)·value)) + states).

    Serves self-attention (the context is the states themselves) and cross-attention alike, with residual and norm.
    """

    def __init__(self, config: Any, pruned_heads: Sequence[int] = ()):
        super().__init__()
        hidden = config.hidden_size
        self.head_size = hidden // config.num_attention_heads
        self.num_heads = config.num_attention_heads - len(pruned_heads)
        width = self.num_heads * self.head_size
        self.query = nn.Linear(hidden, width)
        self.key = nn.Linear(hidden, width)
        self.value = nn.Linear(hidden, width)
        self.out = nn.Linear(width, hidden)
        self.norm = nn.LayerNorm(hidden, eps=config.layer_norm_eps)
        self.weights_dropout = config.attention_probs_dropout_prob
        self.config = config  # whose attn_implementation counts at each call
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def split_heads(self, x: Tensor) -> Tensor:  # [B, S, N·K] -> [B, N, S, K]
        """Split the last axis into heads."""
        return x.unflatten(-1, (self.num_heads, self.head_size)).transpose(1, 2)

    def merge_heads(self, x: Tensor) -> Tensor:  # [B, N, S, K] -> [B, S, N·K]
        """Concatenate the heads."""
        return x.transpose(1, 2).flatten(-2)

    def forward(
        self,
        states: Tensor,
        context: Tensor,
        bias: ContextBias | None = None,
        head_mask: Tensor | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # [B, S, D], [B, C, D] -> [B, S, D], [B, N, S, C]
        """Attend from `states` to `context`; the softmax weights, before dropout, are returned if `need_weights`.

        `head_mask` [N] multiplies the weights of each head.
        """
        if context is states:
            query, key, value = linears((self.query, self.key, self.value), states)
        else:
            query, (key, value) = linear(self.query, states), linears((self.key, self.value), context)
        rate = self.weights_dropout if self.training else 0.0
        if not need_weights and head_mask is None and can_recompute(self.out, states, rate):
            query, key, value = map(self.split_heads, (query, key, value))
            out = recomputed_attention(self.out, *_with_bias(query, key, value, bias), rate)
            return self.norm(drop(self.dropout, out) + states), None
        attended, weights = self.attend(query, key, value, bias, head_mask, need_weights)
        if drops_nothing(self.dropout):
            return self.norm(linear(self.out, attended, residual=states)), weights
        return self.norm(drop(self.dropout, linear(self.out, attended)) + states), weights

    def attend(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        bias: ContextBias | None,
        head_mask: Tensor | None,
        need_weights: bool,
    ) -> tuple[Tensor, Tensor | None]:  # [B, S, N·K], [B, C, N·K] twice -> [B, S, N·K], [B, N, S, C]
        """softmax(query·keyᵀ / √K + bias)·value, with dropout in training; the weights too if `need_weights`."""
        query, key, value = map(self.split_heads, (query, key, value))
        query, key, value, additive = _with_bias(query, key, value, bias)
        rate = self.weights_dropout if self.training else 0.0
        # On a CPU PyTorch's fused attention knows no dropout; what it does instead costs more than this.
        unfused = rate > 0 and query.device.type == "cpu" and kernels_are_on()
        if need_weights or unfused or self.config.attn_implementation == "eager" or is_transformed():
            weights = attention_weights(query, key, additive)
            if head_mask is not None:
                weights = weights * head_mask[:, None, None]
            attended = dropout(weights, rate, self.training) @ value
            return self.merge_heads(attended), weights if need_weights else None
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=additive, dropout_p=rate)
        if head_mask is not None:
            attended = attended * head_mask[:, None, None]
        return self.merge_heads(attended), None


def _with_bias(
    query: Tensor, key: Tensor, value: Tensor, bias: ContextBias | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Multiply the queries by `bias.live`; returns queries, keys, values and `bias.additive`."""
    if bias is None:
        return query, key, value, None
    return query if bias.live is None else query * bias.live, key, value, bias.additive


class FeedForward(nn.Module):
    """norm(dropout(down(act(up(states)))) + states)."""

    def __init__(self, config: Any):
        super().__init__()
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = config.hidden_act
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, states: Tensor) -> Tensor:  # [B, S, D] -> [B, S, D]
        """Transform each position."""
        if drops_nothing(self.dropout):
            return self.norm(linear_pair(self.up, self.down, states, self.activation, residual=states))
        out = drop(self.dropout, linear_pair(self.up, self.down, states, self.activation))
        return self.norm(out + states)


class TransformerLayer(nn.Module):
    """feed_forward(attention(states, states)): one layer of an encoder."""

    def __init__(self, config: Any, pruned_heads: Sequence[int] = ()):
        super().__init__()
        self.attention = Attention(config, pruned_heads)
        self.feed_forward = FeedForward(config)

    def forward(
        self,
        states: Tensor,
        bias: ContextBias | None = None,
        head_mask: Tensor | None = None,
        queries: Tensor | None = None,
        need_weights: bool = False,
    ) -> tuple[Tensor, Tensor | None]:  # [B, S, D] -> [B, S, D], [B, N, S, S]
        """Run the layer; the attention weights are returned if `need_weights`.

        With `queries` [B, P, D], some of the states, only their outputs are computed: [B, P, D], [B, N, P, S].
        """
        queries = states if queries is None else queries
        states, weights = self.attention(queries, states, bias, head_mask, need_weights=need_weights)
        return self.feed_forward(states), weights


class Pooler(nn.Module):
    """tanh(dense(states[:, 0]))."""

    def __init__(self, config: Any):
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, states: Tensor) -> Tensor:  # [B, S, D] -> [B, D]
        """Pool the state of the first token."""
        return torch.tanh(linear(self.dense, states[:, 0]))

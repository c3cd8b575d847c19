"""The cross-modality layer.

Dimensions: B batch, L language tokens, R regions, D hidden size, N heads.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lxmert.common.config import LxmertConfig
from lxmert.pt.cpu_kernels.dispatch import has_hooks, kernels_are_on
from lxmert.pt.cpu_kernels.dropout import drops_nothing
from lxmert.pt.cpu_kernels.linear import linear, linears

from .layers import Attention, ContextBias, FeedForward, with_zero_gradients


class CrossMaps(NamedTuple):
    """The attention weights of one cross layer; None for those that are not returned."""

    language_to_vision: Tensor | None  # [B, N, L, R]
    vision_to_language: Tensor | None  # [B, N, R, L]
    language_self: Tensor | None  # [B, N, L, L]
    vision_self: Tensor | None  # [B, N, R, R]


class CrossLayer(nn.Module):
    """Cross attention both ways, then self-attention and feed-forward in each stream.

    1. Each stream attends to the other's input, with one set of weights for both directions (`cross_attention`).
    2. Each stream attends to itself.
    3. Each stream passes its feed-forward.
    """

    def __init__(self, config: LxmertConfig, index: int):
        super().__init__()
        pruned, path = config.pruned_heads, f"cross_layers.{index}"
        self.cross_attention = Attention(config, pruned.get(f"{path}.cross_attention", ()))
        self.language_self_attention = Attention(config, pruned.get(f"{path}.language_self_attention", ()))
        self.visual_self_attention = Attention(config, pruned.get(f"{path}.visual_self_attention", ()))
        self.language_feed_forward = FeedForward(config)
        self.visual_feed_forward = FeedForward(config)
        self.visual_branch_is_frozen = False

    def forward(
        self,
        language: Tensor,
        visual: Tensor,
        language_bias: ContextBias | None = None,
        visual_bias: ContextBias | None = None,
        attentions: bool | str = False,
        need_language: bool = True,
        need_visual: bool = True,
    ) -> tuple[Tensor, Tensor | None, CrossMaps]:  # [B, L, D], [B, R, D] -> the same
        """Run the layer; without `need_visual` the visual stream ends here, and without `need_language` all of the
        language stream but its first token, which the pooler reads.
        """
        every = dict(need_weights=attentions in ("all", "used"))
        some = dict(need_weights=bool(attentions))
        language_in, visual_in = language, visual
        together = need_visual and can_attend_together(self.cross_attention, language, visual)
        if together:
            (language, language_to_vision), (visual, vision_to_language) = attend_together(
                self.cross_attention,
                (language, visual),
                (language_bias, visual_bias),
                (some["need_weights"], every["need_weights"]),
            )
        else:
            language, language_to_vision = self.cross_attention(language_in, visual_in, visual_bias, **some)
        queries = language if need_language or every["need_weights"] else language[:, :1]
        language, language_self = self.language_self_attention(queries, language, language_bias, **every)
        language = language if need_language else language[:, :1]
        language = self.language_feed_forward(language)
        if not need_visual:
            if self.visual_branch_is_frozen:
                language = with_zero_gradients(language, self.visual_self_attention, self.visual_feed_forward)
            return language, None, CrossMaps(language_to_vision, None, language_self, None)
        if not together:
            visual, vision_to_language = self.cross_attention(visual_in, language_in, language_bias, **every)
        visual, vision_self = self.visual_self_attention(visual, visual, visual_bias, **every)
        visual = self.visual_feed_forward(visual)
        return language, visual, CrossMaps(language_to_vision, vision_to_language, language_self, vision_self)

    def freeze_visual_branch(self) -> None:
        """Freeze the part that only the visual output needs."""
        self.visual_branch_is_frozen = True
        for part in (self.visual_self_attention, self.visual_feed_forward):
            part.requires_grad_(False)


def can_attend_together(attention: nn.Module, *streams: Tensor) -> bool:
    """Whether `attend_together` may replace two calls: in inference on a CPU, where nothing observes the layers."""
    return (
        not torch.is_grad_enabled()
        and all(type(stream) is Tensor and stream.device.type == "cpu" for stream in streams)
        and type(attention) is Attention
        and kernels_are_on()
        and drops_nothing(attention.dropout)
        and not any(map(has_hooks, (attention, *attention.children())))
    )


def attend_together(
    attention: Attention,
    streams: tuple[Tensor, Tensor],
    biases: tuple[ContextBias | None, ContextBias | None],
    need_weights: tuple[bool, bool],
) -> list[tuple[Tensor, Tensor | None]]:  # [B, L, D], [B, R, D] -> the same, [B, N, L, R], [B, N, R, L]
    """Attend from each of two streams to the other, with all products for both, so that each weight is read once.

    Args:
        attention: the attention of both directions; see `can_attend_together`.
        streams: what attends, and what is attended to.
        biases: those of the streams, as contexts.
        need_weights: whether the softmax weights of the first and of the second stream are returned.
    """
    rows = [stream.shape[0] * stream.shape[1] for stream in streams]

    def split(x: Tensor) -> list[Tensor]:
        return [part.view(*stream.shape[:2], x.shape[-1]) for part, stream in zip(x.split(rows), streams, strict=True)]

    states = torch.cat([stream.flatten(0, 1) for stream in streams])
    projected = linears((attention.query, attention.key, attention.value), states)
    queries, keys, values = map(split, projected)
    attended, weights = zip(
        attention.attend(queries[0], keys[1], values[1], biases[1], None, need_weights[0]),
        attention.attend(queries[1], keys[0], values[0], biases[0], None, need_weights[1]),
        strict=True,
    )
    out = linear(attention.out, torch.cat([x.flatten(0, 1) for x in attended]), residual=states)
    return list(zip(split(attention.norm(out)), weights, strict=True))

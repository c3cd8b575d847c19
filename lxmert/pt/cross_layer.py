"""The cross-modality layer.

Dimensions: B batch, L language tokens, R regions, D hidden size, N heads.
"""

from typing import NamedTuple

from torch import Tensor, nn

from lxmert.common.config import LxmertConfig

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
        language, language_to_vision = self.cross_attention(language_in, visual_in, visual_bias, **some)
        queries = language if need_language or every["need_weights"] else language[:, :1]
        language, language_self = self.language_self_attention(queries, language, language_bias, **every)
        language = language if need_language else language[:, :1]
        language = self.language_feed_forward(language)
        if not need_visual:
            if self.visual_branch_is_frozen:
                language = with_zero_gradients(language, self.visual_self_attention, self.visual_feed_forward)
            return language, None, CrossMaps(language_to_vision, None, language_self, None)
        visual, vision_to_language = self.cross_attention(visual_in, language_in, language_bias, **every)
        visual, vision_self = self.visual_self_attention(visual, visual, visual_bias, **every)
        visual = self.visual_feed_forward(visual)
        return language, visual, CrossMaps(language_to_vision, vision_to_language, language_self, vision_self)

    def freeze_visual_branch(self) -> None:
        """Freeze the part that only the visual output needs."""
        self.visual_branch_is_frozen = True
        for part in (self.visual_self_attention, self.visual_feed_forward):
            part.requires_grad_(False)

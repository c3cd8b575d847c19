"""The cross-modality layer.

Dimensions: B batch, L language tokens, R regions, D hidden size, N heads.
"""

from typing import Any, NamedTuple

import keras

from lxmert.common.config import LxmertConfig

from .layers import Attention, ConfiguredLayer, ContextBias, FeedForward


class CrossMaps(NamedTuple):
    """The attention weights of one cross layer; None for those that are not returned."""

    language_to_vision: Any  # [B, N, L, R]
    vision_to_language: Any  # [B, N, R, L]
    language_self: Any  # [B, N, L, L]
    vision_self: Any  # [B, N, R, R]


@keras.saving.register_keras_serializable(package="lxmert")
class CrossLayer(ConfiguredLayer):
    """Cross attention both ways, then self-attention and feed-forward in each stream.

    1. Each stream attends to the other's input, with one set of weights for both directions (`cross_attention`).
    2. Each stream attends to itself.
    3. Each stream passes its feed-forward.
    """

    def __init__(self, config: LxmertConfig, index: int, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.index = index
        policy, pruned, path = self.dtype_policy, config.pruned_heads, f"cross_layers.{index}"

        def attention(name: str) -> Attention:
            return Attention(config, pruned.get(f"{path}.{name}", ()), dtype=policy, name=name)

        self.cross_attention = attention("cross_attention")
        self.language_self_attention = attention("language_self_attention")
        self.visual_self_attention = attention("visual_self_attention")
        self.language_feed_forward = FeedForward(config, dtype=policy, name="language_feed_forward")
        self.visual_feed_forward = FeedForward(config, dtype=policy, name="visual_feed_forward")

    def call(
        self,
        language: Any,
        visual: Any,
        language_bias: ContextBias | None = None,
        visual_bias: ContextBias | None = None,
        attentions: bool | str = False,
        need_language: bool = True,
        need_visual: bool = True,
        training: bool = False,
    ) -> tuple[Any, Any, CrossMaps]:  # [B, L, D], [B, R, D] -> the same
        """Run the layer; without `need_visual` the visual stream ends here, and without `need_language` all of the
        language stream but its first token, which the pooler reads.
        """
        every = dict(need_weights=attentions in ("all", "used"), training=training)
        some = dict(need_weights=bool(attentions), training=training)
        language_in, visual_in = language, visual
        language, language_to_vision = self.cross_attention(language_in, visual_in, visual_bias, **some)
        queries = language if need_language or every["need_weights"] else language[:, :1]
        language, language_self = self.language_self_attention(queries, language, language_bias, **every)
        language = language if need_language else language[:, :1]
        language = self.language_feed_forward(language, training=training)
        if not need_visual:
            return language, None, CrossMaps(language_to_vision, None, language_self, None)
        visual, vision_to_language = self.cross_attention(visual_in, language_in, language_bias, **every)
        visual, vision_self = self.visual_self_attention(visual, visual, visual_bias, **every)
        visual = self.visual_feed_forward(visual, training=training)
        return language, visual, CrossMaps(language_to_vision, vision_to_language, language_self, vision_self)

    def build(self, language_shape: Any = None, visual_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.build_parts(
            cross_attention=hidden,
            language_self_attention=hidden,
            visual_self_attention=hidden,
            language_feed_forward=hidden,
            visual_feed_forward=hidden,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "index": self.index}

    def freeze_visual_branch(self) -> None:
        """Freeze the part that only the visual output needs."""
        for part in (self.visual_self_attention, self.visual_feed_forward):
            part.trainable = False

"""LXMERT: a language encoder, a visual encoder, and a cross-modality encoder over both.

Dimensions: B batch, L language tokens, R regions, D hidden size, N heads, F visual feature size, P box size.
Source: Tan and Bansal 2019 (arXiv 1908.07490).
"""

from typing import Any, NamedTuple

import keras

from lxmert.common.config import LxmertConfig
from lxmert.common.inputs import attention_choice
from lxmert.common.lxmert_inputs import check_lxmert_inputs
from lxmert.common.outputs import LxmertModelOutput
from lxmert.common.signatures import LXMERT_INPUTS, value_ranges

from .embeddings import LanguageEmbeddings, RegionEmbeddings
from .layers import Attention, ConfiguredLayer, ContextBias, FeedForward, Pooler, TransformerLayer, context_bias
from .losses import check_values, describe
from .pretrained import PreTrainedModel, run_layer


class CrossMaps(NamedTuple):
    """The attention weights of one cross layer; None for those not asked for."""

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
        need_visual: bool = True,
        training: bool = False,
    ) -> tuple[Any, Any, CrossMaps]:  # [B, L, D], [B, R, D] -> the same
        """Run the layer; without `need_visual` the visual stream ends here."""
        every = dict(need_weights=attentions == "all", training=training)
        some = dict(need_weights=bool(attentions), training=training)
        language_in, visual_in = language, visual
        language, language_to_vision = self.cross_attention(language_in, visual_in, visual_bias, **some)
        language, language_self = self.language_self_attention(language, language, language_bias, **every)
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
        """What the constructor needs."""
        return {**super().get_config(), "index": self.index}


@keras.saving.register_keras_serializable(package="lxmert")
class TFLxmertModel(PreTrainedModel):
    """The backbone: language layers, visual layers, cross layers, pooler."""

    config_class = LxmertConfig
    config: LxmertConfig

    def __init__(self, config: LxmertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        pruned, policy = config.pruned_heads, self.dtype_policy

        def layers(name: str, count: int) -> list[TransformerLayer]:
            paths = [f"{name}.{i}" for i in range(count)]
            return [TransformerLayer(config, pruned.get(f"{p}.attention", ()), dtype=policy, name=p) for p in paths]

        self.embeddings = LanguageEmbeddings(config, dtype=policy, name="embeddings")
        self.region_embeddings = RegionEmbeddings(config, dtype=policy, name="region_embeddings")
        self.language_layers = layers("language_layers", config.l_layers)
        self.visual_layers = layers("visual_layers", config.r_layers)
        self.cross_layers = [
            CrossLayer(config, i, dtype=policy, name=f"cross_layers.{i}") for i in range(config.x_layers)
        ]
        self.pooler = Pooler(config, dtype=policy, name="pooler")
        self.build((None, None))

    def call(
        self,
        input_ids: Any = None,
        visual_feats: Any = None,
        visual_pos: Any = None,
        attention_mask: Any = None,
        visual_attention_mask: Any = None,
        token_type_ids: Any = None,
        inputs_embeds: Any = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        vision_output: bool = True,
        training: bool = False,
    ) -> LxmertModelOutput | tuple[Any, ...]:
        """Encode sentences and the regions of their pictures.

        The inputs come as keywords, as one dict, or as a list in this order.

        Args:
            input_ids: [B, L] token ids.
            visual_feats: [B, R, F] region features.
            visual_pos: [B, R, P] boxes; the published models want (x1, y1, x2, y2) over width and height, in 0 … 1.
            attention_mask: [B, L], 1 for tokens that are read, 0 for padding; all ones by default.
            visual_attention_mask: [B, R], likewise for regions.
            token_type_ids: [B, L], 0 for the first sentence, 1 for the second; zeros by default.
            inputs_embeds: [B, L, D] word vectors instead of `input_ids`.
            output_attentions: True for the maps that `transformers` gives, "all" for those of every attention.
            output_hidden_states: whether to give the states after every layer.
            return_dict: False gives a tuple of the fields that are present.
            vision_output: False leaves out the image branch of the last cross layer, which nothing but the vision
                outputs needs; hidden states or all maps, if asked for, bring it back.
            training: whether dropout is on.

        Raises:
            ValueError, TypeError: inputs that do not fit the config or each other; the message names the argument.
        """
        given, config = self.gather(input_ids, locals()), self.config
        inputs = {name: given[name] for name in LXMERT_INPUTS}
        check_lxmert_inputs(config, inputs, describe)
        for name, allowed in value_ranges(config, "LxmertModel").items():
            if inputs[name] is not None:
                check_values(name, inputs[name], allowed)
        attentions = attention_choice(given["output_attentions"], config)
        hidden_states = given["output_hidden_states"]
        hidden_states = config.output_hidden_states if hidden_states is None else hidden_states
        vision_output = given["vision_output"] or hidden_states or attentions == "all"

        language = self.embeddings(
            inputs["input_ids"], inputs["token_type_ids"], inputs["inputs_embeds"], training=training
        )
        visual = self.region_embeddings(inputs["visual_feats"], inputs["visual_pos"], training=training)
        attention_mask, visual_attention_mask = inputs["attention_mask"], inputs["visual_attention_mask"]
        language_bias = None if attention_mask is None else context_bias(attention_mask, self.compute_dtype)
        visual_bias = None if visual_attention_mask is None else context_bias(visual_attention_mask, self.compute_dtype)

        language_states, visual_states = [], []
        language_maps, visual_maps, cross_maps = [], [], []
        some: dict[str, Any] = dict(need_weights=bool(attentions), training=training)
        for layer in self.language_layers:
            language, weights = run_layer(self, layer, language, language_bias, **some)
            language_states.append(language)
            language_maps.append(weights)
        for layer in self.visual_layers:
            visual, weights = run_layer(self, layer, visual, visual_bias, **some)
            visual_states.append(visual)
            visual_maps.append(weights)
        for i, layer in enumerate(self.cross_layers):
            need_visual = vision_output or i < config.x_layers - 1
            some = dict(attentions=attentions, need_visual=need_visual, training=training)
            language, visual, maps = run_layer(self, layer, language, visual, language_bias, visual_bias, **some)
            language_states.append(language)
            visual_states.append(visual)
            cross_maps.append(maps)

        every = attentions == "all"
        output = LxmertModelOutput(
            language_output=language,
            vision_output=visual,
            pooled_output=self.pooler(language),
            language_hidden_states=tuple(language_states) if hidden_states else None,
            vision_hidden_states=tuple(visual_states) if hidden_states else None,
            language_attentions=tuple(language_maps) if attentions else None,
            vision_attentions=tuple(visual_maps) if attentions else None,
            cross_encoder_attentions=tuple(m.language_to_vision for m in cross_maps) if attentions else None,
            cross_encoder_vision_attentions=tuple(m.vision_to_language for m in cross_maps) if every else None,
            cross_encoder_language_self_attentions=tuple(m.language_self for m in cross_maps) if every else None,
            cross_encoder_vision_self_attentions=tuple(m.vision_self for m in cross_maps) if every else None,
        )
        return self.as_asked(output, given["return_dict"])

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.embeddings.build((None, None))
        self.region_embeddings.build(visual_feats_shape=(None, None, self.config.visual_feat_dim))
        for layer in (*self.language_layers, *self.visual_layers, *self.cross_layers):
            layer.build(hidden)
        self.pooler.build(hidden)

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """What `summary()` shows: the shapes of language, vision and pooled output."""
        hidden = self.config.hidden_size
        return ((None, None, hidden), (None, None, hidden), (None, hidden))

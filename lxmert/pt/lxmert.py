"""LXMERT: a language encoder, a visual encoder, and a cross-modality encoder over both.

Dimensions: B batch, L language tokens, R regions, D hidden size, N heads, F visual feature size, P box size.
Source: Tan and Bansal 2019 (arXiv 1908.07490).
"""

from typing import Any, NamedTuple

from torch import Tensor, nn

from lxmert.common.config import LxmertConfig
from lxmert.common.inputs import attention_choice
from lxmert.common.lxmert_inputs import check_lxmert_inputs
from lxmert.common.messages import check_keywords
from lxmert.common.outputs import LxmertModelOutput
from lxmert.common.signatures import value_ranges

from .embeddings import LanguageEmbeddings, RegionEmbeddings
from .layers import Attention, ContextBias, FeedForward, Pooler, TransformerLayer, context_bias
from .losses import check_values, describe
from .pretrained import PreTrainedModel, run_layer


class CrossMaps(NamedTuple):
    """The attention weights of one cross layer; None for those not asked for."""

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

    def forward(
        self,
        language: Tensor,
        visual: Tensor,
        language_bias: ContextBias | None = None,
        visual_bias: ContextBias | None = None,
        attentions: bool | str = False,
        need_visual: bool = True,
    ) -> tuple[Tensor, Tensor | None, CrossMaps]:  # [B, L, D], [B, R, D] -> the same
        """Run the layer; without `need_visual` the visual stream ends here."""
        every = dict(need_weights=attentions == "all")
        some = dict(need_weights=bool(attentions))
        language_in, visual_in = language, visual
        language, language_to_vision = self.cross_attention(language_in, visual_in, visual_bias, **some)
        language, language_self = self.language_self_attention(language, language, language_bias, **every)
        language = self.language_feed_forward(language)
        if not need_visual:
            return language, None, CrossMaps(language_to_vision, None, language_self, None)
        visual, vision_to_language = self.cross_attention(visual_in, language_in, language_bias, **every)
        visual, vision_self = self.visual_self_attention(visual, visual, visual_bias, **every)
        visual = self.visual_feed_forward(visual)
        return language, visual, CrossMaps(language_to_vision, vision_to_language, language_self, vision_self)


class LxmertModel(PreTrainedModel):
    """The backbone: language layers, visual layers, cross layers, pooler."""

    config_class = LxmertConfig
    config: LxmertConfig

    def __init__(self, config: LxmertConfig):
        super().__init__(config)
        pruned = config.pruned_heads
        self.embeddings = LanguageEmbeddings(config)
        self.region_embeddings = RegionEmbeddings(config)
        self.language_layers = nn.ModuleList(
            TransformerLayer(config, pruned.get(f"language_layers.{i}.attention", ())) for i in range(config.l_layers)
        )
        self.visual_layers = nn.ModuleList(
            TransformerLayer(config, pruned.get(f"visual_layers.{i}.attention", ())) for i in range(config.r_layers)
        )
        self.cross_layers = nn.ModuleList(CrossLayer(config, i) for i in range(config.x_layers))
        self.pooler = Pooler(config)
        self.reset_parameters()

    def forward(
        self,
        input_ids: Tensor | None = None,
        visual_feats: Tensor | None = None,
        visual_pos: Tensor | None = None,
        attention_mask: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        vision_output: bool = True,
        **unknown: Any,
    ) -> LxmertModelOutput | tuple[Any, ...]:
        """Encode sentences and the regions of their pictures.

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

        Raises:
            ValueError, TypeError: inputs that do not fit the config or each other; the message names the argument.
        """
        if unknown:
            check_keywords(type(self).__name__, unknown, self.keywords())
        config = self.config
        inputs: dict[str, Any] = dict(
            input_ids=input_ids,
            visual_feats=visual_feats,
            visual_pos=visual_pos,
            attention_mask=attention_mask,
            visual_attention_mask=visual_attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        check_lxmert_inputs(config, inputs, describe)
        for name, allowed in value_ranges(config, "LxmertModel").items():
            if inputs[name] is not None:
                inputs[name] = inputs[name].long()
                check_values(name, inputs[name], allowed)
        attentions = attention_choice(output_attentions, config)
        hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        vision_output = vision_output or hidden_states or attentions == "all"

        language = self.embeddings(inputs["input_ids"], inputs["token_type_ids"], inputs_embeds)
        feats, pos = (inputs[name].to(language.dtype) for name in ("visual_feats", "visual_pos"))
        visual = self.region_embeddings(feats, pos)
        language_bias = None if attention_mask is None else context_bias(attention_mask, language.dtype)
        visual_bias = None if visual_attention_mask is None else context_bias(visual_attention_mask, language.dtype)

        language_states, visual_states = [], []
        language_maps, visual_maps, cross_maps = [], [], []
        some: dict[str, Any] = dict(need_weights=bool(attentions))
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
            some = dict(attentions=attentions, need_visual=need_visual)
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
        return self.as_asked(output, return_dict)

"""LXMERT: a language encoder, a visual encoder, and a cross-modality encoder over both.

Dimensions: B batch, L language tokens, R regions, D hidden size, N heads, F visual feature size, P box size.
Source: Tan and Bansal 2019 (arXiv 1908.07490).
"""

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from lxmert.common.config import LxmertConfig
from lxmert.common.outputs import LxmertModelOutput
from lxmert.common.specs import value_ranges
from lxmert.common.validation.lxmert import (
    check_encoded,
    check_language_inputs,
    check_lxmert_inputs,
    check_vision_inputs,
)
from lxmert.common.validation.shared import resolve_output_attentions

from .cross_layer import CrossLayer
from .embeddings import LanguageEmbeddings, RegionEmbeddings
from .layers import ContextBias, Pooler, TransformerLayer, context_bias
from .losses import check_boxes, check_values, describe
from .pretrained import LxmertPreTrainedModel, run_layer, run_layers


class LxmertModel(LxmertPreTrainedModel):
    """The backbone: language layers, visual layers, cross layers, pooler.

    Args:
        config: the sizes.
        vision_output: False makes a model for a head on `pooled_output`: the image branch of the last cross layer,
            which cannot reach it, is frozen and not computed, so that every trainable parameter gets a gradient.

    Args of a call:
        input_ids: [B, L] token ids.
        visual_feats: [B, R, F] region features.
        visual_pos: [B, R, P] boxes; the published models expect (x1, y1, x2, y2) over width and height, in 0 … 1.
        attention_mask: [B, L], 1 for tokens that are read, 0 for padding; all ones by default.
        visual_attention_mask: [B, R], likewise for regions.
        token_type_ids: [B, L], 0 for the first sentence, 1 for the second; zeros by default.
        inputs_embeds: [B, L, D] word vectors instead of `input_ids`.
        output_attentions: True returns the maps that `transformers` returns, "all" those of every attention, "used"
            those that the other outputs depend on: without the image branch of the last cross layer, if it is skipped.
        output_hidden_states: whether to return the states after every layer.
        return_dict: False returns a tuple of the fields that are present.

    A call raises ValueError or TypeError for inputs that do not fit the config or each other, and names the argument.
    """

    vision_output = True

    def __init__(self, config: LxmertConfig, vision_output: bool = True):
        super().__init__(config)
        config = self.config
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
        self.vision_output = vision_output
        if not vision_output:
            self.cross_layers[-1].freeze_visual_branch()

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
        vision_output: bool | None = None,
        language_output: bool = True,
    ) -> LxmertModelOutput:
        """Encode sentences and the regions of their images.

        Args in addition to those of the class:
            vision_output: False skips the image branch of the last cross layer, which only the vision outputs
                need. By default as the model was made.
            language_output: False computes its language branch for the first token only, after the cross attention: the
                pooled output needs no more. With hidden states or all maps both are computed in full.
        """
        config = self.config
        inputs = dict(
            input_ids=input_ids,
            visual_feats=visual_feats,
            visual_pos=visual_pos,
            attention_mask=attention_mask,
            visual_attention_mask=visual_attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        check_lxmert_inputs(config, inputs, describe)
        attentions = resolve_output_attentions(output_attentions, config)
        hidden_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states

        language = self._embed_words(input_ids, token_type_ids, inputs_embeds)
        visual = self._embed_regions(visual_feats, visual_pos)
        language_bias, visual_bias = self._bias(attention_mask), self._bias(visual_attention_mask)
        maps = dict(need_weights=bool(attentions))
        language, language_states, language_maps = run_layers(
            self, self.language_layers, language, language_bias, **maps
        )
        visual, visual_states, visual_maps = run_layers(self, self.visual_layers, visual, visual_bias, **maps)
        every = hidden_states or attentions == "all"
        output = self._cross(
            language,
            visual,
            language_bias,
            visual_bias,
            attentions,
            language_output or every,
            every or vision_output,
            (language_states, visual_states) if hidden_states else None,
            (language_maps, visual_maps) if attentions else None,
        )
        return self.format_output(output, return_dict)

    if TYPE_CHECKING:
        __call__ = forward

    def encode_language(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
    ) -> Tensor:  # [B, L] -> [B, L, D]
        """Encode sentences without images; returns the states after the last language layer.

        The arguments and errors are those of the model. `cross` takes these states, with any number of images.
        """
        inputs = dict(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        check_language_inputs(self.config, inputs, describe)
        language = self._embed_words(input_ids, token_type_ids, inputs_embeds)
        return run_layers(self, self.language_layers, language, self._bias(attention_mask))[0]

    def encode_vision(
        self,
        visual_feats: Tensor | None = None,
        visual_pos: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
    ) -> Tensor:  # [B, R, F], [B, R, P] -> [B, R, D]
        """Encode images without sentences; returns the states after the last visual layer.

        The arguments and errors are those of the model. `cross` takes these states, with any number of sentences.
        """
        inputs = dict(visual_feats=visual_feats, visual_pos=visual_pos, visual_attention_mask=visual_attention_mask)
        check_vision_inputs(self.config, inputs, describe)
        visual = self._embed_regions(visual_feats, visual_pos)
        return run_layers(self, self.visual_layers, visual, self._bias(visual_attention_mask))[0]

    def cross(
        self,
        language: Tensor | None = None,
        visual: Tensor | None = None,
        attention_mask: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        *,
        language_output: bool = True,
        vision_output: bool | None = None,
    ) -> LxmertModelOutput:  # [B, L, D], [B, R, D] -> the outputs of the model
        """Run the cross layers and the pooler on encoded sentences and encoded images, row by row.

        `model(…)` is `model.cross(model.encode_language(…), model.encode_vision(…), …)`. With many
        questions about one image, or many images for one sentence, each is encoded once, and its rows repeated here.

        Args:
            language: [B, L, D], of `encode_language`.
            visual: [B, R, D], of `encode_vision`.
            attention_mask: [B, L], that of the sentences.
            visual_attention_mask: [B, R], that of the regions.
            language_output, vision_output: as for the model: False skips a part of the last layer.

        Raises:
            ValueError, TypeError: states or masks that do not fit; the message names the argument.
        """
        inputs = dict(
            language=language,
            visual=visual,
            attention_mask=attention_mask,
            visual_attention_mask=visual_attention_mask,
        )
        check_encoded(self.config, inputs, describe)
        assert language is not None
        assert visual is not None
        language_bias, visual_bias = self._bias(attention_mask), self._bias(visual_attention_mask)
        return self._cross(language, visual, language_bias, visual_bias, False, language_output, vision_output)

    def _embed_words(
        self, input_ids: Tensor | None, token_type_ids: Tensor | None, inputs_embeds: Tensor | None
    ) -> Tensor:  # [B, L] -> [B, L, D]
        """Check the ids, and embed the words."""
        ids: dict[str, Tensor | None] = dict(input_ids=input_ids, token_type_ids=token_type_ids)
        for name, allowed in value_ranges(self.config, "LxmertModel").items():
            tensor = ids[name]
            if tensor is not None:
                ids[name] = tensor.long()
                check_values(name, ids[name], allowed)
        return self.embeddings(ids["input_ids"], ids["token_type_ids"], inputs_embeds)

    def _embed_regions(self, visual_feats: Any, visual_pos: Any) -> Tensor:  # [B, R, F], [B, R, P] -> [B, R, D]
        """Check the boxes, and embed regions in the model's dtype."""
        check_boxes(self, visual_pos)
        dtype = self.embeddings.word.weight.dtype
        return self.region_embeddings(visual_feats.to(dtype), visual_pos.to(dtype))

    def _bias(self, mask: Tensor | None) -> ContextBias | None:  # [B, C]
        """Convert a mask to a `ContextBias` in the model's dtype."""
        return None if mask is None else context_bias(mask, self.embeddings.word.weight.dtype)

    def _cross(
        self,
        language: Tensor,
        visual: Any,
        language_bias: ContextBias | None,
        visual_bias: ContextBias | None,
        attentions: bool | str,
        language_output: bool,
        vision_output: bool | None,
        states: tuple[list[Tensor], list[Tensor]] | None = None,
        maps: tuple[list[Tensor | None], list[Tensor | None]] | None = None,
    ) -> LxmertModelOutput:
        """Run the cross layers and the pooler; `states` and `maps` are those of each stream so far, if asked for."""
        vision_output = self.vision_output if vision_output is None else vision_output
        cross_maps = []
        for i, layer in enumerate(self.cross_layers):
            last = i == self.config.x_layers - 1
            language, visual, layer_maps = run_layer(
                self,
                layer,
                language,
                visual,
                language_bias,
                visual_bias,
                attentions=attentions,
                need_language=language_output or not last,
                need_visual=vision_output or not last,
            )
            cross_maps.append(layer_maps)
            if states is not None:
                states[0].append(language)
                states[1].append(visual)
        every = attentions in ("all", "used")
        return LxmertModelOutput(
            language_output=language if language_output else None,
            vision_output=visual if vision_output else None,
            pooled_output=self.pooler(language),
            language_hidden_states=None if states is None else tuple(states[0]),
            vision_hidden_states=None if states is None else tuple(states[1]),
            language_attentions=None if maps is None else tuple(maps[0]),
            vision_attentions=None if maps is None else tuple(maps[1]),
            cross_encoder_attentions=tuple(m.language_to_vision for m in cross_maps) if attentions else None,
            cross_encoder_vision_attentions=tuple(m.vision_to_language for m in cross_maps) if every else None,
            cross_encoder_language_self_attentions=tuple(m.language_self for m in cross_maps) if every else None,
            cross_encoder_vision_self_attentions=tuple(m.vision_self for m in cross_maps) if every else None,
        )

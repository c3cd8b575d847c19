"""LXMERT: a language encoder, a visual encoder, and a cross-modality encoder over both.

Dimensions: B batch, L language tokens, R regions, D hidden size, N heads, F visual feature size, P box size.
Source: Tan and Bansal 2019 (arXiv 1908.07490).
"""

from typing import TYPE_CHECKING, Any

import keras

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
from .pretrained import TFLxmertPreTrainedModel, run_layer, run_layers


@keras.saving.register_keras_serializable(package="lxmert")
class TFLxmertModel(TFLxmertPreTrainedModel):
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

    def __init__(self, config: LxmertConfig, vision_output: bool = True, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
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
        self.finish()
        self.vision_output = vision_output
        if not vision_output:
            self.cross_layers[-1].freeze_visual_branch()

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
        vision_output: bool | None = None,
        language_output: bool = True,
        training: bool = False,
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

        language = self._embed_words(input_ids, token_type_ids, inputs_embeds, training=training)
        visual = self._embed_regions(visual_feats, visual_pos, training=training)
        language_bias, visual_bias = self._bias(attention_mask), self._bias(visual_attention_mask)
        maps: dict[str, Any] = dict(need_weights=bool(attentions), training=training)
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
            training=training,
        )
        return self.format_output(output, return_dict)

    if TYPE_CHECKING:
        __call__ = call

    def encode_language(
        self, input_ids: Any = None, attention_mask: Any = None, token_type_ids: Any = None, inputs_embeds: Any = None
    ) -> Any:  # [B, L] -> [B, L, D]
        """Encode sentences without images; returns the states after the last language layer.

        The arguments and errors are those of the model. `cross` takes these states, with any number of images.
        There is no dropout.
        """
        inputs = dict(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        check_language_inputs(self.config, inputs, describe)
        language = self._embed_words(input_ids, token_type_ids, inputs_embeds)
        return run_layers(self, self.language_layers, language, self._bias(attention_mask), training=False)[0]

    def encode_vision(
        self, visual_feats: Any = None, visual_pos: Any = None, visual_attention_mask: Any = None
    ) -> Any:  # [B, R, F], [B, R, P] -> [B, R, D]
        """Encode images without sentences; returns the states after the last visual layer.

        The arguments and errors are those of the model. `cross` takes these states, with any number of sentences.
        There is no dropout.
        """
        inputs = dict(visual_feats=visual_feats, visual_pos=visual_pos, visual_attention_mask=visual_attention_mask)
        check_vision_inputs(self.config, inputs, describe)
        visual = self._embed_regions(visual_feats, visual_pos)
        return run_layers(self, self.visual_layers, visual, self._bias(visual_attention_mask), training=False)[0]

    def cross(
        self,
        language: Any = None,
        visual: Any = None,
        attention_mask: Any = None,
        visual_attention_mask: Any = None,
        *,
        language_output: bool = True,
        vision_output: bool | None = None,
    ) -> LxmertModelOutput:  # [B, L, D], [B, R, D] -> the outputs of the model
        """Run the cross layers and the pooler on encoded sentences and encoded images, row by row.

        `model(…)` is `model.cross(model.encode_language(…), model.encode_vision(…), …)`. With many
        questions about one image, or many images for one sentence, each is encoded once, and its rows repeated here.
        There is no dropout.

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
        language_bias, visual_bias = self._bias(attention_mask), self._bias(visual_attention_mask)
        return self._cross(language, visual, language_bias, visual_bias, False, language_output, vision_output)

    def _embed_words(
        self, input_ids: Any, token_type_ids: Any, inputs_embeds: Any, training: bool = False
    ) -> Any:  # [B, L] -> [B, L, D]
        """Check the ids, and embed the words."""
        ids = dict(input_ids=input_ids, token_type_ids=token_type_ids)
        for name, allowed in value_ranges(self.config, "LxmertModel").items():
            if ids[name] is not None:
                check_values(name, ids[name], allowed)
        return self.embeddings(input_ids, token_type_ids, inputs_embeds, training=training)

    def _embed_regions(self, visual_feats: Any, visual_pos: Any, training: bool = False) -> Any:
        # [B, R, F], [B, R, P] -> [B, R, D]
        """Check the boxes, and embed regions; layers cast to the model's dtype."""
        check_boxes(self, visual_pos)
        return self.region_embeddings(visual_feats, visual_pos, training=training)

    def _bias(self, mask: Any) -> ContextBias | None:  # [B, C]
        """Convert a mask to a `ContextBias` in the model's dtype."""
        return None if mask is None else context_bias(mask, self.compute_dtype)

    def _cross(
        self,
        language: Any,
        visual: Any,
        language_bias: ContextBias | None,
        visual_bias: ContextBias | None,
        attentions: bool | str,
        language_output: bool,
        vision_output: bool | None,
        states: tuple[list[Any], list[Any]] | None = None,
        maps: tuple[list[Any], list[Any]] | None = None,
        training: bool = False,
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
                training=training,
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

    def make_weights(self) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.embeddings.build((None, None))
        self.region_embeddings.build(visual_feats_shape=(None, None, self.config.visual_feat_dim))
        for layer in (*self.language_layers, *self.visual_layers, *self.cross_layers):
            layer.build(hidden)
        self.pooler.build(hidden)

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """The output shape in `summary()`: the shapes of language, vision and pooled output."""
        states = (None, None, self.config.hidden_size)
        return (states, *((states,) * self.vision_output), (None, self.config.hidden_size))

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "vision_output": self.vision_output}

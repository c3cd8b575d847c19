"""VisualBERT: one encoder over the words and the regions of an image, as one sequence.

Dimensions: B batch, L language tokens, R regions, S = L + R, D hidden size, N heads, F visual feature size.
Source: Li et al. 2019 (arXiv 1908.03557).
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lxmert.common.config import VisualBertConfig
from lxmert.common.outputs import VisualBertModelOutput
from lxmert.common.specs import value_ranges
from lxmert.common.validation.shared import Range, resolve_output_attentions
from lxmert.common.validation.visual_bert import check_visual_bert_inputs

from .embeddings import JointEmbeddings
from .layers import Pooler, TransformerLayer, context_bias, gather_tokens
from .losses import check_values, describe
from .pretrained import VisualBertPreTrainedModel, run_layer


class VisualBertModel(VisualBertPreTrainedModel):
    """The backbone: embeddings of words and regions, encoder layers over both, pooler.

    Args:
        config: the sizes.
        add_pooling_layer: whether there is a pooler.

    With `bypass_transformer` in the config, only the words pass the encoder layers, and one additional layer reads
    their output together with the embeddings of the regions.

    Args of a call:
        input_ids: [B, L] token ids.
        attention_mask: [B, L], 1 for tokens that are read, 0 for padding; all ones by default.
        token_type_ids: [B, L], 0 for the first sentence, 1 for the second; zeros by default.
        position_ids: [B, L] or [1, L]; 0, 1, 2, ... by default.
        head_mask: [N] or [layers, N], multiplies the output of each head of the encoder layers; heads are counted as in
            the unpruned model.
        inputs_embeds: [B, L, D] word vectors instead of `input_ids`.
        visual_embeds: [B, R, F] region features.
        visual_attention_mask: [B, R], 1 for regions that are read, 0 for padding; all ones by default.
        visual_token_type_ids: [B, R]; ones by default, as in `transformers` (zeros if there is one type only). The
            published models were trained with zeros (with two images: 0 for the regions of the first, 1 for those of
            the second), as `prepare_visual_bert_inputs` returns them.
        image_text_alignment: [B, R, K], for each region the positions of its words, filled up with -1; the region gets
            the mean of their position embeddings.
        output_attentions: whether to return the attention maps; "all" and "used" are the same.
        output_hidden_states: whether to return the embeddings and the states after every layer.
        return_dict: False returns a tuple of the fields that are present.

    A call raises ValueError or TypeError for inputs that do not fit the config or each other, and names the argument.
    """

    def __init__(self, config: VisualBertConfig, add_pooling_layer: bool = True):
        super().__init__(config)
        config = self.config
        pruned = config.pruned_heads
        self.embeddings = JointEmbeddings(config)
        self.encoder_layers = nn.ModuleList(
            TransformerLayer(config, pruned.get(f"encoder_layers.{i}.attention", ()))
            for i in range(config.num_hidden_layers)
        )
        self.additional_layer: Any = (
            TransformerLayer(config, pruned.get("additional_layer.attention", ()))
            if config.bypass_transformer
            else None
        )
        self.pooler: Any = Pooler(config) if add_pooling_layer else None
        self.reset_parameters()

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        position_ids: Tensor | None = None,
        head_mask: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        visual_embeds: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        visual_token_type_ids: Tensor | None = None,
        image_text_alignment: Tensor | None = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        output_positions: Tensor | None = None,
    ) -> VisualBertModelOutput:
        """Encode texts and the regions of their images; texts alone without `visual_embeds`.

        Args in addition to those of the class:
            output_positions: [B, P] positions in the sequence of words and regions. The last states are then those of
                these positions alone, [B, P, D], and the pooler reads the first of them. The last layer computes no
                others, unless hidden states or attention maps are asked for.
        """
        inputs: dict[str, Any] = dict(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            visual_embeds=visual_embeds,
            visual_attention_mask=visual_attention_mask,
            visual_token_type_ids=visual_token_type_ids,
            image_text_alignment=image_text_alignment,
        )
        check_visual_bert_inputs(self.config, {**inputs, "output_positions": output_positions}, describe)
        attentions = resolve_output_attentions(output_attentions, self.config)
        hidden_states = self.config.output_hidden_states if output_hidden_states is None else output_hidden_states
        embedded = self._embed(inputs)
        if output_positions is not None:
            output_positions = output_positions.long()
            check_values("output_positions", output_positions, Range(embedded.shape[1]))
        every = bool(hidden_states or attentions)
        states, all_states, all_maps = self._encode(
            embedded, inputs, bool(attentions), None if every else output_positions
        )
        if every and output_positions is not None:
            states = gather_tokens(states, output_positions)
        output = VisualBertModelOutput(
            last_hidden_state=states,
            pooler_output=None if self.pooler is None else self.pooler(states),
            hidden_states=tuple(all_states) if hidden_states else None,
            attentions=tuple(all_maps) if attentions else None,
        )
        return self.format_output(output, return_dict)

    if TYPE_CHECKING:
        __call__ = forward

    def _embed(self, inputs: dict[str, Any]) -> Tensor:  # -> [B, S, D]
        """Check the ids, and embed words and regions."""
        for name, allowed in value_ranges(self.config, "VisualBertModel").items():
            if inputs[name] is not None:
                inputs[name] = inputs[name].long()
                check_values(name, inputs[name], allowed)
        regions = inputs["visual_embeds"]
        return self.embeddings(
            inputs["input_ids"],
            inputs["token_type_ids"],
            inputs["position_ids"],
            inputs["inputs_embeds"],
            None if regions is None else regions.to(self.embeddings.word.weight.dtype),
            inputs["visual_token_type_ids"],
            inputs["image_text_alignment"],
        )

    def _encode(
        self, embedded: Tensor, inputs: dict[str, Any], need_weights: bool, positions: Tensor | None
    ) -> tuple[Tensor, list[Tensor], list[Tensor]]:  # [B, S, D] -> the same, those of each layer, [B, N, S, S] of each
        """Run the layers; returns the last states, the embeddings and all states, and the maps of each layer.

        With `positions` [B, P] the last layer computes its outputs at these alone.
        """
        regions, attention_mask, dtype = (
            inputs["visual_embeds"],
            inputs["attention_mask"],
            self.embeddings.word.weight.dtype,
        )
        length = embedded.shape[1] - (0 if regions is None else regions.shape[1])
        mask = joint_mask(attention_mask, inputs["visual_attention_mask"], embedded, length)
        states, bias = embedded, None if mask is None else context_bias(mask, dtype)
        states_bias = bias
        # Differs from HF: with regions, bypassing the layers ends in an error there.
        bypass = self.config.bypass_transformer and regions is not None
        if bypass:
            states = embedded[:, :length]
            states_bias = None if attention_mask is None else context_bias(attention_mask, dtype)

        all_states, all_maps = [states], []
        options: dict[str, Any] = dict(need_weights=need_weights)
        last = len(self.encoder_layers) - (0 if bypass else 1)
        for i, layer in enumerate(self.encoder_layers):
            head_mask = self._layer_head_mask(inputs["head_mask"], i)
            queries = None if positions is None or i < last else gather_tokens(states, positions)
            states, weights = run_layer(self, layer, states, states_bias, head_mask, queries, **options)
            all_states.append(states)
            all_maps.append(weights)
        if bypass:
            states = torch.cat([states, embedded[:, length:]], dim=1)
            queries = None if positions is None else gather_tokens(states, positions)
            states, weights = run_layer(self, self.additional_layer, states, bias, None, queries, **options)
            all_states.append(states)
            all_maps.append(weights)
        return states, all_states, all_maps

    def _layer_head_mask(self, head_mask: Tensor | None, layer: int) -> Tensor | None:  # [N] or [layers, N] -> [N]
        """The part of the head mask for the heads that were not pruned."""
        if head_mask is None:
            return None
        row = (head_mask if head_mask.ndim == 1 else head_mask[layer]).to(self.embeddings.word.weight.dtype)
        kept = self.made_from.kept_heads(f"encoder_layers.{layer}.attention")
        return row if len(kept) == self.config.num_attention_heads else row[kept]


def joint_mask(
    attention_mask: Tensor | None, visual_attention_mask: Tensor | None, embedded: Tensor, length: int
) -> Tensor | None:  # [B, L], [B, R] -> [B, S]
    """Concatenate the masks of words and regions; a missing one is all ones, None if both are missing.

    Differs from HF: three of its heads read the masks themselves, and fail without them.
    """
    if attention_mask is None and visual_attention_mask is None:
        return None
    ones = torch.ones(embedded.shape[:2], dtype=torch.bool, device=embedded.device)
    text = ones[:, :length] if attention_mask is None else attention_mask != 0
    regions = ones[:, length:] if visual_attention_mask is None else visual_attention_mask != 0
    return torch.cat([text, regions], dim=1)

"""The task models of VisualBERT with labels of their own: pre-training, and alignment of phrases with regions.

Dimensions: B batch, L language tokens, R regions, S = L + R, P phrases, D hidden size, V vocabulary.
Every model takes the inputs of `TFVisualBertModel`, its labels after them, and raises the same errors.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from lxmert.common.config import VisualBertConfig
from lxmert.common.outputs import VisualBertForPreTrainingOutput, VisualBertTaskOutput
from lxmert.common.validation.shared import Range
from lxmert.common.validation.visual_bert import check_alignment_inputs

from .heads import VisualBertHeads
from .lookup import gather_tokens
from .losses import alignment_loss, check_values, describe, index_loss, total_loss, word_loss
from .pretrained import TFVisualBertPreTrainedModel
from .visual_bert import TFVisualBertModel


class VisualBertTaskModel(TFVisualBertPreTrainedModel):
    """A backbone with the heads of one task."""

    def __init__(self, config: VisualBertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        # The scope makes the paths of the backbone's variables begin with this model's name, like all others.
        with keras.name_scope(self.name):
            self.backbone = TFVisualBertModel(config, dtype=self.dtype_policy, name="backbone")
        self.heads = VisualBertHeads(config, self.head_names(config), dtype=self.dtype_policy, name="heads")
        self.finish()

    def make_weights(self) -> None:
        """Make the weights; their sizes come from the config. The backbone has made its own."""
        self.heads.build((None, None, self.config.hidden_size))


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForPreTraining(VisualBertTaskModel):
    """The backbone with the heads of the paper's pre-training: words and matching."""

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        visual_embeds: Any = None,
        visual_attention_mask: Any = None,
        visual_token_type_ids: Any = None,
        image_text_alignment: Any = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        labels: Any = None,
        sentence_image_labels: Any = None,
        training: bool = False,
    ) -> VisualBertForPreTrainingOutput:
        """Score words and match; with labels, compute the sum of their losses.

        Args:
            labels: [B, S] word ids at masked positions, -100 elsewhere, as at every region.
            sentence_image_labels: [B] classes. In the published models 1 says that the caption matches the image and
                0 that it is a random one. (`transformers`' documentation says the opposite.)
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
        states = self.backbone(
            **inputs,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            training=training,
        )
        table = ops.convert_to_tensor(self.backbone.embeddings.word.embeddings)
        word_scores = self.heads.word(states.last_hidden_state, table)
        match_scores = self.heads.match(states.pooler_output)
        losses: dict[str, Any] = {}
        if labels is not None:
            losses["words"] = word_loss(word_scores, labels, "[B, L + R]")
        # Differs from HF: the loss is computed even if only these labels are given.
        if sentence_image_labels is not None:
            losses["match"] = index_loss(match_scores, sentence_image_labels, "sentence_image_labels")
        output = VisualBertForPreTrainingOutput(
            loss=total_loss([*losses.values()], match_scores) if losses else None,
            prediction_logits=word_scores,
            seq_relationship_logits=match_scores,
            losses=losses or None,
            **states.states(),
        )
        return self.format_output(output, return_dict)

    if TYPE_CHECKING:
        __call__ = call


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForRegionToPhraseAlignment(VisualBertTaskModel):
    """The backbone with a head that scores every region for each phrase, given by the position of a token.

    As in `transformers`, the heads of pre-training are there too; they and the pooler do nothing here and are frozen.
    """

    def __init__(self, config: VisualBertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        for part in self.unused_modules():
            part.trainable = False

    def unused_modules(self) -> tuple[Any, ...]:
        """What does not reach the scores."""
        return self.backbone.pooler, self.heads.word, self.heads.match

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        visual_embeds: Any = None,
        visual_attention_mask: Any = None,
        visual_token_type_ids: Any = None,
        image_text_alignment: Any = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        region_to_phrase_position: Any = None,
        labels: Any = None,
        training: bool = False,
    ) -> VisualBertTaskOutput:
        """Score every region for each phrase; with labels, compute the loss. `visual_embeds` has to be given.

        Args:
            region_to_phrase_position: [B, P] the position of each phrase in the sequence of words and regions, filled
                up with -1, which selects position 0. In `transformers`' documentation P is S.
            labels: [B, P, R] rows in 0 … 1 that share the probability of one among the regions; all zeros for a phrase
                that does not count.
        """
        images: Any = visual_embeds
        positions: Any = region_to_phrase_position
        check_alignment_inputs(images, positions, describe)
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
        states = self.backbone(
            **inputs,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            training=training,
        )
        sequence = states.last_hidden_state
        check_values("region_to_phrase_position", positions, Range(sequence.shape[1], lowest=-1))
        positions = ops.cast(positions, "int32")
        phrases = gather_tokens(sequence, ops.where(ops.equal(positions, -1), 0, positions))  # [B, P, D]
        regions = sequence[:, ops.shape(sequence)[1] - ops.shape(images)[1] :]
        scores = self.heads.alignment(phrases, regions, visual_attention_mask)
        loss = None if labels is None else alignment_loss(scores, labels, visual_attention_mask)
        return self.format_output(VisualBertTaskOutput(loss, scores, **states.states()), return_dict)

    if TYPE_CHECKING:
        __call__ = call

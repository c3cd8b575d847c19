"""The task models of VisualBERT: pre-training, multiple choice, question answering, visual reasoning, alignment.

Dimensions: B batch, L language tokens, R regions, S = L + R, P phrases, D hidden size, V vocabulary, A answers.
Every model takes the inputs of `TFVisualBertModel`, its labels after them, and raises the same errors.
"""

from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from lxmert.common.config import VisualBertConfig
from lxmert.common.outputs import VisualBertForPreTrainingOutput, VisualBertModelOutput, VisualBertTaskOutput
from lxmert.common.validation.shared import Range
from lxmert.common.validation.visual_bert import check_alignment_inputs, check_visual_bert_inputs
from lxmert.utils.typed_calls import signature_of

from .heads import VisualBertHeads
from .lookup import look_up
from .losses import alignment_loss, check_values, describe, distribution_loss, index_loss, total_loss, word_loss
from .pretrained import PreTrainedModel, takes_dict
from .visual_bert import TFVisualBertModel


class VisualBertTaskModel(PreTrainedModel):
    """A backbone with the heads of one task."""

    config_class = VisualBertConfig
    config: VisualBertConfig

    def __init__(self, config: VisualBertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        # The scope makes the paths of the backbone's variables begin with this model's name, like all others.
        with keras.name_scope(self.name):
            self.backbone = TFVisualBertModel(config, dtype=self.dtype_policy, name="backbone")
        self.heads = VisualBertHeads(config, self.head_names(config), dtype=self.dtype_policy, name="heads")
        self.build((None, None))

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config. The backbone has made its own."""
        self.heads.build((None, None, self.config.hidden_size))


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForPreTraining(VisualBertTaskModel):
    """The backbone with the heads of the paper's pre-training: words and matching."""

    @takes_dict
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
        """Score words and match; with labels, sum the losses that were asked for.

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
        # Differs from HF: these labels alone give a loss too.
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

        @signature_of(call)
        def __call__(self) -> Any:
            """As `call`."""


class VisualBertScoringModel(VisualBertTaskModel):
    """A task model with one kind of scores and of labels. A subclass writes `score`, and what else differs."""

    @takes_dict
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
        training: bool = False,
    ) -> VisualBertTaskOutput:
        """Compute the scores, the same with labels and without; with labels, their loss. The class describes both."""
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
            **self.backbone_inputs(inputs),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            training=training,
        )
        scores = self.score(states, inputs, training)
        loss = None if labels is None else self.label_loss(scores, labels)
        return self.format_output(VisualBertTaskOutput(loss, scores, **states.states()), return_dict)

    if TYPE_CHECKING:

        @signature_of(call)
        def __call__(self) -> Any:
            """As `call`."""

    def backbone_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the backbone reads: the inputs as they are, by default."""
        return inputs

    def score(self, states: VisualBertModelOutput, inputs: dict[str, Any], training: bool) -> Any:
        """The scores, from what the backbone gives and the inputs of the model."""
        raise NotImplementedError

    def label_loss(self, scores: Any, labels: Any) -> Any:
        """The loss: cross-entropy, by default."""
        return index_loss(scores, labels)


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForMultipleChoice(VisualBertScoringModel):
    """The backbone with one score for each of several pairs of text and image, [B, choices].

    Every input but `head_mask` has an axis of choices behind the batch: `input_ids` [B, choices, L], `visual_embeds`
    [B, choices, R, F]. `labels`: [B] the right choice, -100 to be ignored.
    """

    def backbone_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs with batch and choices in one axis."""
        check_visual_bert_inputs(self.config, inputs, describe, choices=True)
        # Differs from HF: the alignment is flattened too; it ends in an error there.
        return {name: x if x is None or name == "head_mask" else flatten_choices(x) for name, x in inputs.items()}

    def score(self, states: VisualBertModelOutput, inputs: dict[str, Any], training: bool) -> Any:
        """The score of each choice, from its pooled output."""
        words = inputs["input_ids"] if inputs["input_ids"] is not None else inputs["inputs_embeds"]
        scores = self.heads.choice(self.heads.dropout(states.pooler_output, training=training))  # [B · choices, 1]
        return ops.reshape(scores, (-1, ops.shape(words)[1]))  # [B, choices]


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForQuestionAnswering(VisualBertScoringModel):
    """The backbone with a linear layer on the last token but one of the question; scores [B, A].

    The published model wants questions written as `[CLS] question ? [MASK] [SEP]`, so that this token is `[MASK]`;
    `prepare_visual_bert_inputs` writes them. The pooler does nothing here and is frozen. `labels`: [B, A] rows in
    0 … 1 that share the probability of one among the answers, or [B] answer indices (-100 ignored).
    """

    def __init__(self, config: VisualBertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.backbone.pooler.trainable = False

    def score(self, states: VisualBertModelOutput, inputs: dict[str, Any], training: bool) -> Any:
        """The score of each answer. Differs from HF: with labels, the scores are log-softmaxed there."""
        words = inputs["input_ids"] if inputs["inputs_embeds"] is None else inputs["inputs_embeds"][..., 0]
        # Differs from HF: any mask will do, or none; the mask has to be given there, without holes or padding in front.
        mask = inputs["attention_mask"]
        position = answer_position(ops.ones_like(words) if mask is None else mask)
        state = gather_tokens(states.last_hidden_state, position[:, None])[:, 0]  # [B, D]
        return self.heads.classifier(self.heads.dropout(state, training=training))

    def label_loss(self, scores: Any, labels: Any) -> Any:
        """The loss, by the form of the labels."""
        return distribution_loss(scores, labels)


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForVisualReasoning(VisualBertScoringModel):
    """The backbone with a linear layer on the pooled output; scores [B, num_labels].

    The published model reads two images at once: the regions of both, one after the other, and
    `visual_token_type_ids` of 0 for the first and 1 for the second; `prepare_visual_bert_inputs` joins them.
    `labels`: [B] classes (-100 ignored).
    """

    def score(self, states: VisualBertModelOutput, inputs: dict[str, Any], training: bool) -> Any:
        """The score of each class."""
        return self.heads.classifier(self.heads.dropout(states.pooler_output, training=training))


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForRegionToPhraseAlignment(VisualBertTaskModel):
    """The backbone with a head that scores every region for each phrase, given by the position of a token.

    As in `transformers`, the heads of pre-training are there too; they and the pooler do nothing here and are frozen.
    """

    def __init__(self, config: VisualBertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        for part in (self.backbone.pooler, self.heads.word, self.heads.match):
            part.trainable = False

    @takes_dict
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
                up with -1, which stands for position 0. In `transformers`' documentation P is S.
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

        @signature_of(call)
        def __call__(self) -> Any:
            """As `call`."""


def answer_position(mask: Any) -> Any:  # [B, L] -> [B]
    """The position of the last unmasked token but one; of the only one if there is no other; 0 without any."""
    unmasked = ops.cast(ops.not_equal(mask, 0), "int32")
    remaining = ops.flip(ops.cumsum(ops.flip(unmasked, axis=1), axis=1), axis=1)  # unmasked from here on, this included
    wanted = ops.minimum(ops.sum(unmasked, axis=1, keepdims=True), 2)
    return ops.argmax(unmasked * ops.cast(ops.equal(remaining, wanted), "int32"), axis=1)


def gather_tokens(states: Any, positions: Any) -> Any:  # [B, S, D], [B, P] -> [B, P, D]
    """The states at these positions of each sequence; NaN at one that it does not have: a graph cannot raise errors."""
    batch, count = ops.shape(states)[:2]
    positions = ops.cast(positions, "int32")
    known = ops.logical_and(positions >= 0, positions < count)
    first = ops.arange(batch, dtype="int32")[:, None] * count  # of each sequence among all states in a row
    rows = look_up(ops.reshape(states, (-1, states.shape[-1])), ops.where(known, positions, 0) + first, None)
    return ops.where(known[..., None], rows, ops.full_like(rows, float("nan")))


def flatten_choices(x: Any) -> Any:  # [B, choices, ...] -> [B · choices, ...]
    """The same with batch and choices in one axis."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))

"""The task models of VisualBERT: pre-training, multiple choice, question answering, visual reasoning, alignment.

Dimensions: B batch, L language tokens, R regions, S = L + R, P phrases, D hidden size, V vocabulary, A answers.
"""

from typing import Any

import keras
from keras import ops

from lxmert.common.config import VisualBertConfig
from lxmert.common.outputs import VisualBertForPreTrainingOutput, VisualBertTaskOutput
from lxmert.common.specs import VISUAL_BERT_INPUTS
from lxmert.common.validation.shared import Range
from lxmert.common.validation.visual_bert import check_alignment_inputs, check_visual_bert_inputs

from .heads import VisualBertHeads
from .lookup import look_up
from .losses import alignment_loss, check_values, describe, distribution_loss, index_loss, total_loss, word_loss
from .pretrained import PreTrainedModel
from .visual_bert import TFVisualBertModel


class VisualBertTaskModel(PreTrainedModel):
    """A backbone with the heads of one task: what the models below share."""

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
    ) -> VisualBertForPreTrainingOutput | tuple[Any, ...]:
        """Score words and match; with labels, sum the losses that were asked for.

        The inputs are those of `TFVisualBertModel`.

        Args:
            labels: [B, S] word ids at masked positions, -100 elsewhere, as at every region.
            sentence_image_labels: [B] classes. In the published models 1 says that the caption matches the image and
                0 that it is a random one. (`transformers`' documentation says the opposite.)

        Raises:
            ValueError, TypeError: inputs or labels that do not fit; the message names the argument.
        """
        given = self.gather(input_ids, locals())
        states = self.backbone(
            **{name: given[name] for name in VISUAL_BERT_INPUTS},
            output_attentions=given["output_attentions"],
            output_hidden_states=given["output_hidden_states"],
            return_dict=True,
            training=training,
        )
        table = ops.convert_to_tensor(self.backbone.embeddings.word.embeddings)
        word_scores = self.heads.word(states.last_hidden_state, table)
        match_scores = self.heads.match(states.pooler_output)
        losses = []
        if given["labels"] is not None:
            losses.append(word_loss(word_scores, given["labels"], "[B, L + R]"))
        # Differs from HF: these labels alone give a loss too.
        if given["sentence_image_labels"] is not None:
            losses.append(index_loss(match_scores, given["sentence_image_labels"], "sentence_image_labels"))
        output = VisualBertForPreTrainingOutput(
            loss=total_loss(losses, match_scores) if losses else None,
            prediction_logits=word_scores,
            seq_relationship_logits=match_scores,
            **states.states(),
        )
        return self.format_output(output, given["return_dict"])


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForMultipleChoice(VisualBertTaskModel):
    """The backbone with one score for each of several pairs of text and image.

    Every input but `head_mask` has an axis of choices behind the batch: `input_ids` [B, choices, L], `visual_embeds`
    [B, choices, R, F].
    """

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
    ) -> VisualBertTaskOutput | tuple[Any, ...]:
        """Score the choices; with labels, compute the loss.

        The inputs are those of `TFVisualBertModel`, each with an axis of choices behind the batch.

        Args:
            labels: [B] the right choice, -100 to be ignored.

        Raises:
            ValueError, TypeError: inputs or labels that do not fit; the message names the argument.
        """
        given = self.gather(input_ids, locals())
        labels = given["labels"]
        inputs = {name: given[name] for name in VISUAL_BERT_INPUTS}
        check_visual_bert_inputs(self.config, inputs, describe, choices=True)
        count = ops.shape(inputs["input_ids"] if inputs["input_ids"] is not None else inputs["inputs_embeds"])[1]
        # Differs from HF: the alignment is flattened too; it ends in an error there.
        flat = {name: x if x is None or name == "head_mask" else flattened(x) for name, x in inputs.items()}
        states = self.backbone(
            **flat,
            output_attentions=given["output_attentions"],
            output_hidden_states=given["output_hidden_states"],
            return_dict=True,
            training=training,
        )
        scores = self.heads.choice(self.heads.dropout(states.pooler_output, training=training))  # [B · choices, 1]
        scores = ops.reshape(scores, (-1, count))  # [B, choices]
        output = VisualBertTaskOutput(
            loss=None if labels is None else index_loss(scores, labels), logits=scores, **states.states()
        )
        return self.format_output(output, given["return_dict"])


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForQuestionAnswering(VisualBertTaskModel):
    """The backbone with a linear layer on the last token but one of the question.

    The published model wants questions written as `[CLS] question ? [MASK] [SEP]`, so that this token is `[MASK]`;
    `prepare_visual_bert_inputs` writes them. The pooler does nothing here and is frozen.
    """

    def __init__(self, config: VisualBertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.backbone.pooler.trainable = False

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
    ) -> VisualBertTaskOutput | tuple[Any, ...]:
        """Score the answers; with labels, compute their loss. The scores are the same with labels and without.

        The inputs are those of `TFVisualBertModel`.

        Args:
            labels: [B, A] rows in 0 … 1 that share the probability of one among the answers, or [B] answer indices
                (-100 ignored).

        Raises:
            ValueError, TypeError: inputs or labels that do not fit; the message names the argument.
        """
        given = self.gather(input_ids, locals())
        labels = given["labels"]
        states = self.backbone(
            **{name: given[name] for name in VISUAL_BERT_INPUTS},
            output_attentions=given["output_attentions"],
            output_hidden_states=given["output_hidden_states"],
            return_dict=True,
            training=training,
        )
        words = given["input_ids"] if given["inputs_embeds"] is None else given["inputs_embeds"][..., 0]
        # Differs from HF: any mask will do, or none; the mask has to be given there, without holes or padding in front.
        position = answer_position(ops.ones_like(words) if given["attention_mask"] is None else given["attention_mask"])
        state = gather_tokens(states.last_hidden_state, position[:, None])[:, 0]  # [B, D]
        scores = self.heads.classifier(self.heads.dropout(state, training=training))
        # Differs from HF: the scores are given as they are; with labels they are log-softmaxed there.
        output = VisualBertTaskOutput(
            loss=None if labels is None else distribution_loss(scores, labels), logits=scores, **states.states()
        )
        return self.format_output(output, given["return_dict"])


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForVisualReasoning(VisualBertTaskModel):
    """The backbone with a linear layer on the pooled output.

    The published model reads two images at once: the regions of both, one after the other, and
    `visual_token_type_ids` of 0 for the first and 1 for the second; `prepare_visual_bert_inputs` joins them.
    """

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
    ) -> VisualBertTaskOutput | tuple[Any, ...]:
        """Score the classes; with labels, compute the loss.

        The inputs are those of `TFVisualBertModel`.

        Args:
            labels: [B] classes (-100 ignored).

        Raises:
            ValueError, TypeError: inputs or labels that do not fit; the message names the argument.
        """
        given = self.gather(input_ids, locals())
        labels = given["labels"]
        states = self.backbone(
            **{name: given[name] for name in VISUAL_BERT_INPUTS},
            output_attentions=given["output_attentions"],
            output_hidden_states=given["output_hidden_states"],
            return_dict=True,
            training=training,
        )
        scores = self.heads.classifier(self.heads.dropout(states.pooler_output, training=training))
        output = VisualBertTaskOutput(
            loss=None if labels is None else index_loss(scores, labels), logits=scores, **states.states()
        )
        return self.format_output(output, given["return_dict"])


@keras.saving.register_keras_serializable(package="lxmert")
class TFVisualBertForRegionToPhraseAlignment(VisualBertTaskModel):
    """The backbone with a head that scores every region for each phrase, given by the position of a token.

    As in `transformers`, the heads of pre-training are there too; they and the pooler do nothing here and are frozen.
    """

    def __init__(self, config: VisualBertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        for part in (self.backbone.pooler, self.heads.word, self.heads.match):
            part.trainable = False

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
    ) -> VisualBertTaskOutput | tuple[Any, ...]:
        """Score every region for each phrase; with labels, compute the loss.

        The inputs are those of `TFVisualBertModel`; `visual_embeds` has to be given.

        Args:
            region_to_phrase_position: [B, P] the position of each phrase in the sequence of words and regions, filled
                up with -1, which stands for position 0. In `transformers`' documentation P is S.
            labels: [B, P, R] rows in 0 … 1 that share the probability of one among the regions; all zeros for a phrase
                that does not count.

        Raises:
            ValueError, TypeError: inputs or labels that do not fit; the message names the argument.
        """
        given = self.gather(input_ids, locals())
        labels, visual_attention_mask = given["labels"], given["visual_attention_mask"]
        check_alignment_inputs(given["visual_embeds"], given["region_to_phrase_position"], describe)
        states = self.backbone(
            **{name: given[name] for name in VISUAL_BERT_INPUTS},
            output_attentions=given["output_attentions"],
            output_hidden_states=given["output_hidden_states"],
            return_dict=True,
            training=training,
        )
        sequence = states.last_hidden_state
        positions = given["region_to_phrase_position"]
        check_values("region_to_phrase_position", positions, Range(sequence.shape[1], lowest=-1))
        positions = ops.cast(positions, "int32")
        phrases = gather_tokens(sequence, ops.where(ops.equal(positions, -1), 0, positions))  # [B, P, D]
        regions = sequence[:, ops.shape(sequence)[1] - ops.shape(given["visual_embeds"])[1] :]
        scores = self.heads.alignment(phrases, regions, visual_attention_mask)
        output = VisualBertTaskOutput(
            loss=None if labels is None else alignment_loss(scores, labels, visual_attention_mask),
            logits=scores,
            **states.states(),
        )
        return self.format_output(output, given["return_dict"])


def answer_position(mask: Any) -> Any:  # [B, L] -> [B]
    """The place of the last unmasked token but one; of the only one if there is no other; 0 without any."""
    kept = ops.cast(ops.not_equal(mask, 0), "int32")
    from_here = ops.flip(ops.cumsum(ops.flip(kept, axis=1), axis=1), axis=1)  # how many follow, this one counted
    wanted = ops.minimum(ops.sum(kept, axis=1, keepdims=True), 2)
    return ops.argmax(kept * ops.cast(ops.equal(from_here, wanted), "int32"), axis=1)


def gather_tokens(states: Any, places: Any) -> Any:  # [B, S, D], [B, P] -> [B, P, D]
    """The states at some places of each sequence; NaN at a place that it does not have: a graph cannot raise errors."""
    batch, count = ops.shape(states)[:2]
    places = ops.cast(places, "int32")
    known = ops.logical_and(places >= 0, places < count)
    first = ops.arange(batch, dtype="int32")[:, None] * count  # of each sequence among all states in a row
    rows = look_up(ops.reshape(states, (-1, states.shape[-1])), ops.where(known, places, 0) + first, None)
    return ops.where(known[..., None], rows, ops.full_like(rows, float("nan")))


def flattened(x: Any) -> Any:  # [B, choices, ...] -> [B · choices, ...]
    """The same with batch and choices in one axis."""
    return ops.reshape(x, (-1, *ops.shape(x)[2:]))

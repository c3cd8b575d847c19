"""The task models of VisualBERT with one kind of scores: multiple choice, question answering, visual reasoning.

Dimensions: B batch, L language tokens, R regions, D hidden size, A answers.
Every model takes the inputs of `VisualBertModel`, its labels after them, and raises the same errors.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lxmert.common.config import VisualBertConfig
from lxmert.common.outputs import VisualBertModelOutput, VisualBertTaskOutput
from lxmert.common.validation.visual_bert import check_visual_bert_inputs

from .layers import with_zero_gradients
from .losses import describe, distribution_loss, index_loss
from .visual_bert_tasks import VisualBertTaskModel


class VisualBertScoringModel(VisualBertTaskModel):
    """Base class of task models with one kind of scores and labels. A subclass implements `score`."""

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
        labels: Tensor | None = None,
    ) -> VisualBertTaskOutput:
        """Compute the scores; with labels, the loss. See the class."""
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
        given = self.backbone_inputs(inputs)
        states = self.backbone(
            **given,
            output_positions=self.output_positions(given),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        scores = self.score(states, inputs)
        loss = None if labels is None else self.label_loss(scores, labels)
        return self.format_output(VisualBertTaskOutput(loss, scores, **states.states()), return_dict)

    if TYPE_CHECKING:
        __call__ = forward

    def backbone_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs of the backbone, checked; by default those of the model."""
        check_visual_bert_inputs(self.config, inputs, describe)
        return inputs

    def output_positions(self, inputs: dict[str, Any]) -> Tensor:  # -> [B, 1]
        """Where the scores read the last states: by default the first token, as the pooler; from checked inputs."""
        return torch.zeros_like(word_mask(inputs)[:, :1])

    def score(self, states: VisualBertModelOutput, inputs: dict[str, Any]) -> Tensor:
        """Compute the scores from the outputs of the backbone and the inputs of the model."""
        raise NotImplementedError

    def label_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss; cross-entropy by default."""
        return index_loss(scores, labels)


class VisualBertForMultipleChoice(VisualBertScoringModel):
    """The backbone with one score for each of several pairs of text and image, [B, choices].

    Every input but `head_mask` has an axis of choices after the batch: `input_ids` [B, choices, L], `visual_embeds`
    [B, choices, R, F]. `labels`: [B] the right choice, -100 to be ignored.
    """

    def backbone_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs with batch and choices in one axis."""
        check_visual_bert_inputs(self.config, inputs, describe, choices=True)
        # Differs from HF: the alignment is flattened too; it ends in an error there.
        return {name: x if x is None or name == "head_mask" else x.flatten(0, 1) for name, x in inputs.items()}

    def score(self, states: VisualBertModelOutput, inputs: dict[str, Any]) -> Tensor:
        """The score of each choice, from its pooled output."""
        words = inputs["input_ids"] if inputs["input_ids"] is not None else inputs["inputs_embeds"]
        scores = self.heads.choice(self.heads.dropout(states.pooler_output))  # [B · choices, 1]
        return scores.reshape(-1, words.shape[1])  # [B, choices]


class VisualBertForQuestionAnswering(VisualBertScoringModel):
    """The backbone with a linear layer on the second-to-last token of the question; scores [B, A].

    The published model expects questions written as `[CLS] question ? [MASK] [SEP]`, so that this token is `[MASK]`;
    `prepare_visual_bert_inputs` writes them. The pooler is not used and frozen. `labels`: [B, A] or
    [B, 1, A], rows of probabilities that sum to one; or [B] answer indices (-100 ignored).
    """

    def __init__(self, config: VisualBertConfig):
        super().__init__(config)
        self.backbone.pooler.requires_grad_(False)

    def output_positions(self, inputs: dict[str, Any]) -> Tensor:  # -> [B, 1]
        """The position of the answer."""
        # Differs from HF: the mask may be missing, and may have holes or padding in front; not there.
        return answer_position(word_mask(inputs))[:, None]

    def score(self, states: VisualBertModelOutput, inputs: dict[str, Any]) -> Tensor:
        """The score of each answer. Differs from HF: with labels, the scores are log-softmaxed there."""
        state = with_zero_gradients(states.last_hidden_state[:, 0], self.backbone.pooler)  # [B, D]
        return self.heads.classifier(self.heads.dropout(state))

    def label_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of class indices or of scores."""
        return distribution_loss(scores, labels)


class VisualBertForVisualReasoning(VisualBertScoringModel):
    """The backbone with a linear layer on the pooled output; scores [B, num_labels].

    The published model reads two images at once: the regions of both, one after the other, and
    `visual_token_type_ids` of 0 for the first and 1 for the second; `prepare_visual_bert_inputs` joins them.
    `labels`: [B] classes (-100 ignored).
    """

    def score(self, states: VisualBertModelOutput, inputs: dict[str, Any]) -> Tensor:
        """The score of each class."""
        return self.heads.classifier(self.heads.dropout(states.pooler_output))


def word_mask(inputs: dict[str, Any]) -> Tensor:  # -> [B, L]
    """The mask of the words, in integers; all ones if there is none."""
    mask, words = inputs["attention_mask"], inputs["input_ids"]
    if mask is not None:
        return (mask != 0).long()
    return torch.ones_like(inputs["inputs_embeds"][..., 0] if words is None else words, dtype=torch.long)


def answer_position(mask: Tensor) -> Tensor:  # [B, L] -> [B]
    """The position of the second-to-last unmasked token; of the only one if there is one, 0 if there is none."""
    unmasked = (mask != 0).long()
    remaining = unmasked.flip(1).cumsum(1).flip(1)  # unmasked from here on, this included
    wanted = unmasked.sum(1, keepdim=True).clamp(max=2)
    return (unmasked * (remaining == wanted)).argmax(1)

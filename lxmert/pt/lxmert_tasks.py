"""The task models of LXMERT: pre-training, question answering, visual reasoning.

Dimensions: B batch, L language tokens, R regions, D hidden size, F visual feature size, V vocabulary, A answers.
Every model takes the inputs of `LxmertModel`, its labels after them, and raises the same errors.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from torch import Tensor

from lxmert.common.config import LxmertConfig
from lxmert.common.outputs import (
    LxmertForPreTrainingOutput,
    LxmertForQuestionAnsweringOutput,
    LxmertForVisualReasoningOutput,
    LxmertModelOutput,
    ModelOutput,
)
from lxmert.common.validation.lxmert import check_lxmert_inputs

from .heads import Heads
from .losses import (
    OBJECT_LOSSES,
    answer_loss,
    class_loss,
    describe,
    index_loss,
    object_losses,
    select_labelled,
    total_loss,
    word_loss,
)
from .lxmert import LxmertModel
from .pretrained import LxmertPreTrainedModel

Output = TypeVar("Output", bound=ModelOutput)


class LxmertTaskModel(LxmertPreTrainedModel):
    """A backbone with the heads of one task."""

    reads_vision_output: ClassVar[bool] = True  # else nothing uses the image branch of the last cross layer

    def __init__(self, config: LxmertConfig):
        super().__init__(config)
        config = self.config
        self.backbone = LxmertModel(config)
        self.heads = Heads(config, self.head_names(config))
        self.reset_parameters()
        if not self.reads_vision_output:
            self.backbone.cross_layers[-1].freeze_visual_branch()


class LxmertForPreTraining(LxmertTaskModel):
    """The backbone with the heads of the paper's pre-training: words, matching, objects, answers.

    A label whose task is off in the config adds no loss:

    - `labels`: [B, L] word ids at masked positions, -100 elsewhere (also under Keras' name `masked_lm_labels`).
    - `obj_labels`: {"obj": (ids [B, R], confidence [B, R]), "attr": likewise, "feat": (features [B, R, F],
      confidence [B, R])}, any subset of the keys.
    - `matched_label`: [B], 1 where sentence and image belong together, else 0.
    - `ans`: [B] answer indices (-100 ignored), or [B, A] scores of every answer in 0 … 1.
    """

    def forward(
        self,
        input_ids: Tensor | None = None,
        visual_feats: Tensor | None = None,
        visual_pos: Tensor | None = None,
        attention_mask: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        obj_labels: dict[str, tuple[Tensor, Tensor]] | None = None,
        matched_label: Tensor | None = None,
        ans: Tensor | None = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        *,
        prediction_logits: bool = True,
    ) -> LxmertForPreTrainingOutput:
        """Score words, match and answers; with labels, compute the sum of their losses.

        Args in addition to those of the class:
            prediction_logits: False does not return the scores of the words; with `labels` only the labelled positions
                are scored, for the loss.
        """
        heads = self.heads
        states = self.backbone(
            input_ids,
            visual_feats,
            visual_pos,
            attention_mask,
            visual_attention_mask,
            token_type_ids,
            inputs_embeds,
            output_attentions,
            output_hidden_states,
            return_dict=True,
            vision_output=obj_labels is not None and heads.object is not None,
        )
        word_scores = heads.word(states.language_output, self.word_table()) if prediction_logits else None
        match_scores = heads.match(states.pooled_output)
        # Differs from HF: without an answer head there is no score at all; there a scalar of the pooled output.
        answer_scores = None if heads.answer is None else heads.answer(states.pooled_output)

        output = LxmertForPreTrainingOutput(
            prediction_logits=word_scores,
            cross_relationship_score=match_scores,
            question_answering_score=answer_scores,
            **states.states(),
        )
        if any(label is not None for label in (labels, obj_labels, matched_label, ans)):
            losses = self._label_losses(states, output, labels, obj_labels, matched_label, ans)
            loss = self._total_loss(losses, match_scores)
            output = LxmertForPreTrainingOutput(loss, **output, losses=losses)
        return self.format_output(output, return_dict)

    if TYPE_CHECKING:
        __call__ = forward

    def word_table(self) -> Tensor:  # [V, D]
        """The word embedding, which the word head is tied to."""
        return self.backbone.embeddings.word.weight

    def _label_losses(
        self,
        states: LxmertModelOutput,
        output: LxmertForPreTrainingOutput,
        labels: Tensor | None,
        obj_labels: dict[str, tuple[Tensor, Tensor]] | None,
        matched_label: Tensor | None,
        ans: Tensor | None,
    ) -> dict[str, Tensor]:
        """The losses of the labels that are given, by name."""
        config, heads = self.config, self.heads
        losses: dict[str, Any] = {}
        if labels is not None and config.task_mask_lm:
            if output.prediction_logits is None:
                rows, target_words = select_labelled(states.language_output, labels, config.vocab_size)
                losses["words"] = class_loss(heads.word(rows, self.word_table()), target_words)
            else:
                losses["words"] = word_loss(output.prediction_logits, labels)
        if matched_label is not None and config.task_matched:
            losses["match"] = index_loss(output.cross_relationship_score, matched_label, "matched_label")
        if obj_labels is not None and heads.object is not None:
            object_scores = heads.object(states.vision_output)
            losses |= object_losses(config, object_scores, obj_labels, states.vision_output.shape[:2])
        if ans is not None and heads.answer is not None:
            losses["answers"] = answer_loss(output.question_answering_score, ans, "ans")
        return losses

    def _total_loss(self, losses: dict[str, Tensor], scores: Tensor) -> Tensor:
        """The sum of the losses, in the order of their tasks; those of the regions are one term."""
        visual = sum(losses[name] for name in OBJECT_LOSSES.values() if name in losses)
        terms = [losses.get("words", 0), losses.get("match", 0), visual, losses.get("answers", 0)]
        return total_loss(terms, scores)


class LxmertScoringModel(LxmertTaskModel, Generic[Output]):
    """Base class of task models that score the pooled output, with one kind of labels.

    The image branch of the last cross layer cannot reach the pooled output. It is computed only for hidden states or
    for all attention maps, and its parameters are frozen (`requires_grad=False`): every trainable one gets a gradient.
    """

    output_class: Callable[..., Output]  # whose first fields are the loss and the scores
    reads_vision_output = False

    def forward(
        self,
        input_ids: Tensor | None = None,
        visual_feats: Tensor | None = None,
        visual_pos: Tensor | None = None,
        attention_mask: Tensor | None = None,
        visual_attention_mask: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> Output:
        """Compute the scores; with labels, the loss. See the class."""
        inputs: dict[str, Any] = dict(
            input_ids=input_ids,
            visual_feats=visual_feats,
            visual_pos=visual_pos,
            attention_mask=attention_mask,
            visual_attention_mask=visual_attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
        )
        states = self.backbone(
            **self.backbone_inputs(inputs),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            language_output=False,
            vision_output=False,
        )
        scores = self.score(states)
        loss = None if labels is None else self.label_loss(scores, labels)
        return self.format_output(self.output_class(loss, scores, **states.states()), return_dict)

    if TYPE_CHECKING:
        __call__ = forward

    def backbone_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs of the backbone; by default those of the model."""
        return inputs

    def score(self, states: LxmertModelOutput) -> Tensor:
        """Compute the scores from the outputs of the backbone."""
        raise NotImplementedError

    def label_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss; cross-entropy by default."""
        return index_loss(scores, labels)


class LxmertForQuestionAnswering(LxmertScoringModel[LxmertForQuestionAnsweringOutput]):
    """The backbone with the answer head; scores [B, A].

    `labels`: [B] answer indices (-100 ignored), or [B, A] scores of every answer in 0 … 1.
    """

    output_class = LxmertForQuestionAnsweringOutput

    def score(self, states: LxmertModelOutput) -> Tensor:
        """The score of each answer."""
        return self.heads.answer(states.pooled_output)

    def label_loss(self, scores: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of class indices or of scores."""
        return answer_loss(scores, labels)


class LxmertForVisualReasoning(LxmertScoringModel[LxmertForVisualReasoningOutput]):
    """The backbone with a head that predicts whether a sentence is true of two images (NLVR2); scores [B, 2].

    As in the original: the backbone reads the sentence with each image, and the head both pooled outputs, concatenated.
    Hidden states and attention maps have a row for each image: both of the first sentence, both of the second,
    and so on. The other inputs are those of `LxmertModel`:

    - `input_ids`: [B, L] token ids, read with both images; or [B, 2, L], one for each. `attention_mask` and
      `token_type_ids` have the same shape, and `inputs_embeds` has one more axis, D.
    - `visual_feats` [B, 2, R, F], `visual_pos` [B, 2, R, P], `visual_attention_mask` [B, 2, R]: of the two images.
    - `labels`: [B], 1 where the sentence is true of the images, else 0; -100 is ignored.
    """

    output_class = LxmertForVisualReasoningOutput

    def backbone_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs with a row for each image."""
        check_lxmert_inputs(self.config, inputs, describe, images=True)
        ids, embeds = inputs["input_ids"], inputs["inputs_embeds"]
        one_text = ids.ndim == 2 if embeds is None else embeds.ndim == 3
        shared = {name: one_text and not name.startswith("visual") for name in inputs}
        return {name: x if x is None else image_rows(x, shared[name]) for name, x in inputs.items()}

    def score(self, states: LxmertModelOutput) -> Tensor:
        """The scores of false and of true."""
        return self.heads.reasoning(states.pooled_output.reshape(-1, 2 * self.config.hidden_size))  # [2B, D] -> [B, 2D]


def image_rows(x: Tensor, shared: bool) -> Tensor:  # [B, 2, ...], shared [B, ...] -> [2B, ...]
    """Make a row for each image, in the order of the examples; shared inputs are repeated."""
    return x.repeat_interleave(2, 0) if shared else x.flatten(0, 1)

"""The task models of LXMERT: pre-training, question answering, visual reasoning.

Dimensions: B batch, L language tokens, R regions, D hidden size, F visual feature size, V vocabulary, A answers.
Every model takes the inputs of `TFLxmertModel`, its labels after them, and raises the same errors.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import keras
from keras import ops

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
from .lxmert import TFLxmertModel
from .pretrained import TFLxmertPreTrainedModel

Output = TypeVar("Output", bound=ModelOutput)


class LxmertTaskModel(TFLxmertPreTrainedModel):
    """A backbone with the heads of one task."""

    reads_vision_output: ClassVar[bool] = True  # else nothing uses the image branch of the last cross layer

    def __init__(self, config: LxmertConfig, **kwargs: Any):
        super().__init__(config, **kwargs)
        config = self.config
        # The scope makes the paths of the backbone's variables begin with this model's name, like all others.
        with keras.name_scope(self.name):
            self.backbone = TFLxmertModel(config, dtype=self.dtype_policy, name="backbone")
        self.heads = Heads(config, self.head_names(config), dtype=self.dtype_policy, name="heads")
        self.finish()
        if not self.reads_vision_output:
            self.backbone.cross_layers[-1].freeze_visual_branch()

    def make_weights(self) -> None:
        """Make the weights; their sizes come from the config. The backbone has made its own."""
        self.heads.build((None, None, self.config.hidden_size))


@keras.saving.register_keras_serializable(package="lxmert")
class TFLxmertForPreTraining(LxmertTaskModel):
    """The backbone with the heads of the paper's pre-training: words, matching, objects, answers.

    A label whose task is off in the config adds no loss:

    - `labels`: [B, L] word ids at masked positions, -100 elsewhere (also under Keras' name `masked_lm_labels`).
    - `obj_labels`: {"obj": (ids [B, R], confidence [B, R]), "attr": likewise, "feat": (features [B, R, F],
      confidence [B, R])}, any subset of the keys.
    - `matched_label`: [B], 1 where sentence and image belong together, else 0.
    - `ans`: [B] answer indices (-100 ignored), or [B, A] scores of every answer in 0 … 1.
    """

    def call(
        self,
        input_ids: Any = None,
        visual_feats: Any = None,
        visual_pos: Any = None,
        attention_mask: Any = None,
        visual_attention_mask: Any = None,
        token_type_ids: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        obj_labels: Any = None,
        matched_label: Any = None,
        ans: Any = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        prediction_logits: bool = True,
        training: bool = False,
    ) -> LxmertForPreTrainingOutput:
        """Score words, match and answers; with labels, compute the sum of their losses.

        Args in addition to those of the class:
            prediction_logits: False does not return the scores of the words; with `labels` only the labelled positions
                are scored, for the loss.
        """
        heads = self.heads
        states = self.backbone(
            input_ids=input_ids,
            visual_feats=visual_feats,
            visual_pos=visual_pos,
            attention_mask=attention_mask,
            visual_attention_mask=visual_attention_mask,
            token_type_ids=token_type_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
            vision_output=obj_labels is not None and heads.object is not None,
            training=training,
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
        __call__ = call

    def word_table(self) -> Any:  # [V, D]
        """The word embedding, which the word head is tied to."""
        return ops.convert_to_tensor(self.backbone.embeddings.word.embeddings)

    def _label_losses(
        self,
        states: LxmertModelOutput,
        output: LxmertForPreTrainingOutput,
        labels: Any,
        obj_labels: Any,
        matched_label: Any,
        ans: Any,
    ) -> dict[str, Any]:
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
            losses |= object_losses(config, object_scores, obj_labels, tuple(states.vision_output.shape[:2]))
        if ans is not None and heads.answer is not None:
            losses["answers"] = answer_loss(output.question_answering_score, ans, "ans")
        return losses

    def _total_loss(self, losses: dict[str, Any], scores: Any) -> Any:
        """The sum of the losses, in the order of their tasks; those of the regions are one term."""
        visual = sum(losses[name] for name in OBJECT_LOSSES.values() if name in losses)
        terms = [losses.get("words", 0), losses.get("match", 0), visual, losses.get("answers", 0)]
        return total_loss(terms, scores)


class LxmertScoringModel(LxmertTaskModel, Generic[Output]):
    """Base class of task models that score the pooled output, with one kind of labels.

    The image branch of the last cross layer cannot reach the pooled output. It is computed only for hidden states or
    for all attention maps, and its parameters are frozen (`trainable=False`): every trainable one gets a gradient.
    """

    output_class: Callable[..., Output]  # whose first fields are the loss and the scores
    reads_vision_output = False

    def call(
        self,
        input_ids: Any = None,
        visual_feats: Any = None,
        visual_pos: Any = None,
        attention_mask: Any = None,
        visual_attention_mask: Any = None,
        token_type_ids: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        output_attentions: bool | str | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool = False,
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
            training=training,
        )
        scores = self.score(states)
        loss = None if labels is None else self.label_loss(scores, labels)
        return self.format_output(self.output_class(loss, scores, **states.states()), return_dict)

    if TYPE_CHECKING:
        __call__ = call

    def backbone_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The inputs of the backbone; by default those of the model."""
        return inputs

    def score(self, states: LxmertModelOutput) -> Any:
        """Compute the scores from the outputs of the backbone."""
        raise NotImplementedError

    def label_loss(self, scores: Any, labels: Any) -> Any:
        """Compute the loss; cross-entropy by default."""
        return index_loss(scores, labels)


@keras.saving.register_keras_serializable(package="lxmert")
class TFLxmertForQuestionAnswering(LxmertScoringModel[LxmertForQuestionAnsweringOutput]):
    """The backbone with the answer head; scores [B, A].

    `labels`: [B] answer indices (-100 ignored), or [B, A] scores of every answer in 0 … 1.
    """

    output_class = LxmertForQuestionAnsweringOutput

    def score(self, states: LxmertModelOutput) -> Any:
        """The score of each answer."""
        return self.heads.answer(states.pooled_output)

    def label_loss(self, scores: Any, labels: Any) -> Any:
        """Compute the loss of class indices or of scores."""
        return answer_loss(scores, labels)


@keras.saving.register_keras_serializable(package="lxmert")
class TFLxmertForVisualReasoning(LxmertScoringModel[LxmertForVisualReasoningOutput]):
    """The backbone with a head that predicts whether a sentence is true of two images (NLVR2); scores [B, 2].

    As in the original: the backbone reads the sentence with each image, and the head both pooled outputs, concatenated.
    Hidden states and attention maps have a row for each image: both of the first sentence, both of the second,
    and so on. The other inputs are those of `TFLxmertModel`:

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
        one_text = len(ids.shape) == 2 if embeds is None else len(embeds.shape) == 3
        shared = {name: one_text and not name.startswith("visual") for name in inputs}
        return {name: x if x is None else image_rows(x, shared[name]) for name, x in inputs.items()}

    def score(self, states: LxmertModelOutput) -> Any:
        """The scores of false and of true."""
        return self.heads.reasoning(
            ops.reshape(states.pooled_output, (-1, 2 * self.config.hidden_size))
        )  # [2B, D] -> [B, 2D]


def image_rows(x: Any, shared: bool) -> Any:  # [B, 2, ...], shared [B, ...] -> [2B, ...]
    """Make a row for each image, in the order of the examples; shared inputs are repeated."""
    # Not by stacking x on itself, which TensorFlow's optimizer of graphs (2.21) rewrites into another order of rows.
    return ops.repeat(x, 2, axis=0) if shared else ops.reshape(x, (-1, *ops.shape(x)[2:]))

"""The outputs of the models, declared once for both backends."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(eq=False)
class ModelOutput:
    """Outputs by name, by attribute, by position.

    `out.loss`, `out["loss"]` and `out[0]` read one field; `loss, scores = out` unpacks the fields that are present, in
    order; `keys()`, `values()`, `items()`, `**out` and `dict(out)` see the same fields. A field that is None is absent.

    Differs from HF: iteration yields values, not names, so that unpacking works directly.

    Attributes:
        attribute_only: fields that only attribute access returns, because they repeat other fields.
    """

    attribute_only: ClassVar[tuple[str, ...]] = ()

    def keys(self) -> tuple[str, ...]:
        """Names of the fields that are present, in order."""
        own = [f.name for f in dataclasses.fields(self) if not f.kw_only and f.name not in self.attribute_only]
        return tuple(name for name in (*own, *self.state_names()) if getattr(self, name) is not None)

    def state_names(self) -> tuple[str, ...]:
        """The hidden states and attention maps that a model of this kind can return: the last of the fields."""
        return tuple(f.name for f in dataclasses.fields(self) if f.kw_only)

    def states(self) -> dict[str, Any]:
        """The hidden states and attention maps by name: what a task model returns of its backbone's outputs."""
        return {name: getattr(self, name) for name in self.state_names()}

    def values(self) -> tuple[Any, ...]:
        """Values of the fields that are present, in order."""
        return self.to_tuple()

    def items(self) -> tuple[tuple[str, Any], ...]:
        """Pairs of name and value of the fields that are present, in order."""
        return tuple(zip(self.keys(), self.to_tuple(), strict=True))

    def get(self, name: str, default: Any = None) -> Any:
        """The field `name`, or `default` where it is absent."""
        return dict(self.items()).get(name, default)

    def to_tuple(self) -> tuple[Any, ...]:
        """Values of the fields that are present, in order, as `return_dict=False` returns them."""
        return tuple(getattr(self, name) for name in self.keys())

    def __getitem__(self, key: str | int | slice) -> Any:
        if isinstance(key, str):
            if key not in self.keys():
                raise KeyError(f"{key!r} is not in this {type(self).__name__}, which has {', '.join(self.keys())}")
            return getattr(self, key)
        return self.to_tuple()[key]

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.to_tuple())

    def __len__(self) -> int:
        return len(self.keys())

    # TensorFlow's protocol for structures that a tf.function may return.
    def __tf_flatten__(self) -> tuple[tuple[str, ...], tuple[Any, ...]]:
        return self.keys(), self.to_tuple()

    @classmethod
    def __tf_unflatten__(cls, names: tuple[str, ...], values: tuple[Any, ...]) -> ModelOutput:
        return cls(**dict(zip(names, values, strict=True)))


@dataclass(eq=False, kw_only=True)
class LxmertStates(ModelOutput):
    """The hidden states and attention maps that every LXMERT model can return.

    Shapes: B batch, L language tokens, R regions, D hidden size, N heads. With two images for each sentence, B is 2B
    here: the first image of the first sentence, its second, the first of the second sentence, and so on. Attention
    maps are the softmax weights before dropout, so that every row sums to one in training too.

    Attributes:
        language_hidden_states: [B, L, D], one per language layer, then one per cross layer; the embeddings are not
            among them.
        vision_hidden_states: [B, R, D], one per visual layer, then one per cross layer.
        language_attentions: [B, N, L, L], one per language layer.
        vision_attentions: [B, N, R, R], one per visual layer.
        cross_encoder_attentions: [B, N, L, R], one per cross layer: language attends to vision.
        cross_encoder_vision_attentions: [B, N, R, L], one per cross layer: vision attends to language
            (`output_attentions="all"` only, as the next two).
        cross_encoder_language_self_attentions: [B, N, L, L], one per cross layer.
        cross_encoder_vision_self_attentions: [B, N, R, R], one per cross layer.
    """

    language_hidden_states: tuple[Any, ...] | None = None
    vision_hidden_states: tuple[Any, ...] | None = None
    language_attentions: tuple[Any, ...] | None = None
    vision_attentions: tuple[Any, ...] | None = None
    cross_encoder_attentions: tuple[Any, ...] | None = None
    cross_encoder_vision_attentions: tuple[Any, ...] | None = None
    cross_encoder_language_self_attentions: tuple[Any, ...] | None = None
    cross_encoder_vision_self_attentions: tuple[Any, ...] | None = None


@dataclass(eq=False, kw_only=True)
class VisualBertStates(ModelOutput):
    """The hidden states and attention maps that every VisualBERT model can return.

    Shapes: B batch, S = L + R words and regions in one sequence, D hidden size, N heads. With an axis of choices, B is
    B · choices here. Attention maps are the softmax weights before dropout, times the head mask if there is one.

    Attributes:
        hidden_states: [B, S, D], the embeddings and then one per layer. With `bypass_transformer` and regions they are
            [B, L, D], and the last one, of the additional layer, [B, S, D].
        attentions: [B, N, S, S], one per layer. With `bypass_transformer` and regions they are [B, N, L, L], and the
            last one, of the additional layer, [B, N, S, S].
    """

    hidden_states: tuple[Any, ...] | None = None
    attentions: tuple[Any, ...] | None = None


@dataclass(eq=False)
class LxmertModelOutput(LxmertStates):
    """What `LxmertModel` returns.

    Attributes:
        language_output: [B, L, D], the last language state.
        vision_output: [B, R, D], the last visual state; absent with `vision_output=False`.
        pooled_output: [B, D], tanh(dense(language_output[:, 0])).
    """

    language_output: Any = None
    vision_output: Any = None
    pooled_output: Any = None


@dataclass(eq=False)
class LxmertForPreTrainingOutput(LxmertStates):
    """What `LxmertForPreTraining` returns.

    Attributes:
        loss: the sum of the losses whose labels were given; absent without labels.
        prediction_logits: [B, L, V], the word at each position.
        cross_relationship_score: [B, 2]; index 1 says that sentence and image match, index 0 that they do not.
        question_answering_score: [B, A]; absent when the config has `task_qa=False`.
        losses: the terms of `loss` by name, those whose labels were given: "words", "match", "objects",
            "attributes", "features" (these three with their weight), "answers"; None without labels. Read by attribute
            alone: among the fields are those of `transformers`.
    """

    attribute_only = ("losses",)

    loss: Any = None
    prediction_logits: Any = None
    cross_relationship_score: Any = None
    question_answering_score: Any = None
    losses: dict[str, Any] | None = None


@dataclass(eq=False)
class LxmertForQuestionAnsweringOutput(LxmertStates):
    """What `LxmertForQuestionAnswering` returns.

    Attributes:
        loss: the answer loss; absent without labels.
        question_answering_score: [B, A], one logit per answer.
    """

    loss: Any = None
    question_answering_score: Any = None


@dataclass(eq=False)
class LxmertForVisualReasoningOutput(LxmertStates):
    """What `LxmertForVisualReasoning` returns.

    Attributes:
        loss: the loss; absent without labels.
        logits: [B, 2]; in the authors' models index 1 says that the sentence is true of the two images.
    """

    loss: Any = None
    logits: Any = None


@dataclass(eq=False)
class VisualBertModelOutput(VisualBertStates):
    """What `VisualBertModel` returns.

    Attributes:
        last_hidden_state: [B, S, D], words first, then regions.
        pooler_output: [B, D], tanh(dense(last_hidden_state[:, 0])); absent with `add_pooling_layer=False`.
    """

    last_hidden_state: Any = None
    pooler_output: Any = None


@dataclass(eq=False)
class VisualBertForPreTrainingOutput(VisualBertStates):
    """What `VisualBertForPreTraining` returns.

    Attributes:
        loss: the sum of the losses whose labels were given; absent without labels.
        prediction_logits: [B, S, V], the word at each position.
        seq_relationship_logits: [B, 2]; in the published models index 1 says that caption and image match.
        losses: the terms of `loss` by name: "words", "match"; None without labels. Read by attribute
            alone, as LXMERT's.
    """

    attribute_only = ("losses",)

    loss: Any = None
    prediction_logits: Any = None
    seq_relationship_logits: Any = None
    losses: dict[str, Any] | None = None


@dataclass(eq=False)
class VisualBertTaskOutput(VisualBertStates):
    """What VisualBERT's models of multiple choice, question answering, visual reasoning and alignment return.

    Attributes:
        loss: the loss; absent without labels.
        logits: [B, choices] of multiple choice, [B, num_labels] of question answering and visual reasoning, [B, P, R]
            of region-to-phrase alignment: for each of P phrases a logit of every region.
    """

    loss: Any = None
    logits: Any = None

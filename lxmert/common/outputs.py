"""The outputs of the models, declared once for both backends."""

from __future__ import annotations

import copy
import inspect
from collections.abc import ItemsView, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Self


class _Field:
    """A field of an output as an attribute: it reads and assigns the entry of this name, and is None without one."""

    def __init__(self, name: str):
        self.name = name

    def __get__(self, output: ModelOutput | None, kind: type | None = None) -> Any:
        return None if output is None else dict.get(output, self.name)

    def __set__(self, output: ModelOutput, value: Any) -> None:
        if value is None:
            dict.pop(output, self.name, None)
        else:
            dict.__setitem__(output, self.name, value)


@dataclass(eq=False)
class ModelOutput(dict[str, Any]):
    """Outputs by name, by attribute and by place: a dict of the fields that are present, in order.

    `out.loss`, `out["loss"]` and `out[0]` read one field; `out.loss = …` and `out["loss"] = …` assign one; `out[:2]`
    and `out.to_tuple()` are tuples of values. An absent field has no entry, and is None as an attribute; a field is
    made absent by assigning None, and entries are not deleted otherwise. `type(out)(pairs)` makes an output from a
    mapping or from pairs of name and value, as `torch.nn.DataParallel` and other libraries do.

    A subclass is a dataclass whose fields are None by default.

    Attributes:
        attribute_only: fields that are no entries, because they repeat others.
        aliases: other names of fields, by which they can be read and assigned; no entries of their own.
        state_names: the hidden states and attention maps that a model of this kind can return: the last of the fields.
    """

    attribute_only: ClassVar[tuple[str, ...]] = ()
    aliases: ClassVar[Mapping[str, str]] = {}
    state_names: ClassVar[tuple[str, ...]] = ()
    _first: ClassVar[str] = ""  # the field of the first positional argument

    def __init_subclass__(cls, states: bool = False, **kwargs: Any):
        """Make the fields of a subclass entries; with `states` they are its `state_names`."""
        super().__init_subclass__(**kwargs)
        kinds = inspect.get_annotations(cls)
        names = [name for name, kind in kinds.items() if name not in cls.attribute_only and "ClassVar" not in str(kind)]
        for attribute, name in (*zip(names, names, strict=True), *cls.aliases.items()):
            setattr(cls, attribute, _Field(name))  # whose class attribute, None, is the default in a dataclass
        if states:
            cls.state_names = tuple(names)
        elif names and not cls._first:
            cls._first = names[0]

    def __post_init__(self) -> None:
        """Take a mapping or pairs apart, if they are the only argument, and move the states behind the other fields."""
        first = dict.get(self, self._first) if len(self) == 1 else None
        if isinstance(first, (Mapping, list, tuple, ItemsView, Iterator)):
            entries = list(first.items() if isinstance(first, Mapping) else first)
            if all(isinstance(each, (list, tuple)) and len(each) == 2 and isinstance(each[0], str) for each in entries):
                dict.pop(self, self._first)
                self.update(entries)
                return
        for name in self.state_names:  # a dataclass assigns inherited fields first
            if dict.__contains__(self, name):
                dict.__setitem__(self, name, dict.pop(self, name))

    def states(self) -> dict[str, Any]:
        """The hidden states and attention maps by name: what a task model returns of its backbone's outputs."""
        return {name: dict.get(self, name) for name in self.state_names}

    def to_tuple(self) -> tuple[Any, ...]:
        """Values of the fields that are present, in order, as `return_dict=False` returns them."""
        return tuple(self.values())

    def get(self, name: str, default: Any = None) -> Any:
        """The field `name`, or `default` where it is absent."""
        return dict.get(self, self.aliases.get(name, name), default)

    def update(self, *given: Any, **named: Any) -> None:
        """Assign fields from a mapping, from pairs, or by keyword."""
        for name, value in dict(*given, **named).items():
            self[name] = value

    def copy(self) -> Self:
        """A shallow copy."""
        return copy.copy(self)

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, str):
            return self.to_tuple()[key]
        if key not in self:
            raise KeyError(f"{key!r} is not in this {type(self).__name__}, which has {', '.join(self)}")
        return dict.__getitem__(self, self.aliases.get(key, key))

    def __setitem__(self, name: str, value: Any) -> None:
        name = self.aliases.get(name, name)
        if value is None:
            dict.pop(self, name, None)
        elif name in self.attribute_only:
            object.__setattr__(self, name, value)
        else:
            dict.__setitem__(self, name, value)

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or dict.__contains__(self, self.aliases.get(name))  # type: ignore[call-overload]

    if not TYPE_CHECKING:  # which finds misspelled fields

        def __getattr__(self, name: str) -> Any:
            if dict.__contains__(self, name):  # an entry of a user's, which is no field
                return dict.__getitem__(self, name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            f"entries of a {type(self).__name__} are not deleted; assign None to a field to make it absent."
        )

    __delitem__ = pop = popitem = clear = setdefault = _refuse


@dataclass(eq=False, kw_only=True)
class LxmertStates(ModelOutput, states=True):
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
            (`output_attentions="all"` or "used" only, as the next two). None in the last layer with "used", if no
            output depends on it.
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
class VisualBertStates(ModelOutput, states=True):
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
        question_answering_score: [B, A], one logit per answer; also read and assigned as `logits`, as in other models.
    """

    aliases = {"logits": "question_answering_score"}
    logits: ClassVar[Any]

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

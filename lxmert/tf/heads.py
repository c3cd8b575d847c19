"""Heads on top of a model: words, matching, objects, answers, alignment of phrases with regions.

Dimensions: B batch, S any sequence, L language tokens, R regions, P phrases, D hidden size, N heads, K = D / N,
V vocabulary, A answers.
"""

import math
from collections.abc import Collection
from typing import Any

import keras
import ml_dtypes
from keras import ops

from .layers import ACTIVATIONS, ConfiguredLayer


@keras.saving.register_keras_serializable(package="lxmert")
class WordHead(ConfiguredLayer):
    """norm(act(transform(states)))·tableᵀ + bias; the table is the word embedding itself, so the two stay tied.

    With `tie_word_embeddings=False` it is the head's own `decoder` instead, which is None otherwise.
    """

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.transform = self.linear(config.hidden_size, "transform")
        self.activation = ACTIVATIONS[config.hidden_act]
        self.norm = self.layer_norm()
        own = config.untied_words
        self.decoder = self.table(config.vocab_size, "decoder", padding_idx=None) if own else None

    def call(self, states: Any, table: Any) -> Any:  # [B, S, D], [V, D] -> [B, S, V]
        """Score every word of the vocabulary at each position; `table` is the word embedding."""
        table = table if self.decoder is None else self.decoder.embeddings
        states = self.norm(self.activation(self.transform(states)))
        return ops.matmul(states, ops.transpose(ops.cast(table, self.compute_dtype))) + self.bias

    def build(self, states_shape: Any = None, table_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        own = {} if self.decoder is None else {"decoder": (None, None)}
        self.build_parts(transform=hidden, norm=hidden, **own)
        self.bias = self.add_weight(shape=(self.config.vocab_size,), initializer="zeros", name="bias")

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """What `summary()` shows."""
        return (None, None, self.config.vocab_size)


@keras.saving.register_keras_serializable(package="lxmert")
class ObjectHead(ConfiguredLayer):
    """One linear prediction per enabled visual loss, all from norm(act(transform(states)))."""

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.transform = self.linear(config.hidden_size, "transform")
        self.activation = ACTIVATIONS[config.hidden_act]
        self.norm = self.layer_norm()
        self.keys = tuple(config.visual_losses)
        for key, width in config.visual_losses.items():
            setattr(self, key, self.linear(width, key))

    def call(self, states: Any) -> dict[str, Any]:  # [B, R, D] -> {"obj": [B, R, classes], ...}
        """Predict each region's object class, attribute class and feature, as far as they are enabled."""
        states = self.norm(self.activation(self.transform(states)))
        return {key: getattr(self, key)(states) for key in self.keys}

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.build_parts(transform=hidden, norm=hidden, **dict.fromkeys(self.keys, hidden))


@keras.saving.register_keras_serializable(package="lxmert")
class AnswerHead(ConfiguredLayer):
    """out(norm(gelu(up(pooled)))): up to twice the hidden size, by exact GELU whatever the config says.

    `images` pooled outputs, joined, are read at once: one for questions, two for reasoning.
    """

    def __init__(self, config: Any, answers: int, images: int = 1, **kwargs: Any):
        super().__init__(config, **kwargs)
        hidden = config.hidden_size
        self.images = images
        self.up = self.linear(2 * hidden, "up")
        self.norm = self.layer_norm()
        self.out = self.linear(answers, "out")

    def call(self, pooled: Any) -> Any:  # [B, images · D] -> [B, A]
        """Score every answer."""
        return self.out(self.norm(ACTIVATIONS["gelu"](self.up(pooled))))

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = self.config.hidden_size
        self.build_parts(up=(None, self.images * hidden), norm=(None, 2 * hidden), out=(None, 2 * hidden))

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """What `summary()` shows."""
        return (None, self.out.units)

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        return {**super().get_config(), "answers": self.out.units, "images": self.images}


@keras.saving.register_keras_serializable(package="lxmert")
class LxmertHeads(ConfiguredLayer):
    """The heads of one LXMERT task model, each under its name; one that the task does without is None."""

    def __init__(self, config: Any, names: Collection[str], **kwargs: Any):
        super().__init__(config, **kwargs)
        self.names = list(names)
        policy = self.dtype_policy
        self.word: Any = WordHead(config, dtype=policy, name="word") if "word" in names else None
        self.match: Any = self.linear(2, "match") if "match" in names else None
        self.object: Any = ObjectHead(config, dtype=policy, name="object") if "object" in names else None
        answers = config.num_qa_labels
        self.answer: Any = AnswerHead(config, answers, dtype=policy, name="answer") if "answer" in names else None
        both: dict[str, Any] = dict(answers=2, images=2, dtype=policy, name="reasoning")
        self.reasoning: Any = AnswerHead(config, **both) if "reasoning" in names else None

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of every head; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.build_parts(**dict.fromkeys(self.names, hidden))

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """What `summary()` shows: the shape of each head's scores; the visual ones are [B, R, classes]."""
        config = self.config
        shapes = {
            "word": (None, None, config.vocab_size),
            "match": (None, 2),
            "object": (None, None, sum(config.visual_losses.values())),
            "answer": (None, config.num_qa_labels),
            "reasoning": (None, 2),
        }
        return tuple(shapes[name] for name in self.names) if len(self.names) > 1 else shapes[self.names[0]]

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        return {**super().get_config(), "names": self.names}


@keras.saving.register_keras_serializable(package="lxmert")
class AlignmentHead(ConfiguredLayer):
    """query(phrases)·key(regions)ᵀ / √K, one head wide; masked regions get the smallest number."""

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.head_size = config.hidden_size // config.num_attention_heads
        self.query = self.linear(self.head_size, "query")
        self.key = self.linear(self.head_size, "key")
        # As in the original: it is in every file, and nothing uses it.
        self.value = self.linear(self.head_size, "value")
        self.value.trainable = False

    def call(self, phrases: Any, regions: Any, visual_attention_mask: Any = None) -> Any:
        # [B, P, D], [B, R, D] -> [B, P, R]
        """Score every region for each phrase."""
        keys = ops.transpose(self.key(regions), (0, 2, 1))
        scores = ops.matmul(self.query(phrases), keys) * (1 / math.sqrt(self.head_size))
        if visual_attention_mask is None:
            return scores
        masked = ops.equal(visual_attention_mask, 0)[:, None]
        smallest = float(ml_dtypes.finfo(self.compute_dtype).min)
        return ops.where(masked, ops.full_like(scores, smallest), scores)

    def build(self, phrases_shape: Any = None, regions_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.build_parts(query=hidden, key=hidden, value=hidden)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """What `summary()` shows."""
        return (None, None, None)


@keras.saving.register_keras_serializable(package="lxmert")
class VisualBertHeads(ConfiguredLayer):
    """The heads of one VisualBERT task model, each under its name; one that the task does without is None."""

    def __init__(self, config: Any, names: Collection[str], **kwargs: Any):
        super().__init__(config, **kwargs)
        self.names = list(names)
        policy = self.dtype_policy
        self.word: Any = WordHead(config, dtype=policy, name="word") if "word" in names else None
        self.match: Any = self.linear(2, "match") if "match" in names else None
        self.classifier: Any = self.linear(config.num_labels, "classifier") if "classifier" in names else None
        self.choice: Any = self.linear(1, "choice") if "choice" in names else None
        self.alignment: Any = AlignmentHead(config, dtype=policy, name="alignment") if "alignment" in names else None
        self.dropout = self.drop(config.hidden_dropout_prob)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of every head; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.build_parts(**dict.fromkeys(self.names, hidden))

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """What `summary()` shows: the shape of each head's scores; those of the choices before they are gathered."""
        shapes = {
            "word": (None, None, self.config.vocab_size),
            "match": (None, 2),
            "classifier": (None, self.config.num_labels),
            "choice": (None, 1),
            "alignment": (None, None, None),
        }
        return tuple(shapes[name] for name in self.names) if len(self.names) > 1 else shapes[self.names[0]]

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        return {**super().get_config(), "names": self.names}

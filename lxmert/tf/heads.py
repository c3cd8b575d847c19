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

from lxmert.weights.naming.tables import every_head, head_modules

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
        self.decoder = self.embedding(config.vocab_size, "decoder", padding_idx=None) if own else None

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
        """The output shape in `summary()`."""
        return (None, None, self.config.vocab_size)


@keras.saving.register_keras_serializable(package="lxmert")
class ObjectHead(ConfiguredLayer):
    """One linear layer per enabled visual loss, all on norm(act(transform(states)))."""

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.transform = self.linear(config.hidden_size, "transform")
        self.activation = ACTIVATIONS[config.hidden_act]
        self.norm = self.layer_norm()
        self.keys = tuple(config.visual_losses)
        for key, width in config.visual_losses.items():
            setattr(self, key, self.linear(width, key))

    def call(self, states: Any) -> dict[str, Any]:  # [B, R, D] -> {"obj": [B, R, classes], ...}
        """Predict each region's object class, attribute class and feature, of the enabled losses."""
        states = self.norm(self.activation(self.transform(states)))
        return {key: getattr(self, key)(states) for key in self.keys}

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.build_parts(transform=hidden, norm=hidden, **dict.fromkeys(self.keys, hidden))


@keras.saving.register_keras_serializable(package="lxmert")
class AnswerHead(ConfiguredLayer):
    """out(norm(gelu(up(pooled)))): up to twice the hidden size, always by exact GELU.

    It reads `images` concatenated pooled outputs: one for questions, two for reasoning.
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
        """The output shape in `summary()`."""
        return (None, self.out.units)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "answers": self.out.units, "images": self.images}


@keras.saving.register_keras_serializable(package="lxmert")
class AlignmentHead(ConfiguredLayer):
    """query(phrases)·key(regions)ᵀ / √K, one head wide; masked regions get the smallest number."""

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.head_size = config.hidden_size // config.num_attention_heads
        self.query = self.linear(self.head_size, "query")
        self.key = self.linear(self.head_size, "key")
        # As in the original: it is in every file, but unused.
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
        """The output shape in `summary()`."""
        return (None, None, None)


@keras.saving.register_keras_serializable(package="lxmert")
class TableHead(ConfiguredLayer):
    """A head without its own class: its layers in the name table, which the model calls."""

    def __init__(self, config: Any, head: str, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.head = head
        for name, (kind, shape) in head_modules(config, head).items():
            setattr(self, name, _layer(self, kind, shape, name))

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        modules = head_modules(self.config, self.head)
        self.build_parts(**{name: (None, None, shape[-1]) for name, (_, shape) in modules.items()})

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "head": self.head}


def _layer(owner: ConfiguredLayer, kind: str, shape: tuple[int, ...], name: str) -> keras.layers.Layer:
    """Make a layer of a kind in the name table, with a weight of this shape."""
    return owner.linear(shape[0], name) if kind == "dense" else owner.layer_norm(name)


def _head(owner: ConfiguredLayer, name: str) -> keras.layers.Layer:
    """Make a head: its own class, one layer, or several."""
    config, options = owner.config, dict(dtype=owner.dtype_policy, name=name)
    classes = {
        "word": WordHead,
        "object": ObjectHead,
        "answer": lambda config, **options: AnswerHead(config, config.num_qa_labels, **options),
        "reasoning": lambda config, **options: AnswerHead(config, 2, images=2, **options),
        "alignment": AlignmentHead,
    }
    if name in classes:
        return classes[name](config, **options)
    modules = head_modules(config, name)
    return _layer(owner, *modules[""], name) if list(modules) == [""] else TableHead(config, name, **options)


@keras.saving.register_keras_serializable(package="lxmert")
class Heads(ConfiguredLayer):
    """The heads of one task model, each under its name; None for those that the task does not have."""

    def __init__(self, config: Any, names: Collection[str], **kwargs: Any):
        super().__init__(config, **kwargs)
        self.names = list(names)
        for name in every_head(config.model_type):
            setattr(self, name, _head(self, name) if name in names else None)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights of every head; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        inputs = {name: head_modules(self.config, name).get("", ("", hidden))[1][-1] for name in self.names}
        self.build_parts(**{name: (None, None, size) for name, size in inputs.items()})

    @property
    def output_shape(self) -> tuple[Any, ...]:
        """The output shape in `summary()`: the shape of each head's scores."""
        shapes: list[tuple[int | None, ...]] = []
        for name in self.names:
            if name in ("word", "alignment"):
                shapes.append(getattr(self, name).output_shape)
            elif name == "object":
                shapes.append((None, None, sum(self.config.visual_losses.values())))
            else:
                modules = head_modules(self.config, name).values()
                shapes.append((None, [shape[0] for kind, shape in modules if kind == "dense"][-1]))
        return tuple(shapes) if len(shapes) > 1 else shapes[0]

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "names": self.names}


@keras.saving.register_keras_serializable(package="lxmert")
class VisualBertHeads(Heads):
    """The heads of one VisualBERT task model, and the dropout before them."""

    def __init__(self, config: Any, names: Collection[str], **kwargs: Any):
        super().__init__(config, names, **kwargs)
        self.dropout = self.drop(config.hidden_dropout_prob)

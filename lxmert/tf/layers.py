"""The layers that every model of the package is made of.

Dimensions: B batch, S any sequence, C its context (what is attended to), D hidden size, N heads, K = D / N.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import ml_dtypes
from keras import ops

from lxmert.common.config import config_from_dict

from ._compat import OpenLayer
from .dropout import Dropout
from .init import NormalInitializer
from .lookup import look_up
from .packing import packed_linear

# Keras' own GELU takes √2 in float32, and its default is the tanh form; both are too coarse for float64. In this order
# of factors TensorFlow computes GELU within the product before it.
ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "gelu": lambda x: x * ((ops.erf(x * math.sqrt(0.5)) + 1.0) * 0.5),
    "relu": ops.relu,
    "silu": ops.silu,
    "selu": ops.selu,
    "gelu_new": lambda x: x * 0.5 * (ops.tanh((x + x * x * x * 0.044715) * math.sqrt(2 / math.pi)) + 1.0),
}


class ContextBias(NamedTuple):
    """A 0/1 mask of a context as the additive bias and the factor that attention uses.

    If all of the context is masked, attention is uniform over it: `additive` and `live` are 0, so the queries are 0 and
    all scores equal, finite in every dtype and without gradient. (Adding the smallest number to every score has the
    same output, but fused kernels then compute wrong gradients.)
    """

    additive: Any  # [B, 1, 1, C]: 0 where the mask is 1, the smallest number where it is 0
    live: Any  # [B, 1, 1, 1]: 1 where any of the context is unmasked


def context_bias(mask: Any, dtype: str) -> ContextBias:
    """Convert a mask [B, C] of 1 (keep) and 0 (ignore) to a `ContextBias`."""
    keep = ops.not_equal(mask, 0)[:, None, None, :]
    live = ops.any(keep, axis=-1, keepdims=True)
    smallest = ops.full_like(keep, float(ml_dtypes.finfo(dtype).min), dtype=dtype)
    additive = ops.where(ops.logical_and(live, ops.logical_not(keep)), smallest, ops.zeros_like(smallest))
    return ContextBias(additive, ops.cast(live, dtype))


@keras.saving.register_keras_serializable(package="lxmert")
class Embedding(keras.layers.Embedding):
    """row = table[id]; row `padding_idx` gets no gradient from the lookup.

    As in the original: all tables of LXMERT have padding_idx 0, so position 0 and token type 0 keep their initial
    values.
    """

    def __init__(self, input_dim: int, output_dim: int, padding_idx: int | None = 0, **kwargs: Any):
        super().__init__(input_dim, output_dim, **kwargs)
        self.padding_idx = padding_idx

    def call(self, inputs: Any) -> Any:  # [...] -> [..., D]
        """Look up the ids."""
        table = ops.cast(self.embeddings, self.compute_dtype)
        return look_up(table, ops.cast(inputs, "int32"), self.padding_idx)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "padding_idx": self.padding_idx}


@keras.saving.register_keras_serializable(package="lxmert")
class Linear(keras.layers.Dense):
    """Keras' dense layer over 2D rows: TensorFlow fuses the bias only into a product of two matrices."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:  # [..., in] -> [..., out]
        """Multiply, as Keras does."""
        if len(inputs.shape) == 3:
            return ops.reshape(self.call(rows(inputs), training=training), (-1, ops.shape(inputs)[1], self.units))
        packed = packed_linear(self, inputs)
        return super().call(inputs, training=training) if packed is None else packed

    def quantize(self, mode: Any = None, type_check: bool = True, **options: Any) -> None:
        """Keras' quantization, which leaves out subclasses of its layers by default."""
        super().quantize(mode, type_check=False, **options)


def rows(x: Any) -> Any:  # [B, S, D] -> [B·S, D]
    """Reshape to a matrix with a row for every position."""
    return ops.reshape(x, (-1, x.shape[-1]))


class ConfiguredLayer(OpenLayer, keras.layers.Layer):
    """Base class of layers that are made from a model's configuration."""

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.config = config

    def linear(self, units: int, name: str) -> Linear:
        """A linear layer with the model's initialization and dtype."""
        initializer = NormalInitializer(self.config.initializer_range)
        return Linear(units, kernel_initializer=initializer, dtype=self.dtype_policy, name=name)

    def layer_norm(self, name: str = "norm") -> keras.layers.LayerNormalization:
        """A layer norm with the model's epsilon."""
        return keras.layers.LayerNormalization(epsilon=self.config.layer_norm_eps, dtype=self.dtype_policy, name=name)

    def drop(self, rate: float, name: str = "dropout") -> Dropout:
        """A dropout layer."""
        return Dropout(rate, dtype=self.dtype_policy, name=name)

    def embedding(self, count: int, name: str, padding_idx: int | None = 0) -> Embedding:
        """An embedding of `count` rows."""
        rows = NormalInitializer(self.config.initializer_range, padding_idx)
        size = self.config.hidden_size
        return Embedding(count, size, padding_idx, embeddings_initializer=rows, dtype=self.dtype_policy, name=name)

    def build_parts(self, **shapes: Sequence[int | None]) -> None:
        """Build sub-layers, each under its attribute name from its input shape."""
        for name, shape in shapes.items():
            part = getattr(self, name)
            if not part.built:  # as parts are in a layer that Keras makes again
                part.build(shape)

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The output shape in `summary()`: [B, S, D] for most layers."""
        return (None, None, self.config.hidden_size)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "config": self.config.to_diff_dict()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """Make the layer from the output of `get_config`."""
        return cls(**{**config, "config": config_from_dict(config["config"])})


@keras.saving.register_keras_serializable(package="lxmert")
class Attention(ConfiguredLayer):
    """norm(dropout(out(softmax(query·keyᵀ / √K + bias)·value)) + states).

    Serves self-attention (the context is the states themselves) and cross-attention alike, with residual and norm.
    """

    def __init__(self, config: Any, pruned_heads: Sequence[int] = (), **kwargs: Any):
        super().__init__(config, **kwargs)
        hidden = config.hidden_size
        self.pruned_heads = list(pruned_heads)
        self.head_size = hidden // config.num_attention_heads
        self.num_heads = config.num_attention_heads - len(pruned_heads)
        width = self.num_heads * self.head_size
        self.query = self.linear(width, "query")
        self.key = self.linear(width, "key")
        self.value = self.linear(width, "value")
        self.out = self.linear(hidden, "out")
        self.norm = self.layer_norm()
        self.weights_dropout = self.drop(config.attention_probs_dropout_prob, "weights_dropout")
        self.dropout = self.drop(config.hidden_dropout_prob)

    def split_heads(self, x: Any) -> Any:  # [B, S, N·K] -> [B, N, S, K]
        """Split the last axis into heads."""
        x = ops.reshape(x, (-1, ops.shape(x)[1], self.num_heads, self.head_size))
        return ops.transpose(x, (0, 2, 1, 3))

    def merge_heads(self, x: Any) -> Any:  # [B, N, S, K] -> [B, S, N·K]
        """Concatenate the heads."""
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (-1, ops.shape(x)[1], self.num_heads * self.head_size))

    def call(
        self,
        states: Any,
        context: Any,
        bias: ContextBias | None = None,
        head_mask: Any = None,
        need_weights: bool = False,
        training: bool = False,
    ) -> tuple[Any, Any]:  # [B, S, D], [B, C, D] -> [B, S, D], [B, N, S, C]
        """Attend from `states` to `context`; the softmax weights, before dropout, are returned if `need_weights`.

        `head_mask` [N] multiplies the weights of each head.
        """
        query = self.split_heads(self.query(states))
        key = self.split_heads(self.key(context))
        value = self.split_heads(self.value(context))
        if bias is not None:
            query = query * bias.live
        scores = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2))) * (1 / math.sqrt(self.head_size))  # [B, N, S, C]
        if bias is not None:
            scores = scores + bias.additive
        # Keras warns of a softmax over one entry, which a single region or token makes: it is 1, its gradient 0.
        weights = scores * 0.0 + 1.0 if scores.shape[-1] == 1 else ops.softmax(scores, axis=-1)
        if head_mask is not None:
            weights = weights * head_mask[:, None, None]
        mixed = ops.matmul(self.weights_dropout(weights, training=training), value)
        out = self.dropout(self.out(self.merge_heads(mixed)), training=training)
        return self.norm(out + states), weights if need_weights else None

    def build(self, states_shape: Any = None, context_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        merged = (None, None, self.num_heads * self.head_size)
        self.build_parts(query=hidden, key=hidden, value=hidden, out=merged, norm=hidden)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "pruned_heads": self.pruned_heads}


@keras.saving.register_keras_serializable(package="lxmert")
class FeedForward(ConfiguredLayer):
    """norm(dropout(down(act(up(states)))) + states)."""

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.up = self.linear(config.intermediate_size, "up")
        self.activation = ACTIVATIONS[config.hidden_act]
        self.down = self.linear(config.hidden_size, "down")
        self.norm = self.layer_norm()
        self.dropout = self.drop(config.hidden_dropout_prob)

    def call(self, states: Any, training: bool = False) -> Any:  # [B, S, D] -> [B, S, D]
        """Transform each position."""
        x = rows(states)  # so that all of it becomes two products
        fused = self.config.hidden_act == "gelu" and type(self.up) is Linear
        hidden = packed_linear(self.up, x, gelu=True) if fused else None
        out = self.down(self.activation(self.up(x)) if hidden is None else hidden)
        out = self.dropout(ops.reshape(out, ops.shape(states)), training=training)
        return self.norm(out + states)

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.build_parts(up=hidden, down=(None, None, self.config.intermediate_size), norm=hidden)


@keras.saving.register_keras_serializable(package="lxmert")
class TransformerLayer(ConfiguredLayer):
    """feed_forward(attention(states, states)): one layer of an encoder."""

    def __init__(self, config: Any, pruned_heads: Sequence[int] = (), **kwargs: Any):
        super().__init__(config, **kwargs)
        self.attention = Attention(config, pruned_heads, dtype=self.dtype_policy, name="attention")
        self.feed_forward = FeedForward(config, dtype=self.dtype_policy, name="feed_forward")

    def call(
        self,
        states: Any,
        bias: ContextBias | None = None,
        head_mask: Any = None,
        queries: Any = None,
        need_weights: bool = False,
        training: bool = False,
    ) -> tuple[Any, Any]:  # [B, S, D] -> [B, S, D], [B, N, S, S]
        """Run the layer; the attention weights are returned if `need_weights`.

        With `queries` [B, P, D], some of the states, only their outputs are computed: [B, P, D], [B, N, P, S].
        """
        some = dict(need_weights=need_weights, training=training)
        states, weights = self.attention(states if queries is None else queries, states, bias, head_mask, **some)
        return self.feed_forward(states, training=training), weights

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        hidden = (None, None, self.config.hidden_size)
        self.build_parts(attention=hidden, feed_forward=hidden)

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor."""
        return {**super().get_config(), "pruned_heads": self.attention.pruned_heads}


@keras.saving.register_keras_serializable(package="lxmert")
class Pooler(ConfiguredLayer):
    """tanh(dense(states[:, 0]))."""

    def __init__(self, config: Any, **kwargs: Any):
        super().__init__(config, **kwargs)
        self.dense = self.linear(config.hidden_size, "dense")

    def call(self, states: Any) -> Any:  # [B, S, D] -> [B, D]
        """Pool the state of the first token."""
        return ops.tanh(self.dense(states[:, 0]))

    def build(self, input_shape: Any = None) -> None:
        """Make the weights; their sizes come from the config."""
        self.build_parts(dense=(None, self.config.hidden_size))

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """The output shape in `summary()`."""
        return (None, self.config.hidden_size)

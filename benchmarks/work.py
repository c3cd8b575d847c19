"""How many floating-point operations an answer needs, counted from a configuration and sizes: two per multiplication.

Counted are matrix products, without what the answer does not depend on. With the rate of the machine's own large
products that gives the shortest time that a row of the table could take.

Dimensions: L language tokens, R regions, S any sequence, C its context, D hidden size, I intermediate size.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def linear(rows: int, width: int, out: int) -> int:
    """A linear layer of `width` to `out` numbers, at `rows` positions."""
    return 2 * rows * width * out


def attention(config: Any, rows: int, context: int) -> int:
    """Attention from `rows` positions to `context`, with its projections."""
    d = config.hidden_size
    return linear(2 * rows + 2 * context, d, d) + 2 * linear(rows, context, d)


def feed_forward(config: Any, rows: int) -> int:
    """The two linear layers at `rows` positions."""
    return 2 * linear(rows, config.hidden_size, config.intermediate_size)


def layer(config: Any, length: int, needed: int | None = None) -> int:
    """A layer of an encoder; its output is needed at so many of its positions, by default at all."""
    rows = length if needed is None else needed
    return attention(config, rows, length) + feed_forward(config, rows)


def encode_language(config: Any, tokens: int) -> int:
    """LXMERT's language layers."""
    return config.l_layers * layer(config, tokens)


def encode_vision(config: Any, regions: int) -> int:
    """LXMERT's embedding of regions and its visual layers."""
    embedding = linear(regions, config.visual_feat_dim + config.visual_pos_dim, config.hidden_size)
    return embedding + config.r_layers * layer(config, regions)


def cross(config: Any, tokens: int, regions: int, pooled: bool = True) -> int:
    """LXMERT's cross layers and pooler.

    Of the last layer, where only the `pooled` output is needed: its language branch, after the cross attention for the
    first token alone.
    """
    both = attention(config, tokens, regions) + attention(config, regions, tokens)
    whole = both + layer(config, tokens) + layer(config, regions)
    last = attention(config, tokens, regions) + layer(config, tokens, needed=1) if pooled else whole
    return (config.x_layers - 1) * whole + last + linear(1, config.hidden_size, config.hidden_size)


def answer_head(config: Any) -> int:
    """The scores of LXMERT's answers."""
    return linear(1, config.hidden_size, 2 * config.hidden_size) + linear(
        1, 2 * config.hidden_size, config.num_qa_labels
    )


def match_head(config: Any) -> int:
    """The scores of whether a sentence and an image match."""
    return linear(1, config.hidden_size, 2)


def lxmert_answer(config: Any, tokens: int, regions: int) -> int:
    """LXMERT's answer to one question about one image."""
    encoded = encode_language(config, tokens) + encode_vision(config, regions)
    return encoded + cross(config, tokens, regions) + answer_head(config)


def visual_bert_answer(config: Any, tokens: int, regions: int) -> int:
    """VisualBERT's answer: its last layer is needed at one position."""
    length = tokens + regions
    layers = (config.num_hidden_layers - 1) * layer(config, length) + layer(config, length, needed=1)
    embedding = linear(regions, config.visual_embedding_dim, config.hidden_size)
    return embedding + layers + linear(1, config.hidden_size, config.num_labels)


def training(forward: int) -> int:
    """A training step: the forward pass, and as much again for the gradients of inputs, and of weights."""
    return 3 * forward


def pretraining(config: Any, batch: int, tokens: int, regions: int, words: int, features: int) -> int:
    """The forward pass of LXMERT's pre-training, with all losses.

    Args:
        config: the sizes.
        batch: examples, each with `tokens` and `regions`, whose objects and attributes all have labels.
        tokens, regions: of an example.
        words: labelled words of the batch: only these are scored.
        features: labelled region features of the batch, likewise.
    """
    d = config.hidden_size
    example = encode_language(config, tokens) + encode_vision(config, regions)
    example += cross(config, tokens, regions, pooled=False) + match_head(config) + answer_head(config)
    example += linear(regions, d, d + config.num_object_labels + config.num_attr_labels)
    scored = linear(words, d, d + config.vocab_size) + linear(features, d, config.visual_feat_dim)
    return batch * example + scored


def answering(config: Any, lengths: Iterable[int], images: int, regions: int) -> int:
    """Questions of these lengths about some images: each question and each image is encoded once, without padding."""
    lengths = [int(length) for length in lengths]
    questions = sum(encode_language(config, length) + cross(config, length, regions) for length in lengths)
    return questions + len(lengths) * answer_head(config) + images * encode_vision(config, regions)


def matching(config: Any, lengths: Iterable[int], images: int, regions: int) -> int:
    """Every sentence with every image: each is encoded once, and the cross layers run for every pair."""
    lengths = [int(length) for length in lengths]
    pairs = images * sum(cross(config, length, regions) + match_head(config) for length in lengths)
    return pairs + sum(encode_language(config, length) for length in lengths) + images * encode_vision(config, regions)

"""Embedding lookup with the gradient of PyTorch's `nn.Embedding`.

Separate from the layers, because PyTorch has no counterpart.
"""

from typing import Any

from keras import ops


def look_up(table: Any, ids: Any, padding_idx: int | None) -> Any:  # [V, D], [...] -> [..., D]
    """table[ids], with a dense gradient as in PyTorch, and none for row `padding_idx`.

    TensorFlow's own gradient is sparse (IndexedSlices). Keras' optimizers square its entries before summing them:
    Adam's second moment of a row that a batch looks up twice would be wrong.

    An id out of range is an error in a graph on the CPU. XLA cannot raise errors: its row is NaN there.
    """

    @ops.custom_gradient
    def rows_of(table: Any, ids: Any) -> Any:
        count = ops.shape(table)[0]
        ids = ops.where(ops.less(ids, 0), count, ids)  # a negative id would count from the end

        def gradient(*args: Any, upstream: Any = None) -> tuple[Any, None]:
            upstream = args[0] if upstream is None else upstream
            if padding_idx is not None:
                padding = ops.equal(ids, padding_idx)[..., None]
                upstream = ops.where(padding, ops.zeros_like(upstream), upstream)
            flat = ops.reshape(upstream, (-1, table.shape[-1]))
            return ops.segment_sum(flat, ops.reshape(ids, (-1,)), num_segments=count), None

        rows = ops.take(table, ids, axis=0)
        return ops.where(ops.less(ids, count)[..., None], rows, ops.full_like(rows, float("nan"))), gradient

    return rows_of(table, ids)


def gather_tokens(states: Any, positions: Any) -> Any:  # [B, S, D], [B, P] -> [B, P, D]
    """The states at these positions of each sequence; NaN at a position out of range: a graph cannot raise errors."""
    batch, count = ops.shape(states)[:2]
    positions = ops.cast(positions, "int32")
    known = ops.logical_and(positions >= 0, positions < count)
    first = ops.arange(batch, dtype="int32")[:, None] * count  # of each sequence among all states in a row
    rows = look_up(ops.reshape(states, (-1, states.shape[-1])), ops.where(known, positions, 0) + first, None)
    return ops.where(known[..., None], rows, ops.full_like(rows, float("nan")))

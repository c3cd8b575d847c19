"""A table's lookup, with the gradient that PyTorch's `nn.Embedding` has.

Separate from the layers, because nothing here has a sibling in PyTorch.
"""

from typing import Any

from keras import ops


def look_up(table: Any, ids: Any, padding_idx: int | None) -> Any:  # [V, D], [...] -> [..., D]
    """table[ids], with a gradient as in PyTorch: a whole table, and none into row `padding_idx`.

    TensorFlow's own gradient of a lookup lists the rows one by one, and Keras' optimizers square the entries of that
    list: with Adam, a row that a batch looks up twice would get another second moment than its summed gradient has.

    An id that the table does not have is an error in a graph on the CPU. Where a graph cannot raise one, under XLA, its
    row is NaN, and not some other row.
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
    """The states at these positions of each sequence; NaN at one that it does not have: a graph cannot raise errors."""
    batch, count = ops.shape(states)[:2]
    positions = ops.cast(positions, "int32")
    known = ops.logical_and(positions >= 0, positions < count)
    first = ops.arange(batch, dtype="int32")[:, None] * count  # of each sequence among all states in a row
    rows = look_up(ops.reshape(states, (-1, states.shape[-1])), ops.where(known, positions, 0) + first, None)
    return ops.where(known[..., None], rows, ops.full_like(rows, float("nan")))

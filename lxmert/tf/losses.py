"""The losses that the models train on. Small dtypes are widened to float32 before any sum.

Dimensions: B batch, L language tokens, R regions, S any sequence, P phrases, F visual feature size, V vocabulary,
A answers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.common.specs import SPECS
from lxmert.common.validation.lxmert import boxes_are_unchecked, check_object_labels, warn_of_pixels
from lxmert.common.validation.shared import (
    IGNORED_LABEL,
    UNKNOWN_KIND,
    Range,
    TensorSpec,
    check_label,
    check_range,
    check_scores,
    is_soft_answer,
)
from lxmert.common.validation.visual_bert import check_alignment_labels

from ._compat import is_inferring_shapes

OBJECT_LOSSES = {loss.part: name for name, loss in SPECS["LxmertForPreTraining"].losses.items() if loss.part}


def describe(name: str, tensor: Any) -> TensorSpec:
    """Return the shape and kind of an argument for the shared input checks.

    Raises:
        TypeError: it is no tensor.
    """
    if not hasattr(tensor, "shape") or not hasattr(tensor, "dtype"):
        raise TypeError(f"{name} must be a tensor or an array; got {type(tensor).__name__}. Use np.asarray(...).")
    if is_inferring_shapes():
        return TensorSpec(tuple(tensor.shape), UNKNOWN_KIND)
    dtype = keras.backend.standardize_dtype(tensor.dtype)
    kind = "bool" if dtype == "bool" else "int" if "int" in dtype else "float"
    return TensorSpec(tuple(tensor.shape), kind)


def _has_values(tensor: Any) -> bool:
    """Whether the values can be read, which they cannot while a graph is traced."""
    return (isinstance(tensor, np.ndarray) or hasattr(tensor, "numpy")) and 0 not in tensor.shape


def check_values(name: str, tensor: Any, allowed: Range) -> None:
    """Refuse ids or labels out of range, where the values can be read."""
    if not _has_values(tensor):
        return
    # NumPy's values, because Keras may be tracing a layer around tensors that are not traced.
    values = (tensor if isinstance(tensor, np.ndarray) else tensor.numpy()).astype("int64")
    values = values[values != IGNORED_LABEL] if allowed.ignored else values
    if values.size:
        check_range(name, int(values.min()), int(values.max()), allowed)


def check_boxes(model: Any, boxes: Any) -> None:
    """Warn of boxes in pixels, where the values can be read: of the first boxes of a model."""
    if _has_values(boxes) and boxes_are_unchecked(model):
        warn_of_pixels(model, float(np.max(boxes)))


def _at_least_float32(scores: Any) -> Any:
    """Cast to float32, unless it is float64."""
    return scores if keras.backend.standardize_dtype(scores.dtype) == "float64" else ops.cast(scores, "float32")


def _cross_entropy(scores: Any, label: Any) -> Any:  # [..., classes], [...] -> [...]
    """Cross-entropy per label; 0 where the label is -100, NaN where it is no class: a graph cannot raise errors."""
    label = ops.cast(label, "int32")  # an 8-bit number cannot be compared with -100
    counted = ops.not_equal(label, IGNORED_LABEL)
    known = ops.logical_and(label >= 0, label < ops.shape(scores)[-1])
    label = ops.where(known, label, ops.zeros_like(label))
    loss = -ops.squeeze(ops.take_along_axis(ops.log_softmax(scores, axis=-1), label[..., None], axis=-1), -1)
    loss = ops.where(known, loss, ops.full_like(loss, float("nan")))
    return ops.where(counted, loss, ops.zeros_like(loss))


def class_loss(scores: Any, label: Any) -> Any:  # [..., classes], [...] -> scalar
    """Mean cross-entropy over the labels that are not -100; 0 when all of them are.

    Differs from HF: a batch without any label has loss 0; there it is NaN.
    """
    scores, label = _at_least_float32(scores), ops.cast(label, "int32")
    loss = ops.sum(_cross_entropy(scores, label))
    count = ops.sum(ops.cast(ops.not_equal(label, IGNORED_LABEL), scores.dtype))
    return loss / ops.maximum(count, ops.ones_like(count))


def word_loss(scores: Any, labels: Any, letters: str = "[B, L]") -> Any:  # [B, S, V], [B, S] -> scalar
    """Cross-entropy of the masked words; -100 is ignored."""
    check_label("labels", describe("labels", labels), tuple(scores.shape[:2]), letters)
    check_values("labels", labels, Range(scores.shape[-1], ignored=True))
    return class_loss(scores, labels)


def select_labelled(states: Any, labels: Any, words: int) -> tuple[Any, Any]:
    # [B, L, D], [B, L] -> [K, D], [K]
    """The states at the K positions that have a label, and the labels; `words` is the vocabulary size."""
    check_label("labels", describe("labels", labels), tuple(states.shape[:2]), "[B, L]")
    check_values("labels", labels, Range(words, ignored=True))
    labels = ops.reshape(labels, (-1,))
    rows = ops.nonzero(ops.not_equal(labels, IGNORED_LABEL))[0]
    return ops.take(ops.reshape(states, (-1, states.shape[-1])), rows, axis=0), ops.take(labels, rows)


def index_loss(scores: Any, labels: Any, name: str = "labels") -> Any:  # [B, classes], [B] -> scalar
    """Cross-entropy of one class for each example, -100 ignored; of a match: 1 says that text and image belong
    together, 0 that they do not.
    """
    check_label(name, describe(name, labels), tuple(scores.shape[:1]), "[B]")
    if scores.shape[-1] is not None:
        check_values(name, labels, Range(scores.shape[-1], ignored=True))
    return class_loss(scores, ops.reshape(labels, (-1,)))


def answer_loss(scores: Any, labels: Any, name: str = "labels") -> Any:  # [B, A], [B] or [B, A] -> scalar
    """The loss of the answers, for class indices or scores.

    Class indices [B]: cross-entropy, -100 ignored. Rows of scores [B, A] in [0, 1]: binary cross-entropy with logits,
    summed over the answers and averaged over the batch, with which the published VQA and GQA models were fine-tuned.
    """
    if not is_soft_answer(name, describe(name, labels), *scores.shape):
        return index_loss(scores, labels, name)
    scores = _at_least_float32(scores)
    labels = _checked_scores(name, labels, scores.dtype)
    loss = ops.relu(scores) - scores * labels + ops.log1p(ops.exp(-ops.abs(scores)))
    return ops.sum(loss) / ops.cast(ops.shape(scores)[0], scores.dtype)


def distribution_loss(scores: Any, labels: Any) -> Any:  # [B, A], [B], [B, A] or [B, 1, A] -> scalar
    """The loss of a distribution over the answers, for class indices or probabilities.

    Rows [B, A] or [B, 1, A] in [0, 1]: KL divergence Σ label · (log label - log_softmax(scores)), averaged over the
    batch. Class indices [B]: cross-entropy, -100 ignored; the same as rows with a single 1.

    Differs from HF: it does not take class indices, and compares rows [B, 1, A] with the scores of every example.
    """
    given = describe("labels", labels)
    if len(given.shape) == 3 and given.shape[1] == 1:
        labels, given = labels[:, 0], given._replace(shape=(given.shape[0], given.shape[2]))
    if not is_soft_answer("labels", given, *scores.shape):
        return index_loss(scores, labels)
    scores = _at_least_float32(scores)
    return _divergence(scores, _checked_scores("labels", labels, scores.dtype))


def alignment_loss(scores: Any, labels: Any, visual_attention_mask: Any = None) -> Any:
    # [B, P, R], [B, P, R] -> scalar
    """The KL divergence for the regions of each phrase, summed over the phrases and averaged over the batch.

    Differs from HF: the part of a label on a masked region is left out; the loss is infinite there. (Such a
    row sums to less than one, and its divergence may be negative.)
    """
    check_alignment_labels(labels, tuple(scores.shape), describe)
    scores = _at_least_float32(scores)
    labels = _checked_scores("labels", labels, scores.dtype)
    if visual_attention_mask is not None:
        masked = ops.equal(visual_attention_mask, 0)[:, None]
        labels = ops.where(masked, ops.zeros_like(labels), labels)
    return _divergence(scores, labels)


def _divergence(scores: Any, labels: Any) -> Any:  # [B, ..., classes] twice -> scalar
    """Σ label · (log label - log_softmax(scores)) / B, where 0 · log 0 is 0."""
    logs = ops.log(ops.where(labels > 0, labels, ops.ones_like(labels)))
    loss = ops.sum(labels * logs - labels * ops.log_softmax(scores, axis=-1))
    return loss / ops.cast(ops.shape(scores)[0], scores.dtype)


def _checked_scores(name: str, labels: Any, dtype: Any) -> Any:
    """Rows of scores in a dtype; refused outside 0 … 1 where the values can be read, else NaN there."""
    if _has_values(labels):
        values = labels if isinstance(labels, np.ndarray) else labels.numpy()
        check_scores(name, float(values.min()), float(values.max()))
    labels = ops.cast(labels, dtype)
    return ops.where(ops.logical_and(labels >= 0, labels <= 1), labels, ops.full_like(labels, float("nan")))


def object_losses(
    config: Any, scores: Mapping[str, Any], obj_labels: Mapping[str, tuple[Any, Any]], regions: tuple[Any, Any]
) -> dict[str, Any]:
    """The given and enabled visual losses by name, each mean(loss · confidence) · visual_loss_normalizer.

    The mean is over all B·R regions, also those of confidence 0. "obj" and "attr" are cross-entropies (-100 ignored);
    "feat" is smooth L1, averaged over F.
    """
    losses: dict[str, Any] = {}
    for key, (label, confidence) in check_object_labels(config, obj_labels, regions, describe).items():
        score = _at_least_float32(scores[key])
        if key == "feat":
            error = ops.abs(score - ops.cast(label, score.dtype))
            loss = ops.mean(ops.where(error < 1, error * error * 0.5, error - 0.5), axis=-1)
        else:
            check_values(f"obj_labels[{key!r}][0]", label, Range(score.shape[-1], ignored=True))
            loss = _cross_entropy(score, label)
        mean = ops.mean(loss * ops.cast(confidence, score.dtype))
        losses[OBJECT_LOSSES[key]] = mean * config.visual_loss_normalizer
    return losses


def total_loss(losses: Sequence[Any], scores: Any) -> Any:
    """The sum of the losses, 0 without any, in the dtype of the losses of `scores`."""
    return sum(losses, ops.zeros((), dtype=_at_least_float32(scores).dtype))

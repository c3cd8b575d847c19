"""The losses that the models train on. Small dtypes are widened to float32 before any sum.

Dimensions: B batch, L language tokens, R regions, S any sequence, P phrases, F visual feature size, V vocabulary,
A answers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lxmert.common.specs import SPECS
from lxmert.common.validation.lxmert import boxes_are_unchecked, check_object_labels, warn_of_pixels
from lxmert.common.validation.shared import (
    IGNORED_LABEL,
    Range,
    TensorSpec,
    check_label,
    check_range,
    check_scores,
    is_soft_answer,
)
from lxmert.common.validation.visual_bert import check_alignment_labels

from ._compat import transforms_are_active

OBJECT_LOSSES = {loss.part: name for name, loss in SPECS["LxmertForPreTraining"].losses.items() if loss.part}


def describe(name: str, tensor: Any) -> TensorSpec:
    """Return the shape and kind of an argument for the shared input checks.

    Raises:
        TypeError: it is no tensor.
    """
    if isinstance(tensor, Mapping):
        raise TypeError(f"{name} must be a torch tensor; got {type(tensor).__name__}. Use model(**inputs) for a dict.")
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a torch tensor; got {type(tensor).__name__}. Use torch.as_tensor(...).")
    kind = "bool" if tensor.dtype == torch.bool else "float" if tensor.is_floating_point() else "int"
    return TensorSpec(tuple(tensor.shape), kind)


def _has_values(tensor: Tensor) -> bool:
    """Whether the values can be read: not while a graph is compiled or captured, nor in function transforms."""
    if torch.compiler.is_compiling() or transforms_are_active() or tensor.numel() == 0 or tensor.is_meta:
        return False
    return not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())


def check_values(name: str, tensor: Tensor, allowed: Range) -> None:
    """Refuse ids or labels out of range, where the values can be read."""
    if not _has_values(tensor):
        return
    tensor = tensor.long()  # an 8-bit number cannot be compared with -100
    if allowed.ignored:
        tensor = tensor.masked_fill(tensor == IGNORED_LABEL, 0)
    low, high = tensor.aminmax()
    check_range(name, int(low), int(high), allowed)


def check_boxes(model: Any, boxes: Tensor) -> None:
    """Warn of boxes in pixels, where the values can be read: of the first boxes of a model."""
    if _has_values(boxes) and boxes_are_unchecked(model):
        warn_of_pixels(model, float(boxes.detach().amax()))


def _at_least_float32(scores: Tensor) -> Tensor:
    """Cast to float32, unless it is float64."""
    return scores if scores.dtype == torch.float64 else scores.float()


def class_loss(scores: Tensor, label: Tensor) -> Tensor:  # [..., classes], [...] -> scalar
    """Mean cross-entropy over the labels that are not -100; 0 when all of them are.

    Differs from HF: a batch without any label has loss 0; there it is NaN.
    """
    label = label.flatten().long()
    loss = F.cross_entropy(_at_least_float32(scores).flatten(0, -2), label, ignore_index=IGNORED_LABEL, reduction="sum")
    return loss / (label != IGNORED_LABEL).sum().clamp(min=1)


def word_loss(scores: Tensor, labels: Tensor, letters: str = "[B, L]") -> Tensor:  # [B, S, V], [B, S] -> scalar
    """Cross-entropy of the masked words; -100 is ignored."""
    check_label("labels", describe("labels", labels), scores.shape[:2], letters)
    check_values("labels", labels, Range(scores.shape[-1], ignored=True))
    return class_loss(scores, labels)


def select_labelled(states: Tensor, labels: Tensor, words: int) -> tuple[Tensor, Tensor]:
    # [B, L, D], [B, L] -> [K, D], [K]
    """The states at the K positions that have a label, and the labels; `words` is the vocabulary size."""
    check_label("labels", describe("labels", labels), states.shape[:2], "[B, L]")
    check_values("labels", labels, Range(words, ignored=True))
    rows = (labels != IGNORED_LABEL).flatten().nonzero()[:, 0]
    return states.flatten(0, 1).index_select(0, rows), labels.flatten()[rows]


def index_loss(scores: Tensor, labels: Tensor, name: str = "labels") -> Tensor:  # [B, classes], [B] -> scalar
    """Cross-entropy of one class for each example, -100 ignored; of a match: 1 says that text and image belong
    together, 0 that they do not.
    """
    check_label(name, describe(name, labels), scores.shape[:1], "[B]")
    check_values(name, labels, Range(scores.shape[-1], ignored=True))
    return class_loss(scores, labels.reshape(-1))


def answer_loss(scores: Tensor, labels: Tensor, name: str = "labels") -> Tensor:  # [B, A], [B] or [B, A] -> scalar
    """The loss of the answers, for class indices or scores.

    Class indices [B]: cross-entropy, -100 ignored. Rows of scores [B, A] in [0, 1]: binary cross-entropy with logits,
    summed over the answers and averaged over the batch, with which the published VQA and GQA models were fine-tuned.
    """
    if not is_soft_answer(name, describe(name, labels), *scores.shape):
        return index_loss(scores, labels, name)
    scores = _at_least_float32(scores)
    labels = _checked_scores(name, labels, scores.dtype)
    return F.binary_cross_entropy_with_logits(scores, labels, reduction="sum") / scores.shape[0]


def distribution_loss(scores: Tensor, labels: Tensor) -> Tensor:  # [B, A], [B], [B, A] or [B, 1, A] -> scalar
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
    labels = _checked_scores("labels", labels, scores.dtype)
    return _divergence(scores, labels)


def alignment_loss(scores: Tensor, labels: Tensor, visual_attention_mask: Tensor | None) -> Tensor:
    # [B, P, R], [B, P, R] -> scalar
    """The KL divergence for the regions of each phrase, summed over the phrases and averaged over the batch.

    Differs from HF: the part of a label on a masked region is left out; the loss is infinite there. (Such a
    row sums to less than one, and its divergence may be negative.)
    """
    check_alignment_labels(labels, tuple(scores.shape), describe)
    scores = _at_least_float32(scores)
    labels = _checked_scores("labels", labels, scores.dtype)
    if visual_attention_mask is not None:
        labels = labels.masked_fill((visual_attention_mask == 0)[:, None], 0.0)
    return _divergence(scores, labels)


def _divergence(scores: Tensor, labels: Tensor) -> Tensor:  # [B, ..., classes] twice -> scalar
    """Σ label · (log label - log_softmax(scores)) / B, where 0 · log 0 is 0."""
    return F.kl_div(F.log_softmax(scores, -1), labels, reduction="sum") / scores.shape[0]


def _checked_scores(name: str, labels: Tensor, dtype: torch.dtype) -> Tensor:
    """Rows of scores in a dtype; refused outside 0 … 1 where the values can be read."""
    if _has_values(labels):
        check_scores(name, float(labels.min()), float(labels.max()))
    return labels.to(dtype)


def object_losses(
    config: Any, scores: Mapping[str, Tensor], obj_labels: Mapping[str, tuple[Tensor, Tensor]], regions: tuple[int, int]
) -> dict[str, Tensor]:
    """The given and enabled visual losses by name, each mean(loss · confidence) · visual_loss_normalizer.

    The mean is over all B·R regions, also those of confidence 0. "obj" and "attr" are cross-entropies (-100 ignored);
    "feat" is smooth L1, averaged over F.
    """
    losses: dict[str, Tensor] = {}
    for key, (label, confidence) in check_object_labels(config, obj_labels, regions, describe).items():
        score = _at_least_float32(scores[key])
        if key == "feat":
            loss = F.smooth_l1_loss(score, label.to(score.dtype), reduction="none").mean(-1)
        else:
            check_values(f"obj_labels[{key!r}][0]", label, Range(score.shape[-1], ignored=True))
            loss = F.cross_entropy(
                score.flatten(0, -2), label.flatten().long(), ignore_index=IGNORED_LABEL, reduction="none"
            )
        mean = (loss.flatten() * confidence.flatten().to(score.dtype)).mean()
        losses[OBJECT_LOSSES[key]] = mean * config.visual_loss_normalizer
    return losses


def total_loss(losses: Sequence[Tensor], scores: Tensor) -> Tensor:
    """The sum of the losses, 0 without any, in the dtype of the losses of `scores`."""
    return sum(losses, torch.zeros((), dtype=_at_least_float32(scores).dtype, device=scores.device))

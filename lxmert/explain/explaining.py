"""Explain the scores of a model: `explain` by one method, `explain_methods` by several at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lxmert.utils.counts import check_integer

from . import attribution
from .backends import gradient_model
from .batch import Batch, read_batch
from .explanation import Explanation
from .gradients import AttentionGradients, GradientModel, InputGradients, Target
from .methods import METHODS, checked_methods
from .rules import attention_relevance
from .rules.matrices import Relevance
from .targets import find_target, positions_read

if TYPE_CHECKING:
    from lxmert.inference.backends import AnyModel


def explain(
    model: AnyModel,
    inputs: Mapping[str, Any],
    answer: Any = None,
    method: str = "relevancy",
    *,
    score: str | None = None,
    position: Any = None,
    steps: int = 50,
    progress: bool = False,
) -> Explanation:
    """How much each word and each region counts for one score of each example.

    The whole batch takes one forward and one backward pass; `integrated_gradients` takes one of each for every step.
    Padding never counts: an example has the same explanation alone, in a batch, and padded.

    - `relevancy`: what is positive in each attention map times the gradient of the score by it, averaged over heads
      and passed on from layer to layer (Chefer, Gur and Wolf 2021, arXiv 2103.15679). Of LXMERT it crosses from one
      stream to the other; of VisualBERT, which has one sequence, it is their rule for self-attention.
      `relevancy_no_normalization` and `relevancy_no_self_attention`, of LXMERT alone, leave out the normalization of
      what crosses, or what each stream gathered from itself before.
    - `raw_attention`: the maps of the last layer, averaged over heads.
    - `attention_grad_cam`: the same, each head weighted by the mean of its gradient, and what is positive in it. Of
      VisualBERT it is scaled to 0 … 1 over the whole map.
    - `attention_rollout`: the product of the maps of all layers, each with the identity added (Abnar and Zuidema 2020,
      arXiv 2005.00928); rows are divided by their sums in LXMERT alone. These four are what the code of Chefer, Gur
      and Wolf computes for each of the two models.
    - `input_x_gradient`: each input times the gradient of the score by it.
    - `integrated_gradients`: the input times the mean gradient on the way to it from an empty one (Sundararajan, Taly
      and Yan 2017, arXiv 1703.01365): zero word vectors, features and boxes. The values of an example sum to its score
      minus that of the empty input: with 50 steps and the models of this package up to 0.05, with 100 up to 0.0005.

    Words and regions of the first six are a row of a matrix: that of the position which the score is read from. This is
    [CLS] for a score of the pooled output, the masked word for `score="word"`, and in VisualBERT the second-to-last
    token for an answer. A score that aligns a phrase with a region is read from both: their rows are averaged. What
    the position has of itself is set to 0.

    All is added up in float64. With a small model in float32, words and regions differed from those in float64 by up to
    3e-6 of the largest, in float16 by 8e-3 and in bfloat16 by 1e-1; by Grad-CAM by up to 3e-5, 6e-2 and 2e-1.

    Args:
        model: of `lxmert.pt` or `lxmert.tf`, with a head, in evaluation mode. It is not changed.
        inputs: arrays, or tensors of either backend, by argument name, as the model takes them. Labels are left out.
        answer: the class whose score is explained: an integer for all or one for each example; None for the highest
            score of each. Of multiple choice it is the choice, of alignment the region.
        method: one of `METHODS`.
        score: the head, where a class has several: "answer", "match" or "word".
        position: of the word for `score="word"`, or of the phrase among `region_to_phrase_position` for alignment: an
            integer for all or one for each example.
        steps: the number of points of `integrated_gradients`.
        progress: whether to show on standard error how many of them are done.

    Returns:
        The explanation; of multiple choice it is that of the explained choice.

    Raises:
        ValueError: an unknown method, or one that the model does not have; inputs that do not fit; a class, score or
            position that there is not; scores that are not finite; a model in training mode.
        TypeError: not a model of this package, or arguments of another type.
    """
    return explain_methods(
        model, inputs, answer, [method], score=score, position=position, steps=steps, progress=progress
    )[method]


def explain_methods(
    model: AnyModel,
    inputs: Mapping[str, Any],
    answer: Any = None,
    methods: Iterable[str] | None = None,
    *,
    score: str | None = None,
    position: Any = None,
    steps: int = 50,
    progress: bool = False,
) -> dict[str, Explanation]:
    """Explanations by several methods, by name; all that the model has by default.

    Methods that need attention maps share one forward and one backward pass, or one forward pass if none of them needs
    gradients. `input_x_gradient` and `integrated_gradients` share another.

    The arguments and errors are those of `explain`.
    """
    backend = gradient_model(model)
    batch = read_batch(model, inputs)
    names = checked_methods(methods, batch.spec.model)
    steps = check_integer("steps", steps)
    target = find_target(batch, score, position, answer)
    of_inputs = [name for name in names if name in attribution.METHODS]
    of_maps = [name for name in names if name not in of_inputs]
    found: dict[str, Explanation] = {}
    if of_maps:
        needs_gradients = any(METHODS[name].depends_on_answer for name in of_maps)
        maps = backend.attention_gradients(batch.inputs, target, with_gradients=needs_gradients)
        target = _answered(batch, target, maps)
        rows = positions_read(batch, target)
        masks = batch.by_row(batch.word_mask), batch.by_row(batch.region_mask)
        for name in of_maps:
            relevance = attention_relevance(batch.spec.model, name, maps, *masks, rows)
            found[name] = _explanation(batch, name, target, maps.scores, relevance)
    if of_inputs:
        gradients = backend.input_gradients(batch.inputs, target)
        target = _answered(batch, target, gradients)
        for name in of_inputs:
            relevance = _attributed(name, backend, batch, target, gradients, steps, progress)
            found[name] = _explanation(batch, name, target, gradients.scores, relevance)
    return {name: found[name] for name in names}


def _attributed(
    name: str,
    backend: GradientModel,
    batch: Batch,
    target: Target,
    gradients: InputGradients,
    steps: int,
    progress: bool,
) -> Relevance:
    """The relevance by a method that needs gradients of inputs."""
    if name == "input_x_gradient":
        return attribution.input_x_gradient(batch, gradients)
    return attribution.integrated_gradients(backend, batch, target, gradients, steps, progress)


def _answered(batch: Batch, target: Target, found: AttentionGradients | InputGradients) -> Target:
    """The target with the answers that were found, if their scores and gradients are finite."""
    wrong = np.flatnonzero(~np.isfinite(found.scores))
    if wrong.size:
        raise ValueError(
            f"scores must be finite; got {found.scores[wrong[0]]} for example {', '.join(map(str, wrong[:8]))}. Check "
            f"the features, the boxes and the weights. {_WIDER}"
        )
    for gradient in found.gradients.values():
        _check_finite(batch, *(gradient if isinstance(gradient, tuple) else [gradient]))
    return target._replace(answers=found.answers)


def _check_finite(batch: Batch, *gradients: np.ndarray | None) -> None:
    """Refuse gradients that overflow."""
    if not all(gradient is None or np.isfinite(gradient).all() for gradient in gradients):
        raise ValueError(f"the gradients of {batch.architecture} must be finite; some are not. {_WIDER}")


_WIDER = "If the model is in 16 bits, explain it in float32."


def _explanation(batch: Batch, method: str, target: Target, scores: np.ndarray, relevance: Relevance) -> Explanation:
    """The explanation of each example from the relevance of each row of the attention maps."""
    assert target.answers is not None
    answers = target.answers
    values: dict[str, Any] = {
        name: None if array is None else batch.by_example(array, answers) for name, array in relevance._asdict().items()
    }
    masks = [batch.by_example(batch.by_row(mask), answers) for mask in (batch.word_mask, batch.region_mask)]
    _check_finite(batch, *values.values())
    word_mask, region_mask = (mask.astype(np.float64) for mask in masks)
    return Explanation(
        method=method, answers=answers, scores=scores, word_mask=word_mask, region_mask=region_mask, **values
    )

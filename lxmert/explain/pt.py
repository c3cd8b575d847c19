"""Attention maps, and gradients of PyTorch models by maps and by inputs, as NumPy arrays."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lxmert.common.specs import value_ranges
from lxmert.pt.cpu_kernels.dispatch import constant_weights
from lxmert.pt.losses import check_values
from lxmert.pt.pretrained import PreTrainedModel

from .gradients import AttentionGradients, InputGradients, Maps, Target, check_scores, like_maps

FLOAT_INPUTS = ("inputs_embeds", "visual_feats", "visual_pos", "visual_embeds")


class GradientModel:
    """A model that returns maps and gradients; see the protocol in `gradients.py`.

    The weights get no gradients and are not changed, so several threads may use one model at once.

    Args:
        model: any model of this package that has scores, in evaluation mode.

    A call raises ValueError if the model is in training mode.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model

    def attention_gradients(
        self, inputs: Mapping[str, Any], target: Target, with_gradients: bool = True
    ) -> AttentionGradients:
        """Maps and gradients in one forward and one backward pass of the whole batch; without gradients no backward."""
        with self._computing(with_gradients):
            given = self._tensors(inputs)
            outputs = _run(self.model, target.output, given, output_attentions="used")
            answers, scores = _chosen(outputs[target.output], target)
            maps = {name: value for name, value in outputs.items() if name.endswith("attentions")}
            gradients = _gradients(scores, maps) if with_gradients else {n: (None,) * len(p) for n, p in maps.items()}
            return AttentionGradients(_array(answers), _array(scores.double()), _arrays(maps), _arrays(gradients))

    def input_gradients(self, inputs: Mapping[str, Any], target: Target) -> InputGradients:
        """Gradients by the inputs. `inputs` may hold `inputs_embeds` instead of `input_ids`."""
        with self._computing():
            given = self._tensors(inputs)
            leaves = {name: given[name] for name in FLOAT_INPUTS if name in given}
            answers, scores = _chosen(_run(self.model, target.output, given)[target.output], target)
            # Of an input that the score does not depend on it is 0.
            gradients = torch.autograd.grad(scores.sum(), list(leaves.values()), materialize_grads=True)
            return InputGradients(
                _array(answers),
                _array(scores.double()),
                {name: _array(leaf) for name, leaf in leaves.items()},
                {name: _array(gradient) for name, gradient in zip(leaves, gradients, strict=True)},
            )

    @contextmanager
    def _computing(self, with_gradients: bool = True) -> Iterator[None]:
        """Refuse training mode; compute gradients or none, whatever the caller has set."""
        if any(module.training for module in self.model.modules()):
            raise ValueError(
                f"{type(self.model).__name__} is in training mode, in which dropout changes every answer; call "
                "model.eval() before explaining it."
            )
        with torch.inference_mode(not with_gradients), torch.set_grad_enabled(with_gradients), constant_weights():
            yield

    def _tensors(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """The inputs as tensors on the model's device; word vectors in place of ids.

        Floating-point ones take the model's dtype and require gradients. So there are gradients by maps even where no
        weight is trained.
        """
        table, backbone = self.model.get_input_embeddings(), self.model.base
        given = {
            name: torch.as_tensor(array if isinstance(array, Tensor) else np.asarray(array), device=table.weight.device)
            for name, array in inputs.items()
            if array is not None
        }
        for name, allowed in value_ranges(backbone.config, backbone.architecture()).items():
            if name in given:
                check_values(name, given[name], allowed)
        if "input_ids" in given:
            given["inputs_embeds"] = table(given.pop("input_ids").long())
        for name in FLOAT_INPUTS:
            if name in given:
                given[name] = given[name].detach().to(table.weight.dtype, copy=True)
                given[name].requires_grad_(torch.is_grad_enabled())
        return given


def _run(model: PreTrainedModel, output: str, given: Mapping[str, Tensor], **options: Any) -> Mapping[str, Any]:
    """Call the model; the scores of words only where they are asked for."""
    if "prediction_logits" in inspect.signature(model.forward).parameters:
        options["prediction_logits"] = output == "prediction_logits"
    found: Mapping[str, Any] = model(**given, output_hidden_states=False, return_dict=True, **options)
    return found


def _gradients(scores: Tensor, maps: Mapping[str, tuple[Tensor | None, ...]]) -> dict[str, tuple[Tensor | None, ...]]:
    """The gradient of each example's score by its maps, in the same structure."""
    flat = [part for parts in maps.values() for part in parts if part is not None]
    return like_maps(maps, torch.autograd.grad(scores.sum(), flat, allow_unused=True))


def _chosen(scores: Tensor, target: Target) -> tuple[Tensor, Tensor]:  # [B, C] or [B, P, C] -> [B], [B]
    """The class of each example and its score."""
    check_scores(target, scores.shape)
    rows = torch.arange(scores.shape[0], device=scores.device)
    if target.positions is not None:
        scores = scores[rows, torch.as_tensor(target.positions, device=scores.device)]
    answers = scores.argmax(1) if target.answers is None else torch.as_tensor(target.answers, device=scores.device)
    return answers, scores[rows, answers]


def _arrays(maps: Mapping[str, tuple[Tensor | None, ...]]) -> Maps:
    """Maps or gradients in NumPy."""
    return {name: tuple(None if part is None else _array(part) for part in parts) for name, parts in maps.items()}


def _array(value: Tensor) -> np.ndarray:
    """A tensor in NumPy; 16-bit numbers as float32."""
    value = value.detach()
    wide = value.float() if value.is_floating_point() and value.itemsize <= 2 else value
    array: np.ndarray = wide.cpu().numpy()
    return array

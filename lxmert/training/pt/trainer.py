"""Training a task model in PyTorch, in one process or in several; `lxmert.training.run` decides what and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import lxmert.pt
from lxmert.common.specs import SPECS
from lxmert.inference.bulk import PairModel
from lxmert.inference.pt import SplitEncoder
from lxmert.pt.named_weights import array_of
from lxmert.pt.pretrained import PreTrainedModel
from lxmert.training.schedule import rate_of_step
from lxmert.training.settings import Settings
from lxmert.training.steps import AfterStep, Steps, StepValues, check_finite, dropout_seed
from lxmert.training.tasks import model_class_name
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.save_folder import LazyTensor, write_folder

from .engine import PRECISIONS, make_engine
from .optimizers import make_optimizer, set_rate
from .unused_parameters import freeze_unused_parameters


class Evaluator:
    """Evaluates a task model, in one process or in several; the other backend has the same methods.

    Args:
        settings: of the run that the model is from, or is to be.
        make_model: makes the model, given its class and its dtype.
    """

    _make_optimizer: Callable[[PreTrainedModel], torch.optim.Optimizer] | None = None

    def __init__(self, settings: Settings, make_model: Callable[[Any, Any], PreTrainedModel]):
        self.settings = settings
        self.architecture = model_class_name(settings)
        # Training reads only the losses of pre-training.
        self._options = {"prediction_logits": False} if self.architecture == "LxmertForPreTraining" else {}
        self.engine = make_engine(settings.strategy, settings.precision, settings.device)
        self.rank, self.world, self.is_main = self.engine.rank, self.engine.world, self.engine.is_main
        self.devices = self.engine.world
        torch.manual_seed(settings.seed)
        # Weights are loaded in the dtype of the run, so that a resumed run loses no precision.
        model = make_model(getattr(lxmert.pt, self.architecture), PRECISIONS[settings.precision])
        self._prepare(model)
        self.module, self.optimizer = self.engine.prepare(model, self._make_optimizer)
        self.model = self.engine.unwrap(self.module)

    def scores(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """The scores of the classes in evaluation, [B, classes]."""
        scores = getattr(self._outputs(inputs), SPECS[self.architecture].scores)
        return (scores.float() if scores.dtype == torch.bfloat16 else scores).cpu().numpy()

    def losses(self, inputs: Mapping[str, Any]) -> dict[str, float]:
        """The losses of pre-training in evaluation, by name."""
        return {name: float(loss) for name, loss in self._outputs(inputs).losses.items()}

    def _outputs(self, inputs: Mapping[str, Any]) -> Any:
        self.module.eval()
        with torch.no_grad(), self.engine.autocast():  # inference mode leaves FSDP2 with weights that cannot be trained
            return self.model(**self._on_device(inputs), **self._options)

    def gather(self, array: np.ndarray) -> np.ndarray:
        """Concatenate the arrays of all processes."""
        return self.engine.gather(array)

    def pair_model(self, head: str) -> PairModel | None:
        """The model split into encoders, with one of its heads; None for VisualBERT and with FSDP2.

        VisualBERT reads words and regions in one sequence, and FSDP2 gathers only the full model.
        """
        if self.settings.architecture != "lxmert" or self.engine.strategy == "fsdp":
            return None
        return SplitEncoder(self.model, getattr(self.model.heads, head), self.engine.autocast)

    def _prepare(self, model: PreTrainedModel) -> None:
        """Prepare a model before it is wrapped."""

    def _on_device(self, inputs: Any) -> Any:
        """Arrays as tensors on the device, in memory of their own, in the model's dtype."""
        if isinstance(inputs, Mapping):
            return {name: self._on_device(value) for name, value in inputs.items()}
        if isinstance(inputs, (tuple, list)):
            return tuple(self._on_device(value) for value in inputs)
        values = inputs if isinstance(inputs, Tensor) else torch.tensor(inputs)
        double = self.settings.precision == "float64" and values.is_floating_point()
        return values.to(self.engine.device, torch.float64 if double else values.dtype, non_blocking=True)


class Trainer(Evaluator):
    """Trains a task model.

    Args:
        settings: of the run.
        make_model: makes the model, given its class and its dtype.
        total: steps of the run.
    """

    def __init__(self, settings: Settings, make_model: Callable[[Any, Any], PreTrainedModel], total: int):
        self.total = total
        super().__init__(settings, make_model)
        self._failed = torch.zeros((), device=self.engine.device)  # steps since the last reading that overflowed

    def run(
        self,
        steps: Steps,
        first: int,
        after_step: AfterStep,
        after_epoch: Callable[[], None],
        callbacks: Sequence[Any] = (),
    ) -> None:
        """Train from step `first` on.

        Args:
            steps: the steps of the run.
            first: the step to start with, counted from 0.
            after_step: see `AfterStep`.
            after_epoch: called after the steps of an epoch.
            callbacks: none; those of Keras.

        Raises:
            ValueError: a loss or the gradients are not finite.
        """
        settings = self.settings
        self.module.train()
        batches = self._batches(steps, first)
        for step in range(first, steps.total):
            rate = rate_of_step(settings.learning_rate, step, steps.total, settings.warm_up)
            set_rate(self.optimizer, rate)
            torch.manual_seed(dropout_seed(settings.seed, step, self.rank))
            losses, norm = self._step(batches, steps.gradient_accumulation_steps)
            after_step(step + 1, rate, partial(self.read, step + 1, losses, norm))
            if (step + 1) % steps.per_epoch == 0:
                after_epoch()
                self.module.train()

    def _step(self, batches: Iterator[tuple[Any, Any]], micro_batches: int) -> tuple[dict[str, Tensor], Tensor]:
        """Train one step. The losses, summed over the micro-batches, and the gradient norm stay on the device."""
        engine = self.engine
        losses: dict[str, Tensor] = {}
        for micro in range(micro_batches):
            inputs, weights = next(batches)
            with engine.accumulating(self.module, last=micro == micro_batches - 1):
                with engine.autocast():
                    parts = weighted_losses(self.module(**self._on_device(inputs), **self._options), weights)
                engine.backward(sum(parts.values()) / micro_batches)
            losses = {name: losses.get(name, 0.0) + part.detach() for name, part in parts.items()}
        norm = engine.clip(self.module, self.optimizer, self.settings.max_grad_norm)
        self._failed += ~torch.isfinite(norm + sum(losses.values()))
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return losses, norm

    def read(self, step: int, losses: Mapping[str, Tensor], norm: Tensor) -> StepValues:
        """The losses and the gradient norm of a step, over all processes.

        Raises:
            ValueError: a loss or a norm since the last reading is not finite.
        """
        own = torch.stack([*losses.values(), self._failed.to(norm.dtype)]).cpu().double().numpy()
        *sums, failed = self.engine.sum(own).tolist()
        count = self.world * self.settings.gradient_accumulation_steps
        values = StepValues({name: total / count for name, total in zip(losses, sums, strict=True)}, float(norm))
        check_finite(step, *values, failed=failed > 0)
        return values

    def save(
        self,
        folder: Path,
        write_others: Callable[[Mapping[str, np.ndarray] | None], Callable[[Path], None]],
        optimizer: bool,
    ) -> None:
        """Write a checkpoint; all processes call this, the main one writes.

        Args:
            folder: its files are replaced in one step.
            write_others: takes the state of the optimizer and returns a function that writes the other files.
            optimizer: whether the state of the optimizer is written too, so that the run can be resumed from here.
        """
        weights = self.engine.weights(self.module)
        state = self.engine.optimizer_state(self.module, self.optimizer) if optimizer else None
        if self.is_main:
            arrays = {name: array_of(weights[key]) for name, key in self._keys.items()}
            named = ((p, arrays[p.name]) for p, _ in self.model.weights_by_name())
            items = [LazyTensor(p, FLOATS[array.dtype.name], partial(np.asarray, array)) for p, array in named]
            write_folder(folder, self.model.config, self.model.architecture(), items, write_others=write_others(state))
        self.engine.barrier()

    def load_optimizer(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore the state of the optimizer, by name."""
        self.engine.load_optimizer_state(self.module, self.optimizer, state)

    def _prepare(self, model: PreTrainedModel) -> None:
        """Freeze unused parameters, and copy the weights into memory of their own."""
        for parameter in model.parameters():
            # Loaded weights are memory maps. Kernels sum in another order at their unaligned addresses, so a resumed
            # run would differ in the last bit.
            parameter.data = parameter.data.clone()
        freeze_unused_parameters(model, self.settings.losses if self.settings.task == "pretrain" else None)
        if self.settings.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        self._keys = _keys(model)

    def _make_optimizer(self, model: PreTrainedModel) -> torch.optim.Optimizer:
        settings = self.settings
        return make_optimizer(model, settings.optimizer, settings.learning_rate, settings.weight_decay)

    def _batches(self, steps: Steps, first: int) -> Iterator[tuple[Any, Any]]:
        """The micro-batches of this process in the steps from `first` on."""
        parts = _MicroBatches(steps, self.engine.world, self.engine.rank)
        order = range(first * steps.gradient_accumulation_steps, steps.total * steps.gradient_accumulation_steps)
        workers = self.settings.workers
        return iter(
            DataLoader(
                parts,
                batch_size=None,
                sampler=order,
                num_workers=workers,
                collate_fn=_tensors,
                pin_memory=self.engine.device.type == "cuda",
            )
        )


class _MicroBatches(Dataset):
    """The micro-batches of all steps by number, for the loader's processes."""

    def __init__(self, steps: Steps, world: int, rank: int) -> None:
        self.steps, self.world, self.rank = steps, world, rank

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        step, micro = divmod(number, self.steps.gradient_accumulation_steps)
        inputs, weights = self.steps.micro_batch(step, micro, self.world, self.rank)
        return inputs, {name: float(rows[0]) for name, rows in weights.items()}


def _tensors(part: tuple[Any, Any]) -> tuple[Any, Any]:
    """Arrays as tensors, in memory that PyTorch has aligned."""

    def tensors(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: tensors(inner) for name, inner in value.items()}
        if isinstance(value, tuple):
            return tuple(tensors(inner) for inner in value)
        return torch.tensor(value)

    return tensors(part[0]), part[1]


def weighted_losses(output: Any, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The losses of an output by name, each times its weight; one that has no names is called `loss`."""
    if not getattr(output, "losses", None):
        return {"loss": output["loss"] * weights.get("loss", 1.0)}
    return {name: loss * weights[name] for name, loss in output.losses.items()}


def _keys(model: PreTrainedModel) -> dict[str, str]:
    """The key in the state dict of every parameter of the name table, by its name there."""
    keys = {id(tensor): key for key, tensor in model.named_parameters()}
    return {parameter.name: keys[id(tensor)] for parameter, tensor in model.weights_by_name()}

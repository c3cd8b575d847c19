"""Training a task model in PyTorch, in one process or in several; `lxmert.training.run` decides what and when."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lxmert.inference.bulk import PairModel
from lxmert.inference.pt import SplitEncoder
from lxmert.pt.named_weights import array_of
from lxmert.pt.pretrained import PreTrainedModel
from lxmert.training.schedule import rate_of_step
from lxmert.training.settings import Settings
from lxmert.training.steps import Steps, check_numbers, dropout_seed
from lxmert.training.tasks import TASKS
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.save_folder import LazyTensor, write_folder

from .engine import PRECISIONS, make_engine
from .optimizers import make_optimizer, set_rate
from .unused_parameters import freeze_unused_parameters

AfterStep = Callable[[int, Mapping[str, float], float, float | None], None]


class Runner:
    """Runs a task model, in one process or in several; its methods are those of the runner of the other backend.

    Args:
        settings: of the run that the model is from, or is to be.
        begin: makes the model, given its class and what the class takes.
    """

    _make_optimizer: Callable[[PreTrainedModel], torch.optim.Optimizer] | None = None

    def __init__(self, settings: Settings, begin: Callable[..., PreTrainedModel]):
        import lxmert.pt

        self.settings = settings
        # Only the losses of pre-training are read.
        self._left_out = {"prediction_logits": False} if settings.task == "pretrain" else {}
        self.engine = make_engine(settings.strategy, settings.precision, settings.device)
        torch.manual_seed(settings.seed)
        with _default(PRECISIONS[settings.precision]):  # loaded weights take it: a run goes on with all of their digits
            model = begin(getattr(lxmert.pt, TASKS[settings.task].architecture))
        self._ready(model)
        self.module, self.optimizer = self.engine.prepare(model, self._make_optimizer)
        self.model = self.engine.unwrap(self.module)

    @property
    def rank(self) -> int:
        """Which process this is."""
        return self.engine.rank

    @property
    def world(self) -> int:
        """How many processes share the batches."""
        return self.engine.world

    @property
    def devices(self) -> int:
        """How many processes or devices share the steps."""
        return self.engine.world

    @property
    def is_main(self) -> bool:
        """Whether this process writes what all share."""
        return self.engine.is_main

    def outputs(self, inputs: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        """Some outputs of the model in evaluation, by name, as arrays; `losses` as a dict of numbers."""
        self.module.eval()
        with torch.no_grad(), self.engine.autocast():  # inference mode leaves FSDP2 with weights that cannot be trained
            found = self.model(**self._on_device(inputs), **self._left_out)
        return {name: _plain(getattr(found, name)) for name in names}

    def gather(self, array: np.ndarray) -> np.ndarray:
        """The arrays of all processes, one after the other."""
        return self.engine.gather(array)

    def pair_model(self, head: str) -> PairModel | None:
        """The model taken apart, with one of its heads; None with FSDP2, where only the whole is gathered."""
        if self.engine.strategy == "fsdp":
            return None
        return SplitEncoder(self.model, getattr(self.model.heads, head), self.engine.autocast)

    def _ready(self, model: PreTrainedModel) -> None:
        """Change a model before it is wrapped."""

    def _on_device(self, inputs: Any) -> Any:
        """Arrays as tensors on the device, in memory of their own (see above), in the model's dtype."""
        if isinstance(inputs, Mapping):
            return {name: self._on_device(value) for name, value in inputs.items()}
        if isinstance(inputs, (tuple, list)):
            return tuple(self._on_device(value) for value in inputs)
        values = inputs if isinstance(inputs, Tensor) else torch.tensor(inputs)
        double = self.settings.precision == "float64" and values.is_floating_point()
        return values.to(self.engine.device, torch.float64 if double else values.dtype, non_blocking=True)


class Trainer(Runner):
    """Trains a task model.

    Args:
        settings: the run's.
        begin: makes the model, given its class and what the class takes.
        total: steps of the run.
    """

    def __init__(self, settings: Settings, begin: Callable[..., PreTrainedModel], total: int):
        self.total = total
        super().__init__(settings, begin)

    def run(
        self,
        steps: Steps,
        first: int,
        after_step: AfterStep,
        after_epoch: Callable[[], None],
        callbacks: Sequence[Any] = (),
    ) -> None:
        """Do the steps from `first` on.

        Args:
            steps: the steps of the run.
            first: the step to begin with, counted from 0.
            after_step: called after each, with its number from 1, its losses by name, the learning rate and the norm of
                the gradients.
            after_epoch: called after the steps of an epoch.
            callbacks: none; those of Keras.

        Raises:
            ValueError: a loss or the gradients are no numbers any more.
        """
        settings, engine = self.settings, self.engine
        self.module.train()
        batches = self._batches(steps, first)
        for step in range(first, steps.total):
            rate = rate_of_step(settings.learning_rate, step, steps.total, settings.warm_up)
            set_rate(self.optimizer, rate)
            torch.manual_seed(dropout_seed(settings.seed, step, engine.rank))
            losses: dict[str, Any] = {}
            for micro in range(steps.gradient_accumulation_steps):
                inputs, weights = next(batches)
                with engine.accumulating(self.module, last=micro == steps.gradient_accumulation_steps - 1):
                    with engine.autocast():
                        parts = weighted_losses(self.module(**self._on_device(inputs), **self._left_out), weights)
                    engine.backward(sum(parts.values()) / steps.gradient_accumulation_steps)
                losses = {name: losses.get(name, 0.0) + part.detach() for name, part in parts.items()}
            norm = engine.clip(self.module, self.optimizer, settings.max_grad_norm)
            told = engine.sum(np.array([float(loss) for loss in losses.values()]))
            told = told / (steps.gradient_accumulation_steps * engine.world)
            check_numbers(step, dict(zip(losses, told, strict=True)), norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            after_step(step + 1, dict(zip(losses, map(float, told), strict=True)), rate, norm)
            if (step + 1) % steps.per_epoch == 0:
                after_epoch()
                self.module.train()

    def save(
        self, folder: Path, beside: Callable[[Mapping[str, np.ndarray] | None], Callable[[Path], None]], optimizer: bool
    ) -> None:
        """Write a checkpoint; all processes call this, the main one writes.

        Args:
            folder: whose files change all at once.
            beside: gives what writes the other files of the checkpoint, from the state of the optimizer.
            optimizer: whether the run is to go on from here, and the state of the optimizer is written too.
        """
        weights = self.engine.weights(self.module)
        state = self.engine.optimizer_state(self.module, self.optimizer) if optimizer else None
        if self.is_main:
            arrays = {name: array_of(weights[key]) for name, key in self._keys.items()}
            named = ((p, arrays[p.name]) for p, _ in self.model.weights_by_name())
            items = [LazyTensor(p, FLOATS[array.dtype.name], partial(np.asarray, array)) for p, array in named]
            write_folder(folder, self.model.config, self.model.architecture(), items, beside=beside(state))
        self.engine.barrier()

    def load_optimizer(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on with the state of an optimizer, by name."""
        self.engine.load_optimizer_state(self.module, self.optimizer, state)

    def _ready(self, model: PreTrainedModel) -> None:
        """Freeze what no loss reaches, and give the weights memory of their own."""
        for parameter in model.parameters():
            # Loaded weights are a map of their file, where they lie as the file puts them; kernels add up in another
            # order there, and a run that goes on would differ in the last bit.
            parameter.data = parameter.data.clone()
        freeze_unused_parameters(model, self.settings.losses if self.settings.task == "pretrain" else None)
        if self.settings.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        self._keys = _keys(model)

    def _make_optimizer(self, model: PreTrainedModel) -> torch.optim.Optimizer:
        settings = self.settings
        return make_optimizer(model, settings.optimizer, settings.learning_rate, settings.weight_decay)

    def _batches(self, steps: Steps, first: int) -> Iterator[tuple[Any, Any]]:
        """The parts of the steps from `first` on that this process has."""
        parts = _Parts(steps, self.engine.world, self.engine.rank)
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


class _Parts(Dataset):
    """The parts of all steps by number, for the loader's processes."""

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


def shutdown_distributed() -> None:
    """Part from the other processes, after everything is done; see `Engine.close`."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()


def weighted_losses(output: Any, weights: Mapping[str, float]) -> dict[str, Tensor]:
    """The losses of an output by name, each times its weight; one that has no names is called `loss`."""
    if not getattr(output, "losses", None):
        return {"loss": output["loss"] * weights.get("loss", 1.0)}
    return {name: loss * weights[name] for name, loss in output.losses.items()}


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    """Make models in a dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def _keys(model: PreTrainedModel) -> dict[str, str]:
    """The key in the state dict of every parameter of the name table, by its name there."""
    keys = {id(tensor): key for key, tensor in model.named_parameters()}
    return {parameter.name: keys[id(tensor)] for parameter, tensor in model.weights_by_name()}


def _plain(value: Any) -> Any:
    """A tensor in NumPy, losses as numbers."""
    if isinstance(value, Mapping):
        return {name: float(loss) for name, loss in value.items()}
    return (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()

"""Training a task model in Keras by `model.fit`, on one device or several; `lxmert.training.run` decides what and when.

This file is for Keras on TensorFlow: `tf.data` feeds the model, `tf.distribute` shares a batch between devices.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from lxmert.inference.bulk import PairModel
from lxmert.inference.tf import SplitEncoder
from lxmert.tf.named_weights import turned
from lxmert.tf.pretrained import PreTrainedModel
from lxmert.training.schedule import rate_of_step
from lxmert.training.settings import Settings
from lxmert.training.steps import Steps, check_numbers
from lxmert.training.tasks import TASKS
from lxmert.utils.messages import first_few
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.save_folder import LazyTensor, write_folder

from .optimizers import LinearWarmUp, load_optimizer_state, make_optimizer, optimizer_state
from .unused_parameters import freeze_unused_parameters

AfterStep = Callable[[int, Mapping[str, float], float, float | None], None]

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float64": "float64"}
_LABELS = ("labels", "obj_labels", "matched_label", "ans")


class Runner:
    """Runs a task model, on one device or several; its methods are those of the runner of the other backend.

    Args:
        settings: of the run that the model is from, or is to be.
        begin: makes the model, given its class and what the class takes.
    """

    def __init__(self, settings: Settings, begin: Callable[..., PreTrainedModel]):
        import lxmert.tf

        self.settings = settings
        # Only the losses of pre-training are read.
        self._left_out = {"prediction_logits": False} if settings.task == "pretrain" else {}
        self.strategy = make_strategy(settings.strategy, settings.device)
        keras.utils.set_random_seed(settings.seed)
        with self.strategy.scope():
            kind = getattr(lxmert.tf, "TF" + TASKS[settings.task].architecture)
            self.model = begin(kind, dtype=_POLICIES[settings.precision])
            self._ready(self.model)
        self._graphs: dict[tuple[str, ...], Any] = {}

    @property
    def rank(self) -> int:
        """Which process this is: there is one."""
        return 0

    @property
    def world(self) -> int:
        """How many processes share the batches of an evaluation."""
        return 1

    @property
    def devices(self) -> int:
        """How many processes or devices share the steps."""
        return int(self.strategy.num_replicas_in_sync)

    @property
    def is_main(self) -> bool:
        """Whether this process writes what all share."""
        return True

    def outputs(self, inputs: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
        """Some outputs of the model in evaluation, by name, as arrays; `losses` as a dict of numbers."""
        if names not in self._graphs:

            def run(inputs: Any) -> dict[str, Any]:
                found = self.model(inputs, training=False, return_dict=True, **self._left_out)
                return {name: getattr(found, name) for name in names}

            self._graphs[names] = tf.function(run)
        found = self._graphs[names](keras.tree.map_structure(self._wide, dict(inputs)))
        return {name: _plain(value) for name, value in found.items()}

    def gather(self, array: np.ndarray) -> np.ndarray:
        """The arrays of all processes, one after the other: there is one process."""
        return array

    def pair_model(self, head: str) -> PairModel | None:
        """The model taken apart, with one of its heads."""
        return SplitEncoder(self.model, getattr(self.model.heads, head))

    def _ready(self, model: PreTrainedModel) -> None:
        """Change a model where its devices are known."""

    def _wide(self, values: np.ndarray) -> np.ndarray:
        """Numbers in the model's format: its variables', which are not narrowed in mixed precision."""
        return values.astype(self.model.variable_dtype) if values.dtype.kind == "f" else values


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
            after_step: called after each, with its number from 1, its losses by name, the learning rate, and None for
                the norm of the gradients, which stays inside Keras' optimizer.
            after_epoch: called after the steps of an epoch.
            callbacks: of Keras.

        Raises:
            ValueError: a loss is no number any more.
        """
        # A run that goes on within an epoch does the rest of it first: `fit` knows whole epochs only.
        broken_off = first % steps.per_epoch
        spans = [(first, first - broken_off + steps.per_epoch)] if broken_off else []
        spans.append((spans[0][1] if spans else first, steps.total))
        for begin, end in spans:
            if begin < end and not self.model.stop_training:
                self._fit(steps, begin, end, after_step, after_epoch, callbacks)

    def save(
        self, folder: Path, beside: Callable[[Mapping[str, np.ndarray] | None], Callable[[Path], None]], optimizer: bool
    ) -> None:
        """Write a checkpoint.

        Args:
            folder: whose files change all at once.
            beside: gives what writes the other files of the checkpoint, from the state of the optimizer.
            optimizer: whether the run is to go on from here, and the state of the optimizer is written too.
        """
        model = self.model
        state = None
        if optimizer:
            draws = {f"{_DRAWS}{i}": ops.convert_to_numpy(draw.state) for i, draw in enumerate(self._generators())}
            state = {**optimizer_state(model, model.optimizer), **draws}
        arrays = {p.name: np.ascontiguousarray(turned(p, ops.convert_to_numpy(w))) for p, w in model.weights_by_name()}
        spoiled = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if spoiled:
            raise ValueError(
                f"training stopped: {first_few(spoiled)} hold no numbers any more. {folder} is from before."
            )
        named = ((p, arrays[p.name]) for p, _ in model.weights_by_name())
        items = [LazyTensor(p, FLOATS[array.dtype.name], partial(np.asarray, array)) for p, array in named]
        write_folder(folder, model.config, model.architecture(), items, beside=beside(state))

    def load_optimizer(self, state: Mapping[str, np.ndarray]) -> None:
        """Go on with the state of an optimizer, by name, and with the draws of dropout."""
        for i, generator in enumerate(self._generators()):
            generator.state.assign(np.asarray(state[f"{_DRAWS}{i}"]).astype(generator.state.dtype))
        own = {name: array for name, array in state.items() if not name.startswith(_DRAWS)}
        load_optimizer_state(self.model, self.model.optimizer, own)

    def _ready(self, model: PreTrainedModel) -> None:
        """Freeze what no loss reaches, and compile."""
        freeze_unused_parameters(model, self.settings.losses if self.settings.task == "pretrain" else None)
        if self.settings.gradient_checkpointing:
            model.gradient_checkpointing_enable()
        model.compile(self._make_optimizer(model))

    def _make_optimizer(self, model: PreTrainedModel) -> keras.optimizers.Optimizer:
        settings = self.settings
        schedule = LinearWarmUp(
            settings.learning_rate,
            self.total,
            settings.warm_up,
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
        )
        return make_optimizer(
            model,
            settings.optimizer,
            schedule,
            settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
        )

    def _generators(self) -> list[Any]:
        """What dropout draws from, in the order of the layers."""
        layers = self.model._flatten_layers()
        return [layer.seed_generator for layer in layers if getattr(layer, "seed_generator", None) is not None]

    def _fit(
        self,
        steps: Steps,
        begin: int,
        end: int,
        after_step: AfterStep,
        after_epoch: Callable[[], None],
        callbacks: Sequence[Any],
    ) -> None:
        """Do the steps from `begin` to before `end`: a part of one epoch, or whole epochs."""
        failures: list[BaseException] = []
        whole = min(steps.per_epoch, end - begin)
        watcher = _Watcher(self, steps, begin, after_step, after_epoch)
        try:
            self.model.fit(
                self._batches(steps, begin, end, failures),
                steps_per_epoch=whole * steps.gradient_accumulation_steps,
                initial_epoch=begin // steps.per_epoch,
                epochs=-(-end // steps.per_epoch),
                shuffle=False,
                verbose=0,
                callbacks=[watcher, *callbacks],
            )
        except tf.errors.OpError:
            if failures:  # TensorFlow tells a traceback in a text; this is what happened
                raise failures[0] from None
            raise

    def _batches(self, steps: Steps, begin: int, end: int, failures: list[BaseException]) -> tf.data.Dataset:
        """The parts of the steps from `begin` to before `end`, as `fit` takes them."""
        replicas = self.strategy.num_replicas_in_sync

        def part(number: int) -> tuple[Any, ...]:
            step, micro = divmod(number, steps.gradient_accumulation_steps)
            inputs, weights = steps.micro_batch(step, micro, replicas)
            labels = {name: inputs.pop(name) for name in _LABELS if name in inputs}
            return keras.tree.map_structure(self._wide, (inputs, labels, weights) if weights else (inputs, labels))

        def parts() -> Iterator[tuple[Any, ...]]:
            try:
                for number in range(begin * steps.gradient_accumulation_steps, end * steps.gradient_accumulation_steps):
                    yield part(number)
            except Exception as error:
                failures.append(error)
                raise

        signature = keras.tree.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype), part(begin * steps.gradient_accumulation_steps)
        )
        dataset = tf.data.Dataset.from_generator(parts, output_signature=signature).prefetch(2)
        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return dataset.with_options(options)


class _Watcher(keras.callbacks.Callback):
    """Tells what `fit` has done, step by step."""

    def __init__(
        self,
        trainer: Trainer,
        steps: Steps,
        begin: int,
        after_step: AfterStep,
        after_epoch: Callable[[], None],
    ):
        super().__init__()
        self.trainer, self.steps, self.batch = trainer, steps, begin * steps.gradient_accumulation_steps
        self.after_step, self.after_epoch = after_step, after_epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Let the losses be those of one step; Keras gives their means since the epoch began."""
        if self.batch % self.steps.gradient_accumulation_steps == 0:
            self.trainer.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Tell of a step after its last part."""
        self.batch += 1
        step, rest = divmod(self.batch, self.steps.gradient_accumulation_steps)
        if rest:
            return
        losses = {name: float(value) for name, value in (logs or {}).items()}
        if len(losses) > 1:
            losses.pop("loss", None)  # the sum of the others
        settings, steps = self.trainer.settings, self.steps
        rate = rate_of_step(settings.learning_rate, step - 1, steps.total, settings.warm_up)
        check_numbers(step - 1, losses)
        self.after_step(step, losses, rate, None)
        if step % steps.per_epoch == 0:
            self.after_epoch()


def shutdown_distributed() -> None:
    """Part from the other processes: there is one."""


_DRAWS = "draws."  # before the number of a layer with dropout, in the state of a checkpoint


def make_strategy(name: str, device: str) -> Any:
    """What shares a batch between devices: all of the kind wanted, one copy of the model on each.

    Args:
        name: "auto" (all GPUs there are, or one processor), "single", or "mirrored".
        device: "auto", "cpu" or "cuda".

    Raises:
        ValueError: a strategy of PyTorch, or devices that are not there.
    """
    if name in ("ddp", "fsdp"):
        raise ValueError(f'strategy {name!r} is PyTorch\'s; with Keras it is "auto", "single" or "mirrored".')
    cards = [] if device == "cpu" else tf.config.list_logical_devices("GPU")
    if device == "cuda" and not cards:
        raise ValueError("device must be one that is there; TensorFlow finds no GPU. Give device cpu.")
    devices = cards or tf.config.list_logical_devices("CPU")
    if name == "mirrored" or (name == "auto" and len(cards) > 1):
        return _mirrored(tuple(found.name for found in devices))
    return tf.distribute.OneDeviceStrategy(devices[0].name) if device == "cpu" else tf.distribute.get_strategy()


@cache
def _mirrored(devices: tuple[str, ...]) -> Any:
    """One strategy for all models of a process: a second one numbers what its devices exchange as the first one does,
    and TensorFlow then takes the tensors of one model for the other's.
    """
    return tf.distribute.MirroredStrategy(list(devices))


def _plain(value: Any) -> Any:
    """A tensor in NumPy, losses as numbers."""
    if isinstance(value, Mapping):
        return {name: float(loss) for name, loss in value.items()}
    return ops.convert_to_numpy(ops.cast(value, "float32") if value.dtype == "bfloat16" else value)

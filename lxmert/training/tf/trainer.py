"""Training a task model in Keras by `model.fit`, on the devices of one process or of several.

`lxmert.training.run` decides what and when.
This file is for Keras on TensorFlow: `tf.data` feeds the model, `tf.distribute` shares a batch between devices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import lxmert.tf
from lxmert.common.specs import SPECS
from lxmert.inference.bulk import PairModel
from lxmert.inference.tf import SplitEncoder
from lxmert.tf._compat import flatten_layers
from lxmert.tf.named_weights import to_torch_layout
from lxmert.tf.pretrained import PreTrainedModel
from lxmert.training.schedule import rate_of_step
from lxmert.training.settings import Settings
from lxmert.training.steps import AfterStep, Steps, StepValues, check_finite
from lxmert.training.tasks import model_class_name
from lxmert.utils.messages import first_few
from lxmert.weights.formats.raw_io import FLOATS
from lxmert.weights.save_folder import LazyTensor, write_folder

from .batches import micro_batches
from .optimizers import load_optimizer_state, make_optimizer, optimizer_state
from .schedule import LinearWarmUp
from .strategy import make_strategy, place_of_process
from .unused_parameters import freeze_unused_parameters

_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float64": "float64"}


class Evaluator:
    """Evaluates a task model, on one device or several; the other backend has the same methods.

    Args:
        settings: of the run that the model is from, or is to be.
        make_model: makes the model, given its class and its dtype.
    """

    def __init__(self, settings: Settings, make_model: Callable[[Any, Any], PreTrainedModel]):
        self.settings = settings
        self.architecture = model_class_name(settings)
        # Training reads only the losses of pre-training.
        self._options = {"prediction_logits": False} if self.architecture == "LxmertForPreTraining" else {}
        self.strategy = make_strategy(settings.strategy, settings.device)
        self.devices = int(self.strategy.num_replicas_in_sync)
        self.rank, self.world = place_of_process(self.strategy)
        self.is_main = self.rank == 0
        keras.utils.set_random_seed(settings.seed)
        with self.strategy.scope():
            self.model = make_model(getattr(lxmert.tf, f"TF{self.architecture}"), _POLICIES[settings.precision])
            self._prepare(self.model)
        self._forward: Any = None  # the traced function of an evaluation
        self.gather(np.zeros(1))  # no process goes on before all are here: they look into the folder of the run first

    def scores(self, inputs: Mapping[str, Any]) -> np.ndarray:
        """The scores of the classes in evaluation, [B, classes]."""
        scores = self._outputs(inputs)
        return ops.convert_to_numpy(ops.cast(scores, "float32") if scores.dtype == "bfloat16" else scores)

    def losses(self, inputs: Mapping[str, Any]) -> dict[str, float]:
        """The losses of pre-training in evaluation, by name."""
        return {name: float(loss) for name, loss in self._outputs(inputs).items()}

    def _outputs(self, inputs: Mapping[str, Any]) -> Any:
        """The losses of pre-training by name, or the scores of another task."""
        if self._forward is None:
            name = "losses" if self.settings.task == "pretrain" else SPECS[self.architecture].scores

            def forward(inputs: Any) -> Any:
                return getattr(self.model(inputs, training=False, return_dict=True, **self._options), name)

            self._forward = tf.function(forward)
        return self._forward(keras.tree.map_structure(self._cast, dict(inputs)))

    def gather(self, array: np.ndarray) -> np.ndarray:
        """Concatenate the arrays of all processes."""
        if self.world == 1:
            return array
        copies = self.strategy.gather(self.strategy.run(lambda: tf.constant(array[None])), axis=0)  # one of each device
        return np.concatenate(copies.numpy()[:: self.devices // self.world])

    def pair_model(self, head: str) -> PairModel | None:
        """The model split into encoders, with one of its heads; None for VisualBERT, which reads one sequence."""
        if self.settings.architecture != "lxmert":
            return None
        return SplitEncoder(self.model, getattr(self.model.heads, head))

    def _prepare(self, model: PreTrainedModel) -> None:
        """Change a model where its devices are known."""

    def _cast(self, values: np.ndarray) -> np.ndarray:
        """Floating-point numbers in the dtype of the model's variables, which mixed precision keeps wide."""
        return values.astype(self.model.variable_dtype) if values.dtype.kind == "f" else values


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
            after_step: see `AfterStep`. The norm of the gradients stays inside Keras' optimizer.
            after_epoch: called after the steps of an epoch.
            callbacks: of Keras.

        Raises:
            ValueError: a loss is not finite.
        """
        # A run that is resumed within an epoch finishes it first: `fit` trains full epochs only.
        full_epochs = -(-first // steps.per_epoch) * steps.per_epoch
        for start, end in ((first, full_epochs), (full_epochs, steps.total)):
            if start < end and not self.model.stop_training:
                self._fit(steps, start, end, after_step, after_epoch, callbacks)

    def read(self, step: int, logs: Mapping[str, Any]) -> StepValues:
        """The losses and the gradient norm of a step.

        Raises:
            ValueError: a loss is not finite.
        """
        losses = {name: float(value) for name, value in logs.items()}
        if len(losses) > 1:
            losses.pop("loss", None)  # the sum of the others
        check_finite(step, losses)
        return StepValues(losses, None)

    def save(
        self,
        folder: Path,
        write_others: Callable[[Mapping[str, np.ndarray] | None], Callable[[Path], None]],
        optimizer: bool,
    ) -> None:
        """Write a checkpoint.

        Args:
            folder: its files are replaced in one step.
            write_others: takes the state of the optimizer and returns a function that writes the other files.
            optimizer: whether the state of the optimizer is written too, so that the run can be resumed from here.
        """
        model = self.model
        state = None
        if optimizer:
            draws = {f"{_DRAWS}{i}": ops.convert_to_numpy(draw.state) for i, draw in enumerate(self._generators())}
            state = {**optimizer_state(model, model.optimizer), **draws}
        named = ((p, ops.convert_to_numpy(w)) for p, w in model.weights_by_name())
        arrays = {p.name: np.ascontiguousarray(to_torch_layout(p, values)) for p, values in named}
        bad = [name for name, array in arrays.items() if not np.isfinite(array).all()]
        if bad:
            raise ValueError(f"training stopped: {first_few(bad)} are not finite. {folder} is from before.")
        if not self.is_main:
            return
        named = ((p, arrays[p.name]) for p, _ in model.weights_by_name())
        items = [LazyTensor(p, FLOATS[array.dtype.name], partial(np.asarray, array)) for p, array in named]
        write_folder(folder, model.config, model.architecture(), items, write_others=write_others(state))

    def load_optimizer(self, state: Mapping[str, np.ndarray]) -> None:
        """Restore the state of the optimizer, by name, and of the random generators of dropout."""
        generators = self._generators()
        missing = [name for i in range(len(generators)) if (name := f"{_DRAWS}{i}") not in state]
        if missing:
            raise ValueError(f"the state of the optimizer has no {first_few(missing)}: a run of Keras writes them.")
        for i, generator in enumerate(generators):
            generator.state.assign(np.asarray(state[f"{_DRAWS}{i}"]).astype(generator.state.dtype))
        own = {name: array for name, array in state.items() if not name.startswith(_DRAWS)}
        load_optimizer_state(self.model, self.model.optimizer, own)

    def _prepare(self, model: PreTrainedModel) -> None:
        """Freeze unused parameters, and compile."""
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
        """The random generators of dropout, in the order of the layers."""
        layers = flatten_layers(self.model)
        return [layer.seed_generator for layer in layers if getattr(layer, "seed_generator", None) is not None]

    def _fit(
        self,
        steps: Steps,
        start: int,
        end: int,
        after_step: AfterStep,
        after_epoch: Callable[[], None],
        callbacks: Sequence[Any],
    ) -> None:
        """Train the steps from `start` to `end`, exclusive: a part of one epoch, or full epochs."""
        failures: list[BaseException] = []
        count = min(steps.per_epoch, end - start)
        calls = _StepCallback(self, steps, start, after_step, after_epoch)
        try:
            self.model.fit(
                self._batches(steps, start, end, failures),
                steps_per_epoch=count * steps.gradient_accumulation_steps,
                initial_epoch=start // steps.per_epoch,
                epochs=-(-end // steps.per_epoch),
                shuffle=False,
                verbose=0,
                callbacks=[calls, *callbacks],
            )
        except tf.errors.OpError:
            if failures:  # TensorFlow keeps only the text of this error
                raise failures[0] from None
            raise

    def _batches(self, steps: Steps, start: int, end: int, failures: list[BaseException]) -> Any:
        """The micro-batches of the steps from `start` to `end`, exclusive, for `fit`."""
        count = steps.gradient_accumulation_steps
        labels = tuple(SPECS[self.architecture].labels)
        return micro_batches(steps, range(start * count, end * count), self.strategy, labels, self._cast, failures)


class _StepCallback(keras.callbacks.Callback):
    """Calls `after_step` and `after_epoch` of a run."""

    def __init__(
        self,
        trainer: Trainer,
        steps: Steps,
        start: int,
        after_step: AfterStep,
        after_epoch: Callable[[], None],
    ):
        super().__init__()
        self.trainer, self.steps, self.batch = trainer, steps, start * steps.gradient_accumulation_steps
        self.after_step, self.after_epoch = after_step, after_epoch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Reset the losses for each step; Keras averages them since the start of the epoch."""
        if self.batch % self.steps.gradient_accumulation_steps == 0:
            self.trainer.model.reset_metrics()

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Call `after_step` after the last micro-batch of a step."""
        self.batch += 1
        step, rest = divmod(self.batch, self.steps.gradient_accumulation_steps)
        if rest:
            return
        settings, steps = self.trainer.settings, self.steps
        rate = rate_of_step(settings.learning_rate, step - 1, steps.total, settings.warm_up)
        self.after_step(step, rate, partial(self.trainer.read, step, logs or {}))
        if step % steps.per_epoch == 0:
            self.after_epoch()


_DRAWS = "draws."  # before the number of a layer with dropout, in the state of a checkpoint

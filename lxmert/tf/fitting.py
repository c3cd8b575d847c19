"""Keras' `compile`, `fit`, `evaluate` and `predict` for models with a loss of their own.

Separate from the models, because it does not change what they compute.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.common.config.base import ModelConfig
from lxmert.common.outputs import ModelOutput
from lxmert.common.specs import ModelSpec, spec_of, value_ranges
from lxmert.common.tokenizer import BatchEncoding
from lxmert.common.validation.shared import check_scores
from lxmert.utils.messages import check_keywords

from ._compat import register_structure
from .losses import check_boxes, check_values

register_structure(BatchEncoding, BatchEncoding)


def _weighted(output: Any, weights: Mapping[str, Any] | None) -> dict[str, Any]:
    """The losses of an output by name, each times the mean of its weights; one that has no names is called `loss`."""
    losses = getattr(output, "losses", None) or {"loss": output["loss"]}
    if weights is None:
        return dict(losses)
    return {name: loss * ops.cast(ops.mean(weights[name]), loss.dtype) for name, loss in losses.items()}


class InternalLossMixin(keras.Model):
    """A model that trains on its own loss when it is compiled without one.

    - `compile(optimizer)`: the labels are in the input dict under their argument names, or come as `y`: a dict of
      them, or only the answers for a question-answering model. Metrics compare each label with its scores.
      Losses that average over labels take weights by name as `sample_weight`: {"words": [B], ...}; each loss is
      multiplied by the mean of its weights.
    - `compile(optimizer, loss=...)`: `y` is the target of that loss, which compares it with the model's scores
      (`question_answering_score`, `prediction_logits`, `logits`, `pooled_output`, `pooler_output`), or, if it is a
      dict, with the outputs of the same names.
    """

    config: ModelConfig

    # The means of the losses by name, and which of them are reported. Hidden from Keras' saving.
    _loss_means: dict[str, keras.metrics.Mean] = {}
    _reported_losses: tuple[str, ...] = ()
    _has_metrics = False
    _traced_config: int | None = None  # the hash of the configuration that the traced functions have read

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Keras' `compile`."""
        super().compile(*args, **kwargs)
        given = inspect.signature(super().compile).bind(*args, **kwargs).arguments
        self._has_metrics |= given.get("metrics") is not None or given.get("weighted_metrics") is not None
        means = {name: keras.metrics.Mean(name) for name in self.spec().losses}
        object.__setattr__(self, "_loss_means", means)

    def compile_from_config(self, config: Any) -> None:
        """Compile a model that was saved compiled; Keras does not do it if `compile` is overridden."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None:
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[Any]:
        """Keras' metrics, and the means of the losses that are reported."""
        return [*super().metrics, *(self._loss_means[name] for name in self._reported_losses)]

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels that the model's own loss reads."""
        return tuple(self.spec().labels)

    @property
    def prediction_name(self) -> str:
        """The output that a compiled loss is compared with."""
        return self.spec().scores

    def fit(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras' `fit`; it checks ids and labels in arrays first."""
        self._check_arrays(x, y)
        with self._reset_graphs_on_error():
            return super().fit(x, y, *args, **kwargs)

    def evaluate(self, x: Any = None, y: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Keras' `evaluate`; it checks ids and labels in arrays first."""
        self._check_arrays(x, y)
        with self._reset_graphs_on_error():
            return super().evaluate(x, y, *args, **kwargs)

    def predict(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Keras' `predict`; it checks ids in arrays first."""
        self._check_arrays(x, None)
        with self._reset_graphs_on_error():
            return super().predict(x, *args, **kwargs)

    def train_step(self, data: Any) -> Any:
        """One step of `fit`."""
        with warnings.catch_warnings():
            # A head whose label is not given gets no gradient: that is expected.
            warnings.filterwarnings("ignore", message="Gradients do not exist for variables")
            return super().train_step(self._with_labels(data, losses_only=True))

    def test_step(self, data: Any) -> Any:
        """One step of `evaluate`."""
        return super().test_step(self._with_labels(data))

    def predict_step(self, data: Any) -> Any:
        """One step of `predict`. The loss of labels in the input dict is left out."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        out = super().predict_step((self._with_fields(x),))
        # A subclass may return something else.
        return dataclasses.replace(out, **{"loss": None}) if isinstance(out, ModelOutput) and "loss" in out else out

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """The compiled loss, or without one the model's own.

        Under `tf.distribute` it is divided by the number of replicas, because Keras sums the losses of the replicas.
        """
        if not isinstance(y_pred, ModelOutput):  # of a subclass: as of any Keras model
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        if self.loss is not None:
            if y is None:
                raise ValueError(
                    f"{type(self).__name__} was compiled with a loss, which reads its labels from y; got no y. "
                    "Pass y, or compile without a loss to train on the labels in the input dict."
                )
            return super().compute_loss(x, y, self._prediction(y, y_pred), sample_weight, training)
        if not self.label_names:
            raise ValueError(f"{type(self).__name__} has no loss of its own. Compile it with loss=...")
        if "loss" not in y_pred:
            raise ValueError(
                f"{type(self).__name__} was compiled without a loss, and the data holds no labels to train on. Put "
                f"{' or '.join(self.label_names)} into the input dict or pass them as y, or compile with loss=..."
            )
        replicas = getattr(getattr(self, "distribute_strategy", None), "num_replicas_in_sync", 1)
        loss = sum(_weighted(y_pred, sample_weight).values()) if sample_weight else y_pred["loss"]
        loss = loss + sum(self.losses)
        return loss if replicas == 1 else loss / replicas

    def compute_metrics(self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        """The loss and the compiled metrics; labels in the input dict are their targets."""
        if not isinstance(y_pred, ModelOutput):
            return super().compute_metrics(x, y, y_pred, sample_weight)
        if y is None:
            targets = self._targets(x)
            y = targets.get(self.prediction_name) if len(self.label_names) == 1 else targets
        if self.loss is None:
            if getattr(y_pred, "losses", None):
                weighted = _weighted(y_pred, sample_weight)
                self._reported_losses = tuple(weighted)
                for name, loss in weighted.items():
                    self._loss_means[name].update_state(loss)
            sample_weight = None
        return super().compute_metrics(x, y, self._prediction(y, y_pred), sample_weight)

    def _with_labels(self, data: Any, losses_only: bool = False) -> Any:
        """Move `y` into the inputs, where the model's own loss reads it.

        `losses_only` skips the scores of all words, which only compiled metrics read. (XLA needs static shapes, so it
        computes everything.)
        """
        if not self.takes_inputs_by_name():
            return data
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        x = self._with_fields(x)
        if losses_only and self.loss is None and not self._has_metrics and not self.jit_compile:
            x |= {"prediction_logits": False} if "prediction_logits" in self.keywords() else {}
        if self.loss is not None or not self.label_names:
            return x, y, sample_weight
        weights = sample_weight if isinstance(sample_weight, Mapping) else None
        if sample_weight is not None and weights is None:
            raise ValueError(
                "sample_weight and class_weight need a compiled loss: the model's own loss does not read them. "
                "Use compile(loss=...)."
            )
        if y is None:
            return (x,) if weights is None else (x, None, weights)
        if not isinstance(y, Mapping):
            if len(self.label_names) != 1:
                raise ValueError(f"y must be a dict of {', '.join(self.label_names)}; got {type(y).__name__}.")
            y = {self.label_names[0]: y}
        twice = [name for name in y if x.get(name) is not None]
        if twice:
            raise ValueError(f"{twice[0]} is given twice: in the input dict, and as y.")
        check_keywords(f"y of {type(self).__name__}", y, (*self.label_names, *self.spec().label_aliases))
        return ({**x, **y},) if weights is None else ({**x, **y}, None, weights)

    def _with_fields(self, x: Any) -> Any:
        """The inputs by name, and `return_dict=True`; as they are for a subclass that takes others."""
        if not self.takes_inputs_by_name():
            return x
        options = {"return_dict": True} if "return_dict" in self.keywords() else {}
        return {**self.by_name(x if isinstance(x, (Mapping, list, tuple)) else [x]), **options}

    @contextmanager
    def _reset_graphs_on_error(self) -> Iterator[None]:
        """Drop the traced functions of a call that failed: they would fail again on valid data.

        Those of a configuration that has changed since are dropped too.
        """
        if self._traced_config not in (None, hash(self.config)):
            self.train_function = self.test_function = self.predict_function = None
        self._traced_config = hash(self.config)
        try:
            yield
        except BaseException:
            self.train_function = self.test_function = self.predict_function = None
            raise

    def _check_arrays(self, x: Any, y: Any) -> None:
        """Refuse ids and labels out of range, and NaN, in arrays; warn of boxes in pixels: graphs see no values."""
        if not isinstance(x, (Mapping, list, tuple)) or not self.takes_inputs_by_name():
            return
        given = self.by_name(x)
        if y is not None and self.loss is None and self.label_names:
            given |= y if isinstance(y, Mapping) else {self.label_names[0]: y}
        arrays = {name: values for name, values in given.items() if isinstance(values, np.ndarray)}
        shapes = {name: values.shape for name, values in arrays.items()}
        for name, allowed in value_ranges(self.config, self.architecture(), shapes).items():
            if name in arrays and arrays[name].dtype.kind in "iu":
                check_values(name, arrays[name], allowed)
        if "visual_pos" in arrays:
            check_boxes(self, arrays["visual_pos"])
        for name in ("visual_feats", "visual_embeds", "visual_pos"):
            rows = arrays.get(name)
            if rows is not None and rows.size and not np.isfinite([rows.min(), rows.max()]).all():
                row = int(np.argwhere(~np.isfinite(rows))[0, 0])
                raise ValueError(f"{name} must be finite; row {row}, from 0, has NaN or infinite numbers.")
        for name in self.spec().score_labels:
            rows = arrays.get(name)
            if rows is not None and rows.dtype.kind == "f" and rows.ndim > 1 and rows.size:
                check_scores(name, float(rows.min()), float(rows.max()))

    def _targets(self, x: Mapping[str, Any]) -> dict[str, Any]:
        """The labels among the inputs, by the output that metrics compare each with."""
        aliases = {name: alias for alias, name in self.spec().label_aliases.items()}
        targets = {}
        for loss in self.spec().losses.values():
            given = x.get(loss.label) if x.get(loss.label) is not None else x.get(aliases.get(loss.label, ""))
            if loss.scores is not None and given is not None:
                targets[loss.scores] = given
        return targets

    def _prediction(self, y: Any, y_pred: Any) -> Any:
        """The part of the outputs that `y` is compared with."""
        if isinstance(y, Mapping):
            return {name: y_pred[name] for name in y if name in y_pred}
        if self.prediction_name not in y_pred:
            raise ValueError(
                f"{type(self).__name__} returns {', '.join(y_pred.keys())} and no {self.prediction_name}, which a "
                "compiled loss is compared with. Compile a dict of losses, one for each output by name, and pass y "
                "likewise."
            )
        return y_pred[self.prediction_name]

    @classmethod
    def architecture(cls) -> str:
        """The model's class name without the prefix TF."""
        raise NotImplementedError

    @classmethod
    def takes_inputs_by_name(cls) -> bool:
        """Whether `call` has the arguments of this package."""
        raise NotImplementedError

    @classmethod
    def spec(cls) -> ModelSpec:
        """The row of this class in the table of specs."""
        return spec_of(cls.architecture())

    def by_name(self, inputs: Any) -> dict[str, Any]:
        """Inputs that came as one dict, or as a list in order, by name."""
        raise NotImplementedError

    @classmethod
    def keywords(cls) -> tuple[str, ...]:
        """The argument names of `call`, in order, without `training`."""
        raise NotImplementedError

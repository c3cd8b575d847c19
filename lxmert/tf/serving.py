"""Writing a model for serving, as a SavedModel that answers without this package.

Separate from the models, because PyTorch has no counterpart: `torch.export` writes one graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain, combinations, product
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from lxmert.common.outputs import ModelOutput
from lxmert.common.specs import Input, input_shapes, value_ranges

Specs = dict[str, tf.TensorSpec]


def write_saved_model(model: Any, filepath: str | Path, verbose: bool | None = None) -> None:
    """Write a SavedModel with two endpoints, of any batch size, length and number of regions.

    `serve` takes a dict of the inputs. Masks and token types may be absent, and integers may be int32 or int64, all
    alike. As a signature of TensorFlow Serving, where no input can be absent, it takes all of them as int32;
    `without_masks` takes those that cannot be absent.

    Args:
        model: a model of this package.
        filepath: the folder to write.
        verbose: whether to print the endpoints; Keras' default.
    """
    inputs = input_shapes(model.config, model.architecture())
    defaults = _defaults(model, inputs)
    every = {name: _spec(name, given, model.variable_dtype) for name, given in inputs.items()}
    needed = {name: spec for name, spec in every.items() if name not in defaults}

    def answer(given: Mapping[str, Any]) -> Any:
        outputs = model(given, **model.plain_options())
        return dict(outputs.items()) if isinstance(outputs, ModelOutput) else outputs

    answer = tf.function(answer, input_signature=[every], autograph=False)  # traced once, for all of the following

    def serve(given: Mapping[str, Any]) -> Any:
        sizes = _sizes(inputs, given)
        filled = {name: tf.fill([sizes.get(a, a) for a in inputs[name].axes], v) for name, v in defaults.items()}
        return answer({name: tf.cast({**filled, **given}[name], spec.dtype) for name, spec in every.items()})

    served = tf.function(serve, autograph=False)
    for given in _variants(every, tuple(defaults)):  # the first is that of the signature
        served.get_concrete_function(given)
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", served)
    archive.add_endpoint("without_masks", serve, [needed])
    archive.write_out(str(filepath), verbose=True if verbose is None else verbose)


def _spec(name: str, given: Input, dtype: str) -> tf.TensorSpec:
    """The dtype and the shape of an input; an axis of any size has None."""
    shape = [None if isinstance(axis, str) else axis for axis in given.axes]
    return tf.TensorSpec(shape, dtype if given.kind == "float" else "int32", name)


def _defaults(model: Any, inputs: Mapping[str, Input]) -> dict[str, int]:
    """The values of the inputs that may be absent."""
    ranges = value_ranges(model.config, model.architecture())
    given = {name: each.default for name, each in inputs.items() if each.default is not None}
    return {name: min(value, ranges[name].end - 1) if name in ranges else value for name, value in given.items()}


def _sizes(inputs: Mapping[str, Input], given: Mapping[str, Any]) -> dict[Any, Any]:
    """The sizes of the axes of the inputs that are given, by their letters."""
    axes = ((name, i, axis) for name in given for i, axis in enumerate(inputs[name].axes))
    return {axis: tf.shape(given[name])[i] for name, i, axis in axes if isinstance(axis, str)}


def _variants(every: Specs, optional: tuple[str, ...]) -> Iterator[Specs]:
    """What may be given: all inputs or some, with integers of 32 bits or of 64."""
    absent = chain.from_iterable(combinations(optional, count) for count in range(len(optional) + 1))
    for names, dtype in product(absent, ("int32", "int64")):
        yield {name: _as_integer(spec, dtype) for name, spec in every.items() if name not in names}


def _as_integer(spec: tf.TensorSpec, dtype: str) -> tf.TensorSpec:
    return tf.TensorSpec(spec.shape, dtype, spec.name) if spec.dtype.is_integer else spec

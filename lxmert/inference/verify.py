"""Verify that two weight files are one model: run the first in PyTorch and the second in Keras on the same inputs.

Separate from `lxmert.weights.convert`, which needs neither framework; this needs both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lxmert import pt, tf

# Imported first: their errors say what to install if a framework is missing.
from lxmert.hub import HubOptions

# isort: split
import keras
import torch

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import DETECTORS, input_shapes, value_ranges
from lxmert.inference.backends import numpy_model
from lxmert.inference.verify_detectors import detector_outputs
from lxmert.weights.answer_vocabulary import matching_rows, remap_rows
from lxmert.weights.formats import open_weights
from lxmert.weights.int8_rounding import round_rows
from lxmert.weights.model_files import AnswerTable, as_answers
from lxmert.weights.naming.quantized import is_quantized
from lxmert.weights.open import open_checkpoint

# float32 keeps 24 bits, 6e-8 of a value. The two frameworks add up in another order, layer after layer, which makes
# about 1e-6; a wrong or missing weight, or a transposed one, makes more than 1e-3.
TOLERANCE = 1e-5
_DETECTOR_TYPES = {spec.model for spec in DETECTORS.values()}


@dataclass(frozen=True)
class OutputDifference:
    """One output of one way of loading: its largest value and the largest difference, a tuple's over all layers."""

    loader: str
    output: str
    largest: float
    difference: float

    @property
    def agrees(self) -> bool:
        """Whether the difference is within the tolerance, relative to the output's largest value if that is above 1."""
        return self.difference <= TOLERANCE * max(1.0, self.largest)  # NaN compares false


@dataclass(frozen=True)
class Agreement:
    """The differences between the outputs of two files."""

    source: str | Path
    target: str | Path
    rows: tuple[OutputDifference, ...]

    @property
    def agrees(self) -> bool:
        """Whether every output is within the tolerance."""
        return all(row.agrees for row in self.rows)

    def table(self) -> str:
        """A row for each output: its largest value, and the largest difference by each way of loading."""
        loaders = dict.fromkeys(row.loader for row in self.rows)
        width = max(len(row.output) for row in self.rows)
        lines = [f"{'largest difference of':<{width}}  {'largest value':>13}" + "".join(f"  {x:>15}" for x in loaders)]
        for output in dict.fromkeys(row.output for row in self.rows):
            rows = [row for row in self.rows if row.output == output]
            differences = "".join(f"  {row.difference:15.1e}" for row in rows)
            verdict = "" if all(row.agrees for row in rows) else "  differs"
            lines.append(f"{output:<{width}}  {rows[0].largest:13.3g}{differences}{verdict}")
        return "\n".join(lines)

    def error_message(self) -> str:
        """The error message: which outputs differ by more than the tolerance."""
        names = sorted({row.output for row in self.rows if not row.agrees})
        return (
            f"{self.target} in Keras computes other outputs than {self.source} in PyTorch: {', '.join(names)} differ "
            f"by more than {TOLERANCE:g} (times the largest value, where that is above 1). float32 sums in another "
            "order differ by about 1e-6, so this is another model: convert again, or report a bug."
        )


def random_inputs(config: ModelConfig, architecture: str, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs that expose wrong weights: more regions than words, and masks that hide some of both.

    Args:
        config: the sizes.
        architecture: the model's class name without the prefix TF.
        seed: of the random numbers.
    """
    random = np.random.default_rng(seed)
    sizes = {"B": 2, "choices": 3, "L": min(5, config.max_position_embeddings), "R": 7, "P": 4}
    declared = input_shapes(config, architecture)
    shapes = {
        name: tuple(sizes[size] if isinstance(size, str) else size for size in given.axes)
        for name, given in declared.items()
    }
    ranges = value_ranges(config, architecture, shapes)
    inputs: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        if declared[name].kind == "float":
            # Boxes are between 0 and 1.
            draw = random.random if name == "visual_pos" else random.standard_normal
            inputs[name] = draw(shape, dtype="float32")
        elif name.endswith("attention_mask"):
            inputs[name] = np.ones(shape, "int64")
        else:
            inputs[name] = random.integers(ranges[name].lowest, ranges[name].end, size=shape)
    inputs["attention_mask"][1, ..., (sizes["L"] + 1) // 2 :] = 0
    inputs["visual_attention_mask"][0, ..., 4:] = 0
    return inputs


def verify(
    source: str | Path,
    target: str | Path,
    config: ModelConfig | None = None,
    *,
    architecture: str | None = None,
    dtype: str | None = None,
    answers: tuple[AnswerTable, AnswerTable] | None = None,
    trusted: bool = False,
    hub: HubOptions | None = None,
    **overrides: Any,
) -> Agreement:
    """Run `source` in PyTorch and `target` in Keras, in float32, and compare every output, hidden state and attention.

    Keras loads `target` by `from_pretrained`, and also by its own `load_weights` or `keras.saving.load_model` where
    these read the format. The options are those of `lxmert.weights.convert.convert` that `target` was made with.

    Args:
        source: weights of any format that is read.
        target: weights of any format that is read.
        config: the configuration, where a file has none.
        architecture: the model class of both; by default the one that has the heads in `source`.
        dtype: the dtype of `target`'s weights. `source` then runs with its weights rounded to it: the effect of
            rounding on the outputs depends on the model, so no tolerance for it would detect a wrong weight.
        answers: the two answer vocabularies between which the answer head of `target` was moved. The score of an answer
            is then compared with that of the same answer in `source`, and with 0 where `source` does not have it.
        trusted: whether `target` was just written by this process, and HDF5 may be opened in it.
        hub: `revision`, `cache_dir`, `token` and `local_files_only`, where `source` is a model on the hub.
        overrides: config fields that take other values than `source`'s.

    Raises:
        FileNotFoundError, ValueError: no such file, or a damaged or foreign one.
    """
    with open_checkpoint(source, config, hub=hub, **overrides) as checkpoint:
        architecture = architecture or checkpoint.architecture
        source_config = checkpoint.config
    given = config if _has_no_config(target, trusted) else None
    with open_checkpoint(target, given, type(source_config), trusted=trusted) as checkpoint:
        target_config = checkpoint.config
        # Only this class may be without one.
        without_pooler = architecture == "VisualBertModel" and not checkpoint.pooler
    constructor_options = {"add_pooling_layer": False} if without_pooler else {}
    inputs = {} if architecture in DETECTORS else random_inputs(source_config, architecture)
    origin = getattr(pt, architecture).from_pretrained(
        source, config=source_config, dtype=torch.float32, quantize=False, **constructor_options, **(hub or {})
    )
    for parameter, tensor in origin.weights_by_name() if dtype is not None else ():
        if dtype == "int8" and parameter.leaf.torch == "weight" and is_quantized(parameter.module):
            rows, scale = round_rows(tensor.detach().numpy())
            tensor.data = torch.from_numpy(rows * scale)
        elif dtype != "int8" and not parameter.leaf.exact:
            tensor.data = tensor.data.to(getattr(torch, str(dtype))).to(torch.float32)
    expected = _outputs(origin, inputs)
    if answers is not None:
        rows = matching_rows(*map(as_answers, answers))
        expected = {name: _moved(name, values, rows) for name, values in expected.items()}
    found: list[OutputDifference] = []
    for loader, model in _keras_models(
        getattr(tf, f"TF{architecture}"), Path(target), target_config, constructor_options, trusted
    ):
        found.extend(_compare(loader, expected, _outputs(model, inputs)))
    return Agreement(source, target, tuple(found))


def _has_no_config(path: str | Path, trusted: bool) -> bool:
    file = open_weights(path, trusted)
    try:
        return file.config is None
    finally:
        file.close()


def _moved(name: str, values: tuple[np.ndarray, ...], rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """The scores of answers in the order of another vocabulary; other outputs as they are."""
    if name not in ("question_answering_score", "logits"):
        return values
    return tuple(remap_rows(scores.T, rows).T for scores in values)  # [B, A]


Outputs = Mapping[str, tuple[np.ndarray, ...]]


def _outputs(model: Any, inputs: Mapping[str, np.ndarray]) -> Outputs:
    """Every output, hidden state and attention map of a model, each as a tuple of arrays; those of a detector alone."""
    if model.config.model_type in _DETECTOR_TYPES:
        return detector_outputs(model)
    outputs = numpy_model(model)(inputs, output_attentions="all", output_hidden_states=True, return_dict=True)
    return {name: value if isinstance(value, tuple) else (value,) for name, value in outputs.items()}


def _keras_models(
    kind: Any, target: Path, config: ModelConfig, constructor_options: Mapping[str, Any], trusted: bool
) -> Iterator[tuple[str, Any]]:
    """The target in Keras, one way of loading after the other, so that only one model is in memory at a time."""
    options = {"config": config, "dtype": "float32", "quantize": False, "trusted": trusted, **constructor_options}
    yield "from_pretrained", kind.from_pretrained(target, **options)
    if target.name.endswith(".weights.h5"):
        model = kind(config, dtype="float32", **constructor_options)
        model.load_weights(target, trusted=trusted)
        yield "load_weights", model
    if target.name.endswith(".keras"):
        model = kind(config, dtype="float32", **constructor_options)
        # A saved float16 model would run in float16.
        model.set_weights(keras.saving.load_model(target, safe_mode=True).get_weights())
        yield "load_model", model


def _compare(loader: str, expected: Outputs, got: Outputs) -> Iterator[OutputDifference]:
    """The largest difference of every output; infinite where one side lacks it or has another shape."""
    for name in dict.fromkeys([*expected, *got]):
        mine, theirs = expected.get(name, ()), got.get(name, ())
        largest, difference = 0.0, 0.0 if len(mine) == len(theirs) else math.inf
        for a, b in zip(mine, theirs, strict=False):
            same = a.shape == b.shape
            with np.errstate(invalid="ignore"):  # inf - inf is NaN, which differs
                gap = float(np.max(np.abs(a.astype("float64") - b), initial=0.0)) if same else math.inf
            # max() would drop a NaN.
            difference = gap if math.isnan(gap) or gap > difference else difference
            # The logit of a masked region is the smallest number of the dtype, and not of the others' size.
            counted = np.abs(a) < np.finfo(a.dtype).max / 2
            largest = max(largest, float(np.max(np.abs(a), where=counted, initial=0.0)))
        yield OutputDifference(loader, name, largest, difference)

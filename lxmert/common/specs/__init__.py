"""One row for each model class: its heads, arguments, labels, losses and outputs.

Everything that differs between classes is read from here: the checks of values, Keras' `fit`, the outputs, loading,
conversion, training and the demo. A head for a new task is one row, and one class in each backend.
"""

from .registry import architectures, class_spec, input_shapes, is_class, register_spec, spec_of, tasks, value_ranges
from .rows import ClassSpec, Input, Integers, Loss, ModelSpec, ModuleRow
from .table import (
    CLASSES,
    DETECTORS,
    LOSS_NAMES,
    LXMERT_INPUTS,
    LXMERT_RANGES,
    LXMERT_SERVED,
    SPECS,
    VISUAL_BERT_INPUTS,
    VISUAL_BERT_RANGES,
    VISUAL_BERT_SERVED,
)

__all__ = [
    "CLASSES",
    "DETECTORS",
    "LOSS_NAMES",
    "LXMERT_INPUTS",
    "LXMERT_RANGES",
    "LXMERT_SERVED",
    "SPECS",
    "VISUAL_BERT_INPUTS",
    "VISUAL_BERT_RANGES",
    "VISUAL_BERT_SERVED",
    "ClassSpec",
    "Input",
    "Integers",
    "Loss",
    "ModelSpec",
    "ModuleRow",
    "architectures",
    "class_spec",
    "input_shapes",
    "is_class",
    "register_spec",
    "spec_of",
    "tasks",
    "value_ranges",
]

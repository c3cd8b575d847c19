"""A weight file joined with the name table: which spelling it has, what it holds, and whether a model fits it.

Both backends and the converter take their weights from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .config import LxmertConfig, config_class
from .files import CONFIG_NAME
from .model_config import ModelConfig
from .names import SPELLINGS, Parameter, Spelling, parameters
from .tables import ARCHITECTURES, HEADS, LAYERS, TITLES, head_names
from .weight_files import WeightFile, open_weights


class CheckpointMismatchError(ValueError):
    """A weight file does not fit a model. The message lists all that is missing, unexpected or wrongly shaped."""


@dataclass
class Checkpoint:
    """A weight file whose spelling is known; `nested` tells whether its backbone is a task model's.

    A context: the file is let go at the end of a `with` block.
    """

    file: WeightFile
    config: ModelConfig
    spelling: Spelling
    nested: bool

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the file holds, whole or in part."""
        every = HEADS[self.config.model_type]
        held = {p.head for p in parameters(self.config, every) if self.spelled(p) in self.file.shapes}
        if {"classifier", "choice"} <= held:  # two heads under one name
            held.remove("classifier" if self._is_choice() else "choice")
        return tuple(head for head in every if head in held)

    def _is_choice(self) -> bool:
        """Whether the linear layer of a VisualBERT file scores choices: the config says so, or else the shape does."""
        named = ARCHITECTURES["visual_bert"].get(self._stated or "", ())
        if "classifier" in named or "choice" in named:
            return "choice" in named
        layer = next(p for p in parameters(self.config, ("choice",)) if p.head)
        return self.shape(layer) == layer.shape

    @property
    def has_pooler(self) -> bool:
        """Whether the file holds the pooler; a backbone may be without one."""
        return any(self.spelled(p) in self.file.shapes for p in parameters(self.config, ()) if "pooler" in p.module)

    @property
    def architecture(self) -> str:
        """The model class that the file's heads make up; where several do, the one that the config names.

        Raises:
            CheckpointMismatchError: several do, and the config names none of them.
        """
        own = {name: head_names(name, self.config) for name in ARCHITECTURES[self.config.model_type]}
        fitting = [name for name, heads in own.items() if heads == self.heads]
        if self._stated in fitting:
            return str(self._stated)
        if len(fitting) > 1:
            raise CheckpointMismatchError(
                f"{self.file.path} may be {' or '.join(fitting)}, which read their scores at different places: put "
                f'"architectures": ["{fitting[0]}"] or the other into its {CONFIG_NAME}.'
            )
        return fitting[0] if fitting else max(own, key=lambda name: len(set(own[name]) & set(self.heads)))

    @property
    def pooler(self) -> bool:
        """Whether a model made from the file has a pooler: every task model has, a backbone as the file says."""
        return bool(self.heads) or self.has_pooler

    @property
    def _stated(self) -> str | None:
        """The model class that the config names, without the prefix TF."""
        stated = self.config.extra.get("architectures")
        first = stated[0] if isinstance(stated, list) and stated else None
        return first.removeprefix("TF") if isinstance(first, str) else None

    def spelled(self, parameter: Parameter) -> str:
        """The name of a parameter as the file would write it."""
        return self.spelling.write(parameter, self.nested)

    def shape(self, parameter: Parameter) -> tuple[int, ...] | None:
        """The shape of a parameter in the file, PyTorch's way round; None where the file has none."""
        shape = self.file.shapes.get(self.spelled(parameter))
        return shape[::-1] if shape is not None and self._turned(parameter) else shape

    def dtype(self, parameter: Parameter) -> np.dtype:
        """The number format of a parameter in the file."""
        return self.file.dtypes[self.spelled(parameter)]

    def read(self, parameter: Parameter) -> np.ndarray:
        """The values of a parameter, PyTorch's way round, contiguous."""
        values = self.file.read(self.spelled(parameter))
        return np.ascontiguousarray(values.T if self._turned(parameter) else values)

    def _turned(self, parameter: Parameter) -> bool:
        return self.spelling.transposed and parameter.leaf.transposed

    def close(self) -> None:
        """Let the file go."""
        self.file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def open_checkpoint(
    source: str | Path,
    config: ModelConfig | None = None,
    kind: type[ModelConfig] | None = None,
    **overrides: Any,
) -> Checkpoint:
    """Open a weight file or folder and find out which spelling it has.

    Args:
        source: see `weight_files.open_weights`.
        config: the model's configuration, where the file has none or another is wanted.
        kind: the class of the configuration, where only one kind of model will do.
        overrides: config fields that take other values than the file's.

    Raises:
        FileNotFoundError: no weights, or no configuration.
        ValueError: a damaged or foreign file.
        TypeError: an override that is no field, a value of the wrong kind, or another model's configuration.
    """
    wanted = kind or ModelConfig
    if config is not None and not isinstance(config, wanted):
        raise TypeError(f"config must be a {wanted.__name__}; got {type(config).__name__}.")
    file = open_weights(source)
    try:
        if config is None:
            stored = file.config
            if stored is None:
                raise FileNotFoundError(
                    f"{file.path} has no {CONFIG_NAME} beside it; put it there or give a configuration "
                    "(config=..., or --config on the command line)."
                )
            try:
                # Without a model type the file is taken for LXMERT's, as its authors' files have none.
                config = (kind or config_class(stored, default=LxmertConfig)).from_dict(stored, **overrides)
            except (TypeError, ValueError) as error:
                also = " with the values given beside it" if overrides else ""
                raise type(error)(f"the configuration of {file.path}{also}: {error}") from None
        elif overrides:
            config = config.replace(**overrides)
        spelling, nested = _spelling(file, config)
        return Checkpoint(file, config, spelling, nested)
    except BaseException:
        file.close()
        raise


def _spelling(file: WeightFile, config: ModelConfig) -> tuple[Spelling, bool]:
    """The spelling that knows most of the file's names."""
    # Every layer has tensors: a configuration with more layers is not the file's, and could be of any length.
    model_type = config.model_type
    layers = {name: getattr(config, name) for name in LAYERS[model_type]}
    for name, count in layers.items():
        if count > max(1000, len(file.shapes)):
            raise CheckpointMismatchError(
                f"{file.path} holds {len(file.shapes)} tensors, which cannot be a model of {name}={count}; "
                f"give the {CONFIG_NAME} that belongs to it."
            )
    every = list(parameters(config, HEADS[model_type]))
    candidates = [(spelling, nested) for spelling in SPELLINGS[model_type] for nested in (True, False)]
    best = max(candidates, key=lambda c: sum(c[0].write(p, c[1]) in file.shapes for p in every))
    # The names of the heads alone tell nothing: LXMERT and VisualBERT share some.
    if not any(best[0].write(p, best[1]) in file.shapes for p in every if not p.head):
        advice = f"Give the {CONFIG_NAME} that belongs to it; its model_type tells the model."
        if any(":" in name for name in file.shapes):
            advice = "Weights that Hugging Face wrote from TensorFlow are not read."
        raise CheckpointMismatchError(
            f"{file.path} is not a file of {TITLES[model_type]}: none of its {len(file.shapes)} names is known as a "
            f"weight of the backbone (the first are {', '.join(list(file.shapes)[:3]) or 'none'}). {advice}"
        )
    return best

"""A weight file joined with the name table: which spelling it has, what it holds, and whether a model fits it.

Both backends and the converter take their weights from here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .config import LxmertConfig
from .files import CONFIG_NAME, WeightFile, open_weights
from .names import SPELLINGS, TIED_DECODER, Parameter, Spelling, head_names, parameters

EVERY_HEAD = ("word", "match", "object", "answer")


class CheckpointMismatchError(ValueError):
    """A weight file does not fit a model. The message lists every name that is missing, unexpected or wrongly shaped."""


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors and of a model's parameters.

    Attributes:
        source: the file.
        spelling: whose names the file uses.
        new: names of parameters that the file does not have and that were made fresh, because that was asked for.
        left_out: names in the file that belong to heads which this model does without.
    """

    source: str
    spelling: str
    new: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


@dataclass
class Checkpoint:
    """A weight file whose spelling is known."""

    file: WeightFile
    config: LxmertConfig
    spelling: Spelling
    nested: bool
    names: dict[str, str] = field(default_factory=dict)  # in the file, by our name

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the file holds."""
        return tuple(
            head
            for head in EVERY_HEAD
            if any(self.spelling.write(p, self.nested) in self.file.shapes for p in parameters(self.config, (head,)) if p.head)
        )

    @property
    def architecture(self) -> str:
        """The model class that the file's heads make up."""
        if not self.heads:
            return "LxmertModel"
        return "LxmertForQuestionAnswering" if self.heads == ("answer",) else "LxmertForPreTraining"

    def shape(self, parameter: Parameter) -> tuple[int, ...] | None:
        """The shape of a parameter in the file, PyTorch's way round; None where the file has none."""
        shape = self.file.shapes.get(self.spelling.write(parameter, self.nested))
        return shape[::-1] if shape is not None and self._turned(parameter) else shape

    def dtype(self, parameter: Parameter) -> np.dtype:
        """The number format of a parameter in the file."""
        return self.file.dtypes[self.spelling.write(parameter, self.nested)]

    def read(self, parameter: Parameter) -> np.ndarray:
        """The values of a parameter, PyTorch's way round, contiguous."""
        values = self.file.read(self.spelling.write(parameter, self.nested))
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


def open_checkpoint(source: str | Path, config: LxmertConfig | None = None, **overrides: Any) -> Checkpoint:
    """Open a weight file or folder and find out which spelling it has.

    Args:
        source: see `files.open_weights`.
        config: the model's configuration, where the file has none or another is wanted.
        overrides: config fields that take other values than the file's.

    Raises:
        FileNotFoundError: no weights, or no configuration.
        ValueError: a damaged or foreign file.
    """
    file = open_weights(source)
    try:
        if config is None:
            if file.config is None:
                raise FileNotFoundError(f"{file.path} has no {CONFIG_NAME} beside it; put it there or pass config=.")
            config = LxmertConfig.from_dict(file.config, **overrides)
        elif overrides:
            config = config.replace(**overrides)
        spelling, nested = _spelling(file, config)
        return Checkpoint(file, config, spelling, nested)
    except BaseException:
        file.close()
        raise


def _spelling(file: WeightFile, config: LxmertConfig) -> tuple[Spelling, bool]:
    """The spelling that knows most of the file's names."""
    every = list(parameters(config, EVERY_HEAD))
    candidates = [(spelling, nested) for spelling in SPELLINGS for nested in (True, False)]
    best = max(candidates, key=lambda c: sum(c[0].write(p, c[1]) in file.shapes for p in every))
    if not any(best[0].write(p, best[1]) in file.shapes for p in every):
        raise CheckpointMismatchError(
            f"{file.path} is not an LXMERT file: none of its {len(file.shapes)} names is known "
            f"(the first are {', '.join(list(file.shapes)[:3]) or 'none'})."
        )
    return best


def fit(
    checkpoint: Checkpoint,
    architecture: str,
    only: str | None = None,
    allow_new_head: bool = False,
) -> tuple[list[Parameter], LoadReport]:
    """Compare a file with a model, both ways round, before anything is loaded.

    Args:
        checkpoint: the file.
        architecture: the model's class name without the prefix TF.
        only: "backbone" leaves every head fresh, whatever the file holds.
        allow_new_head: whether heads that are absent, or of another size, may stay fresh.

    Returns:
        The parameters to take from the file, and the report.

    Raises:
        CheckpointMismatchError: listing all that is missing, unexpected or wrongly shaped.
    """
    if only not in (None, "backbone"):
        raise ValueError(f'only must be None or "backbone"; got {only!r}.')
    config, write = checkpoint.config, checkpoint.spelling.write
    known = {write(p, checkpoint.nested): p for p in parameters(config, EVERY_HEAD)}
    wanted = list(parameters(config, head_names(architecture, config)))
    shapes = {p.name: checkpoint.shape(p) for p in wanted}
    fresh_heads = set()
    for p in wanted:
        if p.head and (only == "backbone" or (allow_new_head and shapes[p.name] != p.shape)):
            fresh_heads.add(p.head)
    taken = [p for p in wanted if p.head not in fresh_heads]
    missing = [p for p in taken if shapes[p.name] is None]
    wrong = [p for p in taken if shapes[p.name] not in (None, p.shape)]
    unexpected = [name for name in checkpoint.file.shapes if name not in known and name != TIED_DECODER]
    if only == "backbone":
        unexpected = [name for name in unexpected if not _is_head_name(name, known)]
    if missing or wrong or unexpected:
        raise CheckpointMismatchError(_mismatch(checkpoint, architecture, missing, unexpected, wrong))
    used = {write(p, checkpoint.nested) for p in taken}
    report = LoadReport(
        source=str(checkpoint.file.path),
        spelling=checkpoint.spelling.title,
        new=tuple(p.name for p in wanted if p.head in fresh_heads),
        left_out=tuple(name for name in known if name in checkpoint.file.shapes and name not in used),
    )
    return taken, report


def _is_head_name(name: str, known: dict[str, Parameter]) -> bool:
    """Whether an unknown name lies in a head, judged by the part of the name before its first dot or slash."""
    roots = {key.replace("/", ".").split(".")[0] for key, p in known.items() if p.head}
    return name.replace("/", ".").split(".")[0] in roots


def _mismatch(
    checkpoint: Checkpoint, architecture: str, missing: list[Parameter], unexpected: list[str], wrong: list[Parameter]
) -> str:
    """The message of a mismatch: counts, names, and what to do where that can be told."""
    config = checkpoint.config

    def listed(names: Iterable[str]) -> str:
        names = list(names)
        return ": " + ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "") if names else ""

    shapes = [f"{p.name} wants {list(p.shape)}, the file has {list(checkpoint.shape(p) or ())}" for p in wrong]
    lines = [
        f"{checkpoint.file.path.name} ({checkpoint.spelling.title}) does not fit {architecture}"
        f"(l_layers={config.l_layers}, x_layers={config.x_layers}, r_layers={config.r_layers}):",
        f"  missing     {len(missing)}{listed(checkpoint.spelling.write(p, checkpoint.nested) for p in missing)}",
        f"  unexpected  {len(unexpected)}{listed(unexpected)}",
        f"  wrong shape {len(wrong)}{listed(shapes)}",
    ]
    advice = []
    for p in wrong:
        held = checkpoint.shape(p) or (0,)
        if p.module == "embeddings.word":
            advice.append(f"The file's vocabulary has {held[0]} words: pass vocab_size={held[0]}.")
        if p.module == "heads.answer.out" and p.leaf.torch == "weight":
            advice.append(f"The file's answer head has {held[0]} answers: pass num_qa_labels={held[0]}, or allow_new_head=True.")
    if missing and all(p.head for p in missing):
        heads = ", ".join(sorted({p.head for p in missing if p.head}))
        advice.append(f"The file has no head for: {heads}. Pass allow_new_head=True to start it fresh.")
    return "\n".join([*lines, " ".join(["Nothing was loaded.", *advice])])

"""Which parameters a model takes from a weight file, compared before anything is loaded."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lxmert.common.specs import class_spec
from lxmert.utils.messages import warn_caller

from .checkpoint import Checkpoint, CheckpointMismatchError
from .formats.raw_io import is_float
from .mismatch import Mismatch, after_colon, backbone_names, mismatch_error
from .naming.key_mapping import Parameter, all_parameters, normalize_key, parameters
from .naming.tables import MODELS, head_names

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LoadReport:
    """What was loaded from a file, and what was not.

    Attributes:
        source: the file.
        format: the file format.
        naming: whose parameter names the file uses.
        config_source: where the configuration comes from: "given", "config.json", or "inferred from the shapes".
        new: names of the parameters that are newly initialized: the file lacks their head, or is a plain BERT, or the
            caller asked for it.
        missing: those of them that the file does not have; it has the others in another size, or they were not wanted.
        unexpected: names in the file that this model does not use: other heads, a pooler, or tensors of no model.
        mismatched: those of the new ones that the file has in another size: name, size in the file, size in the model.
    """

    source: str
    format: str
    naming: str
    config_source: str
    new: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    mismatched: tuple[tuple[str, Shape, Shape], ...] = ()


class Allowed(NamedTuple):
    """Which differences between a file and a model are no error.

    Attributes:
        only: "backbone" newly initializes every head, even those in the file.
        new_head: whether heads that the file lacks, or has in another size, may be newly initialized.
        mismatched: whether any parameter that the file has in another size may be newly initialized.
        with_warning: whether a head that the file lacks, and VisualBERT's pooler, may be newly initialized, and tensors
            beside the backbone may belong to no model. A warning lists them.
        strict: whether the file must hold the model's parameters and nothing else.
    """

    only: str | None = None
    new_head: bool = False
    mismatched: bool = False
    with_warning: bool = False
    strict: bool = False


def match_parameters(
    checkpoint: Checkpoint,
    architecture: str,
    only: str | None = None,
    allow_new_head: bool = False,
    pooler: bool = True,
    *,
    allowed: Allowed | None = None,
    own: Mapping[str, Shape] | None = None,
) -> tuple[list[Parameter], LoadReport]:
    """Match the tensors of a file with the parameters of a model: each must have its counterpart, in the same shape.

    A plain BERT fills what it has; the rest is newly initialized, and a warning says so. Another warning says that the
    word head gets its own decoder, because the file's differs from the word embedding.

    Args:
        checkpoint: the file.
        architecture: the model's class name without the prefix TF.
        only, allow_new_head: the fields `only` and `new_head` of `allowed`, where that is not given.
        pooler: whether the model has one.
        allowed: which differences are no error.
        own: tensors that a user's class adds to the model: names and shapes.

    Returns:
        The parameters to take from the file, and the report.

    Raises:
        CheckpointMismatchError: listing all that is missing, unexpected or of the wrong shape; or a weight is stored as
            integers; or a second copy of a tied tensor has other values.
        ValueError: another value of `only`.
    """
    allowed, own = allowed or Allowed(only, allow_new_head), own or {}
    if allowed.only not in (None, "backbone"):
        raise ValueError(f'only must be None or "backbone"; got {allowed.only!r}.')
    config = checkpoint.config
    wanted = list(parameters(config, head_names(architecture, config), pooler))
    shapes = {p.name: checkpoint.shape(p) for p in wanted}
    lacking = _lacking(checkpoint, wanted, allowed)
    new = [p for p in wanted if p.name in lacking or _is_new(checkpoint, p, wanted, allowed)]
    new_names = {p.name for p in new}
    taken = [p for p in wanted if p.name not in new_names]
    copies, unknown = _other_names(checkpoint, own)
    refused = set(backbone_names(unknown, checkpoint))
    of_a_backbone = allowed.only is not None or not class_spec(architecture).heads
    if not of_a_backbone:
        refused |= _inside_heads(checkpoint, unknown) if allowed.with_warning else set(unknown)
    unexpected = [checkpoint.names[key] for key in unknown if key in refused]
    missing = [p for p in taken if shapes[p.name] is None]
    wrong_shape = [p for p in taken if shapes[p.name] not in (None, p.shape)]
    if missing or wrong_shape or unexpected:
        raise mismatch_error(Mismatch(checkpoint, architecture, missing, unexpected, wrong_shape))
    new_own = _new_own(checkpoint, own, allowed)
    _check_dtypes(checkpoint, taken)
    used = {checkpoint.stored_name(p) for p in taken if checkpoint.stores(p)} | {
        checkpoint.own_name(name) for name in own.keys() - new_own
    }
    if any(p.head == "word" for p in taken):
        for name, module in copies.items():
            _check_copy(checkpoint, name, next(p for p in taken if p.module == module))
            used.add(name)
    every = [*((p.name, shapes[p.name], p.shape) for p in new), *((name, new_own[name], own[name]) for name in new_own)]
    report = LoadReport(
        source=str(checkpoint.file.path),
        format=checkpoint.file.title,
        naming=checkpoint.mapping.title,
        config_source=checkpoint.config_source,
        new=tuple(name for name, *_ in every),
        missing=tuple(name for name, held, _ in every if held is None),
        unexpected=tuple(name for name in checkpoint.file.shapes if name not in used),
        mismatched=tuple((name, held, shape) for name, held, shape in every if held not in (None, shape)),
    )
    if allowed.strict:
        mapping = checkpoint.mapping  # what no model uses is in published files: position ids, counts of batches
        ignored = {stored for key, stored in checkpoint.names.items() if mapping.is_unused(key)}
        left = [name for name in report.unexpected if name not in ignored]
        if report.new or left:
            raise mismatch_error(Mismatch(checkpoint, architecture, new, left, []))
    _warn_about_copies(checkpoint, wanted)
    if checkpoint.is_bert:
        warn_caller(
            f"{report.source} is a plain BERT: it fills {len(taken)} of the {len(wanted)} weights of {architecture}, "
            f"and the other {len(new)} are random until they are trained. load_report.new lists them."
        )
    elif allowed.with_warning:
        own_lacking = [] if allowed.new_head else [name for name in new_own if new_own[name] is None]
        beside = [] if of_a_backbone else [checkpoint.names[key] for key in unknown]
        _warn_about_new(checkpoint, architecture, [*lacking, *own_lacking], beside)
    return taken, report


def _inside_heads(checkpoint: Checkpoint, keys: Sequence[str]) -> set[str]:
    """Those keys of a file that are in the place of a head."""

    def start(key: str) -> list[str]:
        parts = key.replace("/", ".").split(".")
        return parts[: 2 if parts[0] == "heads" else 1]

    starts = [start(checkpoint.key(p)) for p in all_parameters(checkpoint.config) if p.head]
    return {key for key in keys if start(key) in starts}


def _part(parameter: Parameter) -> str | None:
    """The part of a model that may be newly initialized as a whole: a head, or VisualBERT's pooler."""
    first = parameter.module.split(".")[0]
    return first if first in MODELS[parameter.model_type].new_parts else parameter.head


def _lacking(checkpoint: Checkpoint, wanted: Sequence[Parameter], allowed: Allowed) -> list[str]:
    """The parameters of those parts that a file lacks as a whole, where a warning is enough."""
    if not allowed.with_warning or allowed.only or checkpoint.is_bert:
        return []
    held = {_part(p) for p in wanted if checkpoint.has(p)}
    lacking = [p for p in wanted if _part(p) is not None and _part(p) not in held]
    return [p.name for p in lacking if not (p.head and allowed.new_head)]


def _is_new(checkpoint: Checkpoint, parameter: Parameter, wanted: Sequence[Parameter], allowed: Allowed) -> bool:
    """Whether a parameter is newly initialized on request, or because a BERT lacks it."""
    shape = checkpoint.shape(parameter)
    if parameter.head and allowed.only:
        return True
    if parameter.head and allowed.new_head:  # each head as a whole
        return any(checkpoint.shape(p) != p.shape for p in wanted if p.head == parameter.head)
    return (checkpoint.is_bert and shape is None) or (allowed.mismatched and shape not in (None, parameter.shape))


def _new_own(checkpoint: Checkpoint, own: Mapping[str, Shape], allowed: Allowed) -> dict[str, Shape | None]:
    """Which of a user's own tensors are newly initialized, each with its shape in the file.

    Raises:
        CheckpointMismatchError: the file has them in another shape.
    """
    shapes = {name: checkpoint.own_shape(name) for name in own}
    wrong = [name for name, shape in shapes.items() if shape not in (None, own[name])]
    if wrong and not allowed.mismatched:
        listed = after_colon(
            f"{name} needs {list(own[name])}, the file has {list(shapes[name] or ())}" for name in wrong
        )
        raise CheckpointMismatchError(
            f"{checkpoint.file.path} has tensors of this class in another shape{listed}. Nothing was loaded. Pass "
            "ignore_mismatched_sizes=True to newly initialize them.",
            wrong_shape=tuple(wrong),
        )
    return {name: shape for name, shape in shapes.items() if shape != own[name]}


def _warn_about_new(checkpoint: Checkpoint, architecture: str, new: Sequence[str], unknown: Sequence[str]) -> None:
    """Warn that a model has weights that are not trained, and that a file has tensors that no model here has."""
    sentences = []
    if new:
        sentences.append(
            f"{checkpoint.file.path} lacks {len(new)} parameters of {architecture}, which are newly initialized"
            f"{after_colon(new)}. Train the model before you use its outputs."
        )
    if unknown:
        sentences.append(
            f"{checkpoint.file.path} has {len(unknown)} tensors of no model here, which are not used"
            f"{after_colon(unknown)}."
        )
    if sentences:
        warn_caller(" ".join([*sentences, "load_report lists all names; strict=True makes this an error."]))


def _warn_about_copies(checkpoint: Checkpoint, wanted: Sequence[Parameter]) -> None:
    """Warn that a word head gets its own decoder."""
    modules = {p.module: p for p in wanted}
    if checkpoint.found_untied and "heads.word.decoder" in modules:
        decoder, word = (checkpoint.stored_name(modules[name]) for name in ("heads.word.decoder", "embeddings.word"))
        warn_caller(
            f"{checkpoint.file.path} holds {decoder} with other values than {word}; the model gets both: "
            "tie_word_embeddings=False."
        )


def _other_names(checkpoint: Checkpoint, own: Collection[str]) -> tuple[Mapping[str, str], Sequence[str]]:
    """What a file has that is no parameter under its configuration: second copies of tied tensors, by their names and
    with our modules; and the keys of what neither a model nor a user's class has.
    """
    names, mapping = checkpoint.names, checkpoint.mapping
    known = {checkpoint.key(p) for p in all_parameters(checkpoint.config)} | set(map(normalize_key, own))
    copies = {key: module for key, module in mapping.tied_copies().items() if key in names and key not in known}
    unknown = [key for key in names if not (key in known or key in copies or mapping.is_unused(key))]
    return {names[key]: module for key, module in copies.items()}, [] if checkpoint.is_bert else unknown


def _check_dtypes(checkpoint: Checkpoint, taken: Sequence[Parameter]) -> None:
    integers = [p for p in taken if not is_float(checkpoint.dtype(p))]
    if integers:
        names = after_colon(f"{checkpoint.stored_name(p)} as {checkpoint.dtype(p)}" for p in integers)
        raise CheckpointMismatchError(
            f"{checkpoint.file.path} holds {len(integers)} weights as integers{names}. Nothing was loaded. Save them "
            "as floating-point numbers. Matrices in int8 need their scales, weight_scale, beside them."
        )


def _check_copy(checkpoint: Checkpoint, copy: str, parameter: Parameter) -> None:
    """Refuse a tensor that is stored next to the one that it is tied to, with other values."""
    file, name = checkpoint.file, checkpoint.stored_name(parameter)
    if not checkpoint.same_values(copy, name):
        raise CheckpointMismatchError(
            f"{file.path} holds {copy} {list(file.shapes[copy])} next to {name} {list(file.shapes[name])} with other "
            f"values; the two are one tensor in a model of {MODELS[parameter.model_type].title}. Nothing was loaded. "
            f"Take {copy} out of the file if the other is right, or put the right values in both."
        )

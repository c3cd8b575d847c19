"""Which parameters a model takes from a weight file, compared before anything is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lxmert.common.specs import spec_of

from .checkpoint import Checkpoint, CheckpointMismatchError
from .formats.raw_io import is_float
from .mismatch import Mismatch, after_colon, backbone_names, mismatch_error
from .naming.key_mapping import Parameter, all_parameters, parameters
from .naming.tables import TITLES, head_names


@dataclass(frozen=True)
class LoadReport:
    """What was loaded from a file, and what was not.

    Attributes:
        source: the file.
        format: the file format.
        naming: whose parameter names the file uses.
        config_source: where the configuration comes from: "given", "config.json", or "inferred from the shapes".
        new: names of the parameters that are newly initialized, on request or because the file is a plain BERT.
        missing: those of them that the file does not have; it has the others in another size, or they were not wanted.
        unexpected: names in the file that this model does not use: other heads, a pooler, or tensors of no model.
    """

    source: str
    format: str
    naming: str
    config_source: str
    new: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()


def match_parameters(
    checkpoint: Checkpoint,
    architecture: str,
    only: str | None = None,
    allow_new_head: bool = False,
    pooler: bool = True,
) -> tuple[list[Parameter], LoadReport]:
    """Match the tensors of a file with the parameters of a model: each must have its counterpart, in the same shape.

    A plain BERT fills what it has; the rest is newly initialized, and a warning says so. Another warning says that the
    word head gets its own decoder, because the file's differs from the word embedding.

    Args:
        checkpoint: the file.
        architecture: the model's class name without the prefix TF.
        only: "backbone" newly initializes every head, even those in the file.
        allow_new_head: whether heads that the file lacks, or has in another size, may be newly initialized.
        pooler: whether the model has one.

    Returns:
        The parameters to take from the file, and the report.

    Raises:
        CheckpointMismatchError: listing all that is missing, unexpected or of the wrong shape; or a weight is stored as
            integers; or a second copy of a tied tensor has other values.
        ValueError: another value of `only`.
    """
    if only not in (None, "backbone"):
        raise ValueError(f'only must be None or "backbone"; got {only!r}.')
    config = checkpoint.config
    wanted = list(parameters(config, head_names(architecture, config), pooler))
    shapes = {p.name: checkpoint.shape(p) for p in wanted}
    new_heads = {
        p.head for p in wanted if p.head and (only or (allow_new_head and shapes[p.name] != p.shape))
    }  # each as a whole
    new = [p for p in wanted if p.head in new_heads or (checkpoint.is_bert and shapes[p.name] is None)]
    new_names = {p.name for p in new}
    taken = [p for p in wanted if p.name not in new_names]
    copies, unexpected = _other_names(checkpoint, backbone_only=bool(only) or not spec_of(architecture).heads)
    missing = [p for p in taken if shapes[p.name] is None]
    wrong_shape = [p for p in taken if shapes[p.name] not in (None, p.shape)]
    if missing or wrong_shape or unexpected:
        raise mismatch_error(Mismatch(checkpoint, architecture, missing, unexpected, wrong_shape))
    _check_dtypes(checkpoint, taken)
    used = {checkpoint.stored_name(p) for p in taken}
    if any(p.head == "word" for p in taken):
        for name, module in copies.items():
            _check_copy(checkpoint, name, next(p for p in taken if p.module == module))
            used.add(name)
    report = LoadReport(
        source=str(checkpoint.file.path),
        format=checkpoint.file.title,
        naming=checkpoint.mapping.title,
        config_source=checkpoint.config_source,
        new=tuple(p.name for p in new),
        missing=tuple(p.name for p in new if shapes[p.name] is None),
        unexpected=tuple(name for name in checkpoint.file.shapes if name not in used),
    )
    modules = {p.module: p for p in wanted}
    if checkpoint.found_untied and "heads.word.decoder" in modules:
        decoder, word = (checkpoint.stored_name(modules[name]) for name in ("heads.word.decoder", "embeddings.word"))
        _warn(
            f"{report.source} holds {decoder} with other values than {word}; the model gets both: "
            "tie_word_embeddings=False."
        )
    if checkpoint.is_bert:
        _warn(
            f"{report.source} is a plain BERT: it fills {len(taken)} of the {len(wanted)} weights of {architecture}, "
            f"and the other {len(new)} are random until they are trained. load_report.new lists them."
        )
    return taken, report


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=4)  # points at the call of from_pretrained, or convert


def _other_names(checkpoint: Checkpoint, backbone_only: bool) -> tuple[Mapping[str, str], Sequence[str]]:
    """The names in a file that are no parameters under its configuration: second copies of tied tensors, with our
    modules; and the names that no model has, in the backbone or anywhere.
    """
    names, mapping = checkpoint.names, checkpoint.mapping
    known = {checkpoint.key(p) for p in all_parameters(checkpoint.config)}
    copies = {key: module for key, module in mapping.tied_copies().items() if key in names and key not in known}
    unknown = [key for key in names if not (key in known or key in copies or mapping.is_unused(key))]
    if backbone_only:
        unknown = backbone_names(unknown, checkpoint)
    unexpected = [] if checkpoint.is_bert else [names[key] for key in unknown]
    return {names[key]: module for key, module in copies.items()}, unexpected


def _check_dtypes(checkpoint: Checkpoint, taken: Sequence[Parameter]) -> None:
    integers = [p for p in taken if not is_float(checkpoint.dtype(p))]
    if integers:
        names = after_colon(f"{checkpoint.stored_name(p)} as {checkpoint.dtype(p)}" for p in integers)
        raise CheckpointMismatchError(
            f"{checkpoint.file.path} holds {len(integers)} weights as integers{names}. "
            "Nothing was loaded. Save them as floating-point numbers."
        )


def _check_copy(checkpoint: Checkpoint, copy: str, parameter: Parameter) -> None:
    """Refuse a tensor that is stored next to the one that it is tied to, with other values."""
    file, name = checkpoint.file, checkpoint.stored_name(parameter)
    if not checkpoint.same_values(copy, name):
        raise CheckpointMismatchError(
            f"{file.path} holds {copy} {list(file.shapes[copy])} next to {name} {list(file.shapes[name])} with other "
            f"values; the two are one tensor in a model of {TITLES[parameter.model_type]}. Nothing was loaded. "
            f"Take {copy} out of the file if the other is right, or put the right values in both."
        )

"""Whether a weight file fits a model, both ways round, before anything is loaded; and if not, all that is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lxmert.common.specs import architectures, spec_of
from lxmert.utils.messages import first_few
from lxmert.weights.formats.raw_io import is_float
from lxmert.weights.naming.key_mapping import (
    Parameter,
    all_parameters,
    layer_counts,
    normalize_key,
    parameters,
    shapeless_parameters,
)
from lxmert.weights.naming.tables import LAYERS, TITLES, head_names, module_rows

from .checkpoint import Checkpoint, CheckpointMismatchError
from .infer_config import SIZE_EVIDENCE

_SHOWN = 6


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors and of a model's parameters.

    Attributes:
        source: the file.
        format: what kind of file it is.
        naming: whose names the file uses.
        config_source: where the configuration is from: "given", "config.json", or "inferred from the shapes".
        new: names of parameters that are newly initialized, on request or because the file is a plain BERT.
        missing: those of them that the file does not have; the others it has in another size, or they were not wanted.
        unexpected: names in the file that this model has no use for: other heads, a pooler, or what no model has.
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
    """Compare a file with a model, both ways round, before anything is loaded.

    A plain BERT fills what it has; the rest stays fresh, and a warning says so. Another warning says that the word head
    gets a decoder of its own because the file's differs from the word embedding.

    Args:
        checkpoint: the file.
        architecture: the model's class name without the prefix TF.
        only: "backbone" leaves every head fresh, whatever the file holds.
        allow_new_head: whether heads that are absent, or of another size, may stay fresh.
        pooler: whether the model has one.

    Returns:
        The parameters to take from the file, and the report.

    Raises:
        CheckpointMismatchError: listing all that is missing, unexpected or wrongly shaped; or a weight is stored as
            integers; or a second copy of a tensor of the word head is stored with other values.
        ValueError: another value of `only`.
    """
    if only not in (None, "backbone"):
        raise ValueError(f'only must be None or "backbone"; got {only!r}.')
    config, mapping = checkpoint.config, checkpoint.mapping
    wanted = list(parameters(config, head_names(architecture, config), pooler))
    shapes = {p.name: checkpoint.shape(p) for p in wanted}
    fresh_heads = set()
    for p in wanted:
        if p.head and (only == "backbone" or (allow_new_head and shapes[p.name] != p.shape)):
            fresh_heads.add(p.head)
    is_fresh = {p.name: p.head in fresh_heads or (checkpoint.is_bert and shapes[p.name] is None) for p in wanted}
    fresh = [p for p in wanted if is_fresh[p.name]]
    taken = [p for p in wanted if not is_fresh[p.name]]
    missing = [p for p in taken if shapes[p.name] is None]
    wrong = [p for p in taken if shapes[p.name] not in (None, p.shape)]
    known = {checkpoint.key(p) for p in all_parameters(config)}
    copies = {n: module for n, module in mapping.tied_copies().items() if n in checkpoint.names and n not in known}
    unknown = [n for n in checkpoint.names if not (n in known or n in copies or mapping.is_unused(n))]
    if only == "backbone" or not head_names(architecture, config):  # what others put on top of it does not matter
        unknown = _in_backbone(unknown, checkpoint)
    unexpected = [] if checkpoint.is_bert else [checkpoint.names[n] for n in unknown]
    if missing or wrong or unexpected:
        raise CheckpointMismatchError(
            _mismatch_message(checkpoint, architecture, missing, unexpected, wrong),
            missing=tuple(checkpoint.key(p) for p in missing),
            unexpected=tuple(unexpected),
            wrong_shape=tuple(p.name for p in wrong),
        )
    check_integers = [p for p in taken if not is_float(checkpoint.dtype(p))]
    if check_integers:
        names = listed(f"{checkpoint.stored_name(p)} as {checkpoint.dtype(p)}" for p in check_integers)
        raise CheckpointMismatchError(
            f"{checkpoint.file.path} holds {len(check_integers)} weights as integers{names}. "
            "Nothing was loaded. Save them as floating-point numbers."
        )
    used = {checkpoint.stored_name(p) for p in taken}
    for name, module in copies.items() if any(p.head == "word" for p in taken) else ():
        _check_copy(checkpoint, name, next(p for p in taken if p.module == module))
        used.add(checkpoint.names[name])
    report = LoadReport(
        source=str(checkpoint.file.path),
        format=checkpoint.file.title,
        naming=mapping.title,
        config_source=checkpoint.config_source,
        new=tuple(p.name for p in fresh),
        missing=tuple(p.name for p in fresh if shapes[p.name] is None),
        unexpected=tuple(name for name in checkpoint.file.shapes if name not in used),
    )
    parts = {p.module: p for p in wanted}
    if checkpoint.found_untied and "heads.word.decoder" in parts:
        decoder, word = (checkpoint.stored_name(parts[name]) for name in ("heads.word.decoder", "embeddings.word"))
        warnings.warn(
            f"{report.source} holds {decoder} with other values than {word}; the model gets both: "
            "tie_word_embeddings=False.",
            UserWarning,
            stacklevel=3,
        )
    if checkpoint.is_bert:
        warnings.warn(
            f"{report.source} is a plain BERT: it fills {len(taken)} of the {len(wanted)} weights of {architecture}, "
            f"and the other {len(fresh)} are random until they are trained. load_report.new lists them.",
            UserWarning,
            stacklevel=3,
        )
    return taken, report


def _check_copy(checkpoint: Checkpoint, copy: str, parameter: Parameter) -> None:
    """Refuse a tensor stored beside the one that it is tied to, if it has other values."""
    file, copy, name = checkpoint.file, checkpoint.names[copy], checkpoint.stored_name(parameter)
    if not checkpoint.same_values(copy, name):
        shapes = [file.shapes[copy], file.shapes[name]]
        raise CheckpointMismatchError(
            f"{file.path} holds {copy} {list(shapes[0])} beside {name} {list(shapes[1])} with other values; "
            f"the two are one tensor in a model of {TITLES[parameter.model_type]}. Nothing was loaded. "
            f"Take {copy} out of the file if the other is right, or put the right values in both."
        )


def _in_backbone(names: Iterable[str], checkpoint: Checkpoint) -> list[str]:
    """Those of a file's names that lie in a part that backbones have, judged by what they begin with."""
    prefix = checkpoint.mapping.task_prefix if checkpoint.nested else checkpoint.mapping.backbone_prefix
    prefix = prefix.format(model=checkpoint.config.model_type)

    def part(name: str) -> str:
        return name.removeprefix(prefix).replace("/", ".").split(".")[0]

    model_type = checkpoint.config.model_type
    every = shapeless_parameters(model_type, dict.fromkeys(LAYERS[model_type], 1))
    parts = {part(checkpoint.key(p)) for p in every if not p.head}
    return [name for name in names if name.startswith(prefix) and (prefix or part(name) in parts)]


def _mismatch_message(
    checkpoint: Checkpoint,
    architecture: str,
    missing: Sequence[Parameter],
    unexpected: Sequence[str],
    wrong: Sequence[Parameter],
) -> str:
    """Say what does not fit: counts, names, and what to do.

    Args:
        checkpoint: the file, with the configuration that it was compared with.
        architecture: the model's class name.
        missing: parameters that the file lacks.
        unexpected: names in the file that no model has under this configuration.
        wrong: parameters that the file has in another shape.
    """
    config = checkpoint.config
    layers = ", ".join(f"{field}={getattr(config, field)}" for field in LAYERS[config.model_type])
    shapes = [f"{p.name} wants {list(p.shape)}, the file has {list(checkpoint.shape(p) or ())}" for p in wrong]
    return "\n".join(
        [
            f"{checkpoint.file.path.name} ({checkpoint.mapping.title}) does not fit {architecture}({layers}):",
            f"  missing     {len(missing)}{listed(checkpoint.key(p) for p in missing)}",
            f"  unexpected  {len(unexpected)}{listed(unexpected)}",
            f"  wrong shape {len(wrong)}{listed(shapes)}",
            " ".join(["Nothing was loaded.", *_advice(checkpoint, architecture, missing, unexpected, wrong)]),
        ]
    )


def listed(names: Iterable[str]) -> str:
    """The first few of some names, after a colon, and how many more there are."""
    few = first_few(names, _SHOWN)
    return f": {few}" if few else ""


def _class_of_rival(parameter: Parameter) -> str | None:
    """The class whose only head has a module that reads inputs of another size under the same name in files."""
    rows = {row.path: row for row in module_rows(parameter.model_type)}
    own = rows.get(parameter.module)
    for row in rows.values():
        if own and row.hf_path == own.hf_path and row.size[1:] != own.size[1:]:
            head = row.path.split(".")[1]
            return next((n for n, s in architectures(parameter.model_type).items() if s.heads == (head,)), None)
    return None


def _advice(
    checkpoint: Checkpoint,
    architecture: str,
    missing: Sequence[Parameter],
    unexpected: Sequence[str],
    wrong: Sequence[Parameter],
) -> Iterator[str]:
    """What to do, sentence by sentence."""
    told = {}
    config, held_names = checkpoint.config, checkpoint.names
    counts = layer_counts(config.model_type, checkpoint.mapping, checkpoint.nested, held_names)
    for field, count in counts.items():
        # A file without any layer is another model's.
        if any(counts.values()) and count != getattr(config, field) and (missing or unexpected):
            told[field] = (count, f"layers of the kind that {field} counts")
    for p in wrong:
        for module, axis, field, counted in SIZE_EVIDENCE:
            held = checkpoint.shape(p) or ()
            if (
                hasattr(config, field)
                and p.module == module
                and p.leaf.torch == "weight"
                and len(held) == len(p.shape)
                and held[axis] != p.shape[axis]
            ):
                told[field] = (held[axis], counted)
    rivals = {p.head: name for p in wrong if (name := _class_of_rival(p))}
    if rivals:  # two heads have one name, and differ in what they read
        told.pop("num_qa_labels", None)
        yield f"The file has another head than {architecture}'s: load it with {next(iter(rivals.values()))}."
        yield "Or pass allow_new_head=True to from_pretrained, to start the head afresh."
    for field, (count, counted) in told.items():
        yield (
            f"The file has {count} {counted}: put {field}={count} into config.json, or pass it to from_pretrained "
            "(--set on the command line)."
        )
    if "num_qa_labels" in told or "num_labels" in told:
        yield "Or pass allow_new_head=True to from_pretrained, to start the answer head afresh."
    explained = bool(told or rivals)
    heads = sorted({p.head for p in missing if p.head})
    if heads and all(p.head for p in missing):
        explained = True
        yield f"The file lacks tensors of the heads: {', '.join(heads)}."
        yield "Pass allow_new_head=True to from_pretrained, to start them afresh."
        switches = spec_of(architecture).optional_heads
        off = [switches[head] for head in heads if head in switches]
        if len(off) == len(heads):
            yield f"Or do without them: {', '.join(off)} false in config.json."
    elif unexpected and not (missing or wrong or _in_backbone(map(normalize_key, unexpected), checkpoint)):
        explained = True
        yield 'The file also has what no model here has: take the backbone alone (only="backbone", --head backbone).'
    elif any(p.head == "choice" for p in wrong):
        explained = True
        yield "The file has another head than that of the choices: pass allow_new_head=True to from_pretrained."
    if missing and config.model_type == "visual_bert" and not checkpoint.has_pooler:
        explained = True
        yield (
            "The file has no pooler: pass add_pooling_layer=False to from_pretrained."
            if architecture == "VisualBertModel"
            else f"The file has no pooler, which {architecture} needs; VisualBertModel does without one, "
            "with add_pooling_layer=False."
        )
    bypass = any("additional_layer" in name for name in held_names)
    if bypass != getattr(config, "bypass_transformer", bypass):
        explained = True
        yield (
            f"The file has {'an' if bypass else 'no'} additional layer: put bypass_transformer={str(bypass).lower()} "
            f"into config.json, or pass bypass_transformer={bypass} to from_pretrained."
        )
    if not explained:
        yield "Give the config.json that belongs to the file."

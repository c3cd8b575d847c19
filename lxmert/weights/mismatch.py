"""The error for a weight file that does not fit a model: everything that is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from lxmert.common.specs import architectures, class_spec
from lxmert.utils.messages import first_few
from lxmert.utils.setting_names import config_field, in_command

from .checkpoint import Checkpoint, CheckpointMismatchError
from .naming.key_mapping import Parameter, layer_counts, normalize_key, shapeless_parameters
from .naming.tables import MODELS, module_rows

_SHOWN = 6


class Mismatch(NamedTuple):
    """How a file, with its configuration, and a model class differ.

    `missing` are parameters that the file lacks, `wrong_shape` those that it has in another shape, and `unexpected`
    names in the file that no model has under this configuration.
    """

    checkpoint: Checkpoint
    architecture: str
    missing: Sequence[Parameter]
    unexpected: Sequence[str]
    wrong_shape: Sequence[Parameter]


def mismatch_error(mismatch: Mismatch) -> CheckpointMismatchError:
    """The error with counts, names, and suggestions."""
    checkpoint, architecture, missing, unexpected, wrong_shape = mismatch
    config = checkpoint.config
    layers = ", ".join(f"{field}={getattr(config, field)}" for field in MODELS[config.model_type].layers)
    shapes = [f"{p.name} needs {list(p.shape)}, the file has {list(checkpoint.shape(p) or ())}" for p in wrong_shape]
    suggestions = [*_suggestions(mismatch)] or ["Pass the config.json that belongs to the file."]
    message = [
        f"{checkpoint.file.path.name} ({checkpoint.mapping.title}) does not fit {architecture}({layers}):",
        f"  missing     {len(missing)}{after_colon(checkpoint.key(p) for p in missing)}",
        f"  unexpected  {len(unexpected)}{after_colon(unexpected)}",
        f"  wrong shape {len(wrong_shape)}{after_colon(shapes)}",
        " ".join(["Nothing was loaded.", *suggestions]),
    ]
    return CheckpointMismatchError(
        "\n".join(message),
        missing=tuple(checkpoint.key(p) for p in missing),
        unexpected=tuple(unexpected),
        wrong_shape=tuple(p.name for p in wrong_shape),
    )


def after_colon(names: Iterable[str]) -> str:
    """The first few names after a colon, and how many more there are; nothing for none."""
    few = first_few(names, _SHOWN)
    return f": {few}" if few else ""


def backbone_names(keys: Iterable[str], checkpoint: Checkpoint) -> list[str]:
    """Those keys of a file that belong to its backbone, judged by their prefix."""
    model_type = checkpoint.config.model_type
    prefix = checkpoint.mapping.task_prefix if checkpoint.nested else checkpoint.mapping.backbone_prefix
    prefix = prefix.format(model=model_type)

    def part(key: str) -> str:
        return key.removeprefix(prefix).replace("/", ".").split(".")[0]

    every = shapeless_parameters(model_type, dict.fromkeys(MODELS[model_type].layers, 1))
    parts = {part(checkpoint.key(p)) for p in every if not p.head}
    return [key for key in keys if key.startswith(prefix) and (prefix or part(key) in parts)]


def _suggestions(mismatch: Mismatch) -> Iterator[str]:
    """What to do, sentence by sentence."""
    sizes = {**_other_layer_counts(mismatch), **_other_sizes(mismatch)}
    rival = next((name for p in mismatch.wrong_shape if (name := _rival_class(p))), None)
    if rival:  # a head of the same name, which reads something else
        sizes.pop("num_qa_labels", None)
        yield f"The file has another head than {mismatch.architecture}'s: load it with {rival}."
        yield from _new_head("Or", "the head")
    for field, (count, counted) in sizes.items():
        yield (
            f"The file has {count} {counted}: put {field}={count} into config.json, or pass "
            f"{config_field(field, count)}."
        )
    if "num_qa_labels" in sizes or "num_labels" in sizes:
        yield from _new_head("Or", "the answer head")
    yield from _about_heads(mismatch)
    yield from _about_pooler(mismatch)
    yield from _about_bypass(mismatch)
    yield from _about_quantized(mismatch)
    for start, advice in MODELS[mismatch.checkpoint.config.model_type].advice.items():
        if any(p.module.startswith(start) for p in mismatch.missing):
            yield advice


def _new_head(before: str, what: str) -> Iterator[str]:
    """The advice to newly initialize a head, which commands that read weights do not do: they read another head."""
    advice = "choose the head of the file (--head)" if in_command() else ""
    advice = advice or f"pass allow_new_head=True to from_pretrained, to newly initialize {what}"
    yield f"{before} {advice}." if before else f"{advice[0].upper()}{advice[1:]}."


def _other_layer_counts(mismatch: Mismatch) -> dict[str, tuple[int, str]]:
    """The config fields whose layers the file has in another number, with that number and what it counts."""
    checkpoint, config = mismatch.checkpoint, mismatch.checkpoint.config
    counts = layer_counts(config.model_type, checkpoint.mapping, checkpoint.nested, checkpoint.names)
    if not any(counts.values()) or not (mismatch.missing or mismatch.unexpected):
        return {}  # a file without any layer is another model's
    return {
        field: (count, f"layers of the kind that {field} counts")
        for field, count in counts.items()
        if count != getattr(config, field)
    }


def _other_sizes(mismatch: Mismatch) -> dict[str, tuple[int, str]]:
    """The config fields that the shapes in the file contradict, with the file's number and what it counts."""
    sizes = {}
    for p in mismatch.wrong_shape:
        shape = mismatch.checkpoint.shape(p) or ()
        if p.leaf.torch != "weight" or len(shape) != len(p.shape):
            continue
        for found in MODELS[p.model_type].evidence:
            if p.module == found.module and found.more < shape[found.axis] != p.shape[found.axis]:
                sizes[found.field] = (shape[found.axis] - found.more, found.counted)
    return sizes


def _rival_class(parameter: Parameter) -> str | None:
    """The class whose only head has a module that reads inputs of another size under the same name in files."""
    rows = {row.path: row for row in module_rows(parameter.model_type)}
    own = rows.get(parameter.module)
    for row in rows.values():
        if own and row.hf_path == own.hf_path and row.size[1:] != own.size[1:]:
            head = row.path.split(".")[1]
            return next((n for n, s in architectures(parameter.model_type).items() if s.heads == (head,)), None)
    return None


def _about_heads(mismatch: Mismatch) -> Iterator[str]:
    checkpoint, architecture, missing, unexpected, wrong_shape = mismatch
    heads = sorted({p.head for p in missing if p.head})
    if heads and all(p.head for p in missing):
        yield f"The file lacks tensors of the heads: {', '.join(heads)}."
        yield from _new_head("", "them")
        switches = class_spec(architecture).optional_heads
        off = [switches[head] for head in heads if head in switches]
        if len(off) == len(heads):
            yield f"Or do without them: {', '.join(off)} false in config.json."
    elif unexpected and not (missing or wrong_shape or backbone_names(map(normalize_key, unexpected), checkpoint)):
        yield 'The file also has tensors of no model here: load only the backbone (only="backbone", --head backbone).'
    elif any(p.head == "choice" for p in wrong_shape):
        yield "The file has another head than multiple choice."
        yield from _new_head("", "it")


def _about_pooler(mismatch: Mismatch) -> Iterator[str]:
    checkpoint, architecture = mismatch.checkpoint, mismatch.architecture
    may_lack_it = "pooler" in MODELS[checkpoint.config.model_type].new_parts
    if not mismatch.missing or not may_lack_it or checkpoint.has_pooler:
        return
    if class_spec(architecture).heads:
        yield (
            f"The file has no pooler, which {architecture} needs; VisualBertModel does without one, with "
            "add_pooling_layer=False."
        )
    else:
        yield "The file has no pooler: pass add_pooling_layer=False to from_pretrained."


def _about_bypass(mismatch: Mismatch) -> Iterator[str]:
    bypass = any("additional_layer" in key for key in mismatch.checkpoint.names)
    if bypass != getattr(mismatch.checkpoint.config, "bypass_transformer", bypass):
        yield (
            f"The file has {'an' if bypass else 'no'} additional layer: put bypass_transformer={str(bypass).lower()} "
            f"into config.json, or pass {config_field('bypass_transformer', str(bypass).lower())}."
        )


def _about_quantized(mismatch: Mismatch) -> Iterator[str]:
    checkpoint = mismatch.checkpoint
    stored = (name for key, name in checkpoint.names.items() if not checkpoint.mapping.is_unused(key))
    integers = any(checkpoint.file.dtypes[name].kind in "iu" for name in stored)
    if integers and not checkpoint.mapping.keras_layout:
        yield "Of quantized weights, int8 matrices with a scale of each row (weight_scale) are read, and no others."
    elif integers:
        yield (
            "The file holds quantized weights: load a .keras file by keras.saving.load_model, or quantize a model as "
            "this one was, and load the file by its load_weights."
        )

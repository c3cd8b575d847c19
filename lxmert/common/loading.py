"""Whether a weight file fits a model, both ways round, before anything is loaded; and if not, all that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .checkpoint import Checkpoint, CheckpointMismatchError
from .names import Parameter, layer_counts, parameters
from .tables import HEADS, LAYERS, TITLES, head_names

# Sizes that the shape of one weight tells: its module, the axis, the field, and what the field counts.
_TELLING = (
    ("embeddings.word", 0, "vocab_size", "words in its vocabulary"),
    ("embeddings.word", 1, "hidden_size", "numbers in each word's embedding"),
    ("embeddings.position", 0, "max_position_embeddings", "positions"),
    ("embeddings.token_type", 0, "type_vocab_size", "token types"),
    ("region_embeddings.feature", 1, "visual_feat_dim", "visual features"),
    ("region_embeddings.box", 1, "visual_pos_dim", "numbers in a box"),
    ("embeddings.feature", 1, "visual_embedding_dim", "visual features"),
    ("language_layers.0.feed_forward.up", 0, "intermediate_size", "units between the layers of a feed-forward block"),
    ("encoder_layers.0.feed_forward.up", 0, "intermediate_size", "units between the layers of a feed-forward block"),
    ("heads.object.obj", 0, "num_object_labels", "object classes"),
    ("heads.object.attr", 0, "num_attr_labels", "attribute classes"),
    ("heads.answer.out", 0, "num_qa_labels", "answers"),
    ("heads.classifier", 0, "num_labels", "labels"),
)
_SHOWN = 6


@dataclass(frozen=True)
class LoadReport:
    """What became of a file's tensors and of a model's parameters.

    Attributes:
        source: the file.
        spelling: whose names the file uses.
        new: names of parameters that the file does not have and that were made fresh, because that was asked for.
        left_out: names in the file that belong to what this model does without: heads, a pooler, or what no model has.
    """

    source: str
    spelling: str
    new: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()


def fit(
    checkpoint: Checkpoint,
    architecture: str,
    only: str | None = None,
    allow_new_head: bool = False,
    pooler: bool = True,
) -> tuple[list[Parameter], LoadReport]:
    """Compare a file with a model, both ways round, before anything is loaded.

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
            whole numbers; or a tensor of the word head that is another one of the model (its decoder is the word
            embedding) is stored with other values.
        ValueError: another value of `only`.
    """
    if only not in (None, "backbone"):
        raise ValueError(f'only must be None or "backbone"; got {only!r}.')
    config, held, spelling = checkpoint.config, checkpoint.file.shapes, checkpoint.spelling
    # A head that this model does without is known all the same.
    losses = ("visual_obj_loss", "visual_attr_loss", "visual_feat_loss")
    whole = config.replace(**dict.fromkeys(losses, True)) if config.model_type == "lxmert" else config
    known = {checkpoint.spelled(p): p for p in parameters(whole, HEADS[config.model_type])}
    wanted = list(parameters(config, head_names(architecture, config), pooler))
    shapes = {p.name: checkpoint.shape(p) for p in wanted}
    fresh_heads = set()
    for p in wanted:
        if p.head and (only == "backbone" or (allow_new_head and shapes[p.name] != p.shape)):
            fresh_heads.add(p.head)
    taken = [p for p in wanted if p.head not in fresh_heads]
    missing = [p for p in taken if shapes[p.name] is None]
    wrong = [p for p in taken if shapes[p.name] not in (None, p.shape)]
    copies = {name: module for name, module in spelling.copies().items() if name in held}
    unexpected = [name for name in held if not (name in known or name in copies or spelling.leaves_out(name))]
    if only == "backbone":
        unexpected = [name for name in unexpected if not _is_head_name(name, known, spelling.heads)]
    if missing or wrong or unexpected:
        raise CheckpointMismatchError(_mismatch_message(checkpoint, architecture, missing, unexpected, wrong))
    whole_numbers = [p for p in taken if checkpoint.dtype(p).kind != "f"]
    if whole_numbers:
        names = listed(f"{checkpoint.spelled(p)} as {checkpoint.dtype(p)}" for p in whole_numbers)
        raise CheckpointMismatchError(
            f"{checkpoint.file.path} holds {len(whole_numbers)} weights as whole numbers{names}. "
            "Nothing was loaded. Save them as floating-point numbers."
        )
    used = {checkpoint.spelled(p) for p in taken}
    for name, module in copies.items() if any(p.head == "word" for p in taken) else ():
        _check_copy(checkpoint, name, next(p for p in taken if p.module == module))
        used.add(name)
    report = LoadReport(
        source=str(checkpoint.file.path),
        spelling=checkpoint.spelling.title,
        new=tuple(p.name for p in wanted if p.head in fresh_heads),
        left_out=tuple(name for name in held if name not in used and name not in unexpected),
    )
    return taken, report


def _check_copy(checkpoint: Checkpoint, copy: str, parameter: Parameter) -> None:
    """Refuse a tensor stored beside the one that it is tied to, if it has other values."""
    file, name = checkpoint.file, checkpoint.spelled(parameter)
    shapes = [file.shapes[copy], file.shapes[name]]
    same = shapes[0] == shapes[1] and np.array_equal(file.read(copy), file.read(name), equal_nan=True)
    if not same:
        raise CheckpointMismatchError(
            f"{file.path} holds {copy} {list(shapes[0])} beside {name} {list(shapes[1])} with other values; "
            f"the two are one tensor in a model of {TITLES[parameter.model_type]}. Nothing was loaded. "
            f"Take {copy} out of the file if the other is right, or put the right values in both."
        )


def _is_head_name(name: str, known: dict[str, Parameter], prefix: str) -> bool:
    """Whether an unknown name lies in a head, judged by what follows the prefix of the heads, up to a dot or slash."""

    def root(name: str) -> str:
        return name.removeprefix(prefix).replace("/", ".").split(".")[0]

    return name.startswith(prefix) and root(name) in {root(key) for key, p in known.items() if p.head}


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
            f"{checkpoint.file.path.name} ({checkpoint.spelling.title}) does not fit {architecture}({layers}):",
            f"  missing     {len(missing)}{listed(checkpoint.spelled(p) for p in missing)}",
            f"  unexpected  {len(unexpected)}{listed(unexpected)}",
            f"  wrong shape {len(wrong)}{listed(shapes)}",
            " ".join(["Nothing was loaded.", *_advice(checkpoint, architecture, missing, unexpected, wrong)]),
        ]
    )


def listed(names: Iterable[str]) -> str:
    """The first few of some names, after a colon, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ": " + ", ".join(names[:_SHOWN]) + more if names else ""


def _advice(
    checkpoint: Checkpoint,
    architecture: str,
    missing: Sequence[Parameter],
    unexpected: Sequence[str],
    wrong: Sequence[Parameter],
) -> Iterator[str]:
    """What to do, sentence by sentence."""
    told = {}
    config, held_names = checkpoint.config, checkpoint.file.shapes
    counts = layer_counts(config.model_type, checkpoint.spelling, checkpoint.nested, held_names)
    for field, count in counts.items():
        # A file without any layer is another model's.
        if any(counts.values()) and count != getattr(config, field) and (missing or unexpected):
            told[field] = (count, f"layers of the kind that {field} counts")
    for p in wrong:
        for module, axis, field, counted in _TELLING:
            held = checkpoint.shape(p) or ()
            if (
                hasattr(config, field)
                and p.module == module
                and p.leaf.torch == "weight"
                and len(held) == len(p.shape)
                and held[axis] != p.shape[axis]
            ):
                told[field] = (held[axis], counted)
    for field, (count, counted) in told.items():
        yield f"The file has {count} {counted}: put {field}={count} into config.json, or pass it to from_pretrained."
    if "num_qa_labels" in told or "num_labels" in told:
        yield "Or pass allow_new_head=True to from_pretrained, to start the answer head afresh."
    explained = bool(told)
    heads = sorted({p.head for p in missing if p.head})
    if heads and all(p.head for p in missing):
        explained = True
        yield f"The file lacks tensors of the heads: {', '.join(heads)}."
        yield "Pass allow_new_head=True to from_pretrained, to start them afresh."
        flags = {"answer": "task_qa", "object": "task_obj_predict, visual_*_loss"}
        off = [flags[head] for head in heads if head in flags]
        if len(off) == len(heads) and architecture == "LxmertForPreTraining":
            yield f"Or do without them: {', '.join(off)} false in config.json."
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

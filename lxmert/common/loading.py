"""Whether a weight file fits a model, both ways round, before anything is loaded; and if not, all that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .checkpoint import Checkpoint, CheckpointMismatchError
from .names import HEADS, TIED_DECODER, Parameter, head_names, layer_counts, parameters

# Sizes that the shape of one weight tells: its module, the axis, the field, and what the field counts.
_TELLING = (
    ("embeddings.word", 0, "vocab_size", "words in its vocabulary"),
    ("embeddings.word", 1, "hidden_size", "numbers in each word's embedding"),
    ("embeddings.position", 0, "max_position_embeddings", "positions"),
    ("embeddings.token_type", 0, "type_vocab_size", "token types"),
    ("region_embeddings.feature", 1, "visual_feat_dim", "visual features"),
    ("region_embeddings.box", 1, "visual_pos_dim", "numbers in a box"),
    ("language_layers.0.feed_forward.up", 0, "intermediate_size", "units between the layers of a feed-forward block"),
    ("heads.object.obj", 0, "num_object_labels", "object classes"),
    ("heads.object.attr", 0, "num_attr_labels", "attribute classes"),
    ("heads.answer.out", 0, "num_qa_labels", "answers"),
)
_SHOWN = 6


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
        CheckpointMismatchError: listing all that is missing, unexpected or wrongly shaped; or the word head's decoder,
            which is the word embedding here, is stored beside it with other values.
        ValueError: another value of `only`.
    """
    if only not in (None, "backbone"):
        raise ValueError(f'only must be None or "backbone"; got {only!r}.')
    config, held = checkpoint.config, checkpoint.file.shapes
    # A head that this model does without is known all the same.
    whole = config.replace(visual_obj_loss=True, visual_attr_loss=True, visual_feat_loss=True)
    known = {checkpoint.spelled(p): p for p in parameters(whole, HEADS)}
    wanted = list(parameters(config, head_names(architecture, config)))
    shapes = {p.name: checkpoint.shape(p) for p in wanted}
    fresh_heads = set()
    for p in wanted:
        if p.head and (only == "backbone" or (allow_new_head and shapes[p.name] != p.shape)):
            fresh_heads.add(p.head)
    taken = [p for p in wanted if p.head not in fresh_heads]
    missing = [p for p in taken if shapes[p.name] is None]
    wrong = [p for p in taken if shapes[p.name] not in (None, p.shape)]
    tied = checkpoint.spelling.tied and TIED_DECODER in held
    unexpected = [name for name in held if name not in known and not (tied and name == TIED_DECODER)]
    if only == "backbone":
        unexpected = [name for name in unexpected if not _is_head_name(name, known)]
    if missing or wrong or unexpected:
        raise CheckpointMismatchError(_mismatch_message(checkpoint, architecture, missing, unexpected, wrong))
    used = {checkpoint.spelled(p) for p in taken}
    if tied and any(p.head == "word" for p in taken):
        _check_decoder(checkpoint, next(p for p in taken if p.module == "embeddings.word"))
        used.add(TIED_DECODER)
    report = LoadReport(
        source=str(checkpoint.file.path),
        spelling=checkpoint.spelling.title,
        new=tuple(p.name for p in wanted if p.head in fresh_heads),
        left_out=tuple(name for name in held if name not in used and name not in unexpected),
    )
    return taken, report


def _check_decoder(checkpoint: Checkpoint, embedding: Parameter) -> None:
    """Refuse a decoder stored beside the word embedding that it is tied to, if it has other values."""
    file, name = checkpoint.file, checkpoint.spelled(embedding)
    shapes = [file.shapes[TIED_DECODER], file.shapes[name]]
    same = shapes[0] == shapes[1] and np.array_equal(file.read(TIED_DECODER), file.read(name), equal_nan=True)
    if not same:
        raise CheckpointMismatchError(
            f"{file.path} holds {TIED_DECODER} {list(shapes[0])} beside {name} {list(shapes[1])} with other values; "
            "the two are one tensor in an LXMERT model. Nothing was loaded. "
            f"Take {TIED_DECODER} out of the file if the embedding is right, or put the right values in both."
        )


def _is_head_name(name: str, known: dict[str, Parameter]) -> bool:
    """Whether an unknown name lies in a head, judged by the part of the name before its first dot or slash."""
    roots = {key.replace("/", ".").split(".")[0] for key, p in known.items() if p.head}
    return name.replace("/", ".").split(".")[0] in roots


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
    shapes = [f"{p.name} wants {list(p.shape)}, the file has {list(checkpoint.shape(p) or ())}" for p in wrong]
    return "\n".join(
        [
            f"{checkpoint.file.path.name} ({checkpoint.spelling.title}) does not fit {architecture}"
            f"(l_layers={config.l_layers}, x_layers={config.x_layers}, r_layers={config.r_layers}):",
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
    for field, count in layer_counts(checkpoint.spelling, checkpoint.nested, checkpoint.file.shapes).items():
        if count != getattr(checkpoint.config, field) and (missing or unexpected):
            told[field] = (count, f"layers of the kind that {field} counts")
    for p in wrong:
        for module, axis, field, counted in _TELLING:
            held = checkpoint.shape(p) or ()
            if (
                p.module == module
                and p.leaf.torch == "weight"
                and len(held) == len(p.shape)
                and held[axis] != p.shape[axis]
            ):
                told[field] = (held[axis], counted)
    for field, (count, counted) in told.items():
        yield f"The file has {count} {counted}: put {field}={count} into config.json, or pass it to from_pretrained."
    if "num_qa_labels" in told:
        yield "Or pass allow_new_head=True to from_pretrained, to start the answer head afresh."
    heads = sorted({p.head for p in missing if p.head})
    if heads and all(p.head for p in missing):
        yield f"The file lacks tensors of the heads: {', '.join(heads)}."
        yield "Pass allow_new_head=True to from_pretrained, to start them afresh."
        flags = {"answer": "task_qa", "object": "task_obj_predict, visual_*_loss"}
        off = [flags[head] for head in heads if head in flags]
        if len(off) == len(heads) and architecture == "LxmertForPreTraining":
            yield f"Or do without them: {', '.join(off)} false in config.json."
    if not told and not heads:
        yield "Give the config.json that belongs to the file."

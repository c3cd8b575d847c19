"""The message of a weight file that does not fit a model: all that is wrong, and what to do where that can be told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from .names import Parameter, layer_counts

if TYPE_CHECKING:
    from .checkpoint import Checkpoint

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


def mismatch_message(
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
            f"  missing     {len(missing)}{_listed(checkpoint.spelled(p) for p in missing)}",
            f"  unexpected  {len(unexpected)}{_listed(unexpected)}",
            f"  wrong shape {len(wrong)}{_listed(shapes)}",
            " ".join(["Nothing was loaded.", *_advice(checkpoint, missing, unexpected, wrong)]),
        ]
    )


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ": " + ", ".join(names[:_SHOWN]) + more if names else ""


def _advice(
    checkpoint: Checkpoint, missing: Sequence[Parameter], unexpected: Sequence[str], wrong: Sequence[Parameter]
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
        yield f"The file has {count} {counted}: pass {field}={count}, or put it into config.json."
    if "num_qa_labels" in told:
        yield "Or pass allow_new_head=True to start the answer head afresh."
    heads = sorted({p.head for p in missing if p.head})
    if heads and all(p.head for p in missing):
        yield f"The file lacks tensors of the heads: {', '.join(heads)}. Pass allow_new_head=True to start them afresh,"
        yield "or switch their tasks off (task_qa, task_obj_predict, visual_*_loss) where the model can do without."
    if not told and not heads:
        yield "Give the config.json that belongs to the file."

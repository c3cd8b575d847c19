"""The configuration of a weight file that has none, inferred from the shapes of its weights."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from lxmert.common.config.base import ModelConfig
from lxmert.weights.naming.key_mapping import Parameter, shapeless_parameters

# Sizes that the shape of one weight tells: its module, the axis, the field, and what the field counts.
SIZE_EVIDENCE = (
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
# Switches, and the modules that are there where the switch is on. Those of pre-training are told by its files alone.
_PRE_TRAINING_SWITCHES = {
    "task_obj_predict": "heads.object.transform",
    "task_qa": "heads.answer.out",
    "visual_obj_loss": "heads.object.obj",
    "visual_attr_loss": "heads.object.attr",
    "visual_feat_loss": "heads.object.feat",
}
_SWITCHES = {"bypass_transformer": "additional_layer.attention.query"}
# BERT's attention heads are this wide in every size that was published by its authors, LXMERT's and VisualBERT's too.
_USUAL_HEAD = 64


def config_from_shapes(
    kind: type[ModelConfig],
    counts: Mapping[str, int],
    shape_of: Callable[[Parameter], tuple[int, ...] | None],
    place: str,
    overrides: Mapping[str, Any],
) -> ModelConfig:
    """Make the configuration that fits a file's shapes; what no shape tells has the default of the published models.

    Args:
        kind: the class of the configuration.
        counts: the layers of each kind, by the config field that counts them.
        shape_of: the shape of a parameter in the file, PyTorch's way round; None where the file has none.
        place: the file, for messages.
        overrides: config fields that are given.

    Raises:
        ValueError: the number of attention heads is neither given nor told, and the usual width of one does not fit.
    """
    weights = {p.module: p for p in shapeless_parameters(kind.model_type, counts) if p.leaf.torch in ("weight", "")}
    shapes = {module: shape for module, p in weights.items() if (shape := shape_of(p)) is not None}
    fields = kind.field_names()
    told: dict[str, Any] = {
        field: shapes[module][axis]
        for module, axis, field, _ in SIZE_EVIDENCE
        if field in fields and len(shapes.get(module, ())) == 2
    }
    told.update(counts)
    switches = _SWITCHES | (_PRE_TRAINING_SWITCHES if "heads.word.transform" in shapes else {})
    told.update({field: module in shapes for field, module in switches.items() if field in fields})
    told["num_attention_heads"] = _attention_heads(told, shapes, place, overrides)
    return kind.from_dict(told, **overrides)


def _attention_heads(
    told: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], place: str, overrides: Mapping[str, Any]
) -> int:
    if "num_attention_heads" in overrides:
        return overrides["num_attention_heads"]
    hidden = told.get("hidden_size", 0)
    narrow = shapes.get("heads.alignment.query", (0,))[0]  # one attention head wide
    if narrow and hidden % narrow == 0:
        return hidden // narrow
    if not hidden or hidden % _USUAL_HEAD:
        raise ValueError(
            f"{place} has no configuration, and its shapes do not tell num_attention_heads, which must divide its "
            f"hidden_size={hidden}: give it (num_attention_heads=..., or --set num_attention_heads=... on the command "
            "line)."
        )
    heads = hidden // _USUAL_HEAD
    warnings.warn(
        f"{place} has no configuration. Its sizes are inferred from its shapes; num_attention_heads={heads} is a "
        f"guess, {_USUAL_HEAD} numbers for each head, as in every published model. Give it to be sure.",
        UserWarning,
        stacklevel=2,
    )
    return heads

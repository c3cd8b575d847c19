"""The configuration of a weight file that has none of its own: inferred from the shapes, or taken from a BERT's."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

from lxmert.common.config.base import ModelConfig
from lxmert.common.config.values import MOST_LAYERS
from lxmert.utils.setting_names import config_field

from .naming.key_mapping import BERT, Parameter, shapeless_parameters
from .naming.tables import MODELS

FROM_SHAPES = "inferred from the shapes"  # where a configuration comes from

# The width of an attention head in every published BERT, LXMERT and VisualBERT.
_USUAL_HEAD = 64

# The fields that mean the same in BERT's configuration.
_SHARED_WITH_BERT = (
    "vocab_size",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
    "layer_norm_eps",
    "pad_token_id",
)


def config_from_shapes(
    kind: type[ModelConfig],
    counts: Mapping[str, int],
    shape_of: Callable[[Parameter], tuple[int, ...] | None],
    place: str,
    overrides: Mapping[str, Any],
) -> ModelConfig:
    """Make the configuration that fits a file's shapes; what no shape shows has the default of the published models.

    `counts` are the layers by config field; `shape_of` returns the shape of a parameter in PyTorch's layout, or None;
    `place` is the file, for messages; `overrides` are config fields that are given.

    Raises:
        TypeError, ValueError: the number of attention heads is not given and cannot be inferred, or no model has these
            shapes.
    """
    if (most := max(counts.values(), default=0)) > MOST_LAYERS:
        raise ValueError(f"the names in {place} show {most:,} layers; a model has at most {MOST_LAYERS} of a kind.")
    model = MODELS[kind.model_type]
    weights = {p.module: p for p in shapeless_parameters(kind.model_type, counts) if p.leaf.torch in ("weight", "")}
    shapes = {module: shape for module, p in weights.items() if (shape := shape_of(p)) is not None}
    fields = kind.field_names()
    inferred: dict[str, Any] = kind().field_values() if kind.needs_every_field else {}
    inferred |= {
        found.field: shapes[found.module][found.axis] - found.more
        for found in model.evidence
        if found.module in shapes and len(shapes[found.module]) == len(weights[found.module].leaf.axes or (0, 1))
    }
    inferred.update(counts)
    switches = {**model.switches, **(model.pretraining_switches if "heads.word.transform" in shapes else {})}
    inferred.update({field: module in shapes for field, module in switches.items()})
    if "num_attention_heads" in fields:
        inferred["num_attention_heads"] = _attention_heads(inferred, shapes, place, overrides)
    try:
        return kind.from_dict(inferred, **overrides)
    except (TypeError, ValueError) as error:
        raise type(error)(f"the configuration that the shapes in {place} show: {error}") from None


def _attention_heads(
    inferred: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], place: str, overrides: Mapping[str, Any]
) -> int:
    if "num_attention_heads" in overrides:
        return overrides["num_attention_heads"]
    hidden = inferred.get("hidden_size", 0)
    narrow = shapes.get("heads.alignment.query", (0,))[0]  # as wide as one attention head
    if narrow and hidden % narrow == 0:
        return hidden // narrow
    if not hidden or hidden % _USUAL_HEAD:
        raise ValueError(
            f"{place} has no configuration, and its shapes do not show num_attention_heads, which must divide its "
            f"hidden_size={hidden}: pass {config_field('num_attention_heads', '...')}"
        )
    heads = hidden // _USUAL_HEAD
    warnings.warn(
        f"{place} has no configuration. Its sizes are inferred from its shapes; num_attention_heads={heads} is a "
        f"guess, {_USUAL_HEAD} numbers for each head, as in every published model. Pass "
        f"{config_field('num_attention_heads', heads)} to be sure.",
        UserWarning,
        stacklevel=2,
    )
    return heads


def is_bert_config(stored: Mapping[str, Any]) -> bool:
    """Whether a config.json is that of a plain BERT."""
    return stored.get("model_type") == BERT.task_prefix.removesuffix(".")


def values_from_bert(stored: Mapping[str, Any], kind: type[ModelConfig], counts: Mapping[str, int]) -> dict[str, Any]:
    """The values of a config.json for a model that starts from a BERT with this one."""
    shared = {name: stored[name] for name in _SHARED_WITH_BERT if name in stored and name in kind.field_names()}
    return shared | layers_from_bert(kind, counts)


def layers_from_bert(kind: type[ModelConfig], counts: Mapping[str, int]) -> dict[str, int]:
    """How many layers a model that starts from a BERT has.

    As in the original, LXMERT's language layers are the first of BERT's, nine of twelve; its other layers are new.
    """
    model = MODELS[kind.model_type]
    usual = {name: getattr(kind(), name) for name in model.layers}
    language = model.layers[0]
    return {**usual, language: counts[language] if model.all_bert_layers else min(usual[language], counts[language])}

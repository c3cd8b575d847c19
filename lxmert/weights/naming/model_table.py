"""What a model of the name table has beside its modules: all that differs between models in files of weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from lxmert.common.specs import ModuleRow


class SizeEvidence(NamedTuple):
    """A config field that is an axis of a weight: the module, the axis, the field, and what the field counts.

    The axis may be longer than the field says by `more`.
    """

    module: str
    axis: int
    field: str
    counted: str
    more: int = 0


def _no_layer_sizes(config: Any, module: str) -> dict[str, int]:
    return {}


@dataclass(frozen=True, kw_only=True)
class ModelTable:
    """One model in files of weights.

    Attributes:
        title: its name, for users.
        paper: where it is described, for model cards.
        package: the modules of `lxmert.pt` and `lxmert.tf` that its classes are in start like this.
        rows: its modules with all of its heads.
        sizes: the values of the symbols and fields in the sizes of rows, by a configuration.
        layer_sizes: those that differ from layer to layer, by a configuration and the path of a module.
        layers: the config fields that count layers.
        described_by: the config fields that a model card lists beside those.
        evidence: the config fields that the shapes in a file show.
        switches: config fields that are true, each with a module that exists if they are.
        pretraining_switches: those that show only in a file with the heads of pre-training.
        all_parts: the values of config fields with which the model has every part that a file may have.
        answers: the module that scores the answers, and the config field that counts them.
        rivals: two heads under one name in files, of which a file has one.
        new_parts: modules that are no heads and may be newly initialized as a whole.
        beyond_bert: how the paths of modules start that a plain BERT does not have; none if the model contains no BERT.
        all_bert_layers: whether it takes all layers of a BERT, or at most as many as the published model has.
        decoder_bias: whether `transformers` has a second copy of the word head's bias in an untied decoder.
        computed: modules that a file may lack, because their values follow from a configuration.
        contained_in: the model types whose files may contain this model.
        containers: which of the published ones do.
        advice: what to say of a file that lacks modules, by how their paths start.
        beside: names of files that belong to the model, in the folder of its weights.
    """

    title: str
    paper: str
    package: str
    rows: tuple[ModuleRow, ...]
    sizes: Callable[[Any], dict[str, int]]
    layer_sizes: Callable[[Any, str], dict[str, int]] = _no_layer_sizes
    layers: tuple[str, ...]
    described_by: tuple[str, ...]
    evidence: tuple[SizeEvidence, ...]
    switches: Mapping[str, str] = field(default_factory=dict)
    pretraining_switches: Mapping[str, str] = field(default_factory=dict)
    all_parts: Mapping[str, Any] = field(default_factory=dict)
    answers: tuple[str, str] | None = None
    rivals: tuple[str, str] | None = None
    new_parts: tuple[str, ...] = ()
    beyond_bert: tuple[str, ...] = ()
    all_bert_layers: bool = True
    decoder_bias: bool = False
    computed: Mapping[str, Callable[[Any], np.ndarray]] = field(default_factory=dict)
    contained_in: tuple[str, ...] = ()
    containers: str = ""
    advice: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()

"""Which model a file holds and how it names parameters, judged by the names alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lxmert.utils.messages import first_few
from lxmert.utils.paths import CONFIG_NAME
from lxmert.weights.formats import WeightFile

from .key_mapping import BERT, KEY_MAPPINGS, KeyMapping, layer_counts, normalize_key, shapeless_parameters
from .tables import MODELS, every_head


class CheckpointMismatchError(ValueError):
    """A weight file does not fit a model. The message lists all that is missing, unexpected or of the wrong shape.

    Attributes:
        missing: keys in the file's mapping that the model needs and the file lacks.
        unexpected: names in the file that no model of this configuration has.
        wrong_shape: names of parameters that the file has in another shape.
    """

    def __init__(
        self,
        message: str,
        missing: tuple[str, ...] = (),
        unexpected: tuple[str, ...] = (),
        wrong_shape: tuple[str, ...] = (),
    ):
        super().__init__(message)
        self.missing, self.unexpected, self.wrong_shape = missing, unexpected, wrong_shape


class Recognized(NamedTuple):
    """What the names in a file show; the fields are those of `Checkpoint`, and the numbers of layers."""

    model_type: str
    mapping: KeyMapping
    nested: bool
    names: Mapping[str, str]
    layer_counts: Mapping[str, int]


def recognize(file: WeightFile, model_types: tuple[str, ...]) -> Recognized:
    """Find the mapping that knows most of the names in a file."""
    best: tuple[tuple[bool, int], Recognized] | None = None
    names = list(file.shapes)
    keys = _normalized_keys(file)
    for held in _without_common_prefixes(keys):
        for model_type in model_types:
            beyond_bert = MODELS[model_type].beyond_bert
            for mapping in (*KEY_MAPPINGS[model_type], *((BERT,) if beyond_bert else ())):
                for nested in _nestings(model_type):
                    counts = layer_counts(model_type, mapping, nested, held)
                    every = {mapping.key(p, nested): p for p in shapeless_parameters(model_type, counts)}
                    known = [p for name, p in every.items() if name in held]
                    if mapping is BERT:
                        known = [p for p in known if not p.module.startswith(beyond_bert)]
                    # The names of heads do not count alone: LXMERT and VisualBERT share some.
                    merit = not mapping.contained, len(known)
                    if any(not p.head for p in known) and (best is None or merit > best[0]):
                        best = merit, Recognized(model_type, mapping, nested, held, counts)
    if best is None or (best[1].mapping is BERT and _has_visual_weights(best[1].names)):
        titles = " or ".join(MODELS[model_type].title for model_type in model_types).replace(
            " or ", ", ", len(model_types) - 2
        )
        raise CheckpointMismatchError(
            f"{file.path} is not a file of {titles}: none of its {len(names)} names is known as a weight of the "
            f"backbone (the first are {first_few(names[:3]) or 'none'}). "
            f"Pass the {CONFIG_NAME} that belongs to it; its model_type names the model."
        )
    contains_bert = bool(MODELS[best[1].model_type].beyond_bert)
    return _as_bert(best[1]) if contains_bert and not _has_visual_weights(best[1].names) else best[1]


def _nestings(model_type: str) -> tuple[bool, ...]:
    """Whether a model's backbone may be inside of a task model: only if it has heads."""
    return (True, False) if every_head(model_type) else (False,)


def _has_visual_weights(held: Mapping[str, str]) -> bool:
    """Whether a file has weights of LXMERT or VisualBERT that a BERT does not have."""
    for model_type, model in MODELS.items():  # perhaps of the other model, by mistake
        if not model.beyond_bert:
            continue
        for p in shapeless_parameters(model_type, dict.fromkeys(model.layers, 1)):
            if p.module.startswith(model.beyond_bert) and any(
                mapping.key(p, nested) in held for mapping in KEY_MAPPINGS[model_type] for nested in (True, False)
            ):
                return True
    return False


def _as_bert(found: Recognized) -> Recognized:
    """The same as a plain BERT, if it is one."""
    for nested in (True, False):
        counts = layer_counts(found.model_type, BERT, nested, found.names)
        if any(counts.values()):
            return found._replace(mapping=BERT, nested=nested, layer_counts=counts)
    return found


def _normalized_keys(file: WeightFile) -> dict[str, str]:
    """The names in a file by their normalized keys."""
    held: dict[str, str] = {}
    for name in file.shapes:
        other = held.setdefault(normalize_key(name), name)
        if other != name:
            raise CheckpointMismatchError(f"{file.path} holds both {other} and {name}, two names of one weight.")
    return held


def _without_common_prefixes(held: Mapping[str, str]) -> list[Mapping[str, str]]:
    """The keys, also without their common prefixes: the model may be an attribute of another one."""
    candidates: list[Mapping[str, str]] = [held]
    for _ in range(3):
        heads = {name.partition(".")[0] for name in held}
        if len(heads) != 1 or not all("." in name for name in held):
            break
        held = {name.partition(".")[2]: stored for name, stored in held.items()}
        candidates.append(held)
    return candidates

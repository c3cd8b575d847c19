"""Whose weights a file holds, and how they are spelled: told by its names alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lxmert.utils.paths import CONFIG_NAME
from lxmert.weights.formats import WeightFile

from .key_mapping import BERT, KEY_MAPPINGS, KeyMapping, layer_counts, normalize_key, shapeless_parameters
from .tables import LAYERS, TITLES


class CheckpointMismatchError(ValueError):
    """A weight file does not fit a model. The message lists all that is missing, unexpected or wrongly shaped.

    Attributes:
        missing: names in the file's mapping that the model needs and the file lacks.
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
    """What a file's names tell: whose they are, how they are spelled, and how many layers they speak of."""

    model_type: str
    mapping: KeyMapping
    nested: bool
    names: Mapping[str, str]
    layer_counts: Mapping[str, int]


def recognize(file: WeightFile, model_types: tuple[str, ...]) -> Recognized:
    """The mapping that knows most of a file's names."""
    best: tuple[int, Recognized] | None = None
    names = list(file.shapes)
    plain_names = _plain(file)
    for held in _without_common_parts(plain_names):
        for model_type in model_types:
            for mapping in (*KEY_MAPPINGS[model_type], BERT):
                for nested in (True, False):
                    counts = layer_counts(model_type, mapping, nested, held)
                    every = {mapping.key(p, nested): p for p in shapeless_parameters(model_type, counts)}
                    known = [p for name, p in every.items() if name in held]
                    if mapping is BERT:
                        known = [p for p in known if not p.module.startswith(_OF_IMAGES)]
                    # The names of the heads alone tell nothing: LXMERT and VisualBERT share some.
                    if any(not p.head for p in known) and (best is None or len(known) > best[0]):
                        best = len(known), Recognized(model_type, mapping, nested, held, counts)
    if best is None or (best[1].mapping is BERT and _reads_images(best[1].names)):
        titles = " or ".join(TITLES[model_type] for model_type in model_types)
        raise CheckpointMismatchError(
            f"{file.path} is not a file of {titles}: none of its {len(names)} names is known as a weight of the "
            f"backbone (the first are {', '.join(names[:3]) or 'none'}). "
            f"Give the {CONFIG_NAME} that belongs to it; its model_type tells the model."
        )
    return best[1] if _reads_images(best[1].names) else _as_bert(best[1])


_OF_IMAGES = ("region_embeddings", "visual_layers", "cross_layers", "embeddings.feature", "embeddings.visual_")


def _reads_images(held: Mapping[str, str]) -> bool:
    """Whether a file holds weights of either model that a BERT does not have."""
    for model_type, mappings in KEY_MAPPINGS.items():  # it may be the other model, asked for by mistake
        for p in shapeless_parameters(model_type, dict.fromkeys(LAYERS[model_type], 1)):
            if p.module.startswith(_OF_IMAGES) and any(
                mapping.key(p, nested) in held for mapping in mappings for nested in (True, False)
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


def _plain(file: WeightFile) -> dict[str, str]:
    """The names in a file by their plain forms."""
    held: dict[str, str] = {}
    for name in file.shapes:
        other = held.setdefault(normalize_key(name), name)
        if other != name:
            raise CheckpointMismatchError(f"{file.path} holds both {other} and {name}, two names of one weight.")
    return held


def _without_common_parts(held: Mapping[str, str]) -> list[Mapping[str, str]]:
    """The names, and the names without what all of them begin with: a model may be an attribute of another one."""
    candidates: list[Mapping[str, str]] = [held]
    for _ in range(3):
        heads = {name.partition(".")[0] for name in held}
        if len(heads) != 1 or not all("." in name for name in held):
            break
        held = {name.partition(".")[2]: stored for name, stored in held.items()}
        candidates.append(held)
    return candidates

"""Adapters of peft: the modules that they are to train must be there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from lxmert.utils.messages import nearly_known

# What peft adds by itself for the task of sequence classification.
_ADDED_BY_PEFT = frozenset(("classifier", "score"))


def check_trained_modules(model: nn.Module, adapters: Any, aliases: Mapping[str, Iterable[str]]) -> None:
    """Refuse names in `modules_to_save` that no module has: peft would train and save nothing, without a word.

    Args:
        model: with its adapters.
        adapters: their configurations by name, which peft gives to a model.
        aliases: the names of modules in `transformers`, each with the paths here.

    Raises:
        ValueError: a name that no module's path ends with.
    """
    paths = [path for path, _ in model.named_modules()]
    for adapter in adapters.values() if isinstance(adapters, Mapping) else ():
        for name in getattr(adapter, "modules_to_save", None) or ():
            if name in _ADDED_BY_PEFT or any(path.endswith(name) for path in paths):
                continue
            nearest = nearly_known(name, {path.rpartition(".")[2] for path in paths})
            here = [*aliases.get(name.split(".")[0], ()), *([nearest] if nearest else [])]
            raise ValueError(
                f"modules_to_save has {name!r}, which is the name of no module of this {type(model).__name__}: pass "
                f"{' and '.join(map(repr, here)) or 'a name of its named_modules()'}. Make the model again first."
            )

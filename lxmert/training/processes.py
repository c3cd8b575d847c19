"""Which processes a run has, before any framework is imported: those of torchrun, or those that TF_CONFIG names."""

from __future__ import annotations

import json
import os
from typing import Any


def is_main_process(backend: str) -> bool:
    """Whether this process is the one that writes files and messages.

    Raises:
        ValueError: as for `rank_of_worker`.
    """
    return os.environ.get("RANK", "0") == "0" if backend == "pt" else rank_of_worker() == 0


def workers() -> list[tuple[str, int]]:
    """The type and the number of each process in TF_CONFIG, the chief first; empty without it.

    Raises:
        ValueError: TF_CONFIG is not a JSON object.
    """
    cluster = _tf_config().get("cluster", {})
    return [(kind, number) for kind in ("chief", "worker") for number in range(len(cluster.get(kind, ())))]


def rank_of_worker() -> int:
    """The place of this process among those of TF_CONFIG; 0 without it.

    Raises:
        ValueError: TF_CONFIG names a task that is not in its cluster.
    """
    known, task = workers(), _tf_config().get("task", {})
    place = (task.get("type"), task.get("index"))
    if known and place not in known:
        raise ValueError(f"TF_CONFIG names the task {json.dumps(task)}, which is not in its cluster.")
    return known.index(place) if known else 0


def _tf_config() -> dict[str, Any]:
    """The environment variable TF_CONFIG."""
    text = os.environ.get("TF_CONFIG", "") or "{}"
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise ValueError(f"the environment variable TF_CONFIG must be a JSON object; got {text!r}.")
    return config

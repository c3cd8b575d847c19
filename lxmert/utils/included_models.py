"""The trained checkpoints that come with this package, by name; and which sources of a model are local."""

from __future__ import annotations

from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any


@cache
def included_models() -> dict[str, Path]:
    """The folders of the checkpoints in this package, by name."""
    folder = Path(str(resources.files("lxmert"))) / "checkpoints"
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()} if folder.is_dir() else {}


def local_path(source: Any) -> Path | None:
    """The path of a source that needs no hub: a file or folder, or else the name of a checkpoint of this package.

    Args:
        source: a path; or a name such as "easy-vqa" or "owner/name". As with models on the hub, a local file or folder
            of that name comes first, and a `Path` is always a path. A data set is no model: after `lxmert data scenes
            scenes` the name "scenes" still means the checkpoint.

    Returns:
        The path; None if there is no such file, and no such checkpoint.
    """
    included = included_models().get(source) if isinstance(source, str) else None
    if Path(source).exists() and not (included is not None and _is_data_set(Path(source))):
        return Path(source)
    return included


def _is_data_set(folder: Path) -> bool:
    """Whether `lxmert data` wrote a folder."""
    return (folder / "summary.json").is_file() and (folder / "regions").is_dir()

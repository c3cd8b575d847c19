"""Read a configuration from a folder, a file, or a model on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lxmert.hub import folder_with, looks_like_hub_id
from lxmert.utils.atomic_files import recover_folder
from lxmert.utils.included_models import local_path
from lxmert.utils.json_files import LARGEST_CONFIG, read_json
from lxmert.utils.paths import CONFIG_NAME, check_subfolder
from lxmert.utils.yaml_files import is_yaml, read_yaml


def read_config(
    source: str | Path,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
    subfolder: str = "",
    force_download: bool = False,
    names: Sequence[str] = (CONFIG_NAME,),
) -> tuple[Path, dict[str, Any]]:
    """The path and the values of a config.json, given the folder, the file itself, or a model on the hub.

    Arguments and errors as those of `ModelConfig.from_pretrained`; `names` are what the file may be called, best first.
    One that ends in .yaml or .yml is YAML.
    """
    check_subfolder(subfolder)
    inside = PurePosixPath(subfolder)
    path = local_path(source) or Path(source)
    if not path.exists() and looks_like_hub_id(source):
        hub: dict[str, Any] = dict(revision=revision, cache_dir=cache_dir, token=token, force_download=force_download)
        wanted = tuple(str(inside / name) for name in names)
        path = folder_with(source, wanted, **hub, local_files_only=local_files_only)
    if path.is_dir():
        path = path / inside
        recover_folder(path)
    file = _file_in(path, names) if path.is_dir() else path
    if not file.is_file():
        name = " or ".join(names)
        problem = f"{path} has no {name}" if path.is_dir() else f"there is no file or folder {path}"
        raise FileNotFoundError(f"{problem}; pass a folder that holds a {name}, or the file itself.")
    return file, read_yaml(file) if is_yaml(file) else read_json(file, most=LARGEST_CONFIG)


def _file_in(folder: Path, names: Sequence[str]) -> Path:
    files = [folder / name for name in names]
    return next((file for file in files if file.is_file()), files[0])

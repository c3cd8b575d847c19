"""Which files of a repository on the model hub hold the weights, and their download."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Unpack

from lxmert.common.config.detector_yaml import YAML_NAME
from lxmert.hub import HubOptions, Repository, listed
from lxmert.utils.json_files import read_json
from lxmert.utils.messages import shown
from lxmert.utils.paths import CONFIG_NAME

from .formats import USUAL, Selection, choose_weights
from .formats.sharded import shard_names

_SHARD_ENDINGS = (".safetensors", ".bin")


def download_weights(
    source: str | Path,
    selection: Selection = USUAL,
    also: Collection[str] = (),
    **options: Unpack[HubOptions],
) -> Path:
    """Download the best weights of a repository, and its config.json or config.yaml if it has one.

    See `lxmert.hub.folder_with`.

    Files of the names in `also`, next to the weights, are downloaded if they exist.

    Returns the folder of the repository in the cache; the files are in its subfolder, if one is selected.

    Raises:
        FileNotFoundError, PermissionError, ConnectionError, OSError: see `lxmert.hub.folder_with`.
        ValueError: invalid options, or a malformed index of sharded weights.
    """
    repository = Repository(source, **options)
    files = repository.look_up()
    place = f"{selection.subfolder}/" if selection.subfolder else ""
    weights = choose_weights(files.inside(place), selection)
    if weights is None:
        usual = selection == USUAL._replace(subfolder=selection.subfolder)
        wanted = "model.safetensors, pytorch_model.bin or tf_model.h5, and no single other weight file"
        where = f" in {selection.subfolder}" if place else ""
        raise repository.missing((wanted if usual else selection.described) + where, files)
    configs = [name for name in (CONFIG_NAME, YAML_NAME) if place + name in files.names][:1]
    others = [place + name for name in dict.fromkeys((*configs, *also)) if place + name in files.names]
    folder = repository.fetch([*others, place + weights], files)
    if weights.split(".")[-1] == "json":
        shards = [place + name for name in _shards(folder / place / weights, repository)]
        missing = [name for name in shards if name not in files.names]
        if missing and files.folder is None:
            raise repository.missing(f"{listed(missing)}, which its {weights} names", files)
        repository.fetch(shards, files, by_commit=True)
    return folder


def _shards(index: Path, repository: Repository) -> list[str]:
    """The files that an index of weights names, each once."""
    place = f"{index.name} of {repository.source!r} on the hub"
    try:
        values = read_json(index)
    except ValueError as error:
        raise ValueError(f"{place} cannot be read: {error}") from None
    names = sorted(set(shard_names(values, place).values()))
    for name in names:
        if name.startswith(".") or not name.endswith(_SHARD_ENDINGS):
            raise ValueError(
                f"{place} names {shown(name)}; only files ending in {' or '.join(_SHARD_ENDINGS)} are fetched."
            )
    return names

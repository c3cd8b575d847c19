"""The SHA-256 of weights, by which a download or a copy is recognized."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from lxmert.utils.json_files import read_json
from lxmert.utils.paths import check_base_name
from lxmert.utils.setting_names import setting

from .formats import find_weights
from .formats.sharded import shard_names


def weights_sha256(source: str | Path) -> str:
    """The SHA-256 of a weight file, or of the one that is read from a folder, in hexadecimal.

    Of weights in several files it is that of their list, a line "SHA-256  name" for each, sorted by name: what
    `sha256sum` prints.
    """
    path = find_weights(Path(source))
    if path.suffix != ".json":
        return _sha256(path)
    names = sorted(set(shard_names(read_json(path), path).values()))
    for name in names:
        check_base_name(name, path)
    lines = "".join(f"{_sha256(path.parent / name)}  {name}\n" for name in names)
    return hashlib.sha256(lines.encode()).hexdigest()


def check_digits(wanted: str | None) -> None:
    """Raise ValueError for what is no SHA-256, before anything is downloaded or read; None is none."""
    if wanted is not None and not re.fullmatch("[0-9a-fA-F]{64}", str(wanted)):
        raise ValueError(f"{setting('sha256')} must be 64 hexadecimal digits; got {wanted!r}.")


def check_sha256(source: str | Path, wanted: str, found: str) -> None:
    """Refuse weights that are others than those wanted.

    Raises:
        ValueError: `wanted` is no SHA-256, or another one.
    """
    check_digits(wanted)
    if wanted.lower() != found:
        raise ValueError(f"{source} has the SHA-256 {found}, and not {wanted.lower()}, as {setting('sha256')} says.")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

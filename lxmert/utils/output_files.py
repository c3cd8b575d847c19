"""A file that a user wants to be written, checked before the work that makes its content."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

from .atomic_files import check_writable
from .paths import check_name_length, check_path
from .setting_names import setting


def check_output(path: str | Path, name: str, endings: Collection[str], image: object = None) -> None:
    """Refuse a file that cannot be written.

    Args:
        path: of the file.
        name: the setting that gives it.
        endings: that it may have, in small letters.
        image: the path of an image, which must not be overwritten; anything else is ignored.

    Raises:
        ValueError: no path, another ending, a folder that does not exist, or the image.
        OSError: a folder of that name is in the way, its folder cannot be written, or its name is too long.
    """
    check_path(setting(name), path)
    path = Path(path)
    check_name_length(path)
    if path.suffix.lower() not in endings:
        *others, last = endings
        wanted = f"{', '.join(others)} or {last}" if others else last
        raise ValueError(f"{setting(name)} must end in {wanted}; got {path}.")
    if not path.absolute().parent.is_dir():
        raise ValueError(f"{setting(name)} must be a file in a folder that is there; got {path}.")
    if isinstance(image, (str, os.PathLike)) and path.exists() and Path(image).exists() and path.samefile(image):
        raise ValueError(f"{setting(name)} must be another file than the image {image}, which would be lost.")
    check_writable(path)

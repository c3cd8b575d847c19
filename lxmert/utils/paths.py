"""Names of files that Hugging Face's folders have, and checks of paths from users and files."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path, PurePosixPath

from .messages import shown

CONFIG_NAME = "config.json"
SAFETENSORS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
PICKLE_NAME = "pytorch_model.bin"
OBJECTS_NAME, ATTRIBUTES_NAME = "objects_vocab.txt", "attributes_vocab.txt"  # of detectors: the names of their classes
ANSWERS_NAME = "answers.json"  # of this package: the answers of a model, in the order of its scores
_LONGEST = 255  # bytes that a name may have in the file systems in use


def check_folder(folder: Path, content: str) -> None:
    """Refuse a path where no folder for `content` can be made, before anything is read or written.

    Raises:
        NotADirectoryError: a file or a link that leads nowhere is there, or above it.
        OSError: the name is longer than the file system allows.
    """
    there = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
    if os.path.lexists(there) and not os.path.isdir(there):
        what = "a file" if os.path.exists(there) else f"a link to {os.readlink(there)}, which does not exist"
        raise NotADirectoryError(f"{there} is {what}; pass a folder to write {content} in.")
    check_name_length(folder)


def real_folder(folder: str | Path) -> Path:
    """The absolute path of a folder; where it is a link, that of the folder that the link leads to."""
    path = os.path.abspath(folder)
    return Path(os.path.realpath(path) if os.path.islink(path) else path)


def check_name_length(path: Path) -> int:
    """Refuse a path with a name that is longer than the file system allows; returns how many bytes it allows.

    Raises:
        OSError: naming both sizes.
    """
    try:
        most = os.pathconf(path.parent, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # on Windows, for example
        most = 0
    most = most if most > 0 else _LONGEST
    size = max(len(os.fsencode(name)) for name in ("", *path.parts))
    if size > most:
        text = f"a name has {size:,} bytes, and the file system allows {most:,}; pass a shorter one"
        raise OSError(errno.ENAMETOOLONG, text, str(path))
    return most


def check_path(name: str, path: str | Path) -> None:
    """Refuse an empty path, which would mean the working directory: an unset shell variable, for example."""
    if str(path) == "":
        raise ValueError(f"{name} must be a path; got an empty string. For the working directory pass a dot.")


def with_variant(name: str, variant: str | None) -> str:
    """The name of a weight file or index with a variant: model.fp16.safetensors, model.safetensors.index.fp16.json.

    Raises:
        ValueError: the variant has other characters than letters, digits, "_" and "-".
    """
    if variant is None:
        return name
    if not isinstance(variant, str) or not re.fullmatch(r"[A-Za-z0-9_-]+", variant):
        raise ValueError(f'variant must be letters, digits, "_" and "-", such as "fp16"; got {shown(variant)}.')
    start, _, ending = name.rpartition(".")
    return f"{start}.{variant}.{ending}"


def is_base_name(name: object) -> bool:
    """Whether this is the plain name of a file: no folders, nothing that leads elsewhere, nor longer than any name."""
    if not isinstance(name, str) or name in ("", ".", "..") or len(name) > _LONGEST or set(name) & set("/\\:\0"):
        return False
    try:
        return len(os.fsencode(name)) <= _LONGEST
    except UnicodeEncodeError:  # half a character
        return False


def check_base_name(name: object, place: str | Path) -> None:
    """Refuse a file name found at `place`, in another file, unless it is a plain one."""
    if not is_base_name(name):
        raise ValueError(f"{place} names a file {shown(name)}; only plain names of files next to it are allowed.")


def check_subfolder(subfolder: object) -> None:
    """Refuse a subfolder of a folder or repository that leads elsewhere."""
    if not isinstance(subfolder, str) or not all(map(is_base_name, PurePosixPath(subfolder).parts)):
        raise ValueError(f"subfolder must be the relative path of a folder; got {shown(subfolder)}.")

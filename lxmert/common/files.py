"""Files on disk: names that the formats give them, writing that loses nothing, JSON that says which file is broken."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

CONFIG_NAME = "config.json"
SAFETENSORS_NAME = "model.safetensors"
# Far above any config.json, so that a file made to fill the memory is refused before it is read.
LARGEST_JSON = 16 * 2**20


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary file beside `path`; when the block ends well it takes the place of `path`, else it is removed.

    So a reader sees the old file or the complete new one, whatever happens in between.
    """
    path = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:  # it would name the temporary file, which says nothing to the user
        raise type(error)(error.errno, error.strerror, str(path)) from None
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result is as readable as any file that the user makes.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def making_folder(folder: str | Path) -> Iterator[Path]:
    """Make `folder` and what it lies in; when the block fails, those that were made and stayed empty are removed."""
    folder = Path(folder)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        with suppress(OSError):  # not empty: someone else has put something there
            for place in made:
                place.rmdir()
        raise


def check_folder(folder: Path, content: str) -> None:
    """Refuse a file where a folder for `content` is to be, before anything is read or written.

    Raises:
        NotADirectoryError: `folder` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; give a folder to write {content} in.")


def check_named(name: str, path: str | Path) -> None:
    """Refuse an empty path, which would stand for the working directory: a shell variable that is not set, say.

    Raises:
        ValueError: naming the argument.
    """
    if str(path) == "":
        raise ValueError(f"{name} must be a path; got an empty text. For the working directory give a dot.")


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 under a temporary name, then rename it to `path`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def parse_json(text: str | bytes, place: str | Path, kind: type = dict) -> Any:
    """What a JSON text holds.

    Args:
        text: the JSON text, bytes as UTF-8.
        place: where it was found, for the message.
        kind: what it must hold: dict for an object, list for an array.

    Raises:
        ValueError: no JSON, or JSON of another kind.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise ValueError(f"{place} is not a JSON file: {error}") from None
    if not isinstance(values, kind):
        wanted = "object of keys and values" if kind is dict else "list"
        raise ValueError(f"{place} must hold a JSON {wanted}; it holds a {type(values).__name__}.")
    return values


def read_json(path: str | Path, kind: type = dict) -> Any:
    """What a JSON file holds, an object of keys and values unless another kind is wanted.

    Raises:
        OSError: the file cannot be read.
        ValueError: no JSON, JSON of another kind, or far larger than a description of a model.
    """
    if Path(path).stat().st_size > LARGEST_JSON:
        raise ValueError(f"{path} is larger than {LARGEST_JSON} bytes; that is no description of a model.")
    return parse_json(Path(path).read_bytes(), path, kind)


def config_beside(path: Path) -> dict[str, Any] | None:
    """The values of the config.json in the folder of `path`, None without one."""
    file = path.parent / CONFIG_NAME
    return read_json(file) if file.is_file() else None


def widened(values: np.ndarray) -> np.ndarray:
    """The numbers of bfloat16, given as their sixteen bits, in float32, which holds every one of them exactly."""
    return (values.view(np.uint16).astype(np.uint32) << 16).view(np.float32)

"""The door to weights on disk: told by content, whatever the file is called, and read array by array."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .files import CONFIG_NAME, SAFETENSORS_NAME
from .keras_files import KerasH5File
from .safetensors_files import SafetensorsFile

# Pickles, which can run any code when they are read.
_PICKLES = (".bin", ".pth", ".pt", ".th", ".pkl")


class WeightFile(Protocol):
    """Named arrays in one file, read one by one."""

    path: Path
    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, np.dtype]

    @property
    def config(self) -> dict[str, Any] | None:
        """The keys of the config.json that belongs to the file, None without one."""

    def read(self, name: str) -> np.ndarray:
        """One array, whole."""

    def close(self) -> None:
        """Let the file go."""


def open_weights(source: str | Path) -> WeightFile:
    """Open weights by content, whatever the file is called.

    Args:
        source: a .safetensors, .weights.h5 or .keras file, or a folder that holds model.safetensors.

    Raises:
        FileNotFoundError: nothing there, or a folder without weights.
        ValueError: an empty, damaged or foreign file.
    """
    path = Path(source)
    if path.is_dir():
        if not (path / SAFETENSORS_NAME).is_file():
            raise FileNotFoundError(_lacks_weights(path))
        path = path / SAFETENSORS_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{source} is neither a folder with {CONFIG_NAME} and {SAFETENSORS_NAME} nor a weight file. "
            "Give the path of one; files that Keras wrote end in .weights.h5 or .keras. Names on a model hub are not "
            "looked up: load the model with transformers once, and save_pretrained it to a folder."
        )
    with path.open("rb") as file:
        start = file.read(9)
    if not start:
        raise ValueError(f"{path} is empty; it was to hold weights.")
    is_safetensors = start[8:9] == b"{"  # behind the length of the header, which is any number
    # A pickle of PyTorch is a zip archive, as a .keras file is.
    if path.suffix in _PICKLES or (start.startswith(b"\x80") and not is_safetensors):
        raise ValueError(f"{path} looks like a pickled PyTorch file, which is not read. Save it as safetensors first.")
    if start.startswith(b"\x89HDF\r\n\x1a\n") or start.startswith(b"PK\x03\x04"):
        return KerasH5File(path)
    if is_safetensors or path.suffix == ".safetensors":
        return SafetensorsFile(path)
    raise ValueError(f"{path} is no weight file: it is neither safetensors nor HDF5 nor a .keras archive.")


def _lacks_weights(folder: Path) -> str:
    """The message for a folder without model.safetensors: what it holds instead, and what to do about it."""
    names = sorted(item.name for item in folder.iterdir())
    held = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    advice = "Give a folder that has one, or the path of a weight file itself."
    if f"{SAFETENSORS_NAME}.index.json" in names:
        advice = 'Its weights are in several parts; save them in one: save_pretrained(folder, max_shard_size="100GB").'
    elif any(name.endswith(_PICKLES) for name in names):
        advice = (
            "Pickled weights are not read; load them with transformers once and save_pretrained them as safetensors."
        )
    elif any(name.endswith((".h5", ".keras")) for name in names):
        advice = "Give the path of the .weights.h5 or .keras file itself."
    return f"{folder} has no {SAFETENSORS_NAME}; it holds {held or 'nothing'}. {advice}"

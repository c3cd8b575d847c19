"""Open weight files; the format is recognized by the content, not the name."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lxmert.utils.atomic_files import recover_folder
from lxmert.utils.foreign_files import first_bytes
from lxmert.utils.json_files import read_json
from lxmert.utils.messages import first_few
from lxmert.utils.paths import (
    INDEX_NAME,
    PICKLE_NAME,
    SAFETENSORS_NAME,
    check_base_name,
    check_subfolder,
    with_variant,
)
from lxmert.utils.plain_pickle import is_pickle
from lxmert.utils.zip_files import ZIP_START

from .array_pickle import ArrayPickle
from .base import WeightFile
from .hdf5 import Hdf5File
from .keras_archive import KerasArchive
from .safetensors import SafetensorsFile
from .sharded import ShardedFiles
from .torch_pickle import PickleFile, is_old_torch, is_torch_archive

TF_NAME = "tf_model.h5"
# The weights that a folder may have, best first.
_SAFE = (SAFETENSORS_NAME, INDEX_NAME)
_PICKLED = (PICKLE_NAME, f"{PICKLE_NAME}.index.json")
FOLDER_WEIGHTS = (*_SAFE, *_PICKLED, TF_NAME)
_ENDINGS = (".safetensors", ".h5", ".hdf5", ".keras", ".bin", ".pth", ".pt", ".th", ".pkl")
# Training writes pickles next to the weights.
_NOT_WEIGHTS = ("training_args.bin", "optimizer.bin", "optimizer.pt", "scheduler.pt", "scheduler.bin")


class Selection(NamedTuple):
    """Which weights of a folder or repository to take, as `from_pretrained` takes them.

    Attributes:
        subfolder: where they are.
        variant: a part of their names: "fp16" of model.fp16.safetensors.
        use_safetensors: True takes safetensors only, False takes everything else.
    """

    subfolder: str = ""
    variant: str | None = None
    use_safetensors: bool | None = None

    def check(self) -> None:
        """Refuse a subfolder that leads elsewhere, and a variant that is no part of a name.

        Raises:
            ValueError: naming the argument.
        """
        check_subfolder(self.subfolder)
        if self.variant is not None:
            with_variant(SAFETENSORS_NAME, self.variant)

    @property
    def described(self) -> str:
        """The names that are looked for, for messages."""
        safe, pickled = (with_variant(name, self.variant) for name in (SAFETENSORS_NAME, PICKLE_NAME))
        if self.use_safetensors:
            return safe
        return " or ".join([*([safe] if self.use_safetensors is None else []), pickled])


USUAL = Selection()


def choose_weights(names: Collection[str], selection: Selection = USUAL) -> str | None:
    """Choose the weights among the files in a folder or a repository; None without any, or without a clear choice.

    The order: safetensors, in one file or sharded; PyTorch's pickles; TensorFlow's; without these, the only weight file
    of another name.
    """
    safe = selection.use_safetensors
    for name in _SAFE if safe else FOLDER_WEIGHTS if safe is None else (*_PICKLED, TF_NAME):
        name = with_variant(name, selection.variant)
        if name in names:
            return name
    others = [name for name in names if name.endswith(_ENDINGS) and name not in _NOT_WEIGHTS]
    if len(others) != 1 or selection.variant is not None or selection.use_safetensors is not None:
        return None
    return others[0]


def open_weights(source: str | Path, trusted: bool = False) -> WeightFile:
    """Open a weight file of any name and format.

    Args:
        source: a weight file, the index of sharded ones, or a folder with one of these.
        trusted: whether HDF5 files may be opened in this process, which a hostile one can end: for files of your own.

    Raises:
        FileNotFoundError: it does not exist, or is a folder without weights.
        ValueError: an empty, damaged or foreign file, or a device.
    """
    path = find_weights(source)
    open_one = partial(_open_file, trusted=trusted)
    return ShardedFiles(path, open_one) if _is_index(path) else open_one(path)


def find_weights(source: str | Path, selection: Selection = USUAL) -> Path:
    """The path of the weights that a source is or holds; see `open_weights`."""
    path = Path(source)
    if path.is_dir():
        path = path / selection.subfolder
    if path.is_dir():
        recover_folder(path)
        names = [item.name for item in path.iterdir() if item.is_file()]
        chosen = choose_weights(names, selection)
        if chosen is None:
            raise FileNotFoundError(_no_weights_message(path, names, selection))
        path = path / chosen
    _refuse_device(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file or folder {source}.")
    return path


def check_for_keras(path: Path, trusted: bool = False) -> list[str]:
    """Refuse a file that Keras would open by its name, if it is no file that Keras writes.

    Returns:
        The names of the arrays in it, without those of the optimizer and the like.

    Raises:
        ValueError: a file of another format, a damaged or a hostile one.
    """
    _refuse_device(path)
    if not path.is_file():
        return []
    names: list[str] = []
    if path.name.endswith(".weights.json"):  # shards, each with its name or a list of names
        parts = read_json(path).get("weight_map")
        for part in parts.values() if isinstance(parts, dict) else ():
            for name in part if isinstance(part, list) else [part]:
                check_base_name(name, path)
                names += _check_is_keras(path.parent / name, trusted)
    elif path.name.endswith((".h5", ".hdf5", ".keras")):
        names += _check_is_keras(path, trusted)
    return names


def _refuse_device(path: Path) -> None:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise ValueError(f"{path} is a device or a pipe; a weight file was expected.")


def _check_is_keras(path: Path, trusted: bool) -> list[str]:
    file = _open_file(path, trusted)
    try:
        if not isinstance(file, (KerasArchive, Hdf5File)) or isinstance(file, Hdf5File) == (path.suffix == ".keras"):
            raise ValueError(f"{path} is {file.title}, whatever its name says; load it by from_pretrained.")
        file.check_for_libraries()
        return list(file.shapes)
    finally:
        file.close()


def _is_index(path: Path) -> bool:
    """Whether a file is a JSON object."""
    start = first_bytes(path, 9)
    # safetensors may start with that byte too: the length of its header, which also has zero bytes.
    return start.lstrip().startswith(b"{") and b"\0" not in start


def _open_file(path: Path, trusted: bool = False) -> WeightFile:
    start = first_bytes(path, 16)
    if not start:
        raise ValueError(f"{path} is empty; a weight file was expected.")
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return Hdf5File(path, trusted=trusted)
    if start[8:9] == b"{":  # after the length of the header
        return SafetensorsFile(path)
    if start.startswith(ZIP_START):
        return PickleFile(path) if is_torch_archive(path) else KerasArchive(path, trusted)
    if is_old_torch(start):
        return PickleFile(path)
    if is_pickle(start):
        return ArrayPickle(path)
    if path.suffix == ".safetensors":
        return SafetensorsFile(path)  # raises an error that says what is wrong
    if start.startswith(b"version h"):
        raise ValueError(f"{path} is not the weights but a pointer of Git LFS: fetch them with git lfs pull.")
    raise ValueError(f"{path} is no weight file: it is neither safetensors nor HDF5 nor a .keras archive nor a pickle.")


def _no_weights_message(folder: Path, names: Collection[str], selection: Selection) -> str:
    """The message for a folder without weights, or with several weight files."""
    held = first_few(sorted(item.name for item in folder.iterdir()))
    if selection.variant is not None or selection.use_safetensors is not None:
        return f"{folder} has no {selection.described}; it holds {held or 'nothing'}."
    several = [name for name in names if name.endswith(_ENDINGS)]
    advice = "Pass the path of one of them." if len(several) > 1 else "Pass a folder that has one, or a weight file."
    return (
        f"{folder} has no {SAFETENSORS_NAME}, {PICKLE_NAME} or {TF_NAME}, and no single other weight file; "
        f"it holds {held or 'nothing'}. {advice}"
    )

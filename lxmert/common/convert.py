"""Writing weights in the formats of both backends, and converting between them without either.

Source and target are walked along the name table, one tensor at a time, so that memory holds one tensor at a time too.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .checkpoint import open_checkpoint
from .files import CONFIG_NAME, SAFETENSORS_NAME, check_folder, check_named, making_folder, replacing
from .keras_files import CONFIG_ATTRIBUTE, KERAS_WEIGHTS
from .loading import LoadReport, fit
from .model_config import ModelConfig
from .names import HUGGING_FACE, KERAS_H5, Parameter
from .safetensors_files import write_safetensors
from .tables import is_task_model

_FOLDER_CONTENT = f"{CONFIG_NAME} and {SAFETENSORS_NAME}"


class Item(NamedTuple):
    """A parameter to write: its row of the table, its number format, how to get its values, PyTorch's way round."""

    parameter: Parameter
    dtype: np.dtype
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Conversion:
    """What a conversion did: the two paths, the target's format, the model class, its tensors and their bytes."""

    source: Path
    target: Path
    format: str
    architecture: str
    tensors: int
    size: int
    report: LoadReport


def write_folder(folder: str | Path, config: ModelConfig, architecture: str, items: Sequence[Item]) -> None:
    """Write config.json and model.safetensors in Hugging Face's spelling: the folder that every side reads.

    Both files take their places when both are complete; other files in the folder stay. bfloat16, which NumPy does not
    have, is written as float32, which holds all of its values.

    Args:
        folder: made if it is missing.
        config: the model's configuration.
        architecture: the model's class name without the prefix TF.
        items: every parameter of the model.

    Raises:
        NotADirectoryError: `folder` is a file.
    """
    folder = Path(folder)
    check_folder(folder, _FOLDER_CONTENT)
    nested = is_task_model(architecture)
    plain = [_without_bfloat16(item) for item in items]
    named = [(HUGGING_FACE.write(i.parameter, nested), i.dtype, i.parameter.shape, i.read) for i in plain]
    with (
        making_folder(folder),
        replacing(folder / SAFETENSORS_NAME) as weights,
        replacing(folder / CONFIG_NAME) as description,
    ):
        description.write_text(_stamped(config, architecture).to_json_string(), encoding="utf-8")
        write_safetensors(weights, named, {"format": "pt"})


def _without_bfloat16(item: Item) -> Item:
    if item.dtype.name != "bfloat16":
        return item
    return Item(item.parameter, np.dtype("float32"), lambda: item.read().astype("float32"))


def write_keras_weights(path: str | Path, config: ModelConfig, architecture: str, items: Iterable[Item]) -> None:
    """Write what `save_weights` of the Keras model would write, with the config inside.

    Args:
        path: the file; an older one is overwritten, so give a temporary name (`files.replacing`).
        config: the model's configuration.
        architecture: the model's class name without the prefix TF.
        items: every parameter of the model.
    """
    import h5py

    nested = is_task_model(architecture)
    with h5py.File(path, "w") as file:
        for item in items:
            values = item.read()
            values = values.T if item.parameter.leaf.transposed else values
            file.create_dataset(KERAS_H5.write(item.parameter, nested), data=np.ascontiguousarray(values))
        file.attrs[CONFIG_ATTRIBUTE] = _stamped(config, architecture).to_json_string()


def write_keras_archive(path: str | Path, config: ModelConfig, architecture: str, items: Iterable[Item]) -> None:
    """Write what `save` of the Keras model would write: a .keras archive. The arguments are the same."""
    items = list(items)
    dtype = "float32" if not items else np.dtype(items[0].dtype).name
    # Only this class may be without a pooler.
    pooler = {"add_pooling_layer": any(item.parameter.module == "pooler.dense" for item in items)}
    description = {
        "module": f"lxmert.tf.{config.model_type}" + ("_tasks" if is_task_model(architecture) else ""),
        "class_name": f"TF{architecture}",
        "registered_name": f"lxmert>TF{architecture}",
        "config": {
            "name": "model",
            "trainable": True,
            "dtype": {
                "module": "keras",
                "class_name": "DTypePolicy",
                "config": {"name": dtype},
                "registered_name": None,
            },
            "config": _stamped(config, architecture).to_dict(),
            **(pooler if architecture == "VisualBertModel" else {}),
        },
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0", "date_saved": ""}))
        archive.writestr(CONFIG_NAME, json.dumps(description))
        # HDF5 goes back and forth in its file, which a zip member does not allow.
        with tempfile.TemporaryDirectory(dir=Path(path).parent, prefix=".") as folder:
            weights = Path(folder) / KERAS_WEIGHTS
            write_keras_weights(weights, config, architecture, items)
            archive.write(weights, KERAS_WEIGHTS)


def stamp_config(path: str | Path, config: ModelConfig, architecture: str) -> None:
    """Store the config in a .weights.h5 file that Keras wrote.

    Args:
        path: the file.
        config: the model's configuration.
        architecture: the model's class name without the prefix TF.
    """
    import h5py

    with h5py.File(path, "a") as file:
        file.attrs[CONFIG_ATTRIBUTE] = _stamped(config, architecture).to_json_string()


def _stamped(config: ModelConfig, architecture: str) -> ModelConfig:
    """The config with the name of the model class, as config.json records it."""
    return config.replace(extra={**config.extra, "architectures": [architecture]})


def target_format(target: str | Path) -> str:
    """The format that a target's name asks for: "weights.h5", "keras", or "folder".

    Raises:
        ValueError: a name that ends like another kind of file.
    """
    path = Path(target)
    if path.is_dir():
        return "folder"
    if path.name.endswith(".weights.h5"):
        return "weights.h5"
    if path.suffix == ".keras":
        return "keras"
    if path.suffix in (".h5", ".hdf5", ".safetensors", ".bin", ".pt", ".pth", ".th", ".npz", ".ckpt", ".json"):
        raise ValueError(
            f"{target} does not tell which format is wanted. Name a folder (for {_FOLDER_CONTENT}), "
            "a file ending in .weights.h5, or one ending in .keras."
        )
    return "folder"


def _is_one_file(first: Path, second: Path) -> bool:
    return second.exists() and first.samefile(second)


def convert(
    source: str | Path,
    target: str | Path,
    config: ModelConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Conversion:
    """Convert weights between the formats of PyTorch and Keras; needs neither. Values do not change by a bit.

    The target takes its place when it is complete: after an error, the old one is there as it was. The source is only
    read. Names that the model of this configuration does not have are left out, and listed in the result's report.

    Args:
        source: a folder with config.json and model.safetensors, or a .safetensors, .weights.h5 or .keras file.
        target: a folder, or a file ending in .weights.h5 or .keras; it is replaced when complete.
        config: the configuration, where the source has none.
        progress: called after each tensor with its bytes and those of all tensors.

    Raises:
        FileNotFoundError, ValueError: no such source, a damaged or foreign one, a target of unknown format, or one that
            is the source.
        OSError: the target cannot be written.
        CheckpointMismatchError: the source lacks tensors of its model, or has others, or of other shapes.
    """
    for name, path in (("source", source), ("target", target)):
        check_named(name, path)
    source, target = Path(source), Path(target)
    kind = target_format(target)
    if kind == "folder":
        check_folder(target, _FOLDER_CONTENT)
    with open_checkpoint(source, config) as checkpoint:
        if _is_one_file(checkpoint.file.path, target / SAFETENSORS_NAME if kind == "folder" else target):
            raise ValueError(f"{target} is the source itself; give another target.")
        architecture = checkpoint.architecture
        wanted, report = fit(checkpoint, architecture, pooler=checkpoint.pooler)
        sizes = [int(np.prod(p.shape)) * checkpoint.dtype(p).itemsize for p in wanted]

        def item(parameter: Parameter, size: int) -> Item:
            def read() -> np.ndarray:
                values = checkpoint.read(parameter)
                if progress is not None:
                    progress(size, sum(sizes))
                return values

            return Item(parameter, checkpoint.dtype(parameter), read)

        items = [item(parameter, size) for parameter, size in zip(wanted, sizes, strict=True)]
        if kind == "folder":
            write_folder(target, checkpoint.config, architecture, items)
        else:
            write = write_keras_weights if kind == "weights.h5" else write_keras_archive
            with making_folder(target.parent), replacing(target) as temporary:
                write(temporary, checkpoint.config, architecture, items)
    return Conversion(source, target, kind, architecture, len(items), sum(sizes), report)

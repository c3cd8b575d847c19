"""Writing weights into HDF5, tensor by tensor: Keras' files, and those of Hugging Face's TensorFlow models."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.utils.atomic_files import ensure_folder, replacing_files, write_text
from lxmert.utils.paths import CONFIG_NAME, check_folder
from lxmert.utils.setting_names import setting
from lxmert.utils.temporary_files import temporary_file
from lxmert.utils.write_errors import library_writes, naming
from lxmert.weights.formats.hdf5 import CONFIG_ATTRIBUTE
from lxmert.weights.formats.keras_archive import KERAS_WEIGHTS
from lxmert.weights.formats.open import TF_NAME
from lxmert.weights.formats.raw_io import BFLOAT16, Slot, write_slots
from lxmert.weights.naming.key_mapping import HUGGING_FACE_TF, KERAS_H5
from lxmert.weights.naming.tables import MODELS, is_task_model

from .save_folder import LazyTensor, Overflowed, Tensors, check_neighbours, with_architecture

# h5py's low-level interface may change; this has been checked with h5py 3.14. False takes the public one, which is
# slower, with the same result.
USE_LOW_LEVEL = True


def write_keras_weights(path: str | Path, config: ModelConfig, architecture: str, items: Tensors) -> Overflowed:
    """Write every parameter as the Keras model's `save_weights` would, and the config.

    An existing file is overwritten, so pass a temporary name (`atomic_files.replacing`).
    """
    nested = is_task_model(architecture)
    with _new_hdf5(path) as file:
        slots = [_slot(file, KERAS_H5.key(item.parameter, nested), item) for item in items]
        file.attrs[CONFIG_ATTRIBUTE] = with_architecture(config, architecture).to_json_string()
    return write_slots(path, slots)


@contextmanager
def _new_hdf5(path: str | Path) -> Iterator[Any]:
    """A new HDF5 file; if it cannot be written, an OSError names it."""
    import h5py

    # `atomic_files.replacing` has locked it.
    with library_writes(path), h5py.File(path, "w", locking=False) as file:
        yield file


def _slot(group: Any, name: str, item: LazyTensor) -> Slot:
    """Create a contiguous dataset without writing it, and say where its values belong."""
    parameter = item.parameter
    shape = parameter.leaf.keras_shape(parameter.shape)
    stored_as = np.dtype("V2") if item.dtype == BFLOAT16 else item.dtype  # HDF5 has no bfloat16; Keras writes its bits
    dataset, offset = _create_contiguous(group, name, stored_as, shape)
    if item.dtype == BFLOAT16:
        dataset.attrs["dtype"] = "bfloat16"

    def read() -> np.ndarray:
        return parameter.leaf.to_keras(item.read())

    return Slot(parameter.name, offset, item.dtype, shape, read)


def _create_contiguous(group: Any, name: str, dtype: np.dtype, shape: tuple[int, ...]) -> tuple[Any, int]:
    """Create a contiguous dataset and its groups, and return it with the place of its values, which are not written.

    The public interface has to write zeros there first.
    """
    import h5py

    if not USE_LOW_LEVEL:
        dataset = group.create_dataset(name, data=np.zeros(shape, dtype))
        return dataset, dataset.id.get_offset() or 0
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.CONTIGUOUS)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
    links.set_create_intermediate_group(True)
    kind, space = h5py.h5t.py_create(dtype, logical=True), h5py.h5s.create_simple(shape)
    dataset = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, dcpl=properties, lcpl=links))
    return dataset, dataset.id.get_offset() or 0


def write_keras_archive(path: str | Path, config: ModelConfig, architecture: str, items: Tensors) -> Overflowed:
    """Write what the Keras model's `save` would write, a .keras archive; see `write_keras_weights`."""
    # The widest dtype, as a narrower one would round what is loaded. Of two with 16 bits neither is the widest.
    formats = {item.dtype for item in items if not item.parameter.leaf.exact}
    widest = {dtype for dtype in formats if dtype.itemsize == max(d.itemsize for d in formats)}
    dtype = widest.pop().name if len(widest) == 1 else "float32"
    model, nested = MODELS[config.model_type], is_task_model(architecture)
    pooler = {"add_pooling_layer": any(item.parameter.module == "pooler.dense" for item in items)}
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": dtype}, "registered_name": None}
    description = {
        "module": f"lxmert.tf.{model.package}" + ("_tasks" if nested else ""),
        "class_name": f"TF{architecture}",
        "registered_name": f"lxmert>TF{architecture}",
        "config": {
            "name": "model",
            "trainable": True,
            "dtype": policy,
            "config": with_architecture(config, architecture).to_diff_dict(),
            **(pooler if "pooler" in model.new_parts and not nested else {}),
        },
    }
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0", "date_saved": ""}))
        archive.writestr(CONFIG_NAME, json.dumps(description))
        # HDF5 needs to seek, which a zip member does not allow. If this process is killed, the next writer of the
        # archive removes the file.
        with temporary_file(path) as weights, naming(path, weights):
            overflowed = write_keras_weights(weights, config, architecture, items)
            archive.write(weights, KERAS_WEIGHTS)
    return overflowed


def write_tf_folder(
    folder: str | Path,
    config: ModelConfig,
    architecture: str,
    items: Tensors,
    write_others: Callable[[Path], None] | None = None,
) -> Overflowed:
    """Write config.json and tf_model.h5, for the TensorFlow models of `transformers` 4.x; see `write_folder`."""
    folder = Path(folder)
    check_folder(folder, f"{CONFIG_NAME} and {TF_NAME}")
    check_neighbours(folder, config, [TF_NAME])
    with ensure_folder(folder), replacing_files(folder) as new:
        overflowed = write_tf_weights(new / TF_NAME, config, architecture, items)
        write_text(new / CONFIG_NAME, with_architecture(config, architecture).to_json_string())
        if write_others is not None:
            write_others(new)
    return overflowed


# Its classes, and Keras' names of their models.
_TF_ROOTS = {"LxmertModel": "tf_lxmert_model", "LxmertForPreTraining": "tf_lxmert_for_pre_training"}
# The order in which its models create their variables, where it is not the table's.
_TF_ORDER = ("embeddings.word", "embeddings.token_type", "embeddings.position", "embeddings.norm")
_TF_LAYERS = ("embeddings", "region_embeddings", "language_layers", "cross_layers", "visual_layers", "pooler")
_TF_HEADS = ("heads.word.bias", "heads.word.transform", "heads.word.norm", "embeddings", "heads.match")
_TF_OBJECTS = tuple(f"heads.object.{name}" for name in ("transform", "norm", "attr", "feat", "obj"))
# An HDF5 attribute has to fit into an object header.
_LARGEST_ATTRIBUTE = 64512


def write_tf_weights(path: str | Path, config: ModelConfig, architecture: str, items: Tensors) -> Overflowed:
    """Write the tf_model.h5 that `transformers` 4.49 would write, and the config; see `write_keras_weights`."""
    check_for_tf(config, architecture, {item.dtype for item in items})
    root = _TF_ROOTS[architecture]
    by_module: dict[str, list[LazyTensor]] = {}
    for item in sorted(items, key=_layer_number):  # the table lists all layers row by row
        by_module.setdefault(item.parameter.module, []).append(item)

    def below(*starts: str) -> list[LazyTensor]:
        return [
            item
            for start in starts
            for module, held in by_module.items()
            if module == start or module.startswith(start + ".")
            for item in held
        ]

    words = below(*_TF_ORDER)
    backbone = words + below(*_TF_LAYERS[1:])
    layers = {
        "lxmert": backbone,
        # Its word head contains the embedding layer, so that is stored a second time.
        "cls": [item for start in _TF_HEADS for item in (words if start == "embeddings" else below(start))],
        "obj_predict_head": below(*_TF_OBJECTS),
        "answer_head": below("heads.answer"),
    }
    if architecture == "LxmertModel":
        layers = {"lxmert": backbone}
    layers = {layer: held for layer, held in layers.items() if held}
    slots = []
    with _new_hdf5(path) as file:
        _write_names(file, "layer_names", list(layers))
        file.attrs["backend"] = b"tensorflow"
        file.attrs["keras_version"] = b"2.18.0"
        file.attrs[CONFIG_ATTRIBUTE] = with_architecture(config, architecture).to_json_string()
        for layer in sorted(layers):
            group = file.create_group(layer)
            named = [(f"{root}/{HUGGING_FACE_TF.key(i.parameter, True)}", i) for i in layers[layer]]
            _write_names(group, "weight_names", [name for name, _ in named])
            slots += [_slot(group, name, item) for name, item in named]
        file.create_group("top_level_model_weights").attrs["weight_names"] = np.zeros(0)
    return write_slots(path, slots)


def _layer_number(item: LazyTensor) -> int:
    """The number of a parameter's layer; 0 outside of layers."""
    number = item.parameter.module.split(".")[1]
    return int(number) if number.isdigit() else 0


def check_for_tf(config: ModelConfig, architecture: str, dtypes: Iterable[np.dtype]) -> None:
    """Refuse what `transformers` does not have in TensorFlow, before anything is written."""
    if architecture not in _TF_ROOTS:
        raise ValueError(
            f"transformers has no {architecture} in TensorFlow; it has {' and '.join(_TF_ROOTS)}. "
            "For this package write a .weights.h5 or .keras file."
        )
    if config.pruned_heads or not config.tie_word_embeddings:
        raise ValueError("transformers' TensorFlow models have neither pruned heads nor an untied word head.")
    if BFLOAT16 in dtypes:
        raise ValueError(f"{TF_NAME} holds no bfloat16; pass {setting('dtype')} float32 or float16.")


def _write_names(group: Any, name: str, names: Sequence[str]) -> None:
    """Write an attribute that lists names; a long one is split into numbered ones, as in Keras."""
    texts = [text.encode() for text in names]
    parts = 1
    while any(part.nbytes > _LARGEST_ATTRIBUTE for part in np.array_split(np.asarray(texts), parts)):
        parts += 1
    if parts == 1:
        group.attrs[name] = texts
    else:
        for i, part in enumerate(np.array_split(np.asarray(texts), parts)):
            group.attrs[f"{name}{i}"] = part


def store_config(path: str | Path, config: ModelConfig, architecture: str) -> None:
    """Store the config in a .weights.h5 file that Keras wrote."""
    import h5py

    with library_writes(path), h5py.File(path, "a") as file:
        file.attrs[CONFIG_ATTRIBUTE] = with_architecture(config, architecture).to_json_string()

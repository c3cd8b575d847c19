"""Convert weights between all formats without a framework, tensor by tensor along the table of names.

Values do not change by a bit unless another dtype is chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import architectures, class_spec, tasks
from lxmert.hub import HubOptions
from lxmert.utils.atomic_files import ensure_folder, replacing
from lxmert.utils.paths import INDEX_NAME, SAFETENSORS_NAME, check_folder, check_name_length, check_path
from lxmert.utils.setting_names import setting
from lxmert.weights.formats.open import FOLDER_WEIGHTS, TF_NAME
from lxmert.weights.formats.raw_io import FLOATS

from .checkpoint import Checkpoint
from .convert_files import (
    NO_ANSWERS,
    AnswerTables,
    check_answers,
    check_room,
    files_writer,
    move_answers,
    source_and_target,
    with_progress,
)
from .formats.safetensors import NamedArray
from .int8_rounding import int8_tensors
from .load import LoadReport, match_parameters
from .model_files import AnswerTable, Vocabulary, find_model
from .naming.key_mapping import Parameter
from .naming.tables import is_task_model
from .open import open_checkpoint
from .save_folder import FOLDER_CONTENT, LazyTensor, byte_count, write_folder
from .save_hdf5 import check_for_tf, write_keras_archive, write_keras_weights, write_tf_folder, write_tf_weights

# What can be written: the name on the command line, and what it is.
FORMATS = {
    "folder": f"folder with {FOLDER_CONTENT}",
    "tf_model.h5": f"folder with config.json and {TF_NAME}, for transformers 4.x in TensorFlow",
    "weights.h5": "Keras weights (.weights.h5)",
    "keras": "Keras model (.keras)",
}


@dataclass(frozen=True)
class Conversion:
    """The result of a conversion.

    Attributes:
        source: as given.
        target: as given, as a path.
        written: the weight file, or the index of several.
        files: how many weight files.
        format: the target's, a key of FORMATS.
        architecture: the model class.
        tensors: how many were written.
        size: their bytes.
        report: which tensors of the source were used.
        int8: how many matrices are in int8 in the target.
        dequantized: how many were in the source, and are not in the target.
        overflowed: for each parameter how many finite numbers became infinite in a narrower dtype.
        answers: for an answer head with a new vocabulary: its number of answers, and how many the old one has.
        tables: the answers of the source and of the target.
    """

    source: str | Path
    target: Path
    written: Path
    files: int
    format: str
    architecture: str
    tensors: int
    size: int
    report: LoadReport
    overflowed: dict[str, int]
    int8: int = 0
    dequantized: int = 0
    answers: tuple[int, int] | None = None
    tables: AnswerTables = NO_ANSWERS


def target_format(target: str | Path, to: str | None = None) -> str:
    """The format to write, a key of FORMATS: `to`, or what the target's name implies.

    Raises:
        ValueError: an unknown format, or a name with the ending of another format.
    """
    path = Path(target)
    endings = {"weights.h5": ".weights.h5", "keras": ".keras"}
    if to is not None and to not in FORMATS:
        raise ValueError(f"{setting('to')} must be one of {', '.join(FORMATS)}; got {to!r}.")
    if to in endings and not path.name.endswith(endings[to]):
        raise ValueError(f"{target} must end in {endings[to]}, by which Keras recognizes it.")
    if to is not None:
        return to
    if path.is_dir():
        return "folder"
    for kind, ending in endings.items():
        if path.name.endswith(ending):
            return kind
    if path.suffix == ".h5":
        return "tf_model.h5"
    if path.suffix in (".hdf5", ".safetensors", ".bin", ".pt", ".pth", ".th", ".npz", ".ckpt", ".json"):
        raise ValueError(
            f"{target} does not tell which format is wanted. Name a folder (for {FOLDER_CONTENT}), a "
            f"file ending in .weights.h5, .keras or .h5 (for transformers 4.x in TensorFlow), or pass {setting('to')}."
        )
    return "folder"


def convert(
    source: str | Path,
    target: str | Path,
    config: ModelConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    to: str | None = None,
    task: str | None = None,
    dtype: str | None = None,
    max_shard_size: int | str | None = None,
    answers: Sequence[AnswerTable] | None = None,
    vocabulary: Vocabulary | None = None,
    sha256: str | None = None,
    trusted: bool = False,
    hub: HubOptions | None = None,
    **overrides: Any,
) -> Conversion:
    """Convert weights of any format; no framework is needed, and no value changes by a bit.

    A folder also gets the tokenizer and the answers that are next to the source, or a detector's names of classes.

    The target is replaced when the new one is complete; after an error the old one is intact. The source is only read.
    Names that the model of this configuration does not have are left out, and listed in the result's report.

    Args:
        source: a weight file or folder, recognized by its content, or a model on the hub ("owner/name").
        target: a folder, or a file ending in .weights.h5, .keras or .h5.
        config: the configuration, where the source has none.
        progress: called from several threads after each tensor, with its bytes and those of all tensors.
        to: a key of FORMATS; by default what the target's name implies.
        task: the task of the model class to write, see `specs.tasks`; by default that of the source's heads.
        dtype: "float32", "float16", "bfloat16" or "float64"; by default each tensor keeps its own. "int8", for folders,
            rounds the matrices of the layers as `model.quantize("int8")` does, and the others keep their own. Matrices
            that are int8 in the source are int8 times scale, in float32, in other files than folders.
        max_shard_size: of a folder; see `save_folder.write_folder`.
        answers: the answer vocabularies of the source and of the target. The rows of the answer head are moved to the
            second by the text of the answers; new answers start at zero. One alone is that of the target where the
            source has its own next to it, and otherwise that of both.
        vocabulary: the tokenizer to write into a folder; by default that of the source.
        sha256: that of the source; another file is refused before it is read.
        trusted: whether a source in HDF5 may be opened in this process; see `formats.open_weights`.
        hub: see `open.open_checkpoint`.
        overrides: config fields that replace those of the source.

    Raises:
        FileNotFoundError, ValueError: no such source, a damaged or foreign one, a target of unknown format, or one that
            is the source.
        OSError: the target cannot be written.
        CheckpointMismatchError: the source lacks tensors of its model, or has others, or of other shapes.
    """
    check_path("source", source)
    check_path("target", target)
    target = Path(target)
    check_name_length(target)
    kind = target_format(target, to)
    is_folder = kind == "folder" or (kind == "tf_model.h5" and target.suffix != ".h5")
    _check_options(target, kind, is_folder, dtype, max_shard_size)
    if vocabulary is not None and not is_folder:
        raise ValueError(f"{setting('vocabulary')} is written into folders; {target} is to be: {FORMATS[kind]}.")
    path = find_model(source, hub)
    with open_checkpoint(path, config, sha256=sha256, trusted=trusted, **overrides) as checkpoint:
        written = target / {"folder": SAFETENSORS_NAME, "tf_model.h5": TF_NAME}[kind] if is_folder else target
        _check_target(target, written, kind, checkpoint)
        architecture = _architecture(task, checkpoint)
        pooler = checkpoint.pooler or bool(class_spec(architecture).heads)
        taken, report = match_parameters(checkpoint, architecture, pooler=pooler)
        if kind == "tf_model.h5":
            check_for_tf(checkpoint.config, architecture, [FLOATS[dtype]] if dtype else map(checkpoint.dtype, taken))
        model_config, matched = checkpoint.config, None
        items = [LazyTensor(p, _written_dtype(checkpoint, p, dtype), partial(checkpoint.view, p)) for p in taken]
        tables = source_and_target(path, checkpoint.config, architecture, answers)
        if is_folder:
            check_answers(target, path, architecture, checkpoint.config, tables.target)
        if tables.moved:
            items, model_config, matched = move_answers(checkpoint, items, tables)
        scales: Sequence[NamedArray] = ()
        if kind == "folder" and dtype in (None, "int8"):
            items, scales = int8_tensors(checkpoint, items, is_task_model(architecture), dtype == "int8")
        total = sum(item.size for item in items) + sum(math.prod(shape) * kept.itemsize for _, kept, shape, _ in scales)
        check_room(target, total * (2 if kind == "keras" else 1))  # an archive is assembled from a file
        if progress is not None:
            items = [item._replace(read=with_progress(item, total, progress)) for item in items]
        arguments, files = (model_config, architecture, items), 1
        others = files_writer(path, checkpoint.config, tables.target, vocabulary) if is_folder else None
        if kind == "folder":
            overflowed, names = write_folder(target, *arguments, max_shard_size, others, own=scales)
            files = len(names)
            written = target / (SAFETENSORS_NAME if files == 1 else INDEX_NAME)
        elif is_folder:
            overflowed = write_tf_folder(target, *arguments, others)
        else:
            with ensure_folder(target.parent), replacing(target) as temporary:
                overflowed = _FILE_WRITERS[kind](temporary, *arguments)
        lost = sum(map(checkpoint.is_int8, taken)) - len(scales)
    tensors = len(items) + len(scales)
    rounded = len(scales), max(0, lost)
    return Conversion(
        source,
        target,
        written,
        files,
        kind,
        architecture,
        tensors,
        total,
        report,
        overflowed,
        *rounded,
        matched,
        tables,
    )


_FILE_WRITERS = {"weights.h5": write_keras_weights, "keras": write_keras_archive, "tf_model.h5": write_tf_weights}


def _check_options(
    target: Path, kind: str, is_folder: bool, dtype: str | None, max_shard_size: int | str | None
) -> None:
    check_folder(*((target, FOLDER_CONTENT) if is_folder else (target.parent, target.name)))
    if dtype is not None and dtype not in (*FLOATS, "int8"):
        raise ValueError(f"{setting('dtype')} must be one of {', '.join(FLOATS)}, int8; got {dtype!r}.")
    if dtype == "int8" and kind != "folder":
        raise ValueError(f"{setting('dtype')} int8 is for a folder's safetensors; {target} is to be: {FORMATS[kind]}.")
    if max_shard_size is not None:
        byte_count(max_shard_size)
        if kind != "folder":
            raise ValueError(
                f"{setting('max_shard_size')} divides a folder's safetensors; {target} is to be: {FORMATS[kind]}."
            )


def _check_target(target: Path, written: Path, kind: str, checkpoint: Checkpoint) -> None:
    """Refuse a target that would overwrite the source, or whose new file, `written`, readers would overlook."""
    source = checkpoint.file.path
    with suppress(FileNotFoundError):  # no target yet; or another process is just replacing it
        # A folder's new weights replace the old ones, also sharded ones.
        replaced = target / INDEX_NAME if kind == "folder" and source.name == INDEX_NAME else written
        if source.samefile(replaced):
            raise ValueError(f"{target} is the source itself; pass another target.")
    if kind == "tf_model.h5" and target.is_dir() and not source.parent.samefile(target):
        others = [name for name in FOLDER_WEIGHTS if name != TF_NAME and (target / name).exists()]
        if others:
            raise ValueError(
                f"{target} holds {others[0]}, which every reader takes before a {TF_NAME} next to it; pass another "
                "folder, or remove the old weights."
            )


def _architecture(task: str | None, checkpoint: Checkpoint) -> str:
    """The model class to write: the file's, or its model's class for a task."""
    source = checkpoint.file.path
    if checkpoint.is_bert:
        raise ValueError(
            f"{source} is a plain BERT, which is only a part of these models. Load it into one, which initializes the "
            "rest at random, and save that: LxmertForPreTraining.from_pretrained(source).save_pretrained(folder)."
        )
    if task is None:
        return checkpoint.architecture
    if task not in tasks():
        raise ValueError(f"{setting('task')} must be one of {', '.join(tasks())}; got {task!r}.")
    model_type = checkpoint.config.model_type
    for name, spec in architectures(model_type).items():
        if spec.task == task:
            return name
    raise ValueError(f"{source} is a {model_type} model, which has no {task} class.")


def _written_dtype(checkpoint: Checkpoint, parameter: Parameter, dtype: str | None) -> np.dtype:
    """The dtype to write: the wanted one, or that of the file, which what is exact keeps."""
    wanted = None if dtype is None or parameter.leaf.exact else FLOATS.get(dtype)
    return checkpoint.dtype(parameter) if wanted is None else wanted

"""What a conversion does beside the weights: it moves answer heads, and carries the tokenizer and answers along.

And it checks the room on the disk.
"""

from __future__ import annotations

import errno
import json
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.utils.atomic_files import write_text
from lxmert.utils.paths import ANSWERS_NAME
from lxmert.utils.setting_names import setting
from lxmert.utils.write_errors import naming

from .answer_vocabulary import matching_rows, remap_rows
from .checkpoint import Checkpoint
from .model_files import AnswerTable, Vocabulary, answers_of, as_answers, as_tokenizer, tokenizer_of
from .naming.tables import ANSWERS, MODELS, every_head, head_names
from .save_folder import LazyTensor


class AnswerTables(NamedTuple):
    """The answers of the source and of the target of a conversion; empty where they are not known.

    `names` are those of two tables that were given, for messages.
    """

    source: list[str]
    target: list[str]
    names: tuple[str, str] = ("the old table", "the new table")

    @property
    def moved(self) -> bool:
        """Whether the rows of the answer head go to another table."""
        return self.source is not self.target


_NONE: list[str] = []
NO_ANSWERS = AnswerTables(_NONE, _NONE)


def source_and_target(
    path: Path, config: ModelConfig, architecture: str, given: Sequence[AnswerTable] | None
) -> AnswerTables:
    """The answers of a source, which are next to it or given, and those of the target.

    Args:
        path: the source.
        config: its configuration.
        architecture: the model class that is written.
        given: the source's table and the target's; or one of them, see `convert`.

    Raises:
        ValueError: the model has no answer head, or scores another number of answers than the source's table has.
    """
    _, field = ANSWERS.get(config.model_type, ("", ""))
    has_head = _has_answers(architecture, config)
    own = answers_of(path, config) if has_head else None
    if own is not None and len(own) != getattr(config, field):
        own = None
    if not given:
        return NO_ANSWERS if own is None else AnswerTables(own, own)
    if len(given) > 2:
        raise ValueError(f"{setting('answers')} must be one table or two: OLD and NEW; got {len(given)}.")
    if not has_head:
        raise ValueError(f"{path} is taken for {architecture}, which has no answer head to move.")
    tables = [as_answers(table) for table in given]
    names = [str(table) if isinstance(table, (str, Path)) else "the table" for table in given]
    if len(tables) == 1 and own is not None:
        tables, names = [own, *tables], [f"the table of {path}", *names]
    if len(tables[0]) != getattr(config, field):
        raise ValueError(
            f"{names[0]} has {len(tables[0])} answers, and the answer head of {path} scores "
            f"{getattr(config, field)}; pass the vocabulary that it was trained with first, and the new one second."
        )
    return AnswerTables(tables[0], tables[-1], (names[0], names[-1]))


def move_answers(
    checkpoint: Checkpoint, items: Sequence[LazyTensor], tables: AnswerTables
) -> tuple[list[LazyTensor], ModelConfig, tuple[int, int]]:
    """The tensors with the answer head moved from one table to another, the config, and two counts: new, and found."""
    module, field = ANSWERS[checkpoint.config.model_type]
    before, after = tables.source, tables.target
    rows = matching_rows(before, after)
    if not (rows >= 0).any():
        warnings.warn(
            f"none of the {len(after)} answers of {tables.names[1]} is in {tables.names[0]}: the whole answer head "
            "starts at zero. Are these the right files?",
            UserWarning,
            stacklevel=3,
        )

    def moved(item: LazyTensor) -> LazyTensor:
        if item.parameter.module != module:
            return item
        shape = (len(after), *item.parameter.shape[1:])
        return LazyTensor(replace(item.parameter, shape=shape), item.dtype, lambda: remap_rows(item.read(), rows))

    # The keys of `transformers`, whose old values would be wrong for the new head.
    labels = {
        "id2label": dict(enumerate(after)),
        "label2id": {answer: i for i, answer in enumerate(after)},
    }
    config = checkpoint.config.replace(**{field: len(after)}, **labels)
    return [moved(item) for item in items], config, (len(after), int((rows >= 0).sum()))


def _has_answers(architecture: str, config: ModelConfig) -> bool:
    """Whether a model class scores answers."""
    module, _ = ANSWERS.get(config.model_type, ("", ""))
    return module.removeprefix("heads.").split(".")[0] in head_names(architecture, config)


def check_answers(target: Path, path: Path, architecture: str, config: ModelConfig, answers: Sequence[str]) -> None:
    """Refuse to write a model without answers next to an answers.json: it would be taken for the model's.

    Raises:
        ValueError: naming the file.
    """
    has_head = _has_answers(architecture, config)
    folder = path if path.is_dir() else path.parent
    held = target / ANSWERS_NAME
    if has_head and not answers and held.is_file() and not folder.samefile(target):
        raise ValueError(
            f"{target} holds {ANSWERS_NAME}, and {path} has no answers: those of another model would be taken for "
            f"its. Pass {setting('answers')}, or another folder, or remove that file."
        )


def files_writer(
    path: Path, config: ModelConfig, answers: Sequence[str], vocabulary: Vocabulary | None
) -> Callable[[Path], None]:
    """A function that writes into a folder what belongs to a source: its tokenizer and answers, or names of classes.

    A tokenizer that this package cannot read is left out, with a warning: the weights do not depend on it.

    Raises:
        ValueError: a vocabulary for a model that reads no words.
    """
    model, folder = MODELS[config.model_type], path if path.is_dir() else path.parent
    if "word" not in every_head(config.model_type):
        if vocabulary is not None:
            raise ValueError(f"{setting('vocabulary')} is for models that read words; {path} is a {model.title}.")
        return lambda new: _copy_files(folder, new, model.beside)
    try:
        tokenizer = tokenizer_of(path) if vocabulary is None else as_tokenizer(vocabulary)
    except (ValueError, TypeError) as error:
        if vocabulary is not None:
            raise
        warnings.warn(f"the tokenizer is not carried along: {error}", UserWarning, stacklevel=3)
        tokenizer = None

    def write(new: Path) -> None:
        if tokenizer is not None:
            tokenizer.save_pretrained(new)
        if answers:
            write_text(new / ANSWERS_NAME, json.dumps(list(answers), indent=1) + "\n")

    return write


def _copy_files(folder: Path, new: Path, names: Sequence[str]) -> None:
    """Copy those files that a folder has."""
    for name in names:
        if (folder / name).is_file():
            with naming(new / name):
                shutil.copyfile(folder / name, new / name)


def check_room(target: Path, size: int) -> None:
    """Refuse a disk without enough free space, before anything is written."""
    place = next(folder for folder in (target, *target.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if free < size:
        raise OSError(
            errno.ENOSPC, f"no room on the disk: {size:,} bytes are to be written, {free:,} are free", str(target)
        )


def with_progress(item: LazyTensor, total: int, progress: Callable[[int, int], None]) -> Callable[[], np.ndarray]:
    """A function that reads a tensor, and then tells how many bytes it has."""

    def read() -> np.ndarray:
        values = item.read()
        progress(item.size, total)
        return values

    return read

"""What a model needs beside its weights to answer: its tokenizer and its table of answers, in its folder or given."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxmert.common.config.base import ModelConfig
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.common.tokenizer.vocabulary_files import OPTIONAL_NAMES, VOCABULARY_NAMES
from lxmert.hub import HubOptions
from lxmert.utils.atomic_files import recover_folder
from lxmert.utils.included_models import local_path
from lxmert.utils.messages import shown, warn_caller
from lxmert.utils.paths import ANSWERS_NAME
from lxmert.utils.setting_names import setting

from .answer_vocabulary import read_answer_vocabulary
from .checkpoint import Checkpoint
from .download import download_weights
from .naming.tables import ANSWERS, MODELS, head_names
from .open import open_checkpoint

Vocabulary = LxmertTokenizer | str | Path
"""A tokenizer, or what `LxmertTokenizer.from_pretrained` takes: a vocab.txt, a folder, or a model on the hub."""
AnswerTable = Sequence[str] | str | Path
"""Answers in the order of a model's scores, or the file that lists them."""

# Where what the published models lack is published: their vocabulary by its size, and LXMERT's answers by their number.
_PUBLISHED_WORDS = {30522: "vocab.txt of bert-base-uncased on the hub"}
_PUBLISHED_ANSWERS = {
    ("lxmert", 3129): "data/vqa/trainval_label2ans.json of github.com/airsplay/lxmert",
    ("lxmert", 1842): "data/gqa/trainval_label2ans.json of github.com/airsplay/lxmert",
}


class MissingHeadsError(ValueError):
    """The weights are those of a model with other heads than the wanted one."""


@dataclass(frozen=True)
class ModelFiles:
    """A model's files, which belong together.

    Attributes:
        path: the local file or folder of its weights.
        config: its configuration.
        tokenizer: its tokenizer.
        answers: its answers in the order of its scores; empty for a model without.
    """

    path: Path
    config: ModelConfig
    tokenizer: LxmertTokenizer
    answers: list[str]


def find_model(source: str | Path, hub: HubOptions | None = None) -> Path:
    """The local file or folder of a model; one on the hub is downloaded, with the files that belong to it.

    Args:
        source: a file or folder of weights, the name of a model of this package, or a model on the hub.
        hub: see `HubOptions`.

    Raises:
        FileNotFoundError, PermissionError, ConnectionError, OSError: there is none, or it cannot be downloaded.
    """
    found = local_path(source)
    if found is None:
        beside = [name for model in MODELS.values() for name in model.beside]
        also = (*VOCABULARY_NAMES, *OPTIONAL_NAMES, ANSWERS_NAME, *beside)
        return download_weights(source, also=also, **(hub or {}))
    if found.is_dir():
        recover_folder(found)
    return found


def tokenizer_of(path: Path) -> LxmertTokenizer | None:
    """The tokenizer in the folder of some weights; None if there is none.

    Raises:
        ValueError: its files are damaged, or of another kind of tokenizer.
    """
    folder = _folder_of(path)
    held = any((folder / name).is_file() for name in VOCABULARY_NAMES)
    return LxmertTokenizer.from_pretrained(folder) if held else None


def answers_of(path: Path, config: ModelConfig | None = None) -> list[str] | None:
    """The answers in the folder of some weights, or else the names of labels in their configuration; None if neither.

    Raises:
        ValueError: the file is no table of answers.
    """
    table = _folder_of(path) / ANSWERS_NAME
    if table.is_file():
        return read_answer_vocabulary(table)
    if config is None or config.num_labels != getattr(config, ANSWERS[config.model_type][1]):
        return None
    names = [config.id2label.get(number) for number in range(config.num_labels)]
    named = all(isinstance(name, str) and not re.fullmatch(r"LABEL_\d+", name) for name in names)
    return [str(name) for name in names] if named else None


def open_model_files(
    source: str | Path,
    classes: Mapping[str, str],
    *,
    vocabulary: Vocabulary | None = None,
    answers: AnswerTable | None = None,
    with_answers: bool = True,
    missing: Sequence[str] = (),
    hub: HubOptions | None = None,
    **overrides: Any,
) -> ModelFiles:
    """Find a model with its tokenizer and its answers.

    Args:
        source: see `find_model`.
        classes: the model class that is wanted for each kind of model, without the prefix TF.
        vocabulary: the tokenizer; by default that in the folder of the weights.
        answers: the answers; by default those in the folder of the weights, or in its config.json.
        with_answers: whether the model needs answers.
        missing: what else is missing, to be told at once with the rest.
        hub: see `HubOptions`.
        overrides: fields of the configuration with other values than the file's.

    Raises:
        FileNotFoundError, OSError: see `find_model`.
        MissingHeadsError: the weights lack a head of the class.
        ValueError: something is missing, of which all is listed; or the answers
            are not as many as the model scores.
    """
    path = find_model(source, hub)
    with open_checkpoint(path, **overrides) as checkpoint:
        config = checkpoint.config
        if config.model_type not in classes:
            raise ValueError(
                f"{source} is a {MODELS[config.model_type].title}, and {' or '.join(classes.values())} is needed."
            )
        _check_heads(source, checkpoint, classes[config.model_type])
    tokenizer = tokenizer_of(path) if vocabulary is None else as_tokenizer(vocabulary)
    table = [] if not with_answers else answers_of(path, config) if answers is None else as_answers(answers)
    if with_answers and answers is not None:
        _warn_of_other(setting("answers"), source, answers_of(path), table)
    if vocabulary is not None and tokenizer is not None:
        _warn_of_other_words(source, path, tokenizer)
    count = getattr(config, ANSWERS[config.model_type][1])
    wanted = list(missing)
    if tokenizer is None:
        wanted.append(
            f"{setting('vocabulary')}, its vocab.txt or a folder with its tokenizer"
            + _published(_PUBLISHED_WORDS.get(config.vocab_size))
        )
    if table is None:
        wanted.append(
            f"{setting('answers')}, the table of its {count:,} answers in the order of its scores"
            + _published(_PUBLISHED_ANSWERS.get((config.model_type, count)))
        )
    if wanted:
        raise ValueError(f"{source} does not hold all that is needed. These must be given: {'; '.join(wanted)}.")
    if table and len(table) != count:
        raise ValueError(
            f"{setting('answers')} must be a table of {count} answers, as many as {source} scores; got {len(table)}."
        )
    return ModelFiles(path, config, tokenizer, table)  # type: ignore[arg-type]


def _published(place: str | None) -> str:
    return f" (that of the published model is {place})" if place else ""


def _warn_of_other(name: str, source: str | Path, own: list[str] | None, given: list[str] | None) -> None:
    """Warn of a table that is given, and that differs from the one in the folder of the weights."""
    if own is not None and given is not None and len(own) == len(given) and own != given:
        first = next(place for place, (a, b) in enumerate(zip(own, given, strict=True)) if a != b)
        warn_caller(
            f"{name} is another table than the {ANSWERS_NAME} of {source}: answer {first} is {shown(given[first])}, "
            f"not {shown(own[first])}. It is used as given."
        )


def _warn_of_other_words(source: str | Path, path: Path, given: LxmertTokenizer) -> None:
    """Warn of a tokenizer that is given, and whose words are others than those in the folder of the weights."""
    try:
        own = tokenizer_of(path)
    except (ValueError, TypeError, OSError):  # this is why another one is given
        return
    if own is not None and own.get_vocab() != given.get_vocab():
        warn_caller(f"{setting('vocabulary')} has other words than the tokenizer of {source}. It is used as given.")


def _folder_of(path: Path) -> Path:
    return path if path.is_dir() else path.parent


def as_tokenizer(vocabulary: Vocabulary) -> LxmertTokenizer:
    """A tokenizer, read if it is not one yet."""
    return vocabulary if isinstance(vocabulary, LxmertTokenizer) else LxmertTokenizer.from_pretrained(vocabulary)


def as_answers(answers: AnswerTable) -> list[str]:
    """A table of answers, read if it is the path of one."""
    return read_answer_vocabulary(answers) if isinstance(answers, (str, Path)) else list(answers)


def _check_heads(source: str | Path, checkpoint: Checkpoint, architecture: str) -> None:
    """Refuse weights without a head that is needed: a newly initialized one would answer at random."""
    held = () if checkpoint.is_bert else checkpoint.heads
    lacking = [head for head in head_names(architecture, checkpoint.config) if head not in held]
    if lacking:
        kind = "a plain BERT" if checkpoint.is_bert else MODELS[checkpoint.config.model_type].title
        raise MissingHeadsError(
            f"{source} cannot be used as {architecture}: it is {kind} with the heads {', '.join(held) or 'none'}, "
            f"without {', '.join(lacking)}. Train it for this task first (`lxmert train`)."
        )

"""The output folder of a run: the best model, the last one with everything needed to resume, and the logs.

    OUTPUT/best/    config.json, model.safetensors, the tokenizer, answers.json: what `from_pretrained` reads
    OUTPUT/last/    the same, optimizer.safetensors and training.json
    OUTPUT/logs/    log.jsonl, and events for TensorBoard

Each of the two folders is replaced in one step, so a killed process leaves a complete checkpoint.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.utils.atomic_files import ensure_folder, recover_folder, write_text
from lxmert.utils.file_locks import holding
from lxmert.utils.messages import first_few
from lxmert.utils.paths import ANSWERS_NAME, CONFIG_NAME, SAFETENSORS_NAME, check_folder
from lxmert.utils.setting_names import setting
from lxmert.weights.formats.safetensors import SafetensorsFile, write_safetensors

from .progress import FORMAT, Progress, read_progress, read_stored
from .settings import Settings, differences

BEST, LAST, LOGS, LOCK = "best", "last", "logs", ".lock"
PROGRESS_NAME, OPTIMIZER_NAME = "training.json", "optimizer.safetensors"


def run_files_writer(
    tokenizer: LxmertTokenizer,
    answers: Sequence[str],
    settings: Settings,
    progress: Progress,
    optimizer: Mapping[str, np.ndarray] | None = None,
) -> Callable[[Path], None]:
    """A function that writes the files of a checkpoint that are not the model's into a folder.

    Args:
        tokenizer: the model's.
        answers: the table of the model's answers, empty without an answer head.
        settings: of the run.
        progress: how far it is.
        optimizer: the state of the optimizer by name, for a checkpoint that can be resumed.
    """

    def write(folder: Path) -> None:
        tokenizer.save_pretrained(folder)
        if answers:
            write_text(folder / ANSWERS_NAME, json.dumps(list(answers), indent=1) + "\n")
        state = {"format": FORMAT, "settings": settings.to_dict(), **progress.to_dict()}
        write_text(folder / PROGRESS_NAME, json.dumps(state, indent=1) + "\n")
        if optimizer is not None:
            # The file's dtypes are floating-point ones; float64 holds every count of steps and every seed exactly.
            kept = {n: a if a.dtype.kind not in "iu" else a.astype(np.float64) for n, a in optimizer.items()}
            tensors = [(name, array.dtype, array.shape, lambda array=array: array) for name, array in kept.items()]
            write_safetensors(folder / OPTIMIZER_NAME, tensors, {"format": "pt"})

    return write


def read_optimizer(folder: Path) -> dict[str, np.ndarray]:
    """The state of the optimizer in a checkpoint, by name.

    Raises:
        ValueError: a damaged file.
    """
    file = SafetensorsFile(folder / OPTIMIZER_NAME)
    try:
        return {name: file.read(name) for name in file.shapes}
    finally:
        file.close()


def last_progress(settings: Settings) -> Progress:
    """How far the run in the output folder is.

    Raises:
        FileNotFoundError: there is no run to resume.
        ValueError: it had other settings; the message lists them.
    """
    progress, before = read_progress(_stored_run(settings.output))
    changed = differences(before, settings)
    if changed:
        raise ValueError(
            f"the run in {settings.output} was started with other settings, and cannot be resumed with these: "
            f"{'; '.join(changed)}. Pass the old ones, or another output folder."
        )
    return progress


def run_settings(output: str | Path) -> dict[str, Any]:
    """The settings of the run in an output folder.

    Raises:
        FileNotFoundError: there is no run to resume.
        ValueError: it is damaged, or of another version of the package.
    """
    return read_progress(_stored_run(output))[1]


def _stored_run(output: str | Path) -> Path:
    """The file that remembers how far the run in an output folder is."""
    folder = Path(output) / LAST
    if folder.is_dir():
        recover_folder(folder)
    path = folder / PROGRESS_NAME
    if not path.is_file():
        raise FileNotFoundError(
            f"{output} holds no run to resume: there is no {LAST}/{PROGRESS_NAME} in it. Leave --resume out."
        )
    return path


def own_files(settings: Settings) -> Settings:
    """The settings for resuming a run, whose tokenizer and answers are its own where no file was named for them.

    They came from the weights that the run started from, or from its questions. It goes on without these weights.

    Raises:
        FileNotFoundError: a file of its last checkpoint is gone.
    """
    folder = Path(settings.output) / LAST
    lost = [name for name in (CONFIG_NAME, SAFETENSORS_NAME, OPTIMIZER_NAME) if not (folder / name).is_file()]
    if lost:
        raise FileNotFoundError(
            f"the run in {settings.output} cannot be resumed: {LAST} holds no {', '.join(lost)} any more."
        )
    answers = folder / ANSWERS_NAME
    return replace(
        settings,
        vocabulary=settings.vocabulary or str(folder),
        answers=settings.answers or (str(answers) if answers.is_file() else None),
    )


def file_checksums(settings: Settings, words: Mapping[str, int], answers: Sequence[str]) -> dict[str, int]:
    """Checksums of what a run reads, by name.

    Args:
        settings: of the run.
        words: the vocabulary.
        answers: the table of answers.
    """
    found = {
        f"{name} file {path}": _checksum(Path(path)) for name in ("train", "valid") for path in getattr(settings, name)
    }
    found["table of answers"] = zlib.crc32(json.dumps(list(answers)).encode())
    found["vocabulary"] = zlib.crc32(json.dumps(sorted(words.items())).encode())
    for number, folder in enumerate(settings.features, start=1):
        # A store keeps a checksum of every image. It may have been moved, so it goes by its place.
        found[f"region store {number}"] = _checksum(Path(folder) / "checksums.npy")
    return found


def check_checksums(before: Mapping[str, int], now: Mapping[str, int], output: str) -> None:
    """Refuse to resume with other data under the same names.

    Raises:
        ValueError: naming what has changed.
    """
    changed = [name for name in now if before.get(name) != now[name]]
    if changed:
        raise ValueError(
            f"the run in {output} cannot be resumed, because what it reads has changed since it started: "
            f"{first_few(changed)}. Pass the files as they were, or another output folder."
        )


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            value = zlib.crc32(block, value)
    return value


def saved_settings(folder: str | Path) -> dict[str, Any]:
    """The settings that a checkpoint was trained with.

    Raises:
        FileNotFoundError: the folder is no checkpoint of a run.
        ValueError: its settings are damaged.
    """
    folder = Path(folder)
    if folder.is_dir():
        recover_folder(folder)
    path = folder / PROGRESS_NAME
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {PROGRESS_NAME}: it is no checkpoint of `lxmert train`.")
    return dict(read_stored(path)[0]["settings"])


@contextmanager
def hold_run(output: str | Path) -> Iterator[None]:
    """Hold the output folder of a run, which is made; if the run fails before it wrote anything, it is removed again.

    Raises:
        BlockingIOError: another process runs there.
        NotADirectoryError: it is a file.
    """
    check_folder(Path(output), "checkpoints and logs")
    with ensure_folder(output) as folder, holding(folder / LOCK, f"the run in {output}"):
        yield


def check_new(settings: Settings) -> None:
    """Refuse to start a run in the folder of another one.

    Raises:
        FileExistsError: saying how to resume that one.
    """
    output = Path(settings.output)
    check_folder(output, "checkpoints and logs")
    own = (BEST, LAST, LOGS, LOCK)
    others = [path.name for path in output.iterdir() if path.name not in own] if output.is_dir() else []
    if others:
        raise FileExistsError(
            f"{output} holds other things ({first_few(others, 3)}); pass a new folder as {setting('output')}."
        )
    for folder in (output / LAST, output / BEST):
        if folder.is_dir():
            recover_folder(folder)
    if (output / LAST / PROGRESS_NAME).exists():
        raise FileExistsError(
            f"{output} holds a run already. Continue it with {setting('resume')}, or pass another {setting('output')}."
        )
    if (output / BEST / PROGRESS_NAME).exists():  # the last one was taken away: the best one is all that is left
        raise FileExistsError(f"{output / BEST} holds the best checkpoint of a run. Pass another {setting('output')}.")

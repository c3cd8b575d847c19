"""Interrupt everything that writes: kill it, let its disk be full, let two write at a time. Is anything lost?

    python -m tests.utils.interrupted_writers FOLDER [--kills 20] [--limits 6] [--pairs 10] [--disk SMALL] [--only NAME]

Each writer makes a target of one kind, the old version or the new one. It is killed before steps that change files and
at random moments, and limited in the size of a file; with --disk (a small file system, such as a tmpfs) its disk is
really full. After each the target has to be wholly old or new, and the next run has to be as if nothing had happened.
Two writers at a time have to leave what one of them wrote. Prints what was found as JSON, by writer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.datasets import Questions
from lxmert.data.datasets.answer_tables import write_answer_table
from lxmert.data.datasets.vqa import write_vqa
from lxmert.data.features import RegionWriter, import_regions, open_regions, write_features, writer
from lxmert.data.metrics import write_predictions
from lxmert.explain.drawing import draw_explanations
from lxmert.explain.page import write_page
from lxmert.pt.state_dicts import pickles
from lxmert.training.checkpoints import run_files_writer
from lxmert.training.progress import Progress
from lxmert.training.settings import make_settings
from lxmert.utils import temporary_files
from lxmert.utils.atomic_files import recover_folder, replacing_folder
from lxmert.utils.pictures import new_figure, save_picture
from lxmert.weights.convert import convert
from lxmert.weights.formats import open_weights
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.naming.tables import head_names
from lxmert.weights.save_folder import SAFETENSORS, LazyTensor, write_folder
from tests.data.region_files import image, lxmert_line
from tests.explain.test_page import image_view
from tests.weights.weight_folders import CONFIG, make_folder, values_of

SMALL = CONFIG.replace(l_layers=1, x_layers=1, r_layers=1)
CHANGES = ("pwrite", "ftruncate", "fdatasync")  # beside what an audit hook is told of
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red"]


class Writer(NamedTuple):
    """What is written: the name of the target, a function of the target and the version, and whether one may be there.

    `fresh`: the target must not be there before. `keeps`: what was written so far is kept, and continued.
    """

    name: str
    write: Callable[[Path, int], object]
    fresh: bool = False
    keeps: bool = False


def _images(version):
    return [image(number + 100 * version) for number in range(6)]


def _store(target, version):
    write_features(target, pictures=_images(version))


def _kept_store(target, version):
    with RegionWriter(target, "float16", keep=True, settings={"version": version}) as writing:
        for one in _images(version):
            if one.name not in writing:
                writing.add_image(one)


def _imported(target, version):
    source = target.parent.parent / f"source{version}.tsv"
    if not source.exists():
        source.write_text("".join(map(lxmert_line, _images(version))))
    import_regions([source], target)


def _data_set(target, version):
    with replacing_folder(target, "the data set") as made:
        (made / "vqa").mkdir()
        write_answer_table(made / "vqa" / "answers.json", [f"answer {number}" for number in range(9 + version)])
        write_features(made / "regions", pictures=_images(version))


def _figure(target, version):
    figure = new_figure("a test", (2, 2))
    figure.subplots().plot([0, version, 3])
    save_picture(figure, target)


def _checkpoint(kind, with_optimizer):
    def write(target, version):
        config = SMALL.replace(num_qa_labels=5 + version)
        items = [
            LazyTensor(parameter, np.dtype("float32"), lambda parameter=parameter: values_of(parameter))
            for parameter in parameters(config, head_names("LxmertForQuestionAnswering", config))
        ]
        settings = make_settings(
            "vqa",
            {"train": ["a.json"], "features": ["regions"], "answers": "a", "vocabulary": "v", "output": "run"},
            {"seed": version, "model_config": {"hidden_size": 12, "num_attention_heads": 3}},
            {},
        )
        optimizer = {"steps": np.array([version]), "m.weight": np.full((30, 40), version, "f4")}
        others = run_files_writer(
            LxmertTokenizer({word: number for number, word in enumerate(WORDS)}),
            [f"answer {number}" for number in range(5 + version)],
            settings,
            Progress(step=version),
            optimizer if with_optimizer else None,
        )
        write_folder(target, config, "LxmertForQuestionAnswering", items, 8000, others, kind=kind)

    return write


def _converted(**options):
    def write(target, version):
        source = target.parent.parent / f"weights{version}"
        if not source.exists():
            make_folder(source, "LxmertForPreTraining", SMALL.replace(num_qa_labels=5 + version))
        convert(source, target, **options)

    return write


def _page(target, version):
    write_page(target, f"Why {version}", [image_view()] * (1 + version))


def _questions(version):
    count = 300 + version
    return Questions([*range(count)], ["what?"] * count, ["image"] * count, [{"yes": 1.0}] * count)


WRITERS = {
    "region store": Writer("store", _store, fresh=True),
    "region store that is continued": Writer("store", _kept_store, fresh=True, keeps=True),
    "import": Writer("store", _imported, fresh=True, keeps=True),
    "data set": Writer("data", _data_set, fresh=True),
    "last checkpoint": Writer("last", _checkpoint(SAFETENSORS, True)),
    "best checkpoint": Writer("best", _checkpoint(SAFETENSORS, False)),
    "pytorch_model.bin": Writer("pickles", _checkpoint(pickles(torch.save), False)),
    "weights, a folder": Writer("folder", _converted(max_shard_size=12000)),
    "weights, tf_model.h5": Writer("folder", _converted(to="tf_model.h5")),
    "weights, .h5": Writer("a.h5", _converted()),
    "weights, .weights.h5": Writer("a.weights.h5", _converted()),
    "weights, .keras": Writer("a.keras", _converted()),
    "predictions": Writer(
        "a.json", lambda path, version: write_predictions("vqa", path, dict.fromkeys(range(900 + version), "yes"))
    ),
    "questions": Writer("vqa.json", lambda path, version: write_vqa(path, _questions(version))),
    "page of explanations": Writer("page.html", _page),
    "picture of explanations": Writer(
        "why.png",
        lambda path, version: draw_explanations(path, image_view(image=np.full((8, 12, 3), 99 * version, np.uint8))),
    ),
    "picture of curves": Writer("curves.svg", _figure),
    "picture of curves, PNG": Writer("curves.png", _figure),
}


def held(target: Path) -> str | None:
    """A fingerprint of what a target holds; None if there is nothing."""
    if not target.exists():
        return None
    digest = hashlib.sha256()
    if (target / "regions.json").exists():
        store = open_regions(target)  # it can be read
        store.close() if hasattr(store, "close") else None
    if target.suffix in (".h5", ".keras") or (target / "config.json").exists():
        if target.is_dir():
            recover_folder(target)
        file = open_weights(target)  # the bytes have times and names of temporary files in them
        for name in sorted(file.shapes):
            digest.update(name.encode() + file.read(name).tobytes())
        digest.update(json.dumps(file.config, sort_keys=True).encode())
        file.close()
    if target.is_dir():
        for path in sorted(target.rglob("*")):
            hidden = any(map(temporary_files.is_temporary_name, path.relative_to(target).parts))  # left by a kill
            skipped = path.name in ("progress.json", "names.txt") or path.suffix in (".h5", ".bin")
            if path.is_file() and not hidden and not skipped:
                digest.update(f"{path.relative_to(target)}".encode() + path.read_bytes())
    elif target.suffix not in (".h5", ".keras"):
        digest.update(target.read_bytes())
    return digest.hexdigest()


def listed(folder: Path) -> list[str]:
    """What is below a folder, but for two files that a kill in the last moment leaves in a store."""
    names = (str(path.relative_to(folder)) for path in folder.rglob("*"))
    return sorted(name for name in names if not name.endswith(("/progress.json", "/names.txt")))


class Job(NamedTuple):
    """A writing in a process of its own, and what happens to it; with a step that it does not reach, it tells them."""

    target: Path
    version: int
    step: int | None = None
    after: float | None = None
    largest: int | None = None
    young: bool = False  # whether temporary files are left alone that may be another writer's, not yet locked


def start(one: Writer, job: Job) -> tuple[int, int]:
    """Start a job; returns the process and a pipe that tells its error."""
    read, write = os.pipe()
    process = os.fork()
    if process:
        os.close(write)
        return process, read
    os.close(read)
    steps = 0

    def count() -> None:
        nonlocal steps
        if steps == job.step:
            signal.raise_signal(signal.SIGKILL)
        steps += 1

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(("os.", "open", "shutil.")) and str(job.target.parent) in str(arguments[:2]):
            count()

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            count()
            return change(*arguments)

        return run

    if not job.young:
        temporary_files._MIN_AGE = 0
    writer._BLOCK, writer._SAVE_INTERVAL = 1, -1.0  # every image is written and noted
    if job.largest is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest, job.largest))
    if job.step is not None:
        sys.addaudithook(hook)
        for name in CHANGES:
            setattr(os, name, counted(getattr(os, name)))
    if job.after is not None:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, job.after)
    try:
        one.write(job.target, job.version)
    except BaseException as error:
        os.write(write, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    if job.step is not None:
        os.write(write, str(steps).encode())
    os._exit(0)


def ended(process: int, read: int) -> tuple[int, str]:
    """How a job ended, and its error."""
    with open(read, encoding="utf-8") as file:
        error = file.read()
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), error


def run(one: Writer, job: Job) -> tuple[int, str]:
    """Run a job."""
    return ended(*start(one, job))


class Trial:
    """One writer, its two versions, and a place in which it is interrupted again and again."""

    def __init__(self, name: str, folder: Path):
        self.name, self.one = name, WRITERS[name]
        self.whole = [folder / f"whole{version}" / self.one.name for version in (0, 1)]
        (folder / "first").mkdir(parents=True)
        self.one.write(folder / "first" / self.one.name, 0)  # so that what it imports is there in every fork
        self.place = folder / "place" / self.one.name
        for version, target in enumerate(self.whole):
            target.parent.mkdir(parents=True)
            assert run(self.one, Job(target, version)) == (0, ""), name
        self.old, self.new = map(held, self.whole)
        assert self.old != self.new, name
        self.found = {"killed": 0, "full": 0, "pairs": 0, "lost": 0}
        self.faults: list[str] = []

    def reset(self) -> None:
        """The old target in the place, or none where it must not be there."""
        shutil.rmtree(self.place.parent, ignore_errors=True)
        if self.one.fresh:
            self.place.parent.mkdir(parents=True)
        else:
            shutil.copytree(self.whole[0].parent, self.place.parent)

    def fault(self, what: str) -> None:
        """Something is not as it has to be."""
        self.found["lost"] += 1
        self.faults.append(f"{self.name}: {what}")

    def check(self, when: str) -> None:
        """Old or new; and the next run is as if nothing had happened."""
        before = None if self.one.fresh else self.old
        now = held(self.place)
        if now not in (before, self.new):
            self.fault(f"{when}: neither old nor new")
        if now == self.new and self.one.fresh:
            return
        status, error = run(self.one, Job(self.place, 1))
        if status or held(self.place) != self.new:
            self.fault(f"{when}: the next run ended with {status}, {error!r}")
        elif listed(self.place.parent) != listed(self.whole[1].parent):
            self.fault(f"{when}: left are {listed(self.place.parent)}")

    def kill(self, kills: int, chance: random.Random) -> None:
        """Kill it before steps, half of the time, and at random moments."""
        self.reset()
        started = time.monotonic()
        assert run(self.one, Job(self.place, 1)) == (0, "")
        seconds = time.monotonic() - started
        self.reset()
        count = int(run(self.one, Job(self.place, 1, step=-1))[1])
        steps = sorted(chance.sample(range(count), min(count, kills // 2)))
        jobs = [Job(self.place, 1, step=step) for step in steps]
        jobs += [Job(self.place, 1, after=chance.uniform(0.0005, seconds)) for _ in range(kills - kills // 2)]
        for job in jobs:
            self.reset()
            status, error = run(self.one, job)
            if status not in (0, -signal.SIGKILL, -signal.SIGALRM):
                self.fault(f"{job}: {status}, {error}")
            self.found["killed"] += status < 0
            self.check(str(job))

    def limit(self, count: int) -> None:
        """Let it write no larger files than some sizes."""
        largest = max(path.stat().st_size for path in self.whole[1].parent.rglob("*") if path.is_file())
        for size in [0, largest - 1, largest // 2, 100, largest // 3, 1, *range(4096, largest, 4096)][:count]:
            self.reset()
            status, error = run(self.one, Job(self.place, 1, largest=size))
            self._check_full(status, error, f"at most {size:,} bytes", "File too large")

    def fill(self, disk: Path, shares: int = 12) -> None:
        """Let it write on a disk that is full but for a few pages."""
        mine, place = disk / "mine", self.place
        self.place = disk / "place" / self.one.name
        for source in place.parent.parent.iterdir():  # of imports and conversions
            if source.name.startswith(("source", "weights")):
                (disk / source.name).symlink_to(source)
        need = sum(-(-path.stat().st_size // 4096) + 1 for path in self.whole[1].parent.rglob("*")) * 2 + 8
        for pages in sorted({round(need * share / shares) for share in range(shares + 1)}):
            mine.unlink(missing_ok=True)
            self.reset()
            system = os.statvfs(disk)
            mine.write_bytes(bytes(max(0, system.f_bavail - pages) * system.f_frsize))
            status, error = run(self.one, Job(self.place, 1))
            mine.unlink()
            if status == 0:
                self.check(f"{pages} free pages")
            else:
                self._check_full(status, error, f"{pages} free pages", "No space left on device")
        for item in disk.iterdir():
            shutil.rmtree(item) if item.is_dir() and not item.is_symlink() else item.unlink()
        self.place = place

    def _check_full(self, status: int, error: str, when: str, reason: str) -> None:
        self.found["full"] += 1
        told = reason in error or "no room on the disk" in error  # told before anything is written
        names_file = str(self.place) in error and told and "Error: " in error and ".tmp" not in error
        if status != 1 or not names_file:
            self.fault(f"{when}: it ended with {status}, {error!r}")
        if held(self.place) != (None if self.one.fresh else self.old):
            self.fault(f"{when}: the target is not the old one")
        before = [] if self.one.fresh else listed(self.whole[0].parent)
        if not self.one.keeps and listed(self.place.parent) != before:
            self.fault(f"{when}: left are {listed(self.place.parent)}")
        self.check(when)

    def pairs(self, count: int) -> None:
        """Let several write both versions at the same time."""
        for _ in range(count):
            self.reset()
            jobs = [start(self.one, Job(self.place, version, young=True)) for version in (0, 1, 0, 1)]
            ends = [ended(*job) for job in jobs]
            self.found["pairs"] += 1
            refused = [error for status, error in ends if status]
            said = ("FileExistsError: ", "BlockingIOError: ")
            if (refused and not self.one.fresh) or not all(error.startswith(said) for error in refused):
                self.fault(f"two at a time: {ends}")
            now = held(self.place)
            if now not in (self.old, self.new):
                self.fault(f"two at a time: neither of both, {ends}")
            elif listed(self.place.parent) != listed(self.whole[now == self.new].parent):
                self.fault(f"two at a time: left are {listed(self.place.parent)}, {ends}")


def main() -> int:
    """Interrupt all writers, and print what was found; the status is 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--limits", type=int, default=6)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--disk", type=Path, help="an empty file system of some megabytes")
    parser.add_argument("--only", nargs="+", choices=tuple(WRITERS), default=tuple(WRITERS))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found, faults = {}, []
    for number, name in enumerate(arguments.only):
        trial = Trial(name, arguments.folder / str(number))
        trial.kill(arguments.kills, random.Random(f"{arguments.seed} {name}"))
        trial.limit(arguments.limits)
        trial.pairs(arguments.pairs)
        if arguments.disk:
            trial.fill(arguments.disk)
        found[name] = trial.found
        faults += trial.faults
        shutil.rmtree(arguments.folder / str(number))
    print(json.dumps({"found": found, "faults": faults}))
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())

"""A process that takes one case after the other, and says what became of each."""

from __future__ import annotations

import contextlib
import gc
import glob
import json
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path

from .cases import FINE, Case, Plan
from .doors import Visit, backend_of, prepare
from .sources import Files, write_files

SECONDS = 2.0  # of CPU time that a case may take
MEMORY = 300 * 2**20  # bytes that a case may take beside what the process has
ADDRESSES = 1024 * 2**20  # of address space, a limit of the process
LONGEST_MESSAGE = 8000
UNDAMAGED = 1  # the way in which a door takes the files before any damage


def run_cases(plan: Plan, backend: str, numbers: Iterable[int], board: memoryview, results: Path) -> None:
    """Run cases; `board` has the number of the present one.

    Args:
        plan: says which case a number is.
        backend: the framework of these cases, "" without.
        numbers: of cases, in their order.
        board: eight bytes that the parent sees.
        results: a file to which a line is added for each case: its number, its verdict, seconds of CPU time, and bytes.
    """
    parent = os.getppid()
    prepare(backend)
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="fuzz.", dir=shared if shared.is_dir() else None) as home:
        worker = _Worker(plan, backend, Path(home))
        with results.open("a", encoding="utf-8", buffering=1) as lines:
            for number in numbers:
                board[:8] = number.to_bytes(8, "little")
                lines.write(json.dumps([number, *worker.verdict(plan.case(number))]) + "\n")
                if os.getppid() != parent:
                    return


class _Worker:
    def __init__(self, plan: Plan, backend: str, home: Path):
        self._plan, self._home = plan, home
        self._folder, self._temporary = home / "case", home / "temporary"
        self._temporary.mkdir()
        tempfile.tempdir = os.environ["TMPDIR"] = str(self._temporary)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)  # what libraries print themselves
        os.close(null)
        self._undamaged = self._write_undamaged()
        self._visit_undamaged(backend)
        gc.collect()
        _limit_addresses()

    def verdict(self, case: Case) -> tuple[str, float, int]:
        """What becomes of a case: "read", "refused", or what is wrong; seconds of CPU time, and bytes."""
        try:
            files = self._plan.files(case)
        except Exception:  # the other cases go on
            return f"no case: {_trace()}", 0.0, 0
        self._write(files)
        source, variant = self._plan.source(case), self._plan.variant(case)
        visit = Visit(self._folder, source, self._undamaged[case.kind], variant)
        found, seconds, memory = self._judged(case.door, visit, files)
        if found in FINE and found not in case.allowed:
            found = f"it was {found}: {visit.error[:300]}"
        return found, seconds, memory

    def _judged(self, door: str, visit: Visit, files: Files) -> tuple[str, float, int]:
        opened, before, started = _descriptors(), _memory("VmRSS"), (time.process_time(), _started_seconds())
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            found = _visited(self._plan.doors[door], visit, files)
        own, others = time.process_time() - started[0], max(0.0, _started_seconds() - started[1])
        memory = _memory("VmHWM") - before
        problems = [] if found in FINE else [found]
        if own + others > SECONDS:
            problems.append(f"slow: {own:.1f} s of CPU time, and {others:.1f} s of processes that it started")
        if memory > MEMORY:
            problems.append(f"memory: {memory / 2**20:,.0f} MB")
        problems += [
            f"warning: {one.category.__name__}: {str(one.message)[:200]} at {one.filename}:{one.lineno}"
            for one in warned
            if _is_foreign(one)
        ]
        problems += [f"left behind: {name}" for name in self._left(door, files, found)]
        if _descriptors() > opened + 2:
            gc.collect()
            if (now := _descriptors()) > opened + 2:
                problems.append(f"left behind: {now - opened} open files")
        return "\n".join(problems) or found, own + others, memory

    def _write(self, files: Files) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        write_files(self._folder, files)
        (self._folder / "out").mkdir(exist_ok=True)

    def _write_undamaged(self) -> dict[str, Path]:
        places = {}
        for number, (kind, source) in enumerate(self._plan.sources.items()):
            places[kind] = self._home / "undamaged" / str(number)
            write_files(places[kind], source.files)
        return places

    def _visit_undamaged(self, backend: str) -> None:
        """Visit all doors once, so that what is imported and kept then does not count; nothing may fail."""
        for kind, source in self._plan.sources.items():
            for door in source.doors:
                if backend_of(door) == backend and self._plan.uses(kind, door):
                    self._write(source.files)
                    visit = Visit(self._folder, source, self._undamaged[kind], UNDAMAGED)
                    found, _, _ = self._judged(door, visit, source.files)
                    if found not in (("read", "refused") if source.odd else ("read",)) and not found.startswith(
                        ("slow", "memory", "left behind")
                    ):
                        raise AssertionError(f"the undamaged {kind} is not read by {door}: {found} {visit.error}")

    def _left(self, door: str, files: Files, found: str) -> list[str]:
        there = {str(path.relative_to(self._folder)) for path in self._folder.rglob("*") if path.is_file()}
        more = sorted(there - {*files})
        if found == "read":
            more = [name for name in more if not name.startswith("out/") or "/." in name]
        elif door == "import":  # an import that is stopped can be continued
            more = [name for name in more if not name.startswith("out/.store.")]
        lost = [f"nothing of {name}" for name in sorted({*files} - there) if not os.path.lexists(self._folder / name)]
        temporary = [path.name for path in self._temporary.iterdir()]
        for path in self._temporary.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return more + lost + temporary


def _visited(door: object, visit: Visit, files: Files) -> str:
    try:
        door(visit)  # type: ignore[operator]
    except BaseException as error:
        text = visit.error = str(error)
        named = str(visit.folder) in text or any(Path(name).name in text for name in files)
        if isinstance(error, MemoryError):
            return f"memory: {type(error).__name__} {text[:300]}\n{_trace()}"
        # A TypeError is of a configuration's values. MemoryError, KeyError, struct.error and their like are not ours.
        ours = isinstance(error, (ValueError, OSError, TypeError)) and not isinstance(error, UnicodeError) and named
        if ours and len(text) > LONGEST_MESSAGE:
            return f"a message of {len(text):,} characters: {text[:100]}\n{_trace()}"
        return "refused" if ours else f"foreign error: {type(error).__name__}: {text[:600]}\n{_trace()}"
    return "read"


def _trace() -> str:
    lines = traceback.format_exc(limit=-14).splitlines()
    return "\n".join(line[:300] for line in lines[-40:])


def _is_foreign(warning: warnings.WarningMessage) -> bool:
    if issubclass(warning.category, (DeprecationWarning, PendingDeprecationWarning, FutureWarning)):
        return False
    ours = issubclass(warning.category, UserWarning)
    inside = "site-packages" in warning.filename or f"{os.sep}lxmert{os.sep}" in warning.filename
    return not ours or inside


def _memory(name: str) -> int:
    """A line of /proc/self/status in bytes."""
    text = Path("/proc/self/status").read_text()
    at = text.index(f"{name}:")
    return int(text[at : text.index("kB", at)].split()[1]) * 1024


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _started_seconds() -> float:
    """CPU time of the processes that this one has started, and of theirs."""
    return sum(map(cpu_seconds, children(os.getpid())))


def children(process: int) -> list[int]:
    """The processes that a process has started and that still run."""
    found = []
    for task in glob.glob(f"/proc/{process}/task/*/children"):
        with contextlib.suppress(OSError):  # the thread has ended
            found += [int(child) for child in Path(task).read_text().split()]
    return found


def cpu_seconds(process: int) -> float:
    """CPU time of a process and of those that it has waited for."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def command_of(process: int) -> bytes:
    """The command line of a process, empty if it has ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def resident(process: int) -> int:
    """The memory of a process in bytes, 0 if it has ended."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    except (OSError, IndexError):
        return 0


def _limit_addresses() -> None:
    limit = _memory("VmSize") + ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if sys.platform != "linux":
    raise ImportError("the fuzzer reads /proc, which Linux has alone")

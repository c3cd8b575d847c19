"""Runs cases in processes with limits, begins new ones where they die, and counts."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import re
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .cases import FINE, Case, Plan
from .doors import backend_of
from .sources import write_files
from .worker import MEMORY, children, command_of, cpu_seconds, resident, run_cases

STUCK = 60.0  # seconds without an end of a case, where other processes take the time too
STUCK_CPU = 8.0  # seconds of CPU time
_KEPT = 3  # failures of one kind whose files are kept

Told = Callable[[str], None]


@dataclass
class Report:
    """What became of the cases.

    Attributes:
        counts: by kind, by door, and by what became of them.
        failures: a text for each case that failed.
        causes: how many failed in the same way.
        costs: the most seconds of CPU time and the most bytes that a case took, by recipe or else by kind.
    """

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    causes: Counter[str] = field(default_factory=Counter)
    costs: dict[str, tuple[float, int]] = field(default_factory=dict)

    @property
    def cases(self) -> int:
        """How many there were."""
        return self.counts.total()

    def table(self) -> str:
        """How many were read, refused and failed, by kind and by door."""
        lines = []
        for place, title in ((0, "kind"), (1, "door")):
            names = sorted({key[place] for key in self.counts})
            lines += [f"{title:<52} {'read':>8} {'refused':>8} {'failed':>8}"]
            for name in names:
                found = [
                    sum(n for key, n in self.counts.items() if key[place] == name and key[2] == what)
                    for what in (*FINE, "failed")
                ]
                lines += [f"{name:<52} {found[0]:8,} {found[1]:8,} {found[2]:8,}"]
        lines += [f"{'most of one case':<52} {'seconds':>8} {'MB':>8}"]
        for name, (seconds, memory) in sorted(self.costs.items()):
            lines += [f"{name:<52} {seconds:8.2f} {memory / 2**20:8,.0f}"]
        for cause, count in self.causes.most_common():
            lines += [f"failed {count:,} times: {cause}"]
        return "\n".join(lines)


class _Slot:
    """A worker, the cases that are left to it, and what it is doing."""

    def __init__(self, plan: Plan, backend: str, numbers: list[int], folder: Path):
        self.plan, self.backend, self.numbers = plan, backend, numbers
        self.results = folder / f"results-{id(self)}"
        self.results.touch()
        self.lines = self.results.open(encoding="utf-8")
        self.board = mmap.mmap(-1, 8)
        self.process = 0
        self.done = 0  # of `numbers`
        self.seen, self.since, self.cpu, self.stuck = -1, 0.0, 0.0, ""
        self.heavy: dict[int, int] = {}  # memory of processes that were started for a case, beyond the bound

    @property
    def finished(self) -> bool:
        return self.done >= len(self.numbers) and not self.process

    def start(self) -> None:
        self.board[:8] = (2**64 - 1).to_bytes(8, "little")
        self.seen, self.since, self.stuck = -1, time.monotonic(), ""
        self.process = os.fork()
        if not self.process:
            status = 1
            try:
                os.setsid()
                run_cases(self.plan, self.backend, self.numbers[self.done :], memoryview(self.board), self.results)
                status = 0
            except BaseException:
                traceback.print_exc(file=self.results.with_suffix(".error").open("w"))
            finally:
                os._exit(status)

    def news(self) -> list[tuple[int, str, float, int]]:
        found = []
        for number, verdict, seconds, memory in map(json.loads, self.lines):
            if number in self.heavy and verdict in FINE:
                verdict = f"memory: {self.heavy[number] / 2**20:,.0f} MB in a process that was started for it"
            found.append((number, verdict, seconds, max(memory, self.heavy.get(number, 0))))
        self.done += len(found)
        return found

    def watch(self) -> int | None:
        """End a worker that is stuck; its exit status when it has ended."""
        ended, status = os.waitpid(self.process, os.WNOHANG)
        if ended:
            with contextlib.suppress(ProcessLookupError):  # what it has started
                os.killpg(ended, signal.SIGKILL)
            self.process = 0
            return os.waitstatus_to_exitcode(status)
        now, number = time.monotonic(), int.from_bytes(self.board[:8], "little")
        started = children(self.process)
        cpu = sum(map(cpu_seconds, (self.process, *started)))
        for process in started:
            if command_of(process) == command_of(self.process):
                continue  # it has the memory of the worker until it begins its own program
            own = resident(process)
            # One that forks for every file: pages that both have do not count.
            memory = max([own, *(resident(child) - own for child in children(process))])
            if memory > MEMORY:
                self.heavy[number] = max(memory, self.heavy.get(number, 0))
        if number != self.seen:
            self.seen, self.since, self.cpu = number, now, cpu
        elif number < 2**64 - 1 and (now - self.since > STUCK or cpu - self.cpu > STUCK_CPU):
            self.stuck = f"stuck: {now - self.since:.0f} s, {cpu - self.cpu:.1f} s of CPU time"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process, signal.SIGKILL)
        elif number == 2**64 - 1 and now - self.since > 10 * STUCK:
            os.killpg(self.process, signal.SIGKILL)
        return None


def fuzz(
    plan: Plan, cases: int, first: int = 0, jobs: int = 1, keep: Path | None = None, tell: Told = lambda line: None
) -> Report:
    """Run cases.

    Args:
        plan: says what they are.
        cases: how many.
        first: the number of the first.
        jobs: processes at the same time.
        keep: a folder for the files of those that fail.
        tell: called with a line now and then.
    """
    report = Report()
    with tempfile.TemporaryDirectory() as place:
        by_backend: dict[str, list[int]] = {backend: [] for backend in ("tf", "pt", "")}
        for number in range(first, first + cases):
            by_backend[backend_of(plan.case(number).door)].append(number)
        # Frameworks are slow to import: theirs begin first, one beside the others.
        parts = [("", by_backend[""][start::jobs]) for start in range(jobs)]
        parts[1:1] = [(backend, numbers) for backend, numbers in by_backend.items() if backend]
        waiting = [_Slot(plan, backend, numbers, Path(place)) for backend, numbers in parts if numbers]
        running: list[_Slot] = []
        began = told = time.monotonic()
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    running.append(waiting.pop(0))
                    running[-1].start()
                time.sleep(0.03)
                for slot in running:
                    _follow(slot, report, keep, tell)
                running = [slot for slot in running if not slot.finished]
                if time.monotonic() - told > 15:
                    told = time.monotonic()
                    rate = report.cases / (told - began)
                    tell(f"{report.cases:,} of {cases:,}, {rate:.0f} a second, {len(report.failures):,} failed")
        finally:
            for slot in running:
                if slot.process:
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(slot.process, signal.SIGKILL)
    return report


def _follow(slot: _Slot, report: Report, keep: Path | None, tell: Told) -> None:
    status = slot.watch()
    for number, verdict, seconds, memory in slot.news():
        case = slot.plan.case(number)
        most = report.costs.get(case.recipe or case.kind, (0.0, 0))
        report.costs[case.recipe or case.kind] = max(seconds, most[0]), max(memory, most[1])
        _note(slot.plan, case, verdict, report, keep, tell)
    if status is None:
        return
    if status == 0 and slot.done >= len(slot.numbers):
        return
    error = slot.results.with_suffix(".error")
    if error.exists():
        raise RuntimeError(f"a worker failed by itself:\n{error.read_text()}")
    number = slot.numbers[slot.done]
    case = slot.plan.case(number)
    _note(slot.plan, case, slot.stuck or f"the process died with status {status}", report, keep, tell)
    slot.done += 1
    if slot.done < len(slot.numbers):
        slot.start()


def _note(plan: Plan, case: Case, verdict: str, report: Report, keep: Path | None, tell: Told) -> None:
    report.counts[case.kind, case.door, verdict if verdict in FINE else "failed"] += 1
    if verdict in FINE:
        return
    cause = _cause(case.kind, verdict)
    report.causes[cause] += 1
    what = f"recipe {case.recipe}" if case.recipe else f"case {case.number} of seed {plan.seed}"
    report.failures.append(f"{what} ({case.kind}, {case.door}): {verdict}")
    if report.causes[cause] > _KEPT:
        return
    tell(report.failures[-1])
    if keep:
        place = keep / f"{plan.seed}-{case.number}"
        write_files(place, plan.files(case))
        (place / "what.txt").write_text(report.failures[-1])


def _cause(kind: str, verdict: str) -> str:
    """The first line without numbers and names, and the last place in this package; or else the kind."""
    if verdict.startswith(("the process", "stuck", "slow", "memory", "left")):
        return f"{verdict.splitlines()[0][:50]} ({kind})" if "status" in verdict else f"{verdict.split()[0]} ({kind})"
    places = re.findall(r'File "[^"]*/(lxmert/[^"]+)", line (\d+)', verdict)
    place = " at {}:{}".format(*places[-1]) if places else ""
    return re.sub(r"\d+[.,\d]*", "N", verdict.splitlines()[0])[:70] + place

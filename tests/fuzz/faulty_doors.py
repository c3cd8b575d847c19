"""Doors with every fault that the fuzzer looks for, to see that it finds them: python -m tests.fuzz.faulty_doors."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import warnings

from . import harness
from .cases import Plan
from .doors import DOORS, Visit
from .sources import Source
from .worker import UNDAMAGED


def _takes_memory() -> None:
    bytearray(b"x") * (400 * 2**20)


def _child_takes_memory() -> None:
    subprocess.run(
        [sys.executable, "-c", "import time; a = bytearray(b'x') * (400 * 2**20); time.sleep(0.3)"], check=True
    )


def _takes_time() -> None:
    started = time.process_time()
    while time.process_time() < started + 2.2:
        pass


def _does_not_end() -> None:
    while True:
        pass


def _raises(error: BaseException) -> None:
    raise error


FAULTS = {
    "memory": _takes_memory,
    "memory in a process": _child_takes_memory,
    "slow": _takes_time,
    "stuck": _does_not_end,
    "the process died": lambda: os.kill(os.getpid(), 11),
    "foreign error: KeyError": lambda: _raises(KeyError("w.bin")),
    "foreign error: ValueError": lambda: _raises(ValueError("no name")),
    "foreign error: UnicodeDecodeError": lambda: b"w.bin".decode("utf-16"),
    "a message of": lambda: _raises(ValueError("w.bin" * 5000)),
    "warning: RuntimeWarning": lambda: warnings.warn("x", RuntimeWarning, stacklevel=1),
    "left behind: 9 open files": lambda: [os.dup(1) for _ in range(9)],
    "left behind: .new.tmp": lambda: None,
    "left behind: temporary": lambda: tempfile.mkdtemp(prefix="temporary"),
    "left behind: nothing of w.bin": lambda: None,
    "refused": lambda: _raises(ValueError("w.bin is damaged")),
    "read": lambda: None,
}


def main() -> None:
    """Print what is found of each."""

    def door(visit: Visit) -> None:
        name = visit.source.options[0]
        if visit.variant != UNDAMAGED:
            if "tmp" in name:
                (visit.folder / ".new.tmp").touch()
            if "nothing" in name:
                (visit.folder / "w.bin").unlink()
            FAULTS[name]()

    DOORS["open"] = door
    harness.STUCK_CPU = 2.4
    sources = {name: Source({"w.bin": b"\0" * 50}, ("open",), ("w.bin",), (name,)) for name in FAULTS}
    report = harness.fuzz(Plan(sources), len(FAULTS))
    for failure in report.failures:
        print(failure.splitlines()[0])
    print(report.table())


if __name__ == "__main__":
    main()

"""Memory that is kept is not asked for again."""

import subprocess
import sys

import pytest

from lxmert.common import memory

CODE = """
import resource, sys
from lxmert.common.memory import keep_memory
kept = keep_memory() if sys.argv[1] == "keep" else None
import numpy as np
def used():
    array = np.empty(2**24, np.uint8)
    array[::4096] = 1
for _ in range(3):
    used()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    used()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    done = subprocess.run([sys.executable, "-c", CODE, how], check=True, capture_output=True, text=True)
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's C library has the choice")
def test_kept_memory_is_not_cleared_again():
    kept, count = faults("keep")
    if kept == "False":
        pytest.skip("another C library than glibc: it has no such choice")
    assert count < 100, "twenty times sixteen megabytes, without a new page"


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "win32")
    assert memory.keep_memory() is False


def test_another_library_of_c(monkeypatch):
    monkeypatch.setattr(memory.sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert memory.keep_memory() is False

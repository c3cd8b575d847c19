"""Memory that is kept is not asked for again."""

import os
import subprocess
import sys

import pytest

from lxmert.utils import malloc

CODE = """
import resource, sys
from lxmert.utils.malloc import keep_memory
kept = True
if sys.argv[1] == "keep":
    kept = keep_memory()
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


def faults(how, **environment):
    command = [sys.executable, "-c", CODE, how]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | environment)
    kept, count = done.stdout.split()
    return kept, int(count)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's C library has the choice")
def test_kept_memory_is_not_cleared_again():
    kept, count = faults("keep")
    if kept == "False":
        pytest.skip("another C library than glibc: it has no such choice")
    assert count < 100, "twenty times sixteen megabytes, without a new page"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux's C library has the choice")
@pytest.mark.parametrize(
    "said", [{"MALLOC_MMAP_THRESHOLD_": "131072"}, {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}]
)
def test_what_the_environment_says_is_left_as_it_is(said):
    kept, count = faults("keep", **said)
    assert kept == "False"
    assert count > 100


def test_elsewhere_nothing_is_done(monkeypatch):
    monkeypatch.setattr(malloc.sys, "platform", "win32")
    assert malloc.keep_memory() is False


@pytest.mark.parametrize(
    ("largest", "asked", "kept"),
    [
        (2**40, [(-3, 2**30), (-1, 2**31 - 1)], True),
        (2**25, [(-3, 2**30), (-3, 2**25), (-1, 2**31 - 1)], True),  # older versions of glibc
        (0, [(-3, 2**30), (-3, 2**25)], False),
    ],
)
def test_one_threshold_is_not_set_without_the_other(largest, asked, kept, monkeypatch):
    called = []

    class Library:
        @staticmethod
        def mallopt(what, size):
            called.append((what, size))
            return int(what != -3 or size <= largest)

    monkeypatch.setattr(malloc.sys, "platform", "linux")
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: Library)
    assert malloc.keep_memory() is kept
    assert called == asked


def test_another_library_of_c(monkeypatch):
    monkeypatch.setattr(malloc.sys, "platform", "linux")
    monkeypatch.setattr(malloc.ctypes, "CDLL", lambda name: object())
    assert malloc.keep_memory() is False

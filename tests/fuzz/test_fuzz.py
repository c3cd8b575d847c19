"""A short run of the fuzzer over all kinds of files and all doors, and what it finds where doors have faults."""

import re
import subprocess
import sys
from collections import Counter

import pytest

from .doors import BACKENDS, DOORS
from .faulty_doors import FAULTS

CASES = 1000
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.platform != "linux", reason="limits of memory, forks and /proc"),
]


def run(module, *arguments):
    """The command's output, in a process of its own: forks of one that runs TensorFlow hang."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def rows(text):
    """The numbers of a table that were read, refused and failed, by name."""
    found = re.findall(r"^(\S.*?) +([\d,]+) +([\d,]+) +([\d,]+)$", text, re.MULTILINE)
    return {name: [int(number.replace(",", "")) for number in numbers] for name, *numbers in found}


def test_damaged_files_are_read_or_refused(tmp_path):
    done = run("tests.fuzz", "--cases", CASES, "--seed", 7, "--jobs", 2, "--keep", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CASES:,} cases, 0 failed" in done.stdout
    # Each process has read everything undamaged before. Too much damage would be refused by every door at once, too
    # little by none. The checksums of a store find nearly all of it; doors that need a framework have few cases.
    found = rows(done.stdout)
    assert {*DOORS} < {*found}
    assert [door for door in DOORS.keys() - {"check", "store", *BACKENDS} if not found[door][0]] == []
    refused, cases = Counter(), Counter()
    for name, numbers in found.items():
        kind = re.split("[ ,0-9]", name)[0]  # the kinds of one format together
        refused[kind] += numbers[1]
        cases[kind] += sum(numbers)
    assert [kind for kind, count in cases.items() if count >= 10 and not refused[kind]] == []


def test_faults_of_doors_are_found():
    done = run("tests.fuzz.faulty_doors")
    assert done.returncode == 0, done.stderr
    table = rows(done.stdout)
    assert {name for name in FAULTS if table[name][2] == 0} == {"read", "refused"}
    for name in FAULTS.keys() - {"read", "refused"}:
        what = {"memory in a process": "memory: "}.get(name, name)
        assert re.search(
            rf"^case \d+ of seed 0 \({re.escape(name)}, open\): {re.escape(what)}", done.stdout, re.MULTILINE
        )

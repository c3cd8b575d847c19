"""Every recipe at every door, with one kind of file each; `python -m tests.fuzz --recipes` has all kinds."""

import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory, forks and /proc")


@pytest.mark.full
def test_recipes_are_read_or_refused(tmp_path):
    # A process of its own: forks of one that runs TensorFlow hang.
    command = [sys.executable, "-m", "tests.fuzz", "--recipes", "--once", "--jobs", "2", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    cases = re.search(r"^([\d,]+) cases, 0 failed$", done.stdout, re.MULTILINE)
    assert cases
    assert int(cases[1].replace(",", "")) > 900

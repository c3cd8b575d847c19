"""A short run of the fuzzer: every kind of file and every door."""

import re
import subprocess
import sys

import pytest

CASES = 2500


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory, forks and /proc")
@pytest.mark.full
def test_damaged_files_are_read_or_refused(tmp_path):
    # A process of its own: forks of one that runs TensorFlow hang.
    command = [sys.executable, "-m", "tests.fuzz", "--cases", str(CASES), "--seed", "7", "--jobs", "2"]
    command += ["--kinds", "weights/safetensors", "weights/shards", "weights/torch", "weights/th", "dataset", "results"]
    done = subprocess.run([*command, "--keep", str(tmp_path)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{CASES:,} cases, 0 failed" in done.stdout
    rows = re.findall(r"^(\S.*?) +([\d,]+) +([\d,]+) +0$", done.stdout, re.MULTILINE)
    assert len(rows) > 40
    for name, read, refused in rows:  # else the damage is too little or too much
        assert "0" not in (read, refused), name

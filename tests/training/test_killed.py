"""A process that is killed at a random moment, and another one that goes on: benchmarks/kill_and_resume.py, thrice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.full
def test_killed_three_times(tmp_path):
    command = [sys.executable, "benchmarks/kill_and_resume.py", "--kills", "3", "--backends", "pt"]
    command += ["--output", str(tmp_path / "found.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    (found,) = json.loads((tmp_path / "found.json").read_text()).values()
    assert found["killed"] == 3
    assert found["resumed"] == 3, "there is a checkpoint from the start on"
    assert found["differing"] == 0

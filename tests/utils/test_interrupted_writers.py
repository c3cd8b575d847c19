"""All that writes, killed, on a full disk, and two at a time: interrupted_writers.py with a few cases of each."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOME = ("region store", "import", "last checkpoint", "pytorch_model.bin", "predictions", "page of explanations")


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="signals and forks")
def test_nothing_is_lost(tmp_path):
    """The other kinds of weights are interrupted in tests/weights/test_interruptions.py."""
    command = [sys.executable, "-m", "tests.utils.interrupted_writers", str(tmp_path / "place")]
    command += ["--kills", "4", "--limits", "2", "--pairs", "1", "--only", *SOME]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    told = json.loads(done.stdout) if done.stdout else done.stderr
    assert (done.returncode, told["faults"]) == (0, [])
    for name, found in told["found"].items():
        assert found["killed"] > 0, name
        assert (found["full"], found["pairs"], found["lost"]) == (2, 1, 0), name

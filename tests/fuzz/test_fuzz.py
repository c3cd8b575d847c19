"""Short runs of the fuzzer: no damaged file ends the process, hangs it, fills memory or ends in a foreign error."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("fuzz_weights.py")


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory, forks and /proc")
@pytest.mark.full
def test_damaged_files_are_read_or_refused(tmp_path):
    # A process of its own: forks of one that runs TensorFlow hang.
    done = subprocess.run(
        [sys.executable, SCRIPT, "--cases", "1500", "--seed", "7", "--keep", tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1500 cases, 0 failed" in done.stdout
    for kind in ("safetensors", "shards", "weights.h5", "keras", "tf_model.h5", "torch zip", "torch old"):
        for what in ("read", "refused"):  # else the damage is too little or too much
            assert f"{kind}: {what}" in done.stdout

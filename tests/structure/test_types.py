"""What type checkers and editors see of the public names: mypy reads a file of a user's code."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
USER_CODE = Path(__file__).with_name("user_code.py.txt")


def test_mypy_sees_classes_outputs_and_misspelled_arguments(tmp_path):
    shutil.copyfile(USER_CODE, tmp_path / "user.py")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", str(tmp_path / "user.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=600, check=False)
    assert not done.stderr
    found = {}
    for number, text in re.findall(r"user\.py:(\d+): (.+)", done.stdout):
        if shown := re.search(r'note: Revealed type is "(.+)"', text):
            found[int(number)] = "reveals " + re.sub(r"\b(\w+\.)+", "", shown[1])  # without the modules
        elif told := re.search(r"error: .+\[([\w-]+)\]", text):
            found[int(number)] = f"error {told[1]}"
    lines = USER_CODE.read_text(encoding="utf-8").splitlines()
    wanted = {
        number: comment[1]
        for number, line in enumerate(lines, 1)
        if (comment := re.search(r"  # ((reveals|error) .+)$", line))
    }
    assert found == wanted, done.stdout

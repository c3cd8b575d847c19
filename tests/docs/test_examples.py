"""Every script of examples/ runs by itself, offline, and prints what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 60  # what the scripts may take on an idle machine

# What each script prints when it did its work.
PRINTS = {
    "answer_in_bulk.py": [r"red +what color is the circle\? +red", r"brown +is there a rectangle\? +no"],
    "ask_about_an_image.py": [
        r"\bLxmertForQuestionAnswering:\n +what color is the circle\? +red",
        r"TFLxmertForQuestionAnswering:\n +what color is the circle\? +red",
    ],
    "attention_maps.py": [r"what color is the triangle\? green", r"\[CLS\] +0\.\d\d", "cross_encoder_attentions"],
    "convert_and_compare.py": [
        "the same weights: True; the same bytes: True",
        r"scores of PyTorch and Keras: \d.\de-0[6-9]",
    ],
    "fit_on_dicts.py": ["right answers: (9|10)", "the loaded model gives the same scores: True"],
}


def test_every_example_has_a_test():
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(PRINTS)


RUN = """
import runpy, sys
for path in sys.argv[1:]:
    sys.argv = [path]
    print("\\nscript", path, flush=True)
    runpy.run_path(path, run_name="__main__")
"""


@pytest.mark.parametrize(
    "names",
    [
        [name for name in sorted(PRINTS) if not name.startswith("fit")],
        pytest.param(["fit_on_dicts.py"], marks=pytest.mark.full),
    ],
    ids=["short", "fit"],
)
def test_examples_run(names, tmp_path):
    """In one process, which starts the frameworks once."""
    offline = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, *(str(ROOT / "examples" / name) for name in names)],
        cwd=tmp_path,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=5 * SECONDS,  # other tests run beside it
    )
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split("\nscript ")[1:]
    for name, text in zip(names, printed, strict=True):
        for pattern in PRINTS[name]:
            assert re.search(pattern, text), text
    assert list(tmp_path.iterdir()) == [], "an example leaves files where it is started"

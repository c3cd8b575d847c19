"""Every script of examples/ runs by itself, offline, and prints what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 60  # what a script may take on an idle machine

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


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.full if name.startswith("fit") else ()) for name in sorted(PRINTS)]
)
def test_example_runs(name, tmp_path):
    offline = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name],
        cwd=tmp_path,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=5 * SECONDS,  # other tests run beside it
    )
    assert done.returncode == 0, done.stderr
    for pattern in PRINTS[name]:
        assert re.search(pattern, done.stdout), done.stdout
    assert list(tmp_path.iterdir()) == [], "an example leaves files where it is started"

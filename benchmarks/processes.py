"""Measure each run of a benchmark in a process of its own."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def run_in_processes(
    script: str, about: str | None, runs: Sequence[str], output: Path, rounds: int, measure: Callable[[str, int], Any]
) -> tuple[dict[str, Any], Path] | None:
    """Read the command line of a script, and measure its runs, each in a process that the script starts with `--job`.

    Args:
        script: the file of the script.
        about: what its `--help` says.
        runs: the names of the runs.
        output: where its results are; those of runs that are left out stay.
        rounds: how often each job runs by default.
        measure: name and rounds to the figures of one run, as JSON has them.

    Returns:
        The results, with the figures of each run under "runs", and where they go; None in the process of one run, which
        has printed its figures.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each job runs (default: {rounds})")
    parser.add_argument("--only", nargs="+", choices=runs, default=runs, help="some of the runs; others stay")
    parser.add_argument("--output", type=Path, default=output, help="where the results go")
    parser.add_argument("--job", choices=runs, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        print(json.dumps(measure(arguments.job, arguments.rounds)))
        return None
    results: dict[str, Any] = json.loads(arguments.output.read_text()) if arguments.output.exists() else {"runs": {}}
    for name in arguments.only:
        command = [sys.executable, script, "--job", name, "--rounds", str(arguments.rounds)]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        results["runs"][name] = json.loads(done.stdout.splitlines()[-1])
    return results, arguments.output

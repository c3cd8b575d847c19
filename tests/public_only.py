"""A run of some of the suite's tests in a process of its own, with every fallback on public interfaces taken."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_public_only(*tests):
    """Run tests by their ids and by options, as `LXMERT_PUBLIC_ONLY=1 pytest …`; gives how many passed."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {**os.environ, "LXMERT_PUBLIC_ONLY": "1"}
    done = subprocess.run([*command, *tests], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return int(done.stdout.strip().splitlines()[-1].split()[0])


def public_copy(backend, monkeypatch):
    """The module of private parts of a backend once more, with all its fallbacks."""
    monkeypatch.setenv("LXMERT_PUBLIC_ONLY", "1")
    spec = importlib.util.spec_from_file_location(f"public_{backend}", ROOT / "lxmert" / backend / "_compat.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

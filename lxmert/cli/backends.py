"""The option that chooses a backend, and importing TensorFlow without what it tells of the machine."""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from importlib.util import find_spec


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Declare `--backend`; by default it is PyTorch where that is installed, else Keras."""
    chosen = "pt" if find_spec("torch") is not None or find_spec("keras") is None else "tf"
    parser.add_argument(
        "--backend",
        choices=("pt", "tf"),
        default=chosen,
        help="PyTorch or Keras (default: what is installed, PyTorch first)",
    )


def import_quietly(backend: str) -> None:
    """Import a backend's framework; what TensorFlow's native code writes to stderr meanwhile is dropped.

    It writes before any setting of its own can stop it. Python's own errors are raised as ever; and who sets
    TF_CPP_MIN_LOG_LEVEL to 0 or 1 wants to read it all.

    Args:
        backend: "pt" or "tf".
    """
    if backend != "tf" or os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1"):
        return
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        import_module("tensorflow")
    except ImportError:
        pass  # lxmert.tf says what is missing
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)

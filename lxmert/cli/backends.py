"""The option that chooses a backend, and an import of TensorFlow without its messages about the machine."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from importlib.util import find_spec

from .process import without_stderr


def add_backend(parser: argparse.ArgumentParser) -> None:
    """Declare `--backend`; by default it is PyTorch where that is installed, else Keras."""
    parser.add_argument(
        "--backend",
        choices=("pt", "tf"),
        default=default_backend(),
        help="pt: PyTorch; tf: Keras (default: what is installed, PyTorch first)",
    )


def default_backend() -> str:
    """The backend that is installed, PyTorch first."""
    return "pt" if find_spec("torch") is not None or find_spec("keras") is None else "tf"


def import_quietly(backend: str) -> None:
    """Import a backend's framework, without what TensorFlow's native code prints before any setting can stop it.

    Python's own errors are raised as ever. All is printed where the user set TF_CPP_MIN_LOG_LEVEL to 0 or 1.

    Args:
        backend: "pt" or "tf".
    """
    if backend != "tf" or "tensorflow" in sys.modules or os.environ.get("TF_CPP_MIN_LOG_LEVEL") in ("0", "1"):
        return
    with without_stderr(), suppress(ImportError):  # importing lxmert.tf then reports it
        import tensorflow  # noqa: F401

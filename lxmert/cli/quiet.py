"""Importing TensorFlow without what it tells of the machine."""

from __future__ import annotations

import os
import sys
from importlib import import_module


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

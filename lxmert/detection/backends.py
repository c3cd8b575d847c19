"""Choose PyTorch or Keras for the network of a detector; a backend is imported on first use."""

from __future__ import annotations

from typing import Any

from lxmert.utils.setting_names import setting


def network_backend(backend: str) -> Any:
    """The module that loads networks in a backend: `pt_network` or `tf_network`.

    Raises:
        ValueError: neither "pt" nor "tf".
        ImportError: its framework is not installed.
    """
    if backend == "pt":
        from lxmert import pt  # noqa: F401 - says what to install where PyTorch is not

        from . import pt_network

        return pt_network
    if backend == "tf":
        from lxmert import tf  # noqa: F401 - says what to install where Keras is not

        from . import tf_network

        return tf_network
    raise ValueError(f'{setting("backend")} must be "pt" (PyTorch) or "tf" (Keras); got {backend!r}.')

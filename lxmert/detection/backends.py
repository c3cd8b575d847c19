"""Find the weights of a detector's network, and load it in PyTorch or Keras; a backend is imported on first use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from lxmert.common.specs import class_spec
from lxmert.hub import HubOptions
from lxmert.utils.messages import first_few
from lxmert.utils.setting_names import setting
from lxmert.weights.checksums import check_digits, check_sha256, weights_sha256
from lxmert.weights.model_files import find_model
from lxmert.weights.naming.tables import MODELS
from lxmert.weights.open import model_type_of

PRECISIONS = ("float32", "bfloat16", "float64")


class LoadedNetwork(NamedTuple):
    """A network and where it comes from.

    Attributes:
        network: it, for evaluation.
        folder: that its weights are in.
        origin: the name of its weights, their SHA-256, backend and precision, as JSON values.
        computing: makes the context in which it computes.
    """

    network: Any
    folder: Path
    origin: dict[str, Any]
    computing: Callable[[], AbstractContextManager[Any]]


def load_network(
    architecture: str,
    source: str | Path,
    *,
    backend: str,
    precision: str,
    device: str | None,
    sha256: str | None,
    hub: HubOptions,
) -> LoadedNetwork:
    """Load a network from a file, a folder or a repository on the hub.

    Args:
        architecture: the name of its class in PyTorch.
        source: a path, or the name of a repository.
        backend: "pt" for PyTorch, "tf" for Keras.
        precision: one of `PRECISIONS`.
        device: where it computes; by default a GPU where there is one.
        sha256: that of the weights; others are refused before they are read.
        hub: of a repository.

    Raises:
        FileNotFoundError, PermissionError, ConnectionError, OSError: no such weights, or they cannot be downloaded.
        ValueError: damaged weights or those of another model, another SHA-256, or a setting of another value.
        ImportError: the backend's framework is not installed.
    """
    loader = network_backend(backend)
    if precision not in PRECISIONS:
        raise ValueError(f"{setting('precision')} must be one of {', '.join(PRECISIONS)}; got {precision!r}.")
    place = loader.find_device(None if device is None else str(device))
    check_digits(sha256)
    path = find_model(source, hub)
    digest = weights_sha256(path)
    if sha256 is not None:
        check_sha256(source, sha256, digest)
    try:
        network = loader.load_network(architecture, path, precision, place)
    except ValueError as error:
        if (other := _other_model_error(architecture, source, path)) is not None:
            raise other from error
        raise
    if damaged := loader.not_finite(network):
        # A network would not show it: the ReLU of some processors makes 0 of NaN.
        raise ValueError(f"{source} is damaged: {first_few(damaged)} hold NaN or infinite values.")
    # A path on this machine says nothing on another one.
    name = path.resolve().name if Path(source).exists() else str(source)
    origin = {"weights": name, "sha256": digest, "backend": backend, "precision": precision}
    return LoadedNetwork(network, path if path.is_dir() else path.parent, origin, partial(loader.computing_on, place))


def _other_model_error(architecture: str, source: str | Path, path: Path) -> ValueError | None:
    """What to do with weights of another model than that of a class; None where they are of that model, or of none."""
    try:
        found, wanted = model_type_of(path), class_spec(architecture).model
    except (OSError, ValueError):
        return None
    if found == wanted:
        return None
    advice = {
        "vcr_detector": f'Name it "vcr:{source}".',
        "visual_genome_detector": 'Name it without "vcr:".',
    }.get(found, "Such a model reads regions, and finds none.")
    titles = MODELS[found].title, MODELS[wanted].title
    return ValueError(
        "{} holds weights of another model ({}) than those that are wanted ({}). {}".format(source, *titles, advice)
    )


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

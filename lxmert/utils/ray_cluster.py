"""The cluster of Ray that a pipeline runs on: connecting to it, and what its workers get of it."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lxmert.utils.counts import check_integer

from .optional_imports import import_extra
from .setting_names import setting

LOCAL = "local"
_PATIENCE = 10.0  # seconds for a connection: Ray itself tries one that cannot be made for many minutes


@dataclass(frozen=True)
class RayCluster:
    """Where a pipeline runs.

    Attributes:
        address: "local", Ray on this machine alone, started and stopped with the work; "auto", the cluster that this
            machine belongs to (`ray start`); or the cluster's address, "HOST:6379". A program that has called
            `ray.init` itself uses the cluster of that call.
        workers: the number of workers, each of which loads the model; None for one on each GPU that is used, or
            without GPUs one on each machine.
        gpus: whether each worker has a GPU to itself; None for where the cluster has any.
    """

    address: str = LOCAL
    workers: int | None = None
    gpus: bool | None = False

    def __post_init__(self) -> None:
        address = self.address
        if not isinstance(address, str) or (address not in (LOCAL, "auto") and ":" not in address):
            raise ValueError(
                f'{setting("address")} must be "local", "auto" or that of a cluster, "HOST:6379"; got {address!r}.'
            )
        if self.workers is not None:
            check_integer(setting("workers"), self.workers)


@contextmanager
def connected(cluster: RayCluster, wanted_by: str) -> Iterator[None]:
    """Connect to a cluster, or start one on this machine, for a block; a connection that is there is used and kept.

    Args:
        cluster: where.
        wanted_by: what needs Ray, for the message that it is not installed.

    Raises:
        ImportError: Ray is not installed.
        ConnectionError: no cluster has this address.
    """
    ray = import_ray(wanted_by)
    own = not ray.is_initialized()
    with _quiet_log():
        if own:
            _connect(ray, cluster.address)
        try:
            yield
        finally:
            if own:
                ray.shutdown()


def import_ray(wanted_by: str) -> Any:
    """Import Ray with Ray Data, which the extra `ray` installs."""
    import_extra("ray.data", "ray", wanted_by, "Ray Data")
    import ray

    return ray


def worker_resources(cluster: RayCluster, blocks: int) -> tuple[int, int, int]:
    """The number of workers, and the CPUs and GPUs of each; Ray lets as many threads run in a worker as it has CPUs.

    Args:
        cluster: where the workers are.
        blocks: how many blocks of work there are. A worker more would load the model for nothing; the CPUs of each
            worker, and so the numbers that it computes, do not depend on this.

    Raises:
        ValueError: more workers than there are CPUs or GPUs for; Ray would wait for them forever.
    """
    import ray

    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    on_gpus = any(machine.get("GPU", 0) >= 1 for machine in machines) if cluster.gpus is None else cluster.gpus
    wanted = "GPU" if on_gpus else "CPU"
    having = [int(machine[wanted]) for machine in machines if machine.get(wanted, 0) >= 1]
    count = cluster.workers or (sum(having) if on_gpus else len(having))
    if not 1 <= count <= sum(having):
        raise ValueError(
            f"{setting('workers')} must be at most the {wanted}s of the cluster, {sum(having)}; got {count}."
        )
    if on_gpus:
        return min(count, blocks), 1, 1
    each = next(each for each in range(max(having), 0, -1) if sum(cpus // each for cpus in having) >= count)
    return min(count, blocks), each, 0


def _connect(ray: Any, address: str) -> None:
    options: dict[str, Any] = {}
    if address == LOCAL:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports on its users unless it is told not to
        options = {"include_dashboard": False}
    try:
        host, colon, port = address.rpartition(":")
        if colon and "/" not in host and port.isdigit():
            socket.create_connection((host, int(port)), _PATIENCE).close()
        with _own_signals():
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConnectionError(f"there is no cluster of Ray at {address!r}: {error}") from error


@contextmanager
def _quiet_log() -> Iterator[None]:
    """Leave out what Ray Data logs of its plans and options."""
    logger = logging.getLogger("ray.data")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


@contextmanager
def _own_signals() -> Iterator[None]:
    """Keep the handler of SIGTERM, which `ray.init` replaces."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

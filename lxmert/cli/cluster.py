"""The options of commands that can run on a cluster of Ray."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lxmert.utils.ray_cluster import RayCluster


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """Declare `--ray` and `--workers`."""
    group = parser.add_argument_group("several machines or GPUs, by Ray")
    group.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="work on a cluster of Ray, with all files at the same paths on its machines: local, this machine alone; "
        "auto, the cluster that it belongs to; or HOST:PORT",
    )
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="with --ray, the number of processes, each of which loads the model (default: one on each GPU, or without "
        "GPUs one on each machine)",
    )
    parser.set_defaults(option_names={**(parser.get_default("option_names") or {}), "address": "--ray"})


def cluster_of(arguments: argparse.Namespace, gpus: bool | None) -> RayCluster | None:
    """The cluster that the options name; None for none.

    Args:
        arguments: of the command.
        gpus: as of `RayCluster`.

    Raises:
        ValueError: `--workers` without `--ray`, or an impossible number of them.
    """
    if arguments.ray is None:
        if arguments.workers is not None:
            raise ValueError("--workers is for --ray; pass --ray local for several processes on this machine.")
        return None
    from lxmert.utils.ray_cluster import RayCluster

    return RayCluster(arguments.ray, arguments.workers, gpus)


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Print to standard error for a while: Ray reports there what its processes do, beside what the command prints."""
    with redirect_stdout(sys.stderr):
        yield

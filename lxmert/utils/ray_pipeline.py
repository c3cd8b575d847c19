"""Pipelines of Ray Data: blocks of rows go through workers that load a model once, and come back in order.

A worker is an actor of Ray. If its process dies, Ray starts another one and gives it the blocks that were not done. A
block counts when all of it has arrived, so nothing is lost and nothing comes twice.
"""

from __future__ import annotations

import builtins
import os
import warnings
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .messages import escaped, warn_caller
from .ray_cluster import RayCluster, worker_resources

if TYPE_CHECKING:
    import pyarrow
    from ray.data import Dataset

_MOST_ATTEMPTS = 5  # at a block whose worker dies: one that ends every worker is an error, not an endless loop
_AHEAD = 2  # blocks that are sent to a worker before they are done
_BLOCK = "block"  # the column with the number of a block


def pipeline(
    blocks: Sequence[pyarrow.Table],
    worker: type,
    arguments: Mapping[str, Any],
    cluster: RayCluster,
    around: type | None = None,
) -> Dataset:
    """Blocks of rows through workers, as a data set of Ray, which computes when it is read or written.

    Args:
        blocks: what a worker gets at a time.
        worker: a class of this package that is called with a table and returns one. Each process makes it once.
        arguments: of its `__init__`. They are sent to the processes: names of files and options, never a model.
        cluster: as of `connected`, in whose block this is called.
        around: makes the worker and calls it; raises its errors by default.
    """
    import pyarrow
    import ray.data

    count, cpus, gpus = worker_resources(cluster, len(blocks))
    numbered = [
        block.append_column(_BLOCK, pyarrow.array([number] * len(block), pyarrow.int64()))
        for number, block in enumerate(blocks)
    ]
    dataset = ray.data.from_arrow(numbered)
    dataset.context.enable_progress_bars = False
    dataset.context.execution_options.preserve_order = True
    # Ray restarts the workers of a data set, and repeats what they had begun, without end.
    attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Attempts).remote()
    return dataset.map_batches(
        around or _BlockWorker,
        fn_constructor_kwargs={
            "worker": worker,
            "arguments": dict(arguments),
            "attempts": attempts,
            "folder": os.getcwd(),
        },
        batch_size=max(map(len, blocks)),
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=_AHEAD),
        num_cpus=cpus,
        num_gpus=gpus,
    )


def results_in_order(
    blocks: Sequence[pyarrow.Table], worker: type, arguments: Mapping[str, Any], cluster: RayCluster
) -> Generator[pyarrow.Table, None, None]:
    """Run a pipeline, and yield what the workers return in the order of the blocks, each as soon as it can be.

    Warnings of the workers are raised here, each text once. The arguments are those of `pipeline`.

    Raises:
        RuntimeError: a block ended the process of its worker again and again.
        Exception: what a worker raised; one of Python's own classes keeps its class.
    """
    import pyarrow

    told: set[str] = set()
    dataset = pipeline(blocks, worker, arguments, cluster, _ReportingWorker)
    for table in dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1):
        for report in table.to_pylist():
            for text in report["warnings"]:
                if text not in told:
                    told.add(text)
                    warn_caller(text)
            if report["error"] is not None:
                raise _error(*report["error"])
            yield pyarrow.ipc.open_stream(report["result"]).read_all()


class _Attempts:
    """Counts how often each block was begun, in a process of its own."""

    def __init__(self) -> None:
        self._counts: Counter[int] = Counter()

    def begin(self, block: int) -> int:
        self._counts[block] += 1
        return self._counts[block]


class _BlockWorker:
    """A worker, which refuses a block that has ended several processes already.

    Relative paths are those of the program that made the pipeline, where its folder is on this machine too.
    """

    def __init__(self, worker: type, arguments: Mapping[str, Any], attempts: Any, folder: str) -> None:
        with suppress(OSError):
            os.chdir(folder)
        self._worker, self._attempts = worker(**arguments), attempts

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        import ray

        begun = ray.get(self._attempts.begin.remote(table.column(_BLOCK)[0].as_py()))
        rows = table.drop_columns([_BLOCK])
        if begun > _MOST_ATTEMPTS:
            raise RuntimeError(
                f"the process of a worker died {_MOST_ATTEMPTS} times, each time at the same {len(rows):,} rows, which "
                f"begin with {escaped(str(rows.slice(0, 1).to_pylist()[0]))}. A machine may have too little memory, or "
                "one of the files ends the library that reads it; the logs of Ray may say more."
            )
        return self._worker(rows)


class _ReportingWorker:
    """A worker that returns its errors and warnings with its results: Ray would wrap errors in many lines of its own.

    A report is a row: result, the table as a stream of Arrow; error, its class and message; warnings.
    """

    def __init__(self, **arguments: Any) -> None:
        self._error: Exception | None = None
        self._warnings: list[str] = []
        self._worker: _BlockWorker | None = None
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                self._worker = _BlockWorker(**arguments)
            except Exception as error:
                self._error = error
        self._keep(caught)

    def __call__(self, table: pyarrow.Table) -> pyarrow.Table:
        import pyarrow

        error, result = self._error, None
        if self._worker is not None:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                try:
                    result = _stream(self._worker(table))
                except Exception as raised:
                    error = raised
            self._keep(caught)
        texts, self._warnings = self._warnings, []
        described = None if error is None else [type(error).__name__, str(error)]
        return pyarrow.table(
            {
                "result": pyarrow.array([result], pyarrow.large_binary()),
                "error": pyarrow.array([described], pyarrow.list_(pyarrow.string())),
                "warnings": pyarrow.array([texts], pyarrow.list_(pyarrow.string())),
            }
        )

    def _keep(self, caught: Sequence[warnings.WarningMessage]) -> None:
        self._warnings += [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


def _stream(table: pyarrow.Table) -> Any:
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def _error(kind: str, text: str) -> Exception:
    """An error of a worker: one of Python's own classes, others as RuntimeError."""
    found = getattr(builtins, kind, None)
    if isinstance(found, type) and issubclass(found, Exception):
        try:
            return found(text)
        except TypeError:  # a class with other arguments, such as UnicodeDecodeError
            pass
    return RuntimeError(f"{kind}: {text}")

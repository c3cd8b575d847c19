"""Run calls in threads ahead of who needs their results, such as reading files while others are computed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from threading import Condition
from typing import TypeVar

from .held_memory import held_bytes

MOST_BYTES = 2**28
"""Of the arrays of results that wait: while these hold more, only the call begins whose result is wanted next."""

Result = TypeVar("Result")


def run_ahead(calls: Iterable[Callable[[], Result]], threads: int = 1, most: int = 4) -> Generator[Result, None, None]:
    """Yield the results of calls in their order, while threads run the next ones.

    Close the iterator to end the threads: it waits for the calls that run, and drops those that have not begun.

    Args:
        calls: without arguments; taken one at a time, by the caller's thread.
        threads: how many calls run at the same time.
        most: how many results wait or are being computed. Fewer while those that wait hold more than `MOST_BYTES`: a
            large photograph takes as much memory as hundreds of small ones.

    Raises:
        BaseException: what a call raises, where its result would be.
    """
    remaining, room = iter(calls), _Room()
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "lxmert-read") as pool:
        try:
            # In a copy of the caller's context, by which a command names its options in errors.
            numbered = (
                pool.submit(copy_context().run, room.run, number, call) for number, call in enumerate(remaining)
            )
            pending.extend(islice(numbered, most))
            while pending:
                result = pending.popleft().result()
                room.take(result)
                pending.extend(islice(numbered, 1))
                yield result
        finally:
            room.close()
            pool.shutdown(wait=True, cancel_futures=True)


class _Room:
    """Has calls wait while the results that nobody took hold many bytes, but for the one that is wanted next."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._bytes = self._taken = 0
        self._closed = False

    def run(self, number: int, call: Callable[[], Result]) -> Result:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or number == self._taken or self._bytes < MOST_BYTES)
            if self._closed:
                raise CancelledError
        result = call()
        with self._changed:
            self._bytes += held_bytes(result)
        return result

    def take(self, result: object) -> None:
        with self._changed:
            self._bytes -= held_bytes(result)
            self._taken += 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

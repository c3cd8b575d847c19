"""Run calls in threads ahead of who needs their results, such as reading files while others are computed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from .held_memory import held_bytes

MOST_BYTES = 2**28
"""Of the arrays that wait: no call begins while there are more, unless nothing waits."""

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
    remaining = iter(calls)
    pending: deque[Future[Result]] = deque()

    def begin() -> None:
        """Begin as many calls as there is room for."""
        while len(pending) < most and (not pending or _waiting(pending) < MOST_BYTES):
            call = next(remaining, None)
            if call is None:
                return
            pending.append(pool.submit(call))

    with ThreadPoolExecutor(threads, "lxmert-read") as pool:
        try:
            begin()
            while pending:
                result = pending.popleft().result()
                begin()
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _waiting(pending: Iterable[Future[Result]]) -> int:
    """The bytes of the results that are there."""
    done = (future for future in pending if future.done() and future.exception() is None)
    return sum(held_bytes(future.result()) for future in done)

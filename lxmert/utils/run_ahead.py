"""Run calls in threads ahead of who needs their results, such as reading files while others are computed on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Result = TypeVar("Result")


def run_ahead(calls: Iterable[Callable[[], Result]], threads: int = 1, most: int = 4) -> Generator[Result, None, None]:
    """Yield the results of calls in their order, while threads run the next ones.

    Close the iterator to end the threads: it waits for the calls that run, and drops those that have not begun.

    Args:
        calls: without arguments; taken one at a time, by the caller's thread.
        threads: how many calls run at the same time.
        most: how many results wait or are being computed; so it bounds the memory.

    Raises:
        BaseException: what a call raises, where its result would be.
    """
    remaining = iter(calls)
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "lxmert-read") as pool:
        try:
            pending.extend(pool.submit(call) for call in islice(remaining, most))
            while pending:
                result = pending.popleft().result()
                pending.extend(pool.submit(call) for call in islice(remaining, 1))
                yield result
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

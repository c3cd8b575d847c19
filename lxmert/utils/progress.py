"""How far long work is: a bar with the time left on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from threading import Lock
from types import TracebackType
from typing import Any, Self, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

_PATIENCE = 60.0  # seconds between two lines where no bar can be drawn: in a file or a pipe


class ProgressBar:
    """Shows on standard error how far some work is, from any thread; use it in a `with` block.

    Args:
        doing: what the work is.
        total: how much there is to do.
        unit: of `total`, in the plural; "B" for bytes.
        shown: whether to show anything.
        done: how much is done already.
        keep: whether the full bar stays on the terminal.
    """

    def __init__(
        self, doing: str, total: int, unit: str, shown: bool = True, done: int = 0, keep: bool = False
    ) -> None:
        self.total, self.unit, self.done = total, unit, done
        self._doing, self._note, self._shown = doing, "", shown
        self._first, self._started = done, time.perf_counter()
        self._told, self._lock = self._started, Lock()
        self._drawn = shown and sys.stderr.isatty()
        rates: dict[str, Any] = {"unit": "B", "unit_scale": True} if unit == "B" else {"unit": f" {unit}"}
        self._bar = tqdm(
            total=total, initial=done, desc=doing, disable=not self._drawn, file=sys.stderr, leave=keep, **rates
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def describe(self, doing: str, note: str = "") -> None:
        """Change what the work is called, and what is said of it in addition, from the next update on."""
        with self._lock:
            self._doing, self._note = doing, note
            self._bar.set_description(doing, refresh=False)
            self._bar.set_postfix_str(note, refresh=False)

    def update(self, size: int = 1) -> None:
        """Say that this much more is done."""
        with self._lock:
            self.done += size
            self._bar.update(size)
            now = time.perf_counter()
            if self._shown and not self._drawn and now - self._told >= _PATIENCE:
                self._told = now
                print(self._line(now), file=sys.stderr, flush=True)

    def message(self, text: str) -> None:
        """Print a line, above the bar if there is one; nothing where nothing is to be shown."""
        if self._shown:
            self._bar.write(text, file=sys.stderr)

    def seconds_left(self, now: float | None = None) -> float | None:
        """How long the rest takes if it goes on as so far; None before anything is done."""
        now = time.perf_counter() if now is None else now
        speed = (self.done - self._first) / max(now - self._started, 1e-9)
        return (self.total - self.done) / speed if speed > 0 else None

    def close(self) -> None:
        """Take the bar away."""
        self._bar.close()

    def _line(self, now: float) -> str:
        done, total = (tqdm.format_sizeof(n) if self.unit == "B" else f"{n:,}" for n in (self.done, self.total))
        left, elapsed = self.seconds_left(now), now - self._started
        parts = [f"{done} of {total} {self.unit} ({100 * self.done // max(self.total, 1)} %)"]
        parts += [self._note] if self._note else []
        parts += [f"{duration(elapsed)} so far"]
        parts += [f"{duration(left)} left"] if left is not None else []
        speed = (self.done - self._first) / max(elapsed, 1e-9)
        parts += [f"{tqdm.format_sizeof(speed) if self.unit == 'B' else f'{speed:.3g}'} {self.unit}/s"]
        return f"{self._doing}: {', '.join(parts)}"


def tracked(items: Iterable[Item], doing: str, total: int, unit: str, shown: bool = True) -> Iterator[Item]:
    """Yield the items, and show how many of them are done; the arguments are those of `ProgressBar`."""
    with ProgressBar(doing, total, unit, shown) as bar:
        for item in items:
            yield item
            bar.update()


def duration(seconds: float) -> str:
    """A time in its two largest units: "45 s", "12 min 3 s", "5 h 12 min", "2 d 3 h"."""
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {name}"
    return f"{whole} s"

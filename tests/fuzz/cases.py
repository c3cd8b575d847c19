"""Which case a number is: a kind of files, a door, and damage."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from .damage import damage_file
from .damage.any_bytes import damaged
from .doors import DOORS, backend_of, doors_of
from .sources import Files, Source

FINE = ("read", "refused")

_EVERY = 40  # one of so many cases goes to a door that needs a framework


class Case(NamedTuple):
    """One damaged set of files, and the door that it comes through.

    Attributes:
        number: which it is.
        kind: of the files before the damage.
        door: its name.
        allowed: what may become of it.
        recipe: what the damage is, where it is not drawn.
    """

    number: int
    kind: str
    door: str
    allowed: Sequence[str] = FINE
    recipe: str = ""


class Plan:
    """The cases of a seed.

    Args:
        sources: by kind.
        seed: another one makes other damage.
        kinds: beginnings of kinds, such as "picture" or "features/HDF5"; all by default.
        doors: all by default.
    """

    doors = DOORS

    def __init__(
        self,
        sources: dict[str, Source],
        seed: int = 0,
        kinds: Sequence[str] | None = None,
        doors: Sequence[str] | None = None,
    ):
        chosen = [kind for kind in sources if kinds is None or kind.startswith(tuple(kinds))]
        pairs = [(kind, door) for kind in chosen for door in doors_of(sources[kind], doors)]
        if not pairs:
            raise ValueError(f"no kind and door are left; the kinds are {', '.join(sources)}.")
        self.sources, self.seed = sources, seed
        self._cheap = [pair for pair in pairs if not backend_of(pair[1])]
        self._others = [pair for pair in pairs if backend_of(pair[1])]
        random.Random(0).shuffle(self._others)  # so that few cases have many kinds and doors
        self._pairs = {*pairs}

    def uses(self, kind: str, door: str) -> bool:
        """Whether there are cases of this kind and door."""
        return (kind, door) in self._pairs

    def case(self, number: int) -> Case:
        """The case of a number."""
        slow = self._others and (not self._cheap or number % _EVERY == _EVERY - 1)
        if slow:
            place = number // _EVERY if self._cheap else number
            return Case(number, *self._others[place % len(self._others)])
        return Case(number, *self._cheap[number % len(self._cheap)])

    def variant(self, case: Case) -> int:
        """Which of the ways of its door a case takes."""
        return random.Random(f"{self.seed} {case.number} {case.door}").randrange(2, 2**16)

    def source(self, case: Case) -> Source:
        """What its files are."""
        return self.sources[case.kind]

    def files(self, case: Case) -> Files:
        """Its files."""
        draw = random.Random(f"{self.seed} {case.number} {case.kind}")
        files = dict(self.sources[case.kind].files)
        names = list(files)
        for _ in range(draw.choice((1, 1, 1, 1, 2))):
            name = names[0] if draw.random() < 0.6 else draw.choice(names)
            whole = files[name] is self.sources[case.kind].files[name]
            files[name] = damage_file(draw, name, files[name]) if whole else damaged(draw, files[name])
        if draw.random() < 0.01:
            files.pop(draw.choice(names))
        return files

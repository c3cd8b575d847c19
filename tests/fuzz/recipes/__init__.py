"""Hostile files by recipe, at every door: cases that are fixed, where the fuzzer draws them.

    python -m tests.fuzz --recipes

Each module changes valid files of its formats, member by member, or makes files of its own.
"""

from __future__ import annotations

import random
import zipfile
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from ..cases import FINE, Case
from ..damage.zip_archive import zipped
from ..doors import DOORS, Door, backend_of, doors_of
from ..sources import Files, Source, all_sources, made_elsewhere
from .doors import MORE_DOORS
from .recipe import Recipe

_UNREAD = ("metadata.json",)  # members of .keras archives
# Layouts with more than is read, which may be damaged.
_WITH_MORE = (
    *("features/HDF5", "features/Hugging Face data set", "features/UNITER", "features/VL-BERT, ZIP"),
    *("features/ViLBERT", "features/mmf"),
)


class RecipePlan:
    """Recipes in the place of the cases of a seed; see `Plan`.

    Args:
        made: sources and recipes, as `make_recipes` returns them.
        names: beginnings of recipes; all by default.
        once: each recipe at each door with one kind of file, instead of with every kind.
        kinds: beginnings of kinds; all by default.
        doors: all by default.
    """

    seed = 0
    doors: dict[str, Door] = {**DOORS, **MORE_DOORS}

    def __init__(
        self,
        made: tuple[dict[str, Source], list[Recipe]],
        names: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        doors: Sequence[str] | None = None,
        once: bool = False,
    ):
        sources, recipes = made
        chosen = [
            recipe
            for recipe in recipes
            if (names is None or recipe.name.startswith(tuple(names)))
            and (kinds is None or recipe.kind.startswith(tuple(kinds)))
        ]
        self._cases = [(recipe, door) for recipe in chosen for door in doors_of(recipe.source, doors)]
        if once:
            random.Random(0).shuffle(self._cases)  # so that every kind has some of them
            self._cases = list({(recipe.name, door): (recipe, door) for recipe, door in self._cases}.values())
        if not self._cases:
            raise ValueError(f"no recipe is left; they are {', '.join(dict.fromkeys(one.name for one in recipes))}.")
        self.sources = {recipe.kind: sources[recipe.kind] for recipe, _ in self._cases}
        self._pairs = {(recipe.kind, door) for recipe, door in self._cases}

    def __len__(self) -> int:
        return len(self._cases)

    def uses(self, kind: str, door: str) -> bool:
        """Whether there are cases of this kind and door."""
        return (kind, door) in self._pairs

    def case(self, number: int) -> Case:
        """The case of a number."""
        recipe, door = self._cases[number]
        return Case(number, recipe.kind, door, recipe.allowed, recipe.name)

    def variant(self, case: Case) -> int:
        """Which of the ways of its door a case takes: never the one that leaves damaged images out."""
        return case.number // 2 * 3 + 1 + case.number % 2

    def source(self, case: Case) -> Source:
        """What its files are."""
        return self._cases[case.number][0].source

    def files(self, case: Case) -> Files:
        """Its files."""
        return self.source(case).files


def make_recipes() -> tuple[dict[str, Source], list[Recipe]]:
    """The valid files, and the recipes that begin with them."""
    return made_elsewhere(_make)


def _make(folder: Path) -> tuple[dict[str, Source], list[Recipe]]:
    from . import arrays, hdf5, names, pickles, pictures, texts

    sources = all_sources(folder)
    places = {module: folder / module.__name__ for module in (hdf5, names)}
    for place in places.values():
        place.mkdir()
    found = []
    for kind, source in sources.items():
        if kind.startswith("picture/"):
            continue
        for module in (hdf5, pickles, texts, arrays):
            for name, content in source.files.items():
                for recipe, changed, allowed in _ways(module, name, content):
                    changed_source = source._replace(files={**source.files, name: changed})
                    allowed = FINE if kind.startswith(_WITH_MORE) else allowed
                    found.append(Recipe(recipe, kind, changed_source, allowed))
    for module in (hdf5, pickles, texts, arrays, pictures, names):
        found += module.recipes(sources, places.get(module, folder))
    return sources, found


def _ways(module: object, name: str, content: bytes) -> Iterator[tuple[str, bytes, Sequence[str]]]:
    """The ways in which a module changes a file, or the members of an archive."""
    yield from module.ways(name, content)  # type: ignore[attr-defined]
    if content.startswith(b"PK\3\4"):
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = {info.filename: archive.read(info) for info in archive.infolist()}
            packed = archive.infolist()[0].compress_type
        for member, data in members.items():
            for recipe, changed, allowed in module.ways(member, data):  # type: ignore[attr-defined]
                yield recipe, zipped({**members, member: changed}, packed), FINE if member in _UNREAD else allowed


__all__ = ["FINE", "RecipePlan", "backend_of", "make_recipes"]

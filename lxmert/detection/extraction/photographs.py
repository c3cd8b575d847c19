"""Which photographs a command or a call is about: files, folders, lists of paths, patterns; and their names."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn, TypeAlias

from lxmert.data.features.layout import encode_name
from lxmert.data.features.name_pattern import NamePattern
from lxmert.utils.foreign_files import reading
from lxmert.utils.messages import escaped, first_few, shown
from lxmert.utils.setting_names import setting
from lxmert.vision.images import ImageInput

ENDINGS = frozenset(
    (".avif", ".bmp", ".gif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp")
)
"""The endings of the files that are taken from a folder, in any case."""

PhotographSource: TypeAlias = "str | os.PathLike[str]"
_LISTED = 3  # photographs that a message names


class Photograph(NamedTuple):
    """A photograph and its name in a store."""

    name: str
    image: ImageInput


class FoundPhotographs(NamedTuple):
    """Photographs that were looked for once, for `extract_features`.

    Attributes:
        photographs: of `find_photographs`.
        sources: of `described_sources`.
    """

    photographs: list[Photograph]
    sources: list[str]

    @classmethod
    def of(
        cls,
        sources: PhotographSource | Sequence[PhotographSource] | Mapping[str, ImageInput],
        names: str | None = None,
        rename: Mapping[str, str] | None = None,
    ) -> FoundPhotographs:
        """Look for photographs; arguments and errors as those of `find_photographs`."""
        return cls(find_photographs(sources, names, rename), described_sources(sources))


class _Found(NamedTuple):
    """A file, and its path below the folder that was given, or as it was given, with slashes."""

    file: Path
    path: str

    @property
    def ids(self) -> dict[str, str]:
        """What names are made of, without the ending."""
        return {"id": self.file.stem, "path": os.path.splitext(self.path)[0]}


def find_photographs(
    sources: PhotographSource | Sequence[PhotographSource] | Mapping[str, ImageInput],
    names: str | None = None,
    rename: Mapping[str, str] | None = None,
) -> list[Photograph]:
    """The photographs that sources lead to, in the order of the sources; a file that is there twice counts once.

    Args:
        sources: each a file; a folder, with all image files below it in the order of their paths, but for hidden ones;
            a list of paths, ``list.txt`` or ``@list``, one in each line, from the working directory or from the folder
            of the list; or a pattern such as ``photos/*.jpg``. Or a mapping of names and images of any form.
        names: a pattern of the names, with {id}, the file's name without its ending, or {path}, the same with the
            folders below the one that was given. {id} by default.
        rename: names by id or by path, which take precedence.

    Raises:
        FileNotFoundError: sources that do not exist; the message names all of them.
        OSError: a folder that cannot be listed.
        ValueError: no photographs, or several of one name; the message says what to do.
    """
    if isinstance(sources, Mapping):
        photographs = [Photograph(name, image) for name, image in sources.items()]
        if names is not None or rename:
            raise ValueError("names and rename are for files; a mapping has the names.")
    else:
        several = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
        pattern = NamePattern(names or "{id}", ("id", "path"))
        found: dict[str, _Found] = {}
        for one in _find(several):
            found.setdefault(os.path.abspath(one.file), one)
        photographs = [Photograph(_name(one, pattern, rename or {}), one.file) for one in found.values()]
        _check_unique(photographs)
    if not photographs:
        raise ValueError("pass at least one photograph; got none.")
    for photograph in photographs:
        encode_name(photograph.name)
    return photographs


def described_sources(sources: PhotographSource | Sequence[PhotographSource] | Mapping[str, ImageInput]) -> list[str]:
    """The absolute paths of the folders and lists that photographs were taken from, for the description of a store."""
    if isinstance(sources, Mapping):
        return []
    several = [sources] if isinstance(sources, (str, os.PathLike)) else list(sources)
    places: dict[str, None] = {}
    for source in (os.fspath(one) for one in several):
        path = Path(_list_path(source) or source)
        plain_file = _list_path(source) is None and path.is_file()
        places[str((path.parent if plain_file else path).resolve())] = None
    return list(places)


def digest_of_names(photographs: Iterable[Photograph]) -> str:
    """SHA-256 of names in their order."""
    digest = hashlib.sha256()
    for photograph in photographs:
        digest.update(encode_name(photograph.name) + b"\n")
    return digest.hexdigest()


def _find(sources: Sequence[PhotographSource]) -> Iterator[_Found]:
    missing = []
    for source in (os.fspath(one) for one in sources):
        found = list(_in_source(source))
        if not found:
            missing.append(source)
        yield from found
    if missing:
        raise FileNotFoundError(_missing_message(missing))


def _in_source(source: str) -> Iterator[_Found]:
    """The files of one source; none where it does not exist, or holds no image file."""
    listed = _list_path(source)
    if listed is not None:
        yield from _in_list(Path(listed))
    elif os.path.isdir(source):
        yield from _in_folder(Path(source))
    elif os.path.exists(source):
        yield _Found(Path(source), Path(source).as_posix())
    elif glob.has_magic(source):
        for path in sorted(glob.glob(source, recursive=True)):
            if os.path.isfile(path):
                yield _Found(Path(path), Path(path).as_posix())


def _list_path(source: str) -> str | None:
    """The path of a list, None for another source."""
    if source.startswith("@"):
        return source[1:]
    return source if source.lower().endswith(".txt") else None


def _in_folder(folder: Path) -> Iterator[_Found]:
    found = []
    seen = set()  # a link may lead to a folder above it
    for place, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        if (real := os.path.realpath(place)) in seen:
            folders.clear()
            continue
        seen.add(real)
        # In order: of two links to a folder the first counts, on every machine the same one.
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inner = Path(place)
        for name in files:
            if os.path.splitext(name)[1].lower() in ENDINGS and not name.startswith("."):
                found.append(_Found(inner / name, (inner / name).relative_to(folder).as_posix()))
    yield from sorted(found, key=lambda one: one.path)


def _refuse(error: OSError) -> NoReturn:
    """Refuse a folder that cannot be listed, whose photographs would be left out without a word."""
    raise error


def _in_list(path: Path) -> Iterator[_Found]:
    try:
        with reading(path, "must be a text file (UTF-8) with one path in each line"):
            lines = path.read_bytes().decode("utf-8-sig").split("\n")
    except FileNotFoundError:
        return
    for line in (line.rstrip("\r") for line in lines):
        if line.strip():
            beside = path.parent / line
            # A list that another program made has paths from where that was called; a published one from itself.
            file = beside if not os.path.exists(line) and os.path.exists(beside) else Path(line)
            yield _Found(file, Path(line).as_posix())


def _missing_message(missing: Sequence[str]) -> str:
    faults = []
    for source in missing:
        listed = _list_path(source)
        if listed is not None and os.path.exists(listed):
            faults.append(f"{source} lists no files")
        elif os.path.isdir(source):
            faults.append(f"the folder {source} holds no image files ({', '.join(sorted(ENDINGS))})")
        elif glob.has_magic(source):
            faults.append(f"no file fits {source}")
        else:
            faults.append(f"{listed or source} does not exist")
    faults = [escaped(fault) for fault in faults]
    return f"photographs: {first_few(faults)} (looked from {Path.cwd()})."


def _name(found: _Found, pattern: NamePattern, rename: Mapping[str, str]) -> str:
    ids = found.ids
    given = rename.get(ids["path"], rename.get(ids["id"]))
    try:
        name = pattern.name(ids) if given is None else given
        encode_name(name)
    except ValueError as error:
        raise ValueError(f"{escaped(str(found.file))}: {error}") from None
    return name


def _check_unique(photographs: Sequence[Photograph]) -> None:
    files: dict[str, list[str]] = {}
    for photograph in photographs:
        files.setdefault(photograph.name, []).append(str(photograph.image))
    clashes = {name: several for name, several in files.items() if len(several) > 1}
    if clashes:
        name, several = next(iter(clashes.items()))
        others = f" {len(clashes) - 1:,} more names are taken twice." if len(clashes) > 1 else ""
        raise ValueError(
            f"the names of photographs must be unique; {len(several):,} would be {shown(name)}: "
            f"{first_few(several, _LISTED)}.{others} With {setting('names')} {{path}} a name has the folders below the "
            f"given one; {setting('rename')} gives names of your own."
        )

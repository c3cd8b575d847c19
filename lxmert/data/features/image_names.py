"""The spellings of an image's name in published files: one image is found under each of them.

A data set names an image by its number (42), by its file (`val2014/COCO_val2014_000000000042.jpg`), or by the file's
name alone (`COCO_val2014_000000000042`), and the programs that compute features use another of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from lxmert.utils.messages import first_few

_EXTENSION = re.compile(r"\.(jpe?g|png|gif|bmp|webp|tiff?|npy|npz)$", re.IGNORECASE)
# As COCO and the data sets after it name files: a split, and a number of twelve digits.
_NUMBERED = re.compile(r"(?:(?P<split>.*[^_])_)?(?P<number>\d{12,})", re.DOTALL)


class ImageName(NamedTuple):
    """What a spelling says.

    Attributes:
        stem: the name without folders and extension; a number without leading zeros and without its split.
        split: the split before a number of twelve digits in lower case, such as "coco_val2014"; or the folders before
            another name. "" if the spelling says neither.
    """

    stem: str
    split: str


def parse_image_name(name: str) -> ImageName:
    """Read a spelling."""
    path = _EXTENSION.sub("", name.replace("\\", "/"))
    folders, _, stem = path.rpartition("/")
    match = _NUMBERED.fullmatch(stem)
    if match is not None:  # these numbers are unique in all folders
        return ImageName(str(int(match["number"])), (match["split"] or "").lower())
    return ImageName(str(int(stem)) if stem.isascii() and stem.isdigit() else stem, folders)


def match_spellings(missing: Sequence[str], known: Iterable[str]) -> dict[str, str]:
    """Find names that a store has in another spelling.

    Args:
        missing: names that the store does not have as they are.
        known: the store's names, in the order of preference.

    Returns:
        The store's name for each of `missing` that it has.

    Raises:
        ValueError: a name fits several images of the store, or names of different images fit the same one.
    """
    wanted = {name: parse_image_name(name) for name in missing}
    stems = {parsed.stem for parsed in wanted.values()}
    candidates: dict[str, list[tuple[str, str]]] = {}
    for name in known:
        stem, split = parse_image_name(name)
        if stem in stems:
            candidates.setdefault(stem, []).append((name, split))
    found: dict[str, str] = {}
    for name, (stem, split) in wanted.items():
        fits = list(_compatible(split, candidates.get(stem, ())))
        exact = [other for other in fits if parse_image_name(other).split == split]
        fits = exact or fits
        if len(fits) > 1:
            raise ValueError(
                f"the image name {name!r} may be {first_few(map(repr, fits), 3)} in the region store; use the store's "
                "names in the questions, or a store of one split."
            )
        if fits:
            found[name] = fits[0]
    _check_one_image_each(found)
    return found


def _compatible(split: str, candidates: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The candidates whose split or folders do not contradict."""
    for name, other in candidates:
        if not split or not other or split == other or split.endswith(f"/{other}") or other.endswith(f"/{split}"):
            yield name


def _check_one_image_each(found: dict[str, str]) -> None:
    """Refuse different images under one name of the store."""
    first: dict[str, tuple[str, str]] = {}
    for name, stored in found.items():
        split = parse_image_name(name).split
        earlier, before = first.setdefault(stored, (name, split))
        if split and before and split != before:
            raise ValueError(
                f"the image names {earlier!r} and {name!r} may both be {stored!r} in the region store, which names no "
                "split; import the regions of each split under the names of the questions."
            )

"""Reading a store: pictures by name or place, any of them at any time, from any number of processes.

What is small and looked up (names, offsets, sizes) is mapped. Features, boxes and labels are read by position into
the arrays that are given back: the pages stay the system's, shared by all processes, and none of them counts as the
memory of a worker, as the pages of a map do that only one worker has touched. Where the file is not in memory yet, that
is many times faster than a map; where it is, it costs up to two copies. A disk that fails is an error then, and does
not end the process.
"""

from __future__ import annotations

import os
import sys
import weakref
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from lxmert.common.files import check_named, read_json
from lxmert.common.messages import first_few

from .layout import (
    BOX_DTYPE,
    BOXES,
    CHECKSUM_DTYPE,
    CHECKSUMS,
    FEATURE_DTYPES,
    FEATURES,
    FORMAT,
    INDEX,
    LABEL_DTYPE,
    LABELS,
    LARGEST,
    LONGEST_NAME,
    NAME_PLACES,
    NAMES,
    NO_ID,
    NO_LABEL,
    OFFSET_DTYPE,
    OFFSETS,
    SIZE_DTYPE,
    SIZES,
    VERSION,
    largest_ids,
    stored_array,
)

_BLOCK = 65536  # how many entries are looked at together, so that no step needs memory for all pictures
_TOLD = 3  # how many missing pictures a message names


class RegionStore:
    """One or several folders of regions as one: their pictures follow one another, and a place is a picture's number.

    A picture that several folders hold is taken from the first of them. Pickling keeps the paths only, so a worker
    process opens the same files and shares the system's pages of them.

    Args:
        folders: what `RegionWriter` or `lxmert features import` made.

    Attributes:
        folders: their paths.
        feature_size: F.
        most_regions: of any picture.
        has_objects, has_attributes: whether every picture has object ids, attribute ids. A single region may still have
            none, and has the id -100 then.
        has_labels: whether every picture has both.

    Raises:
        FileNotFoundError: a folder that is not there.
        ValueError: no store, a damaged one, or stores of different feature sizes.
    """

    def __init__(self, folders: Sequence[str | Path]):
        if not folders:
            raise ValueError("give at least one folder of regions.")
        self.folders = tuple(map(Path, folders))
        self._parts = [RegionFolder(folder) for folder in self.folders]
        sizes = {part.feature_size for part in self._parts}
        if len(sizes) > 1:
            told = ", ".join(f"{part.folder} has {part.feature_size}" for part in self._parts)
            raise ValueError(f"features must have one size in all folders; {told}.")
        self.feature_size = self._parts[0].feature_size
        self.most_regions = max(part.most_regions for part in self._parts)
        self.has_objects = all(part.has_objects for part in self._parts)
        self.has_attributes = all(part.has_attributes for part in self._parts)
        self.has_labels = self.has_objects and self.has_attributes
        self._first = list(accumulate(map(len, self._parts), initial=0))

    def __len__(self) -> int:
        return self._first[-1]

    def __reduce__(self) -> tuple[Any, ...]:
        return RegionStore, (self.folders,)

    def __repr__(self) -> str:
        return f"RegionStore({', '.join(map(str, self.folders))}: {len(self):,} pictures)"

    @cached_property
    def names(self) -> list[str]:
        """The pictures' names by place; read when it is asked for."""
        return [name for part in self._parts for name in part.names()]

    @property
    def largest_object_id(self) -> int:
        """The largest of all object ids, -1 if there is none; a model needs more labels than this number."""
        return max(part.largest_ids[0] for part in self._parts)

    @property
    def largest_attribute_id(self) -> int:
        """The largest of all attribute ids, -1 if there is none."""
        return max(part.largest_ids[1] for part in self._parts)

    def places(self, names: Iterable[str]) -> np.ndarray:
        """Where pictures are.

        Args:
            names: N names, each as often as wanted.

        Returns:
            int64 ``[N]``, for the other methods.

        Raises:
            ValueError: pictures that no folder holds; it names the first of them, and says how many there are.
        """
        names = list(names)
        found: dict[str, int] = dict.fromkeys(names, -1)  # each name is looked up once
        missing = list(found)
        for first, part in zip(self._first, self._parts, strict=False):
            still = []
            for start in range(0, len(missing), _BLOCK):
                block = missing[start : start + _BLOCK]
                for name, place in zip(block, part.find(block).tolist(), strict=True):
                    if place < 0:
                        still.append(name)
                    else:
                        found[name] = first + place
            missing = still
        if missing:
            count = f"{len(missing):,} of {len(found):,} pictures are" if len(missing) > 1 else "a picture is"
            raise ValueError(
                f"{count} not in {', '.join(map(str, self.folders))}: {first_few(map(str, missing), _TOLD)}. The store "
                f"has names such as {first_few([self._parts[0].name(0)])}."
            )
        return np.fromiter((found[name] for name in names), np.int64, len(names))

    def counts(self, places: Any) -> np.ndarray:
        """How many regions pictures have, int64 ``[B]``."""
        places = self._checked(places)
        counts = np.empty(len(places), np.int64)
        for part, where, own in self._split(places):
            counts[where] = part.offsets[own + 1] - part.offsets[own]
        return counts

    def sizes(self, places: Any) -> np.ndarray:
        """Height and width of pictures in pixels, int32 ``[B, 2]``."""
        places = self._checked(places)
        sizes = np.empty((len(places), 2), np.int32)
        for part, where, own in self._split(places):
            sizes[where] = part.sizes[own]
        return sizes

    def batch(self, places: Any, regions: int | None = None, labels: bool = False) -> dict[str, np.ndarray]:
        """The visual inputs of some pictures.

        Args:
            places: ``[B]``, of `places`.
            regions: R; None for the most that one of these pictures has. A picture with more keeps its first.
            labels: whether to give the labels too.

        Returns:
            visual_feats float32 ``[B, R, F]``, visual_pos float32 ``[B, R, 4]`` as parts of width and height,
            visual_attention_mask float32 ``[B, R]``; all zeros where a picture has no more regions. With labels
            also object_ids and attribute_ids int64 ``[B, R]``, -100 where there is none, and object_confidence and
            attribute_confidence float32 ``[B, R]``, 0 where there is none.

        Raises:
            IndexError: a place that no picture has.
            OSError: the disk cannot be read.
        """
        # Numbers of Python from here on: for a few pictures they cost less than arrays of so few elements.
        found = [self._find(place) for place in self._checked(places).tolist()]
        lengths = [part.offsets.item(own + 1) - part.offsets.item(own) for part, own in found]
        if regions is None:
            regions = max(lengths, default=0)
        elif regions < 1:
            raise ValueError(f"regions must be 1 or more; got {regions}.")
        lengths = [min(length, regions) for length in lengths]
        count = len(found)
        features = np.empty((count, regions, self.feature_size), np.float32)
        boxes = np.zeros((count, regions, 4), np.float32)
        mask = np.zeros((count, regions), np.float32)
        described = np.zeros((count, regions), LABEL_DTYPE) if labels else None
        if described is not None:
            described["object_id"] = described["attribute_id"] = NO_LABEL
        sides = []
        announced = False
        for row, ((part, own), length) in enumerate(zip(found, lengths, strict=True)):
            begin = part.offsets.item(own)
            if not part.features.into(begin, features[row, :length], waiting=announced):
                # It is not in memory. The disk is told of all that comes, so that it need not wait for us in between.
                for (other, later), more in zip(found[row:], lengths[row:], strict=True):
                    other.features.announce(other.offsets.item(later), more)
                announced = True
                part.features.into(begin, features[row, :length])
            if length < regions:
                features[row, length:] = 0
            part.boxes.into(begin, boxes[row, :length])
            mask[row, :length] = 1
            if described is not None:
                part.labels.into(begin, described[row, :length])
            height, width = part.sizes.item(own, 0), part.sizes.item(own, 1)
            sides.append((width, height, width, height))
        boxes /= np.array(sides, np.float32).reshape(count, 1, 4)
        result = {
            "visual_feats": features,
            "visual_pos": boxes,
            "visual_attention_mask": mask,
        }
        if described is not None:
            for kind in ("object", "attribute"):
                result[f"{kind}_ids"] = described[f"{kind}_id"].astype(np.int64)
                result[f"{kind}_confidence"] = described[f"{kind}_confidence"].copy()
        return result

    def features_at(self, places: Any, regions: Any) -> np.ndarray:
        """The features of single regions of any pictures.

        Args:
            places: ``[K]``, pictures.
            regions: ``[K]``, which region of each, from 0.

        Returns:
            float32 ``[K, F]``.

        Raises:
            IndexError: a picture or a region that is not there.
        """
        places, regions = self._checked(places), np.asarray(regions, np.int64)
        if regions.shape != places.shape:
            raise ValueError(f"places and regions must be as many; got {len(places)} and {list(regions.shape)}.")
        features = np.empty((len(places), self.feature_size), np.float32)
        for part, where, own in self._split(places):
            rows = part.offsets[own] + regions[where]
            wrong = (regions[where] < 0) | (rows >= part.offsets[own + 1])
            if wrong.any():
                at = int(np.argmax(wrong))
                raise IndexError(
                    f"picture {part.name(int(own[at]))!r} has {int(part.offsets[own[at] + 1] - part.offsets[own[at]])} "
                    f"regions; there is no region {int(regions[where][at])}."
                )
            part.read_rows(rows.tolist(), range(len(features)) if isinstance(where, slice) else where, features)
        return features

    def facts(self, folder: int) -> dict[str, Any]:
        """What one of the folders says of itself: its counts, number format, and where its regions come from."""
        return dict(self._parts[folder].index)

    def close(self) -> None:
        """Let the files go; reading is an error from then on. A store that nobody holds any more closes by itself."""
        for part in self._parts:
            part.close()

    def _find(self, place: int) -> tuple[RegionFolder, int]:
        """The folder that holds a place, and what the place is there."""
        if len(self._parts) == 1:
            return self._parts[0], place
        number = bisect_right(self._first, place) - 1
        return self._parts[number], place - self._first[number]

    def _checked(self, places: Any) -> np.ndarray:
        places = np.asarray(places)
        if places.ndim != 1 or (places.dtype.kind not in "iu" and places.size):
            raise ValueError(f"places must be whole numbers [B]; got {places.dtype} {list(places.shape)}.")
        known = self._first[-1]
        if ((places < 0) | (places >= known)).any():
            wrong = places[(places < 0) | (places >= known)][0]
            raise IndexError(f"there is no picture {wrong}; the store has {len(self):,}, counted from 0.")
        return places.astype(np.int64, copy=False)

    def _split(self, places: np.ndarray) -> Iterable[tuple[RegionFolder, Any, np.ndarray]]:
        """Each folder that is meant, which of the places are its own, and what they are there."""
        if len(self._parts) == 1:
            yield self._parts[0], slice(None), places
            return
        holders = np.searchsorted(self._first, places, side="right") - 1
        for number, part in enumerate(self._parts):
            where = np.flatnonzero(holders == number)
            if len(where):
                yield part, where, places[where] - self._first[number]


def open_regions(folders: str | Path | Sequence[str | Path]) -> RegionStore:
    """Open one or several folders of regions as one store.

    Raises:
        FileNotFoundError: a folder that is not there.
        ValueError: no store, a damaged one, or stores of different feature sizes.
    """
    return RegionStore([folders] if isinstance(folders, (str, Path)) else list(folders))


class RegionFolder:
    """One folder of a store, checked when it is opened: nothing that its files say is trusted."""

    def __init__(self, folder: Path):
        check_named("the folder of regions", folder)
        self.folder = folder
        self.index = _read_index(folder)
        pictures, regions = self.index["pictures"], self.index["regions"]
        self.feature_size, self.most_regions = self.index["feature_size"], self.index["most_regions"]
        self.has_objects = self.index["with_objects"] == pictures
        self.has_attributes = self.index["with_attributes"] == pictures
        self.dtype = FEATURE_DTYPES[self.index["dtype"]]
        self.offsets = self._mapped(OFFSETS, OFFSET_DTYPE, (pictures + 1,))
        self.sizes = self._mapped(SIZES, SIZE_DTYPE, (pictures, 2))
        self.checksums = self._mapped(CHECKSUMS, CHECKSUM_DTYPE, (pictures,))
        self._names = self._mapped(NAMES, None, (pictures,))
        self._name_places = self._mapped(NAME_PLACES, OFFSET_DTYPE, (pictures,))
        self._check_catalogue(regions)
        self.features = Rows(folder / FEATURES, self.dtype, (regions, self.feature_size))
        self.boxes = Rows(folder / BOXES, BOX_DTYPE, (regions, 4))
        self.labels = Rows(folder / LABELS, LABEL_DTYPE, (regions,))

    def __len__(self) -> int:
        return self.index["pictures"]

    def find(self, names: Sequence[str]) -> np.ndarray:
        """Where pictures are, int64, -1 for those that are not here."""
        width = self._names.dtype.itemsize
        encoded = [name.encode("utf-8", "replace") if isinstance(name, str) else b"" for name in names]
        wanted = np.array(encoded, f"S{width}")  # longer ones are cut, and sorted out below
        at = np.minimum(np.searchsorted(self._names, wanted), len(self) - 1)
        places = np.array(self._name_places[at])
        same = self._names[at] == wanted
        # NumPy drops zeros at the end of a text: such a name would be taken for the one without them.
        exact = [0 < len(name) <= width and not name.endswith(b"\0") for name in encoded]
        places[~(same & np.array(exact, bool))] = -1
        return places

    def names(self) -> list[str]:
        """All names by place."""
        names = [""] * len(self)
        for place, name in zip(self._name_places.tolist(), self._names.tolist(), strict=True):
            names[place] = name.decode("utf-8", "replace")
        return names

    def name(self, place: int) -> str:
        """The name of one picture, found without reading them all into memory."""
        at = int(np.flatnonzero(self._name_places == place)[0])
        return self._names[at].decode("utf-8", "replace")

    @cached_property
    def largest_ids(self) -> list[int]:
        """The largest object id and attribute id, -1 for none: as regions.json says; an older store is looked through.

        Raises:
            OSError: the disk cannot be read.
        """
        if all(name in self.index for name in LARGEST):
            return [self.index[name] for name in LARGEST]
        return self.read_largest_ids()

    def read_largest_ids(self) -> list[int]:
        """The largest ids by the labels themselves, which are read from end to end."""
        largest = [NO_ID, NO_ID]
        for start in range(0, self.index["regions"], _BLOCK):
            labels = np.empty(min(_BLOCK, self.index["regions"] - start), LABEL_DTYPE)
            self.labels.into(start, labels)
            largest = [max(known, new) for known, new in zip(largest, largest_ids(labels), strict=True)]
        return largest

    def read_rows(self, rows: Sequence[int], targets: Iterable[int], features: np.ndarray) -> None:
        """Read the features of single regions."""
        announced = False
        for number, (row, target) in enumerate(zip(rows, targets, strict=True)):
            if not self.features.into(row, features[target : target + 1], waiting=announced):
                for later in rows[number:]:
                    self.features.announce(later, 1)
                announced = True
                self.features.into(row, features[target : target + 1])

    def close(self) -> None:
        """Let the files go."""
        for rows in (self.features, self.boxes, self.labels):
            rows.close()

    def _mapped(self, name: str, dtype: np.dtype | None, shape: tuple[int, ...]) -> np.ndarray:
        path = self.folder / name
        stored = _stored(path)
        if dtype is None:
            if stored.dtype.kind != "S" or not 0 < stored.dtype.itemsize <= LONGEST_NAME:
                raise ValueError(f"{path} must hold names of 1 to {LONGEST_NAME} bytes; it holds {stored.dtype}.")
            dtype = stored.dtype
        _check_announced(path, stored.dtype, stored.shape, dtype, shape)
        # As a plain array: the class of maps costs more in every look-up than the look-up.
        return np.memmap(path, dtype, "r", stored.offset, shape).view(np.ndarray)

    def _check_catalogue(self, regions: int) -> None:
        """See that what is looked up leads to where regions are. In blocks: not all pictures at once in memory."""
        count = len(self)
        seen = np.zeros(count, bool)
        most = 0
        for start in range(0, count, _BLOCK):
            steps = np.diff(self.offsets[start : start + _BLOCK + 1])
            if (steps < 0).any():
                raise self._damaged(
                    OFFSETS, f"the regions of picture {start + int(np.argmax(steps < 0))} end too early"
                )
            most = max(most, int(steps.max()))
            small = (self.sizes[start : start + _BLOCK] < 1).any(1)
            if small.any():
                raise self._damaged(SIZES, f"picture {start + int(np.argmax(small))} has no height or width")
            names = self._names[start : start + _BLOCK + 1]
            falling = names[1:] <= names[:-1]
            if falling.any():
                at = int(np.argmax(falling))
                first, second = (repr(name.decode("utf-8", "replace")) for name in names[at : at + 2].tolist())
                twice = f"{first} is there twice" if first == second else f"{second} comes behind {first}"
                raise self._damaged(NAMES, twice)
            places = self._name_places[start : start + _BLOCK]
            if (places < 0).any() or (places >= count).any():
                raise self._damaged(NAME_PLACES, "a name leads to no picture")
            seen[places] = True
        if not seen.all():
            raise self._damaged(NAME_PLACES, f"no name leads to picture {int(np.argmin(seen))}")
        if self.offsets[0] != 0 or self.offsets[-1] != regions:
            raise self._damaged(OFFSETS, f"{regions:,} regions were to be from 0 to the end")
        if most != self.most_regions:
            raise self._damaged(INDEX, f"the most regions of a picture are {most}, not {self.most_regions}")

    def _damaged(self, name: str, what: str) -> ValueError:
        return ValueError(f"{self.folder / name} is damaged: {what}. Import the regions again.")


class Rows:
    """The rows of an array in a file, read by position: safe among threads, and in processes that were forked."""

    def __init__(self, path: Path, dtype: np.dtype, shape: tuple[int, ...]):
        stored = _stored(path)
        _check_announced(path, stored.dtype, stored.shape, dtype, shape)
        self.path, self.dtype, self.shape = path, dtype, shape
        self._offset = stored.offset
        self._row = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._closing = weakref.finalize(self, os.close, self._handle)
        self._lock = Lock()
        # Only where rows are stored as they are wanted do they go straight into place.
        self._straight = sys.byteorder == "little"

    def into(self, row: int, target: np.ndarray, waiting: bool = True) -> bool:
        """Read as many rows as `target` has, from `row` on, converted to its number format.

        Args:
            row: the first one.
            target: filled, a row after the other.
            waiting: whether to wait for the disk if the rows are not in memory.

        Returns:
            Whether they were read; False only if `waiting` is.

        Raises:
            OSError: the disk cannot be read, or the file has become shorter.
        """
        straight = target.dtype == self.dtype and self._straight
        stored = target if straight else np.empty((len(target), *self.shape[1:]), self.dtype)
        if not waiting and not self._fill_at_once(self._offset + row * self._row, stored):
            return False
        if waiting:
            self._fill(self._offset + row * self._row, stored)
        if straight:
            return True
        if self.dtype.itemsize == 2 and target.dtype == np.float32 and self._straight:
            widen(stored, target)
        else:
            target[...] = stored
        return True

    def announce(self, row: int, count: int) -> None:
        """Tell the system that rows will be read, where it can be told."""
        if hasattr(os, "posix_fadvise") and self._closing.alive:  # reading says that it was closed
            size = count * self._row
            os.posix_fadvise(self._handle, self._offset + row * self._row, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Let the file go."""
        self._closing()

    def _fill_at_once(self, offset: int, target: np.ndarray) -> bool:
        """Read what is in memory; False if it is not all there, or the system cannot tell."""
        if not target.size or not self._closing.alive or not hasattr(os, "RWF_NOWAIT"):
            return not target.size
        try:
            return os.preadv(self._handle, [target.data], offset, os.RWF_NOWAIT) == target.nbytes
        except OSError:  # not in memory, or a file system that cannot tell
            return False

    def _fill(self, offset: int, target: np.ndarray) -> None:
        if not target.size:
            return
        if not self._closing.alive:
            raise ValueError(f"{self.path.parent} was closed; open the regions again.")
        if hasattr(os, "preadv"):
            done = os.preadv(self._handle, [target.data], offset)
            if done == target.nbytes:
                return
        else:  # Windows
            done = 0
        rest = target.reshape(-1).view(np.uint8).data[done:]
        offset += done
        while len(rest):
            piece = self._piece(len(rest), offset)
            if not piece:
                raise OSError(f"{self.path} has become shorter since it was opened; it ends at byte {offset:,}.")
            rest[: len(piece)] = piece
            rest, offset = rest[len(piece) :], offset + len(piece)

    def _piece(self, size: int, offset: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._handle, size, offset)
        with self._lock:
            os.lseek(self._handle, offset, os.SEEK_SET)
            return os.read(self._handle, size)


def widen(stored: np.ndarray, target: np.ndarray) -> None:
    """Write finite float16 numbers into a float32 array, exactly; NumPy's own way takes twenty times as long.

    Moved up by 13 bits, a float16 number is a float32 number with an exponent that is too small by 112.
    """
    bits = target.view(np.int32)
    bits[...] = stored.view(np.int16)  # the sign comes into the upper half
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, _FLOAT16_BITS, out=bits)
    np.multiply(target, _FLOAT16_STEP, out=target)


_FLOAT16_BITS = np.int32(-0x70002000)  # 0x8FFFE000: the sign, and where the other 15 bits lie then
_FLOAT16_STEP = np.float32(2.0**112)


def _stored(path: Path) -> Any:
    if not path.is_file():
        raise ValueError(f"{path.parent} is not whole: it has no {path.name}. Import the regions again.")
    return stored_array(path)


def _check_announced(
    path: Path, dtype: np.dtype, shape: tuple[int, ...], wanted_dtype: np.dtype, wanted: tuple[int, ...]
) -> None:
    if dtype != wanted_dtype or shape != wanted:
        raise ValueError(
            f"{path} must hold {wanted_dtype} {list(wanted)}, as {INDEX} announces; it holds {dtype} {list(shape)}."
        )


_COUNTS = ("pictures", "regions", "feature_size", "most_regions", "with_objects", "with_attributes")


def _read_index(folder: Path) -> dict[str, Any]:
    """What regions.json says, seen to be whole.

    Raises:
        FileNotFoundError: no such folder.
        ValueError: no store, or one that this package cannot read.
    """
    path = folder / INDEX
    if not path.is_file():
        if not folder.exists():
            raise FileNotFoundError(f"{folder} does not exist; give a folder that `lxmert features import` made.")
        raise ValueError(
            f"{folder} holds no regions: it has no {INDEX}. Make such a folder with `lxmert features import`."
        )
    index = read_json(path)
    if index.get("format") != FORMAT:
        raise ValueError(f"{path} must say that its format is {FORMAT!r}; it says {index.get('format')!r}.")
    if index.get("version") != VERSION:
        raise ValueError(
            f"{path} is of version {index.get('version')!r}; version {VERSION} is read. Import the regions again, or "
            "use the version of this package that wrote them."
        )
    for name in _COUNTS:
        value = index.get(name)
        least = 1 if name in ("pictures", "feature_size") else 0
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**48:
            raise ValueError(f"{path}: {name} must be a whole number from {least}; it is {value!r}.")
    for name in LARGEST:
        value = index.get(name, NO_ID)
        if not isinstance(value, int) or isinstance(value, bool) or not NO_ID <= value < 2**31:
            raise ValueError(f"{path}: {name} must be a whole number from {NO_ID}; it is {value!r}.")
    if index.get("dtype") not in FEATURE_DTYPES:
        raise ValueError(f"{path}: dtype must be {' or '.join(FEATURE_DTYPES)}; it is {index.get('dtype')!r}.")
    return index

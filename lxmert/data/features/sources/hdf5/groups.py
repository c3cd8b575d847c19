"""HDF5 files with a group per image: features, boxes, img_w, img_h, and maybe obj_id, obj_conf, attr_id, attr_conf."""

from __future__ import annotations

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import SourceOptions
from lxmert.data.features.sources.pictures import PictureReader, read_first, spelled
from lxmert.utils.compression import max_unpacked_size
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.hdf5.reader import Hdf5Contents
from lxmert.utils.limited_processes import TooExpensiveError

from .file import Hdf5FeatureFile, Hdf5Source

_BLOCK = 64  # groups that are looked into at a time


class Hdf5Groups(Hdf5Source):
    """A group per image; its name is the image's."""

    def __init__(self, file: Hdf5FeatureFile, options: SourceOptions):
        super().__init__(file, file.names)
        self._block, self._found = -1, Hdf5Contents()
        self._damaged: InvalidFileError | None = None
        self._claims: dict[int, tuple[int, int]] = {}  # by block
        self._reader = PictureReader(options)
        read_first(self._reader, self.entries(None))

    def read(self, number: int) -> ImageRegions:
        """See `NumberedSource.read`."""
        name = self.names[number]
        self.file.check_group(name)
        found = self._look_into(number)
        inside = {key.removeprefix(f"{name}/"): key for key in found.arrays if key.startswith(f"{name}/")}
        inside |= {key.removeprefix(f"{name}/"): key for key in found.links if key.startswith(f"{name}/")}
        values = {key: self.file.whole(self.file.array(inside[key], found)) for key in spelled(inside).values()}
        return self._reader.regions(name, values)

    def _look_into(self, number: int) -> Hdf5Contents:
        """What is in an image's group, and in those around it; in its own alone, if one of the others is damaged."""
        if self._damaged is not None:
            raise self._damaged
        block = number // _BLOCK
        if block != self._block:
            groups = [name for name in self.names[block * _BLOCK : (block + 1) * _BLOCK] if self.file.is_group(name)]
            try:
                self._found = self.file.look_into(groups)
            except TooExpensiveError as error:
                self._damaged = error  # as it would be for each of the others
                raise
            except InvalidFileError:
                return self.file.look_into([self.names[number]])
            self._block, self._claims[block] = block, self._claimed(self._found)
            stored, unpacked = (sum(claims) for claims in zip(*self._claims.values(), strict=True))
            if stored > self.file.size or unpacked > max_unpacked_size(self.file.size):
                self._damaged = InvalidFileError(
                    f"{self.path} is a damaged HDF5 file: its images claim {unpacked:,} bytes, {stored:,} as stored, "
                    f"more than its {self.file.size:,} can hold."
                )
                raise self._damaged
        return self._found

    def _claimed(self, found: Hdf5Contents) -> tuple[int, int]:
        """The bytes of a block of images in the file, and unpacked; those of damaged arrays do not count."""
        good = [array for array in found.arrays.values() if not array.problem(self.file.size)]
        return found.stored, sum(array.size for array in good)

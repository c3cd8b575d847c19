"""HDF5 files with a group per image: features, boxes, img_w, img_h, and maybe obj_id, obj_conf, attr_id, attr_conf."""

from __future__ import annotations

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import SourceOptions
from lxmert.data.features.sources.pictures import PictureReader, read_first, spelled
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
            self._block = block
        return self._found

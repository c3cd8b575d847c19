"""HDF5 files with a group per image: features, boxes, img_w, img_h, and maybe obj_id, obj_conf, attr_id, attr_conf."""

from __future__ import annotations

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import SourceOptions
from lxmert.data.features.sources.pictures import PictureReader, read_first, spelled

from .file import Hdf5FeatureFile, Hdf5Source


class Hdf5Groups(Hdf5Source):
    """A group per image; its name is the image's."""

    def __init__(self, file: Hdf5FeatureFile, options: SourceOptions):
        super().__init__(file, file.names())
        self._reader = PictureReader(options)
        read_first(self._reader, self.entries(None))

    def read_image(self, number: int) -> ImageRegions:
        """The regions of an image."""
        group = self.file.group(self.names[number])
        values = {key: self.file.values(self.file.array(key, group), ()) for key in spelled(group).values()}
        return self._reader.regions(self.names[number], values)

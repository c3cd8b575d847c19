"""Read a store image by image as it was written, so that another one takes it over bit for bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np

from .image_regions import ImageRegions
from .layout import checksum, encode_name
from .store_folder import StoreFolder


def stored_images(folder: Path) -> Iterator[ImageRegions]:
    """The images of a store in their order, each compared with its checksum.

    Raises:
        FileNotFoundError, ValueError: no store, or a damaged one; the message names the image.
    """
    with closing(StoreFolder(folder)) as store:
        for place, name in enumerate(store.names()):
            start, stop = store.offsets[place : place + 2].tolist()
            parts = (store.features, store.boxes, store.labels)
            rows = [np.empty((stop - start, *part.shape[1:]), part.dtype) for part in parts]
            for part, own in zip(parts, rows, strict=True):
                part.read_into(start, own)
            features, boxes, labels = rows
            size = np.array(store.sizes[place])
            if checksum(encode_name(name), size, features, boxes, labels) != store.checksums[place]:
                raise ValueError(f"{folder}, image {name!r}: it is not what was written; its checksum differs.")
            described = {
                f"{kind}_{what}": labels[f"{kind}_{stored}"]
                for kind in ("object", "attribute")
                for what, stored in (("ids", "id"), ("confidence", "confidence"))
                if store.index[f"with_{kind}s"]
            }
            yield ImageRegions(name, features, boxes, size, **described)

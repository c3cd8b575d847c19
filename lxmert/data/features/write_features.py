"""Write a store of arrays in memory, or of anything that yields them image by image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .image_regions import ImageRegions
from .sources.base import SourceOptions
from .sources.pictures import PictureReader, missing_parts, spelled
from .store import RegionStore, open_regions
from .writer import RegionWriter


def write_features(
    store: str | Path,
    ids: Iterable[Any] | None = None,
    features: Iterable[ArrayLike] | None = None,
    boxes: Iterable[ArrayLike] | None = None,
    sizes: Iterable[ArrayLike] | None = None,
    *,
    pictures: Iterable[Mapping[str, Any] | ImageRegions] | None = None,
    box_format: str = "xyxy",
    dtype: str = "float32",
    clip_boxes: bool = False,
) -> RegionStore:
    """Write features of your own into a store.

    ```python
    write_features("regions", ids, features, boxes, sizes)      # arrays
    write_features("regions", pictures=({"id": name, "features": f, "boxes": b, "height": h, "width": w} for …))
    ```

    Arrays are read image by image, so they may be memory maps, lists of arrays with different numbers of regions, or
    iterators; then the store may be larger than the memory.

    Args:
        store: the folder, made by this call; it must not exist, or be empty.
        ids: N names of images, strings or integers.
        features: ``[N, R, F]``.
        boxes: ``[N, R, 4]``, x1, y1, x2, y2 in pixels, or as fractions of the image's width and height (0 to 1); the
            first image decides which.
        sizes: ``[N, 2]``, height and width in pixels. Boxes as fractions need none.
        pictures: an iterable of dictionaries with id, features ``[R, F]``, boxes ``[R, 4]``, and height and width (or
            normalized_boxes), and maybe object_ids, object_confidence, attribute_ids, attribute_confidence ``[R]``; or
            of `ImageRegions`. Instead of the arrays.
        box_format: "xyxy", or "xywh" for a corner, width and height.
        dtype: of the features in the store, "float32" or "float16".
        clip_boxes: whether to clip boxes at the border of their image.

    Returns:
        The store, opened.

    Raises:
        FileExistsError: `store` is not empty.
        ValueError: something is missing or does not fit; the message names the image. Nothing is left then.
    """
    if box_format not in ("xyxy", "xywh"):
        raise ValueError(f'box_format must be "xyxy" or "xywh"; got {box_format!r}.')
    arrays = {"ids": ids, "features": features, "boxes": boxes}
    given = [name for name, values in {**arrays, "sizes": sizes}.items() if values is not None]
    missing = [name for name, values in arrays.items() if values is None]
    if pictures is not None and given:
        raise ValueError(f"pass either pictures or arrays; got pictures and {', '.join(given)}.")
    if pictures is None and missing:
        raise ValueError(f"pass ids, features and boxes, or pictures; {', '.join(missing)} must be given.")
    found = _of_arrays(ids, features, boxes, sizes) if pictures is None else pictures
    reader = PictureReader(SourceOptions(boxes=box_format))
    with RegionWriter(store, dtype) as writer:
        for number, picture in enumerate(found):
            _write(writer, reader, number, picture, clip_boxes)
    return open_regions(store)


def _of_arrays(ids: Any, features: Any, boxes: Any, sizes: Any) -> Iterator[dict[str, Any]]:
    names = ("ids", "features", "boxes", *(("sizes",) if sizes is not None else ()))
    columns = (ids, features, boxes, *((sizes,) if sizes is not None else ()))
    counts = {name: len(column) for name, column in zip(names, columns, strict=True) if hasattr(column, "__len__")}
    if len(set(counts.values())) > 1:
        raise ValueError(f"{', '.join(names)} must have as many rows, one for each image; they have {counts}.")
    try:
        for row in zip(*columns, strict=True):
            yield dict(zip(names, row, strict=True))
    except ValueError as error:
        if "zip()" not in str(error):
            raise
        raise ValueError(f"{', '.join(names)} must have as many rows, one for each image; {error}.") from None


def _write(writer: RegionWriter, reader: PictureReader, number: int, picture: Any, clip: bool) -> None:
    where = f"image {number}"
    try:
        if not isinstance(picture, ImageRegions):
            if not isinstance(picture, Mapping):
                raise ValueError(f"it must be a dictionary or ImageRegions; got {type(picture).__name__}.")
            names = spelled(picture)
            name = picture.get(names.get("ids", "id"))
            missing = missing_parts({*names, *([] if name is None else ["ids"])}, with_ids=True)
            if missing:
                raise ValueError(f"it lacks {'; '.join(missing)}. It has {', '.join(map(str, picture)) or 'nothing'}.")
            where = f"image {name!r}"
            picture = reader.regions(_text(name), picture)
        where = f"image {picture.name!r}"
        writer.add_image(picture, clip=clip)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None


def _text(name: Any) -> str:
    value = name.item() if isinstance(name, (np.generic, np.ndarray)) and np.size(name) == 1 else name
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise ValueError(f"an id must be a string or an integer; got {type(value).__name__}.")
    return str(value)

"""The regions of images as Arrow tables, a row for each image: what workers of other processes and Parquet files hold.

The columns are those that `lxmert features import` reads, and `error`: why an image has no regions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lxmert.vision.detections import ImageDetections

if TYPE_CHECKING:
    import pyarrow

_LABELS = {
    "object_ids": ("object_ids", np.int64),
    "object_confidence": ("object_scores", np.float32),
    "attribute_ids": ("attribute_ids", np.int64),
    "attribute_confidence": ("attribute_scores", np.float32),
}  # the column of each attribute of `ImageDetections`, and its dtype


def regions_table(names: Sequence[str], found: Sequence[ImageDetections | str], feature_size: int) -> pyarrow.Table:
    """The regions of some images, or why they have none.

    Args:
        names: of the images.
        found: the regions of each, or the message of its error.
        feature_size: F.

    Returns:
        The columns image_id, height, width, features and boxes (lists of R lists of numbers), error; and object_ids,
        object_confidence, attribute_ids, attribute_confidence where the detector names them. An image with an error has
        no regions, and height and width 0.
    """
    import pyarrow

    none = ImageDetections(np.empty((0, feature_size), np.float32), np.empty((0, 4), np.float32), (0, 0))
    images = [none if isinstance(image, str) else image for image in found]
    columns: dict[str, Any] = {
        "image_id": pyarrow.array(names, pyarrow.string()),
        "height": pyarrow.array([image.size[0] for image in images], pyarrow.int32()),
        "width": pyarrow.array([image.size[1] for image in images], pyarrow.int32()),
        "features": _nested([image.features for image in images], np.float32),
        "boxes": _nested([image.boxes for image in images], np.float32),
    }
    for column, (attribute, dtype) in _LABELS.items():
        values = [getattr(image, attribute) for image in images if image is not none]
        if values and all(value is not None for value in values):
            columns[column] = _lists([[] if image is none else getattr(image, attribute) for image in images], dtype)
    columns["error"] = pyarrow.array([image if isinstance(image, str) else None for image in found], pyarrow.string())
    return pyarrow.table(columns)


def table_regions(table: pyarrow.Table, feature_size: int) -> Iterator[tuple[str, ImageDetections | str]]:
    """The rows of a table of `regions_table`: the name of each image, and its regions or the message of its error."""
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    names, errors = columns["image_id"].to_pylist(), columns["error"].to_pylist()
    heights, widths = columns["height"].to_pylist(), columns["width"].to_pylist()
    for row, name in enumerate(names):
        if errors[row] is not None:
            yield name, errors[row]
            continue
        labels = {
            attribute: columns[column][row].values.to_numpy().astype(dtype)
            for column, (attribute, dtype) in _LABELS.items()
            if column in columns
        }
        features, boxes = _matrix(columns["features"][row], feature_size), _matrix(columns["boxes"][row], 4)
        yield name, ImageDetections(features, boxes, (heights[row], widths[row]), **labels)


def _lists(rows: Sequence[Any], dtype: type) -> pyarrow.Array:  # N arrays [R]
    import pyarrow

    values = np.concatenate([np.asarray(row, dtype) for row in rows])
    return pyarrow.ListArray.from_arrays(_offsets([len(row) for row in rows]), pyarrow.array(values))


def _nested(rows: Sequence[np.ndarray], dtype: type) -> pyarrow.Array:  # N arrays [R, F]
    import pyarrow

    values = np.concatenate([np.asarray(row, dtype) for row in rows])
    inner = pyarrow.ListArray.from_arrays(
        _offsets([values.shape[1]] * len(values)), pyarrow.array(np.ascontiguousarray(values).reshape(-1))
    )
    return pyarrow.ListArray.from_arrays(_offsets([len(row) for row in rows]), inner)


def _offsets(lengths: Sequence[int]) -> Any:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def _matrix(row: Any, size: int) -> np.ndarray:  # a list of R lists of `size` numbers -> [R, size]
    matrix: np.ndarray = row.values.flatten().to_numpy().reshape(-1, size)
    return matrix

"""TSV files with a row per image: columns of LXMERT, bottom-up-attention, VL-BERT or one's own, or a key and JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.features.image_regions import ImageRegions
from lxmert.data.features.sources.base import DamagedImage, Entry, SourceOptions
from lxmert.data.features.sources.base64_arrays import plain_cell
from lxmert.data.features.sources.found import Found
from lxmert.data.features.sources.hdf5.rows import image_size
from lxmert.data.features.sources.ids import read_sizes
from lxmert.data.features.sources.size_order import SizeOrder, how_to_state
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.messages import shown

from .box_rows import BoxRow, BoxRows, box_files
from .columns import LXMERT, ORDERS, fits_row, header_columns, read_row
from .json_cells import Content, parse_content
from .records import Record, RecordFile

_SAMPLE_IMAGES, _SAMPLE_BYTES = 1000, 64 * 2**20  # at the start, read to infer the order of height and width
_POSITIONED = 6  # numbers at the end of Oscar's features: the box as fractions of the image, its width and height


class RowSource:
    """A TSV with a row per image; the base of its kinds. Boxes and sizes may be in other files."""

    def __init__(self, path: Path, options: SourceOptions):
        self._file, self._header = RecordFile(path), False
        self._boxes: BoxRows | None = None
        self._sizes = read_sizes(options.sizes) if options.sizes else {}
        self.path, self.size, self.rows_without_id = path, self._file.size, 0
        self._id_column, self._columns_count = 0, 2

    def entries(self, position: dict[str, Any] | None) -> Iterator[Entry]:
        """See `Source.entries`."""
        before = self.consumed(position)
        boxes = self._boxes.rows(position["boxes"] if position else None) if self._boxes else None
        for record in self._rows(position):
            where = f"{self.path}, line {record.line}"
            name = record.cells[min(self._id_column, len(record.cells) - 1)]
            if len(name) < 300:
                where += f", image {shown(plain_cell(name).decode('utf-8', 'replace'), 300)}"
            after, size, before = record.position(), record.packed_end - before, record.packed_end
            row = next(boxes) if boxes else None
            if row:
                after["boxes"] = row.position
            yield Entry(where, size, after, partial(self._read, record, row))

    def consumed(self, position: dict[str, Any] | None) -> int:
        """See `Source.consumed`."""
        return self._file.consumed(position)

    def _rows(self, position: dict[str, Any] | None) -> Iterator[Record]:
        records = self._file.records(position, self._columns_count)
        if self._header and not position:
            next(records, None)
        return records

    def _read(self, record: Record, row: BoxRow | None) -> ImageRegions:
        try:
            if len(record.cells) != self._columns_count:
                raise DamagedImage(f"a line has {self._columns_count} columns; this one has {len(record.cells)}.")
            image = self.decode(record.cells)
            if row is not None and self._boxes is not None:
                image = self.completed(image, self._boxes.content(row, image.name))
            return image
        except DamagedImage as error:
            if record.complete:
                raise
            raise DamagedImage(f"{error} The file ends inside of this line, so it is truncated.") from None

    def completed(self, image: ImageRegions, other: Content) -> ImageRegions:
        """An image with the boxes and the size of another file; the size also follows from Oscar's features."""
        features, boxes = np.asarray(image.features), np.asarray(image.boxes)
        boxes = boxes if len(boxes) or other.boxes is None else other.boxes
        size = image.size if np.size(image.size) else other.size or self._sizes.get(image.name) or ()
        return dataclasses.replace(image, boxes=boxes, size=size or _size_in_features(features, boxes))

    def decode(self, cells: list[bytes]) -> ImageRegions:
        """The regions of a row."""
        raise NotImplementedError


class Tsv(RowSource):
    """Columns of numbers and base64. A header line, the option, or the first rows show their order.

    Raises:
        ValueError: height and width could be in either order, or boxes are nowhere.
    """

    def __init__(self, path: Path, options: SourceOptions):
        super().__init__(path, options)
        first = self._file.first()
        cells = first.cells if first else []
        header = header_columns(cells)
        self._header = header is not None
        stated = options.columns or header
        columns = stated or known_order(cells) or LXMERT
        # Everybody writes the columns of LXMERT in one order.
        self._order = SizeOrder(columns, bool(stated) or columns[-len(LXMERT) :] == LXMERT)
        self._set_columns(self._order.columns)
        if {"boxes", "image_h", "image_w"} <= set(self._columns):
            self._order = self._find_order()
            self._set_columns(self._order.columns)
        else:
            self._boxes = BoxRows(box_files(path, options))

    def _set_columns(self, columns: tuple[str, ...]) -> None:
        self._columns, self._columns_count, self._id_column = columns, len(columns), columns.index("image_id")

    def _find_order(self) -> SizeOrder:
        """The order of height and width, which the boxes of the first images must show unless it is known."""
        order, read, readable = self._order, 0, 0
        damage: DamagedImage | None = None
        for number, record in enumerate(self._rows(None)):
            read += record.end - record.begin
            if number >= _SAMPLE_IMAGES or (number and read > _SAMPLE_BYTES) or order.decided:
                break
            if len(record.cells) == self._columns_count:
                found = order.add_row(dict(zip(self._columns, record.cells, strict=True)))
                damage, readable = damage or found, readable + (found is None)
        if order.stated and order.swapped > order.right:
            raise ValueError(
                f"{self.path}: the boxes of {order.swapped:,} images at its start fit only if height and width are "
                f"exchanged, and those of {order.right:,} only as the columns {','.join(order.columns)} say. "
                f"{how_to_state(order.turned().columns)}."
            )
        if order.stated or (order.right and not order.swapped):
            return order
        if order.swapped and not order.right:
            return order.turned()
        if damage and not readable:
            raise ValueError(f"{self.path}: of the images at its start, none has boxes that can be read: {damage}")
        either = "some boxes fit one order only, others the other" if order.right else "every box fits both orders"
        raise ValueError(
            f"{self.path} does not say whether width or height comes first: of the images at its start, {either}. "
            f"{how_to_state(order.columns, order.turned().columns)}."
        )

    def decode(self, cells: list[bytes]) -> ImageRegions:
        """See `RowSource.decode`."""
        image = read_row(dict(zip(self._columns, cells, strict=True)))
        if self._boxes is None:
            self._order.check(image)
        return image


class JsonTsv(RowSource):
    """A key and JSON: VinVL's and Oscar's."""

    def __init__(self, path: Path, options: SourceOptions):
        super().__init__(path, options)
        self._order = SizeOrder((), stated=True)
        first = self._file.first()
        try:
            content = parse_content(first.cells[1]) if first else Content()
        except DamagedImage as error:
            raise InvalidFileError(f"{path}, line {first.line if first else 1}: {error}") from None
        if content.boxes is None or options.boxes_from is not None:
            self._boxes = BoxRows(box_files(path, options))

    def decode(self, cells: list[bytes]) -> ImageRegions:
        """See `RowSource.decode`."""
        content = parse_content(cells[1])
        if content.features is None:
            raise DamagedImage("its JSON must have features, or objects with a feature.")
        boxes = np.zeros((0, 4), np.float32) if content.boxes is None else content.boxes
        image = ImageRegions(
            plain_cell(cells[0]).decode("utf-8", "replace"), content.features, boxes, content.size or ()
        )
        return image if self._boxes else self.completed(image, Content())

    def completed(self, image: ImageRegions, other: Content) -> ImageRegions:
        """See `RowSource.completed`; height and width that the boxes show to be exchanged are an error."""
        image = super().completed(image, other)
        self._order.check(image)
        return image


def _size_in_features(features: np.ndarray, boxes: np.ndarray) -> tuple[int, int]:
    try:
        if features.shape[1] > _POSITIONED and boxes.shape == (len(features), 4):
            return image_size(boxes, features[:, -_POSITIONED:])
    except DamagedImage:
        pass
    raise DamagedImage(
        "its height and width are nowhere: they must be in the JSON (image_h, image_w), in the file of --boxes-from, "
        "or in one of --sizes."
    )


def known_order(cells: list[bytes]) -> tuple[str, ...] | None:
    """The first of the published orders of columns that fits a row; by its length alone if none does."""
    orders = [order for order in ORDERS if len(order) == len(cells)]
    return next((order for order in orders if fits_row(order, cells)), orders[0] if orders else None)


def is_tsv(found: Found, options: SourceOptions) -> bool:
    """Whether a text has columns that are known."""
    cells = found.first_record.cells if found.first_record else []
    given = options.columns is not None and len(cells) == len(options.columns)
    return given or header_columns(cells) is not None or known_order(cells) is not None


def is_json_tsv(found: Found) -> bool:
    """Whether a text has a key and JSON in each line."""
    cells = found.first_record.cells if found.first_record else []
    return len(cells) == 2 and cells[1].lstrip()[:1] in (b"{", b"[")

"""The largest frame that an AVIF file has its decoder make, which may be larger than the image that it declares.

An AVIF file declares the size of its image in one place, and the AV1 streams in it the sizes of their frames in
another: the decoder makes the frames and scales them. The boxes are those of ISO/IEC 14496-12 and 23008-12, the streams
those of the AV1 specification, sections 5.3 and 5.5.
"""

from __future__ import annotations

from collections.abc import Iterator

_CONTAINERS = {b"meta": 4, b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0}  # bytes before the boxes in them
_SEQUENCE_HEADER = 1
_MOST_PARTS = 100_000  # of streams; an image has a few


def largest_frame(content: bytes) -> int:
    """The pixels of the largest frame that the sequence headers in a file declare; 0 where none is found.

    Raises:
        ValueError: items that overlap, or streams of more parts than an image has.
    """
    boxes = list(_boxes(content))
    data = next((start for kind, start, _ in boxes if kind == b"idat"), 0)
    parts = iter(range(_MOST_PARTS))
    largest = 0
    for stream in _streams(content, boxes, data):
        for width, height in _frame_sizes(stream, parts):
            largest = max(largest, width * height)
    return largest


class _Reader:
    """Numbers of some bits or bytes, one after the other; those after the end are 0."""

    def __init__(self, content: bytes):
        self._content, self._at = content, 0

    def bits(self, count: int) -> int:
        first, last = self._at // 8, -(-(self._at + count) // 8)
        number = int.from_bytes(self._content[first:last].ljust(last - first, b"\0"), "big")
        self._at += count
        return number >> (8 * last - self._at) & ((1 << count) - 1)

    def bytes(self, count: int) -> int:
        return self.bits(8 * count)


def _boxes(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of the content of each box, also of those in others."""
    ranges = [(0, len(content))]
    while ranges:
        at, end = ranges.pop()
        while at + 8 <= end:
            size, kind, start = int.from_bytes(content[at : at + 4], "big"), content[at + 4 : at + 8], at + 8
            if size == 1:
                size, start = int.from_bytes(content[start : start + 8], "big"), start + 8
            stop = min(at + size, end) if size else end
            if stop < start:
                break
            yield kind, start, stop
            if kind in _CONTAINERS:
                ranges.append((start + _CONTAINERS[kind], stop))
            at = stop


def _streams(content: bytes, boxes: list[tuple[bytes, int, int]], data: int) -> Iterator[bytes | memoryview]:
    """The items of an image, and the frames of an animation."""
    joined = 0
    for kind, start, end in boxes:
        if kind == b"iloc":
            for parts in _items(content, _Reader(content[start:end]), data):
                joined += sum(map(len, parts)) if len(parts) > 1 else 0
                if joined > len(content):
                    raise ValueError("its items are larger than the file")
                yield parts[0] if len(parts) == 1 else b"".join(parts)
        elif kind in (b"stco", b"co64"):  # the first frame is at the first of these places
            place = _Reader(content[start + 8 : end]).bytes(4 if kind == b"stco" else 8)
            yield memoryview(content)[place:]


def _items(content: bytes, box: _Reader, data: int) -> Iterator[list[memoryview]]:
    """The parts of each item that a box of locations lists."""
    view, version, _ = memoryview(content), box.bytes(1), box.bytes(3)
    offset_size, length_size, base_size, index_size = (box.bits(4) for _ in range(4))
    for _ in range(min(box.bytes(4 if version == 2 else 2), len(content))):
        box.bytes(4 if version == 2 else 2)
        inside = box.bytes(2) & 15 == 1 if version else False
        box.bytes(2)
        base, parts = box.bytes(base_size) + (data if inside else 0), []
        for _ in range(box.bytes(2)):
            box.bytes(index_size if version else 0)
            place, length = base + box.bytes(offset_size), box.bytes(length_size)
            parts.append(view[place : place + length] if length else view[place:])
        yield parts


def _frame_sizes(stream: bytes | memoryview, parts: Iterator[int]) -> Iterator[tuple[int, int]]:
    """Width and height in each sequence header of a stream; each of its parts takes one of `parts`."""
    at = 0
    while at < len(stream) and not stream[at] & 0x80:
        if next(parts, None) is None:
            raise ValueError(f"it has more than {_MOST_PARTS:,} parts")
        kind, extended, sized = stream[at] >> 3 & 15, stream[at] >> 2 & 1, stream[at] >> 1 & 1
        at += 1 + extended
        size = 0 if sized else len(stream) - at
        for shift in range(0, 56 * sized, 7):  # little-endian, seven bits in each byte
            byte = stream[at] if at < len(stream) else 0
            size, at = size | (byte & 127) << shift, at + 1
            if byte < 128:
                break
        if kind == _SEQUENCE_HEADER:
            yield _frame_size(_Reader(bytes(stream[at : at + min(size, 1000)])))
        at += size


def _frame_size(header: _Reader) -> tuple[int, int]:
    """The largest width and height of frames by a sequence header."""
    header.bits(4)  # profile, still picture
    if header.bits(1):  # the reduced header of a still picture
        header.bits(5)
    else:
        delay_bits = _timing(header)
        has_delays = header.bits(1)
        for _ in range(header.bits(5) + 1):  # operating points
            header.bits(12)
            if header.bits(5) > 7:
                header.bits(1)
            if delay_bits and header.bits(1):
                header.bits(2 * delay_bits + 1)
            if has_delays and header.bits(1):
                header.bits(4)
    width_bits, height_bits = header.bits(4) + 1, header.bits(4) + 1
    return header.bits(width_bits) + 1, header.bits(height_bits) + 1


def _timing(header: _Reader) -> int:
    """The bits of each delay in the model of the decoder; 0 without such a model."""
    if not header.bits(1):
        return 0
    header.bits(64)
    if header.bits(1):  # a number whose bits are as many as the zeros before it
        zeros = 0
        while zeros < 32 and not header.bits(1):
            zeros += 1
        header.bits(zeros)
    if not header.bits(1):
        return 0
    delay_bits = header.bits(5) + 1
    header.bits(42)
    return delay_bits

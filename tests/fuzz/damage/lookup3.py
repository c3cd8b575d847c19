"""The checksum of HDF5's newer structures: Bob Jenkins' lookup3, `hashlittle` (public domain), of bytes."""

_ALL = 0xFFFFFFFF


def _rotated(value: int, by: int) -> int:
    return (value << by | value >> (32 - by)) & _ALL


def lookup3(data: bytes) -> bytes:
    """Four bytes, little-endian."""
    size = len(data)
    a = b = c = (0xDEADBEEF + size) & _ALL
    if not size:
        return c.to_bytes(4, "little")
    data += b"\0" * (-size % 12)
    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
    for at in range(0, len(words) - 3, 3):
        a, b, c = (a + words[at]) & _ALL, (b + words[at + 1]) & _ALL, (c + words[at + 2]) & _ALL
        for by in (4, 6, 8, 16, 19, 4):
            a = (a - c) & _ALL
            a ^= _rotated(c, by)
            c = (c + b) & _ALL
            a, b, c = b, c, a
    a, b, c = (a + words[-3]) & _ALL, (b + words[-2]) & _ALL, (c + words[-1]) & _ALL
    for by in (14, 11, 25, 16, 4, 14, 24):
        c = ((c ^ b) - _rotated(b, by)) & _ALL
        a, b, c = b, c, a
    # The last step of the rotation above has moved the result.
    return b.to_bytes(4, "little")

"""What a file may claim of its compressed content, before any of it is unpacked."""

# Deflate, the strongest compression in use, turns one byte into at most this many: a larger claim is false.
_LARGEST_EXPANSION = 1032
# Weights and features hardly shrink; but small ones may be all zeros.
_SMALL = 64 * 2**20


def max_unpacked_size(packed: int) -> int:
    """How many bytes `packed` bytes of weights or features may claim to hold: possible for deflate, and plausible."""
    return min(_LARGEST_EXPANSION * packed, max(_SMALL, 100 * packed))

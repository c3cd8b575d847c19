"""Reading and writing at a place of an open file, also where the system has neither preadv nor pwrite."""

import os

import pytest

from lxmert.utils.positional_io import read_at, write_at


@pytest.mark.parametrize("native", [True, False])
def test_places_of_a_file(native, tmp_path, monkeypatch):
    if not native:
        monkeypatch.delattr(os, "preadv", raising=False)
        monkeypatch.delattr(os, "pwrite", raising=False)
    handle = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    try:
        assert write_at(handle, b"abcdef", 0) == 6
        assert write_at(handle, memoryview(b"XY"), 2) == 2
        assert write_at(handle, b"", 1) == 0
        buffer = bytearray(4)
        assert read_at(handle, memoryview(buffer), 1) == 4
        assert bytes(buffer) == b"bXYe"
        assert read_at(handle, memoryview(buffer), 4) == 2  # the file ends
        assert bytes(buffer) == b"efYe"
        assert read_at(handle, memoryview(bytearray()), 0) == 0
    finally:
        os.close(handle)

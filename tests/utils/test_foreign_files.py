"""Whatever a library raises for a file becomes one error that names the file; errors of the machine stay."""

import errno
import json
import lzma
import struct
import time
import tokenize
import zipfile
import zlib
from pathlib import Path

import pytest

from lxmert.utils.foreign_files import (
    InvalidFileError,
    check_depth,
    error_text,
    first_bytes,
    is_of_the_system,
    read_small,
    reading,
)


class _Panic(BaseException):
    """As libraries in Rust raise it."""


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("bad\nmore"), "a.x is damaged: bad"),
        (KeyError("weight"), "a.x is damaged: it lacks 'weight'"),
        (KeyError(), "a.x is damaged: it lacks ''"),
        (tokenize.TokenError("EOF in statement", (1, 2)), "a.x is damaged: EOF in statement"),
        (lzma.LZMAError("corrupt"), "a.x is damaged: corrupt"),
        (zlib.error("Error -3"), "a.x is damaged: Error -3"),
        (struct.error("unpack requires"), "a.x is damaged: unpack requires"),
        (zipfile.BadZipFile("no zip"), "a.x is damaged: no zip"),
        (_Panic("unknown group B"), "a.x is damaged: unknown group B"),
        (RecursionError(), "a.x is damaged: RecursionError"),
        (OSError("HDF5 says no"), "a.x is damaged: HDF5 says no"),
        (OSError(errno.EINVAL, "Invalid argument"), "a.x is damaged: [Errno 22] Invalid argument"),
        (
            UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
            "a.x is damaged: 'utf-8' codec can't decode",
        ),
        (Exception({"a": [1]}), "a.x is damaged: {'a': [1]}"),
        (Exception("\x1b[2J"), "a.x is damaged: \\x1b[2J"),
    ],
)
def test_what_a_library_raises_names_the_file(raised, said):
    with pytest.raises(InvalidFileError) as caught, reading("a.x"):
        raise raised
    assert str(caught.value).startswith(said)
    assert caught.value.__suppress_context__


def test_what_passes():
    for error in (KeyboardInterrupt(), SystemExit(3), InvalidFileError("ours"), GeneratorExit()):
        with pytest.raises(type(error)) as caught, reading("a.x"):
            raise error
        assert caught.value is error
    with pytest.raises(MemoryError, match=r"a\.x needs more memory than there is"), reading("a.x"):
        raise MemoryError


def test_errors_of_the_machine_name_the_file_too():
    with pytest.raises(OSError, match="Too many open files") as caught, reading("a.x"):
        raise OSError(errno.EMFILE, "Too many open files")
    assert caught.value.filename == "a.x"
    assert is_of_the_system(caught.value)
    with pytest.raises(FileNotFoundError, match=r"b\.x"), reading("a.x"):
        Path("b.x").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="a file that opens and cannot be read, of Linux")
@pytest.mark.parametrize("read", [lambda path: first_bytes(path, 9), lambda path: read_small(path, 9, "a table")])
def test_a_file_that_opens_and_cannot_be_read_is_named(read):
    with pytest.raises(OSError, match=r"/proc/self/mem"):
        read("/proc/self/mem")


def test_an_error_of_megabytes_is_short():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    for error in (
        ValueError("a" * 10**7),
        KeyError("k" * 10**7),
        ValueError("\n" * 10**7),
        Exception(nested, [0] * 10**7),
    ):
        start = time.process_time()
        assert len(error_text(error)) < 350
        assert time.process_time() - start < 0.05
    while nested:
        nested = nested.pop()


@pytest.mark.parametrize(
    "text", ["[" * 101 + "]" * 101, '{"a":' * 101 + "1" + "}" * 101, "[[1], " + "[" * 150 + "]" * 151]
)
def test_deep_nesting_is_refused(text):
    with pytest.raises(InvalidFileError, match=r"a\.json is nested more than 100 deep"):
        check_depth(json.loads(text), "a.json")


def test_values_that_contain_themselves_are_deep_and_repeated_ones_cost_nothing():
    loop = [1]
    loop.append((loop,))
    with pytest.raises(InvalidFileError, match="nested more than"):
        check_depth({"a": loop}, "a.yaml")
    values = [1]
    for _ in range(90):
        values = [values] * 9
    check_depth(values, "a.yaml")
    check_depth(json.loads("[" * 100 + "]" * 100), "a.json")

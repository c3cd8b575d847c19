"""HDF5 files of others: what is in them is found in a process with limits, whatever they do to it."""

import os
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest

from lxmert.utils.file_bytes import FileBytes
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.hdf5 import client, limited_process, reader
from lxmert.utils.hdf5.description import describe
from lxmert.utils.hdf5.reader import Hdf5Reader, open_hdf5

from ..hdf5_damage import own_child, own_sibling

VALUES = np.arange(60, dtype="float32").reshape(12, 5)
forks = pytest.mark.skipif(not client.USE_FORKS, reason="this system does not fork")


@pytest.fixture
def path(tmp_path):
    """A file of a few arrays in groups."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/values"] = VALUES
        file["group/values"].attrs["unit"] = "pixels"
    return tmp_path / "a.h5"


@pytest.fixture(params=[pytest.param(True, marks=forks), False])
def mode(request, monkeypatch):
    """Both ways to have a process: a fork of one that waits, and a new one for each file."""
    monkeypatch.setattr(client, "USE_FORKS", request.param)


def values_of(path, **options):
    file = open_hdf5(path, **options)
    try:
        return {name: file.read(array) for name, array in file.arrays.items()}
    finally:
        file.close()


def is_whole(path):
    return np.array_equal(values_of(path)["group/values"], VALUES)


STORED = {
    "in one piece": {},
    "big-endian": {"dtype": ">f4"},
    "chunks": {"chunks": (5, 3)},
    "deflate": {"chunks": (5, 3), "compression": "gzip"},
    "shuffle": {"chunks": (5, 3), "compression": "gzip", "shuffle": True, "dtype": ">i2"},
    "another filter": {"chunks": (5, 3), "compression": "lzf"},
    "checksums": {"chunks": (5, 3), "fletcher32": True},
    "halves": {"dtype": "<f2"},
    "yes and no": {},
}


@pytest.mark.parametrize("trusted", [True, False])
def test_values_are_those_that_h5py_reads(trusted, tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, options in STORED.items():
            file.create_dataset(f"a/{name}", data=VALUES > 9 if name == "yes and no" else VALUES, **options)
        file["scalar"], file["empty"] = 3.5, np.zeros((0, 4))
        file["text"] = ["long", "short", ""]
        file["fixed"] = np.array([b"ab", b"c"])
        file["bits"] = np.array([1, 2], "<u2").view("V2")
        file.create_dataset("filled", (3,), "f4", chunks=(1,))
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_layout(h5py.h5d.COMPACT)
        scalar = h5py.h5s.create(h5py.h5s.SCALAR)
        for name, space, held in [
            (b"inline", h5py.h5s.create_simple((2,)), np.array([1.5, 2.5])),
            (b"one", scalar, np.array(1.5)),
        ]:
            inline = h5py.h5d.create(file.id, name, h5py.h5t.IEEE_F64BE, space, properties)
            inline.write(h5py.h5s.ALL, h5py.h5s.ALL, held)
        file.attrs.update({"number": 3, "list": [1, 2], "text": "é", "texts": ["a", "b"], "pair": np.zeros(1, "f4,i4")})
        file.attrs["wide"] = np.longdouble(2)
        file["link"] = h5py.SoftLink("/text")
        file["again"] = file["a"]
    file = open_hdf5(tmp_path / "a.h5", trusted=trusted)
    wide = None if np.longdouble(2).itemsize > 8 else 2
    plain = {"number": 3, "list": [1, 2], "text": "é", "texts": ["a", "b"], "pair": None, "wide": wide}
    assert file.groups[""] == plain
    assert file.links == {"link": False, "again": True} or file.links == {"link": False, "a": True}
    assert file.arrays.pop("text").texts == ["long", "short", ""]
    with pytest.raises(
        InvalidFileError, match=r"filled claims to be \[3\], more than the file can hold in the 0 bytes"
    ):
        file.read(file.arrays.pop("filled"))
    with h5py.File(tmp_path / "a.h5") as library:
        for name, array in file.arrays.items():
            expected = library[name][()]
            values = file.read(array)
            assert values.dtype == np.asarray(expected).dtype.newbyteorder("=")
            assert values.tobytes() == np.asarray(expected, values.dtype).tobytes()
            if array.shape == VALUES.shape:
                assert np.array_equal(file.read(array, (4, 11)), expected[4:11])
    file.close()


def fixed_text(file, name, values, padding):
    """Texts of one length, padded as programs in C or Fortran write them."""
    kind = h5py.h5t.C_S1.copy()
    kind.set_size(values.itemsize)
    kind.set_strpad(padding)
    item = h5py.h5d.create(file.id, name.encode(), kind, h5py.h5s.create_simple(values.shape))
    item.write(h5py.h5s.ALL, h5py.h5s.ALL, values, kind)


@pytest.mark.parametrize("trusted", [True, False])
def test_texts_are_those_that_h5py_reads(trusted, tmp_path):
    """What follows the zero that ends a text is none of it, nor are spaces that fill it up."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        fixed_text(file, "zero", np.array([b"ab\0cd", b"hello"]), h5py.h5t.STR_NULLTERM)
        fixed_text(file, "spaces", np.array([b" ab  ", b"hello"]), h5py.h5t.STR_SPACEPAD)
        packed = {"dtype": h5py.string_dtype(), "compression": "gzip"}
        file.create_dataset("packed", data=[f"é{i % 10}" for i in range(2000)], **packed)
    file = open_hdf5(tmp_path / "a.h5", trusted=trusted)
    with h5py.File(tmp_path / "a.h5") as library:
        for name, array in file.arrays.items():
            assert array.texts == [text.decode() for text in library[name][()].tolist()]
    file.close()


def test_bytes_that_were_reordered_in_another_width(tmp_path):
    """The library goes by what the filter says, not by the values' width."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("a", data=VALUES, compression="gzip", shuffle=True)
    content = path.read_bytes()
    assert content.count(b"shuffle\0\4") == 1
    path.write_bytes(content.replace(b"shuffle\0\4", b"shuffle\0\2"))
    with h5py.File(path) as file:
        expected = file["a"][()]
    assert values_of(path)["a"].tobytes() == expected.tobytes() != VALUES.tobytes()


def test_a_file_of_many_chunks(tmp_path):
    """A million must fit what a file of that size may take: no objects are made of their places."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=np.zeros((20_000, 1), "f4"), chunks=(1, 1))
    told = []
    with (tmp_path / "a.h5").open("rb") as file:
        tracemalloc.start()
        describe(file.raw, lambda *record: told.append(record))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(told[-1][1]) == 20_000 * 5 * 8
    assert most < 4 * len(told[-1][1])


def test_chunks_that_are_smaller_than_the_library_takes_them_to_be(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("a", (4,), "f4", chunks=(4,), shuffle=True)
        array.id.write_direct_chunk((0,), bytes(7))
    with pytest.raises(InvalidFileError, match=r"a\.h5: a has chunks that are smaller than its shape says"):
        values_of(tmp_path / "a.h5")


def test_no_values_of_a_shape_that_numpy_does_not_have(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", (0, 2**40, 2**40), "f4")
    with pytest.raises(InvalidFileError, match=r"a\.h5: a claims to be \[0, 1099511627776, 1099511627776\]"):
        values_of(tmp_path / "a.h5")


def test_a_damaged_chunk_is_unpacked_once(tmp_path, monkeypatch):
    """A chunk of kilobytes may have gigabytes of values, and thousands of rows that are asked for one by one."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("a", data=VALUES, chunks=VALUES.shape, compression="gzip")
        last = array.id.get_chunk_info(0).byte_offset + array.id.get_chunk_info(0).size - 1
    content = bytearray((tmp_path / "a.h5").read_bytes())
    content[last] ^= 255
    (tmp_path / "a.h5").write_bytes(content)
    file = open_hdf5(tmp_path / "a.h5")
    for row in range(len(VALUES)):
        with pytest.raises(InvalidFileError, match=r"damaged at a, in its chunk at \(0, 0\): .*incorrect data check"):
            file.read(file.arrays["a"], (row, row + 1))
        monkeypatch.setattr(reader.zlib, "decompressobj", None)
    file.close()


def test_a_part_of_an_archive(path, mode, tmp_path):
    content = path.read_bytes()
    (tmp_path / "archive").write_bytes(b"x" * 1000 + content + content)
    file = Hdf5Reader(FileBytes(tmp_path / "archive", 1000, len(content)))
    assert np.array_equal(file.read(file.arrays["group/values"]), VALUES)
    assert file.arrays["group/values"].attributes == {"unit": "pixels"}
    file.close()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (own_child, r"the library ends the process that reads it \(status -11\)|takes (more memory|longer)"),
        (own_sibling, r"reading it takes longer than a file of its size needs"),
        (lambda path: os.truncate(path, 600), r"not a complete HDF5 file"),
        (lambda path: path.write_bytes(b"\0" * 600), r"not a complete HDF5 file"),
    ],
)
def test_files_that_end_the_process(damage, message, path, mode, monkeypatch):
    monkeypatch.setattr(client, "_SECONDS", 0.1)
    if not client.USE_FORKS and client.os.name != "posix":
        monkeypatch.setattr(client, "_PATIENCE", 2.0)
    damage(path)
    with pytest.raises(InvalidFileError, match=rf"a\.h5 is .*({message})"):
        open_hdf5(path)


@pytest.mark.parametrize(
    ("limit", "value", "message"),
    [
        (
            "_MEMORY",
            2**20,
            r"reading it takes more memory than a file of its size needs|memory allocation failed|realloc",
        ),
        ("_SECONDS", 1e-4, r"reading it takes longer than"),
        ("_PATIENCE", 1e-4, r"reading it takes longer than"),
        ("_MOST_TOLD", 100, r"describes more than a file of its size holds"),
    ],
)
def test_limits(limit, value, message, path, mode, monkeypatch):
    with h5py.File(path, "a") as file:
        file["texts"] = ["x" * 90] * 30_000
    size = path.stat().st_size
    share = {"_MEMORY": size // 2, "_SECONDS": size / 2**21, "_PATIENCE": size / 2**20, "_MOST_TOLD": 4 * size}
    with monkeypatch.context() as patched:
        patched.setattr(client, limit, value - share[limit])
        with pytest.raises(InvalidFileError, match=message):
            open_hdf5(path)
    file = open_hdf5(path)
    assert file.arrays["texts"].texts == ["x" * 90] * 30_000
    file.close()


@forks
def test_looking_into_groups_takes_no_longer_than_opening_the_file(path, monkeypatch):
    """Each may take little time, but those of a small file may be many, and hold the same."""
    monkeypatch.setattr(client, "_SECONDS", 0.02)
    file = open_hdf5(path, top_only=True)
    assert file.look_into(["group"]).arrays.keys() == {"group/values"}
    with pytest.raises(InvalidFileError, match=r"reading it takes longer than a file of its size needs"):
        [file.look_into(["group"]) for _ in range(200)]
    file.close()


@pytest.mark.parametrize("interpreter", ["", None, "/nowhere/python"])
def test_no_process_can_be_started(interpreter, path, mode, monkeypatch):
    client._server.stop()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", interpreter)
        with pytest.raises(OSError, match=r"does not know its Python interpreter: set sys.executable, or pass trusted"):
            open_hdf5(path)
        assert list(values_of(path, trusted=True)) == ["group/values"]
    assert is_whole(path)


@forks
@pytest.mark.parametrize("script", ["exit 0", "exec sleep 60"])
def test_a_program_that_embeds_python_is_no_interpreter(script, path, tmp_path, monkeypatch):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    client._server.stop()
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(program))
        patched.setattr(client, "_START", 0.1)
        with pytest.raises(OSError, match=r"runs .*program, which must be a Python interpreter: set sys.executable"):
            open_hdf5(path)
    assert is_whole(path)


def test_a_replaced_file_is_read_on(path, mode, tmp_path):
    file = open_hdf5(path)
    (tmp_path / "new").write_bytes(bytes(10))
    os.replace(tmp_path / "new", path)
    assert np.array_equal(file.read(file.arrays["group/values"]), VALUES)
    file.close()


@forks
def test_the_process_is_started_again(path):
    for end in (lambda: os.kill(client._server._process.pid, signal.SIGKILL), client._server.stop):
        assert is_whole(path)
        end()
    assert is_whole(path)


@forks
def test_it_ends_when_it_has_nothing_to_do(monkeypatch):
    monkeypatch.setattr(limited_process, "_IDLE", 0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        limited_process._serve(theirs)


@forks
@pytest.mark.parametrize("unfinished", [b"", b"{"])
def test_it_ends_with_the_program(unfinished, path):
    ours, theirs = socket.socketpair()
    with theirs, path.open("rb") as file:
        with ours:
            socket.send_fds(ours, [unfinished], [file.fileno()])
        limited_process._serve(theirs)


@forks
def test_an_interruption_in_the_middle(path):
    """The rest of one answer is not taken for the next one."""
    file = FileBytes(path)
    found = client.records(file)
    next(found)
    with pytest.raises(KeyboardInterrupt):
        found.throw(KeyboardInterrupt())
    assert is_whole(path)
    found = client.records(file)
    next(found)
    found.close()  # nobody asks for the rest
    process = client._server._process
    assert is_whole(path)
    assert client._server._process is process
    file.close()


def test_threads_and_many_files_at_once(path, mode):
    count = 20 if client.USE_FORKS else 2
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(is_whole, [path] * count))
    files = [open_hdf5(path) for _ in range(count)]
    assert all(np.array_equal(file.read(file.arrays["group/values"]), VALUES) for file in files)
    for file in files:
        file.close()


@forks
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_has_a_process_of_its_own(path):
    assert is_whole(path)
    with client._server._lock:  # as if another thread were opening a file
        child = os.fork()
        if not child:
            os._exit(0 if is_whole(path) and not client._server.stop() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_whole(path)


PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
from lxmert.utils.hdf5 import client
from lxmert.utils.hdf5.reader import open_hdf5
{before}
file = open_hdf5(Path(sys.argv[1]))
print(client._server._process.pid, flush=True)
{after}
"""


def run(path, before="", after=""):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, after=after), path], capture_output=True, text=True
    )


def test_the_working_folder_and_the_open_files_of_the_program(path):
    """It may have gone elsewhere since it imported this package from there, and have closed the standard files."""
    other = path.parent / "others" / "lxmert" / "__init__.py"  # another package of this name that comes later
    other.parent.mkdir(parents=True)
    other.touch()
    source = str(Path(client.__file__).parents[3])
    code = f"""
import os, sys
paths = [path for path in sys.path[1:] if not os.path.exists(os.path.join(path, "lxmert"))]
sys.path[:] = ["", *paths, {str(other.parents[1])!r}]
from pathlib import Path
from lxmert.utils.hdf5.reader import open_hdf5
os.chdir({str(path.parent)!r})
[os.close(number) for number in range(3)]
open_hdf5(Path("a.h5"))
Path("read").touch()
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([sys.executable, "-c", code], cwd=source, env=environment)
    assert path.with_name("read").exists()


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # a process without a parent is a zombie until the system's first one looks
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@forks
@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ("", "", 0),
        ("", "os.kill(os.getpid(), signal.SIGKILL)", -9),
        # What a program does with its signals is not for the process that opens files.
        (
            "signal.signal(signal.SIGCHLD, signal.SIG_IGN); signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))",
            "",
            0,
        ),
    ],
)
def test_nothing_is_left_when_the_program_ends(before, after, code, path):
    ended = run(path, before, after)
    assert ended.returncode == code, ended.stderr
    deadline = time.monotonic() + 10
    while is_running(int(ended.stdout)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(int(ended.stdout))
    assert not ended.stderr


@forks
def test_a_file_that_hangs_where_signals_are_blocked(path):
    own_sibling(path)
    before = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32)); client._SECONDS = 0.1"
    assert "reading it takes longer than" in run(path, before).stderr


@forks
def test_too_many_open_files(path):
    before = "open_hdf5(Path(sys.argv[1])); resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))\n"
    before += "held = [open(sys.argv[1]) for _ in range(16 - 1 - max(map(int, os.listdir('/proc/self/fd'))) + 1)]"
    ended = run(path, before)
    assert ended.stderr.splitlines()[-1].startswith("OSError: [Errno 24]")
    assert str(path) in ended.stderr.splitlines()[-1]


def test_no_other_file_is_opened(tmp_path):
    """Not even to tell how large a virtual array is, whose parts are elsewhere."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.create_dataset("a", (5,), "f4", maxshape=(None,))
    layout = h5py.VirtualLayout((5,), "f4", maxshape=(None,))
    source = h5py.VirtualSource(str(tmp_path / "other.h5"), "a", (5,), maxshape=(None,))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_virtual_dataset("a", layout)
        file.create_dataset("b", (2,), "f4", external=[(str(tmp_path / "other.h5"), 0, 8)])
    file = open_hdf5(tmp_path / "a.h5")
    for name in ("a", "b"):
        with pytest.raises(InvalidFileError, match=rf"a\.h5: {name} has its values in another file"):
            file.read(file.arrays[name])
    file.close()

"""Files made to run, read, write or allocate what they should not: each is refused, and says why."""

import collections
import io
import json
import os
import pickle
import shutil
import struct
import time
import tracemalloc
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import torch

from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.hdf5 import client
from lxmert.weights.checkpoint import CheckpointMismatchError
from lxmert.weights.compare import compare
from lxmert.weights.convert import convert
from lxmert.weights.formats import open_weights
from lxmert.weights.formats.hdf5 import CONFIG_ATTRIBUTE
from lxmert.weights.inspect import summarize as inspect
from lxmert.weights.load import match_parameters
from lxmert.weights.open import open_checkpoint

from ..hdf5_damage import DAMAGES, chunks_own_child, nested_lists, own_child
from .cases import covering
from .weight_folders import CONFIG, make_folder

MOST = 32 * 2**20  # bytes that a refusal may take; every bomb below wants more


@pytest.fixture
def secret(tmp_path):
    """A file beside the folder that is read, which nothing may reach."""
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file["vars/0"] = np.full((2, 12), 7, "float32")
    return path


def refused(path, message, error=ValueError):
    """Opening, or what follows, says this, and takes little memory."""
    tracemalloc.start()
    try:
        with pytest.raises(error, match=message):
            read_all(path)
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


def read_all(path):
    with open_checkpoint(path) as checkpoint:
        taken, _ = match_parameters(checkpoint, checkpoint.architecture, pooler=checkpoint.pooler)
        with checkpoint.arrays(taken) as arrays:
            for _ in arrays:
                pass
    file = open_weights(path)
    try:
        for name in file.shapes:
            file.read(name)
    finally:
        file.close()


def shapes_of(path):
    file = open_weights(path)
    file.close()
    return file.shapes


# Pickles


class Runs:
    """What is pickled as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def zipped(content, compression=zipfile.ZIP_STORED, name="archive/data.pkl", **others):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", compression) as file:
        file.writestr(name, content)
        file.writestr("archive/version", "3\n")
        for other, data in others.items():
            file.writestr(f"archive/{other.replace('__', '/')}", data)
    return archive.getvalue()


def old(content, keys=(), data=b""):
    """A file of the format before 1.6 around a program."""
    parts = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
    return b"".join(pickle.dumps(part, 2) for part in parts) + content + pickle.dumps(list(keys), 2) + data


class Storage:
    """Pickled as torch does: a name of numbers that lie elsewhere."""

    def __init__(self, kind, key, numel, view=None):
        self.saved = ("storage", kind, key, "cpu", numel, view)


class TorchPickler(pickle.Pickler):
    def persistent_id(self, value):
        return (*value.saved[:5], *((value.saved[5],) if self.old else ())) if isinstance(value, Storage) else None


def program(value, old_format=False):
    """What torch would pickle."""
    content = io.BytesIO()
    pickler = TorchPickler(content, 2)
    pickler.old = old_format
    pickler.dump(value)
    return content.getvalue()


def tensor(storage, size, stride=None, offset=0):
    stride = stride or tuple(int(np.prod(size[i + 1 :])) for i in range(len(size)))
    return Runs(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, collections.OrderedDict())


def call(function, *arguments):
    """A pickled call, by the name of the function in any protocol."""
    return pickle.dumps({"a": Runs(function, *arguments)}, 2)


CALLS = {
    "os.system": (call(os.system, "touch TOUCHED"), "posix.system|nt.system"),
    "eval": (call(eval, "open('TOUCHED', 'w')"), "__builtin__.eval"),
    "bytearray": (call(bytearray, 2**40), "__builtin__.bytearray"),
    "torch.Tensor": (call(torch.Tensor, 10**5, 10**5), "torch.Tensor"),
    "getattr": (call(getattr, 1, "real"), "__builtin__.getattr"),
    "torch.load": (call(torch.load, "TOUCHED"), "torch.serialization.load"),
    "numpy scalar": (pickle.dumps({"a": np.float64(1)}, 2), "multiarray.scalar"),
    "numpy array": (pickle.dumps({"a": np.ones(2)}, 2), "multiarray._reconstruct"),
    "module": (pickle.dumps(torch.nn.Linear(1, 1), 2), "torch.nn.modules.linear.Linear"),
    "stack global": (b"\x80\x02X\x05\0\0\0posixX\x06\0\0\0system\x93U\x0dtouch TOUCHED\x85R.", "STACK_GLOBAL"),
    "inst": (b"\x80\x02(U\x0dtouch TOUCHEDios\nsystem\n.", "INST"),
    "extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "persistent text": (b"\x80\x02Psecret\n.", "PERSID"),
    "new object": (pickle.dumps({"a": collections.Counter}, 2), "collections.Counter"),
    "hidden deep": (
        pickle.dumps({"state_dict": {"model": [{"x": (Runs(os.system, "touch TOUCHED"),)}]}}, 2),
        "posix.system|nt.system",
    ),
}


@pytest.mark.parametrize("kind", [old, zipped])
@pytest.mark.parametrize("name", CALLS)
def test_pickles_that_call(name, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content, what = CALLS[name]
    (tmp_path / "w.bin").write_bytes(kind(content))

    def never(*_, **__):
        raise AssertionError("PyTorch saw it")

    monkeypatch.setattr(torch, "load", never)
    refused(tmp_path / "w.bin", rf"holds more than tensors by name \('.*({what}).*'\), which is not run")
    assert not (tmp_path / "TOUCHED").exists()


FLOATS = torch.FloatStorage
KEY = "1"
# Ten numbers of four bytes in the old format: how many, and they themselves.
TEN = struct.pack("<q", 10) + bytes(40)
CLAIMS = {
    "one number for many": (
        tensor(Storage(FLOATS, KEY, 10), (300, 300), (0, 0)),
        r"'a' claims to be \[300, 300\], more than the file holds of it",
    ),
    "more than there is": (tensor(Storage(FLOATS, KEY, 10), (400, 400)), r"'a' claims to be \[400, 400\]"),
    "a number larger than the file": (tensor(Storage(FLOATS, KEY, 10), (10**9,)), r"'a' claims to be \[1000000000\]"),
    "numbers larger than the file": (
        tensor(Storage(FLOATS, KEY, 10**9), (10,)),
        r"holds 40 bytes of '1', where tensors need 4000000000|it ends in the numbers of its tensors",
    ),
    "a negative size": (tensor(Storage(FLOATS, KEY, 10), (-5,), (1,)), r"'a' claims to be \[-5\]"),
}


@pytest.mark.parametrize("old_format", [True, False])
@pytest.mark.parametrize("name", CLAIMS)
def test_tensors_that_claim_more_than_there_is(name, old_format, tmp_path):
    claim, message = CLAIMS[name]
    content = program({"a": claim, "comment": "x" * 2000}, old_format)
    data = old(content, [KEY], TEN) if old_format else zipped(content, data__1=bytes(40), byteorder="little")
    (tmp_path / "w.bin").write_bytes(data)
    refused(tmp_path / "w.bin", message)


def test_such_files_are_read_if_they_are_true(tmp_path):
    """The files above are refused for what they claim, not for how they are made."""
    for old_format in (True, False):
        content = program({"a": tensor(Storage(FLOATS, KEY, 10), (2, 5)), "comment": "x" * 2000}, old_format)
        data = old(content, [KEY], TEN) if old_format else zipped(content, data__1=bytes(40), byteorder="little")
        (tmp_path / "w.bin").write_bytes(data)
        assert shapes_of(tmp_path / "w.bin") == {"a": (2, 5)}


@pytest.mark.parametrize(
    ("value", "keys", "message"),
    [
        # torch would leave there what the memory held before.
        ({"a": tensor(Storage(FLOATS, "2", 10), (10,))}, [KEY], r"does not hold the numbers of all the tensors"),
        ({"a": tensor(Storage(FLOATS, KEY, 10), (10,))}, [], r"does not hold the numbers of all the tensors"),
        ({"a": tensor(Storage(FLOATS, KEY, 10), (10,))}, [KEY, "2"], r"does not hold the numbers of all the tensors"),
        (
            {str(i): tensor(Storage(FLOATS, str(i), 900), (1,)) for i in range(40)},
            [str(i) for i in range(40)],
            r"it ends in the numbers of its tensors",
        ),
        (
            {"a": tensor(Storage(FLOATS, KEY, 10, ("2", 0, 10)), (10,))},
            [KEY],
            r"names its storages in another way than torch.save does",
        ),
        (
            {"a": tensor(Storage(dict, KEY, 10), (10,))},
            [KEY],
            r"holds more than tensors by name \('__builtin__\.dict'\)",
        ),
    ],
)
def test_old_files_that_do_not_hold_what_they_name(value, keys, message, tmp_path):
    (tmp_path / "w.bin").write_bytes(old(program(value, True), keys, TEN))
    refused(tmp_path / "w.bin", message)


def test_one_storage_under_many_names(tmp_path):
    shared = Storage(FLOATS, KEY, 5000)
    content = program({f"t{i}": tensor(shared, (5000,)) for i in range(50)})
    (tmp_path / "w.bin").write_bytes(zipped(content, data__1=bytes(20000), byteorder="little"))
    refused(tmp_path / "w.bin", r"its 50 tensors claim to be more than the file holds, all together")


GOOD = program({"a": tensor(Storage(FLOATS, KEY, 10), (10,))})
# Each is there twice in the next one: to hash the last, or to say what it is, would take for ever.
TREE = b"K\x00q\x00" + b"".join(bytes([0x68, i, 0x86, 0x71, i + 1]) for i in range(100))
NESTED = b"]q\x00" + b"".join(bytes([0x5D, 0x71, i + 1, 0x28, 0x68, i, 0x68, i, 0x65]) for i in range(100))
BEGINNING = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
NAME = b"ccollections\nOrderedDict\n"
FOREIGN = r"holds more than tensors by name \('(collections.)?{}'\), which is not run"
OTHER_KEYS = r"holds no tensors by name"  # they are left out, and not hashed


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped(b"\x80\x02}" + TREE + b"Ns."), OTHER_KEYS),
        (old(b"\x80\x02}" + TREE + b"Ns."), OTHER_KEYS),
        (zipped(b"\x80\x02}(" + TREE + b"Nu."), OTHER_KEYS),
        (zipped(b"\x80\x02}" + TREE + b"\x85Ns."), OTHER_KEYS),
        (zipped(b"\x80\x02" + NAME + b"]]" + TREE + b"aNaa\x85R."), OTHER_KEYS),
        (zipped(b"\x80\x02}" + pickle.dumps(2**61 - 1, 2)[2:-1] + b"Ns."), OTHER_KEYS),
        (zipped(b"\x80\x02" + NESTED + b")R."), FOREIGN.format("REDUCE")),
        (zipped(b"\x80\x02ctorch\nFloatStorage\n(J\x00\x00\x00\x7ftR."), FOREIGN.format("torch.FloatStorage")),
        (zipped(b"\x80\x02" + NAME + b"K\x05\x85R."), FOREIGN.format("OrderedDict")),
        (zipped(b"\x80\x02" + NAME + b")R" + NESTED + b"b."), FOREIGN.format("BUILD")),
        (zipped(b"\x80\x02ctorch._utils\n_rebuild_parameter\n(" + NESTED + b"tR."), FOREIGN.format(".*parameter")),
        (zipped(b"\x80\x02" + NESTED + b"Q."), r"names its storages in another way than torch.save does"),
        (zipped(b"\x80\x02((NNNNtQt."), r"names its storages in another way than torch.save does"),
        (
            zipped(b"\x80\x02}K\x01a."),
            r"is not a complete file of torch.save: it appends to something other than a list",
        ),
        (
            zipped(b"\x80\x02]K\x00Ns."),
            r"is not a complete file of torch.save: it sets items of something other than a dictionary",
        ),
        (zipped(b"\x80\x02t."), r"is not a complete file of torch.save"),
        (zipped(b"\x80\x02h\x07."), r"is not a complete file of torch.save"),
        (BEGINNING + b"\x80\x02.", r"is not a complete file of torch.save"),
        (
            BEGINNING.replace(b"M\xe9\x03", NESTED) + GOOD,
            r"is not a complete file of torch.save: it does not start like",
        ),
        (BEGINNING + b"\x80\x02}.\x80\x02]" + TREE + b"a.", r"does not hold the numbers of all the tensors"),
    ],
)
def test_programs_that_would_take_for_ever(content, message, tmp_path, monkeypatch):
    (tmp_path / "w.bin").write_bytes(content)

    def never(*_, **__):
        raise AssertionError("PyTorch saw it")

    monkeypatch.setattr(torch, "load", never)
    refused(tmp_path / "w.bin", message)


def test_attributes_that_hide_methods(tmp_path):
    """An OrderedDict may say that its `values` is a text."""
    content = program({"a": tensor(Storage(FLOATS, KEY, 10), (10,))}).removeprefix(b"\x80\x02")
    hiding = (
        b"\x80\x02" + NAME + b")R}(U\x06valuesU\x01xU\x03getU\x01xU\x05itemsU\x01xub(U\x05model" + content[:-1] + b"u."
    )
    (tmp_path / "w.bin").write_bytes(zipped(hiding, data__1=bytes(40), byteorder="little"))
    assert shapes_of(tmp_path / "w.bin") == {"a": (10,)}


def lying_member(content):
    """The same archive whose first member claims to be larger, in both places."""
    data = bytearray(content)
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.find(mark)
        data[at + place : at + place + 4] = struct.pack("<I", 2**31)
    return bytes(data)


def without_name(content):
    """The same archive with a last member that has no name: the directory has it as a comment."""
    data = bytearray(content)
    at = data.rfind(b"PK\x01\x02")
    data[at + 32 : at + 34] = data[at + 28 : at + 30]
    data[at + 28 : at + 30] = bytes(2)
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (without_name(zipped(GOOD, x=b"x")), r"holds 0 bytes of '1', where tensors need 40"),
        (zipped(GOOD, zipfile.ZIP_DEFLATED, data__1=bytes(40)), r"has compressed members, which torch.save does not"),
        (zipped(b"\x80\x02" + b"N0" * 2**24 + b"N.", zipfile.ZIP_DEFLATED), r"has compressed members|members claim"),
        (lying_member(zipped(GOOD, data__1=bytes(40))), r"its members claim 2,147,483,\d+ bytes"),
        (zipped(GOOD, other__data__pkl=b"x").replace(b"data/pkl", b"data.pkl"), r"has 2 descriptions of its tensors"),
        (zipped(GOOD, DATA__PKL=b"x").replace(b"DATA/PKL", b"DATA.PKL"), r"has 2 descriptions of its tensors"),
        (zipped(GOOD, constants__pkl=b"x").replace(b"constants/pkl", b"constants.pkl"), r"holds a whole program"),
        # An archive behind a pickle: what is looked through has to be what is run.
        (old(CALLS["os.system"][0]) + zipped(GOOD, data__1=bytes(40)), r"holds more than tensors by name"),
        (zipped(b"\x80\x02X\xff\xff\xff\x7fa."), r"is not a complete file of torch.save"),
        (old(b"\x80\x02T" + struct.pack("<I", 2**31 - 1) + b"a."), r"holds more than tensors by name \('BINSTRING'\)"),
        (old(b"\x80\x02X" + struct.pack("<I", 2**31) + b"a."), r"is not a complete file of torch.save"),
        (old(b"\x80\x02" + b"(" * 1_100_000), r"is not a complete file|deeper nesting than any file of its kind needs"),
        (zipped(pickle.dumps([1, 2], 2)), r"holds a list; a state dict was expected"),
        (zipped(pickle.dumps({}, 2)), r"holds no tensors by name"),
        (zipped(pickle.dumps({"state_dict": {"model": 1}}, 2)), r"holds no tensors by name"),
    ],
)
def test_archives_and_programs_that_mislead(content, message, tmp_path):
    (tmp_path / "w.bin").write_bytes(content)
    refused(tmp_path / "w.bin", message)


def moved(content, name, change):
    """The same archive whose directory says another offset of a member."""
    data = bytearray(content)
    at = data.index(name, data.index(b"PK\x01\x02")) - 4
    data[at : at + 4] = struct.pack("<I", struct.unpack("<I", data[at : at + 4])[0] + change)
    return bytes(data)


def two_directories():
    """One that its last record points to, and one before that record."""
    first, second = zipped(GOOD, data__1=bytes(40)), zipped(GOOD, data__1=bytes([1] * 40))
    start = first.index(b"PK\x01\x02")
    return (
        first[: first.index(b"PK\x05\x06")]
        + second[: second.index(b"PK\x05\x06")]
        + first[-6 - 16 : -6]
        + struct.pack("<IH", start, 0)
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (two_directories(), r"has two directories, or something before"),
        (b"PK\x03\x04" + bytes(60) + zipped(GOOD, data__1=bytes(40)), r"has two directories, or something before"),
        (zipped(GOOD, data__1=bytes(40)) + b"a comment", r"has two directories, or something before"),
        (
            zipped(GOOD, data__1=bytes(40), data__2=bytes(40)).replace(b"data/2", b"data/1"),
            r"has two members named 'archive/data/1'",
        ),
        # The bytes of a neighbour, or of none.
        (zipped(GOOD, data__1=bytes(36), data__2=bytes(40)), r"holds 36 bytes of '1', where tensors need 40"),
        (zipped(GOOD, data__1=bytes(44)), r"holds 44 bytes of '1', where tensors need 40"),
        (zipped(GOOD, data__2=bytes(40)), r"holds 0 bytes of '1', where tensors need 40"),
        (moved(zipped(GOOD, data__1=bytes(40)), b"archive/data/1", -1), r"'archive/data/1' is damaged: Bad magic"),
        (
            moved(zipped(GOOD, data__1=bytes(40)), b"archive/data/1", 10**6),
            r"'archive/data/1' is damaged",
        ),
        (
            moved(
                zipped(GOOD, data__0=bytes(30) + b"PK\x03\x04" + bytes(90), data__1=bytes(40)), b"archive/data/1", -92
            ),
            r"'archive/data/1' is damaged",
        ),
        (zipped(GOOD, data__1=bytes(40), byteorder="middle"), r"in an unknown order of bytes: b'middle'"),
    ],
)
def test_archives_that_two_readers_may_read_differently(content, message, tmp_path):
    (tmp_path / "w.bin").write_bytes(content)
    refused(tmp_path / "w.bin", message)


REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\nq\x01"
TEN_BYTES = b"(U\x07storagectorch\nByteStorage\nX\x01\x00\x00\x001U\x03cpuK\x0atQq\x02"
LONG_TUPLE = b"(" + b"K\x01" * 50_000 + b"tq\x03"
PAIRS = b"]q\x02(" + b"U\x01aN\x86" * 20_000 + b"e"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        # A part that is used again and again, with work of its own size each time.
        (LONG_TUPLE + b"}" + b"h\x03Ns" * 50_000, OTHER_KEYS),
        (LONG_TUPLE + b"h\x03Q", r"names its storages in another way"),
        (NAME + b"q\x01" + PAIRS + b"h\x01h\x02\x85R" * 50_000, r"has one thing in it again and again"),
        (
            REBUILD
            + TEN_BYTES
            + LONG_TUPLE
            + b"}("
            + b"".join(b"U\x04%04xh\x01(h\x02K\x00h\x03h\x03tR" % i for i in range(5000))
            + b"u",
            r"'0000' claims to be \[1, 1, 1, 1, 1, 1, …\], more than",
        ),
        (
            b"X"
            + struct.pack("<I", 500_000)
            + b"k" * 500_000
            + b"q\x04"
            + REBUILD
            + b"(K\x0atq\x03}("
            + b"".join(
                b"U\x04%04xh\x01((U\x07storagectorch\nByteStorage\nh\x04U\x03cpuK\x0atQK\x00h\x03(K\x01ttR" % i
                for i in range(5000)
            )
            + b"u",
            r"holds 0 bytes of 'kkk",
        ),
        (b"N" + b"\x85" * 450_000, r"holds a tuple"),
        (b"}" * 450_000, r"holds no tensors by name"),
        (b"}" + b"NNs" * 300_000, r"is a pickle of more than 500,000 steps"),
        (b"\x8a\xff" + b"\x7f" * 255, r"holds a int"),
    ],
    ids=["keys", "storages", "pairs", "dimensions", "names", "nested", "dictionaries", "steps", "a number"],
)
def test_programs_that_use_one_part_again_and_again(content, message, tmp_path):
    (tmp_path / "w.bin").write_bytes(zipped(b"\x80\x02" + content + b".", data__1=bytes(10)))
    start = time.process_time()
    with pytest.raises(ValueError, match=message):
        open_weights(tmp_path / "w.bin")
    assert time.process_time() - start < 2


def test_tensors_that_span_the_whole_file(tmp_path):
    """Two numbers each, the first and the last of a storage: to read all would take a thousand times the file."""
    shared = Storage(FLOATS, KEY, 5000)
    content = program({f"t{i}": tensor(shared, (2,), (4999,)) for i in range(500)})
    (tmp_path / "w.bin").write_bytes(zipped(content, data__1=bytes(20000), byteorder="little"))
    refused(tmp_path / "w.bin", r"its 500 tensors claim to be more than the file holds, all together")


def test_a_script_of_torch(tmp_path):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            file.writestr(f"w/{name}", b"\x80\x02).")
    (tmp_path / "w.pt").write_bytes(archive.getvalue())
    refused(tmp_path / "w.pt", r"holds a whole program \(TorchScript\), which is not run")


# safetensors


def raw(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(start, end, shape=None, dtype="F32"):
    return {"dtype": dtype, "shape": [(end - start) // 4] if shape is None else shape, "data_offsets": [start, end]}


TWICE = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[99],"data_offsets":[0,4]}}'
TWICE_INSIDE = b'{"a":{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}}'
WHOLE = "is not a complete safetensors file"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (raw(b"{", length=2**63), rf"{WHOLE}: its header claims 9223372036854775808 bytes"),
        (raw(b"{", length=2**64 - 1), rf"{WHOLE}: its header claims"),
        (raw(b"{", length=90_000_000), rf"{WHOLE}: its header claims 90000000 bytes, though 8388608 suffice"),
        (raw(b"{", length=8_000_000), WHOLE),
        (raw(b"{}" + b" " * 9 * 2**20), rf"{WHOLE}: its header claims"),  # a million entries would take as much
        (raw(TWICE, bytes(4)), WHOLE),
        (raw(TWICE_INSIDE, bytes(4)), WHOLE),
        (raw({"a": entry(0, 8), "b": entry(4, 12)}, bytes(12)), WHOLE),
        (raw({"a": entry(0, 4), "b": entry(8, 12)}, bytes(12)), WHOLE),
        (raw({"a": entry(0, 4)}, bytes(8)), WHOLE),
        (raw({"a": entry(4, 0)}, bytes(4)), WHOLE),
        (raw({"a": entry(0, 4, [2**62])}, bytes(4)), WHOLE),
        (raw({"a": entry(0, 4, [2**33, 2**33])}, bytes(4)), WHOLE),
        (raw({"a": entry(0, 4, [-1])}, bytes(4)), WHOLE),
        (raw({"a": entry(0, 4, [1.0])}, bytes(4)), WHOLE),
        (raw({"a": entry(0, 4, [4], "F8_E5M2")}, bytes(4)), r"holds a as F8_E5M2; these are read: F64, F32, F16, BF16"),
        (raw({"a": entry(0, 4, [4], "PICKLE")}, bytes(4)), WHOLE),
        (raw({"a": entry(0, 0, [0, 2**40, 2**40])}), r"'a' claims to be \[0, 1099511627776, 1099511627776\], which no"),
        (raw({"a": entry(0, 4, [1] * 99)}, bytes(4)), r"'a' claims to be \[1, 1, 1, 1, 1, 1, …\], which no array is"),
        (raw({"a": "b"}), WHOLE),
        (raw({"__metadata__": {"a": {"b": 1}}}), WHOLE),
        (raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), WHOLE),
        (raw(b"{'a': __import__('os')}"), WHOLE),
        (raw(b'{"\xff": 1}'), WHOLE),
    ],
)
def test_safetensors_that_mislead(content, message, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(content)
    refused(tmp_path / "model.safetensors", message)


# Indexes


@pytest.mark.parametrize(
    "name",
    ["../secret.h5", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "C:x", "\\\\host\\x", "x\0", 7, None, ["x"], {}],
)
def test_an_index_that_leads_elsewhere(name, tmp_path, secret):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    refused(folder, r"index.json names a file .*; only plain names of files next to it are allowed")


def sharded(folder):
    """A good folder in parts, and what its index says."""
    convert(make_folder(folder / "whole"), folder / "parts", max_shard_size=20000)
    index = folder / "parts" / "model.safetensors.index.json"
    return folder / "parts", index, json.loads(index.read_text())["weight_map"]


@pytest.mark.parametrize("home", ["folder", "snapshots", "blobs beside"])
def test_links_that_lead_out_of_a_folder(home, tmp_path):
    folder, _, weight_map = sharded(tmp_path)
    shard = next(iter(weight_map.values()))
    (tmp_path / "elsewhere" / "blobs").mkdir(parents=True)
    moved = tmp_path / "elsewhere" / "blobs" / "0f"
    shutil.move(folder / shard, moved)
    if home == "snapshots":  # like a cache, but the link leads out of it
        folder = shutil.move(folder, tmp_path / "models--a--b" / "snapshots" / "main")
    (folder / shard).symlink_to(moved)
    refused(folder, r"index.json names model-.*, a link that leads out of .*; it was not followed")


def test_links_of_the_hubs_cache(tmp_path):
    folder, _, weight_map = sharded(tmp_path)
    model = tmp_path / "models--a--b"
    (model / "blobs").mkdir(parents=True)
    (model / "snapshots").mkdir()
    folder = shutil.move(folder, model / "snapshots" / "main")
    for number, shard in enumerate(sorted(set(weight_map.values()))):
        shutil.move(folder / shard, model / "blobs" / str(number))
        (folder / shard).symlink_to(f"../../blobs/{number}")
    read_all(folder)


def changed_index(change):
    def make(tmp_path):
        folder, index, weight_map = sharded(tmp_path)
        index.write_text(json.dumps({"weight_map": change(folder, dict(weight_map))}))
        return folder

    return make


def tensor_twice(folder, weight_map):
    first, *_ = sorted(set(weight_map.values()))
    shutil.copy(folder / first, folder / "copy.safetensors")
    return {**weight_map, "other": "copy.safetensors"}


@pytest.mark.parametrize(
    ("change", "message", "error"),
    [
        (lambda f, m: {**m, "a": "absent.safetensors"}, r"names absent.safetensors, which does not exist", OSError),
        (lambda f, m: {**m, "a": "loop"}, r"names loop, which does not exist", OSError),
        (lambda f, m: {**m, "absent": next(iter(m.values()))}, r"says that absent is in model-.* does not hold", None),
        (
            lambda f, m: dict(zip(m, [*m.values()][::-1], strict=True)),
            r"says that .* which does not hold it, and",
            None,
        ),
        (tensor_twice, r"is in .*copy.safetensors", None),
        (lambda f, m: {str(i): f"{i}.safetensors" for i in range(10**4)}, r"names 10000 files; at most 1000", None),
        (lambda f, m: [], r"has no weight_map", None),
        (lambda f, m: {}, r"has no weight_map", None),
        (lambda f, m: {**m, "a": "config.json"}, r"config.json is no weight file", None),
        (lambda f, m: {**m, "a": "x" * 5000}, r"x", (OSError, ValueError)),
    ],
)
def test_an_index_that_misleads(change, message, error, tmp_path):
    folder = changed_index(change)(tmp_path)
    (folder / "loop").symlink_to("loop")
    refused(folder, message, error or ValueError)


def test_an_index_is_told_by_its_content(tmp_path):
    """Not by its name: safetensors may be called like an index, and an index like anything."""
    folder, index, _ = sharded(tmp_path)
    expected = shapes_of(index)
    assert shapes_of(index.rename(folder / "weights.json")) == expected
    shutil.copy(tmp_path / "whole" / "model.safetensors", folder / "x.index.json")
    assert shapes_of(folder / "x.index.json") == expected
    header = raw({"a": entry(0, 4)}, bytes(4))
    size = int.from_bytes(header[:8], "little")
    filled = header[8 : 8 + size].ljust(0x7B)  # the first byte is a brace
    (folder / "y.index.json").write_bytes(struct.pack("<Q", 0x7B) + filled + bytes(4))
    assert shapes_of(folder / "y.index.json") == {"a": (1,)}
    refused(folder / "config.json", r"config\.json has no weight_map")
    (folder / "z.index.json").write_text("{")
    refused(folder / "z.index.json", r"z\.index\.json is not a JSON file")


# HDF5


def external_link(file, secret):
    del file["heads/match/vars/1"]
    file["heads/match/vars/1"] = h5py.ExternalLink(secret, "/")


def external_file(file, secret):
    del file["heads/match/vars/1"]
    file["heads/match/vars"].create_dataset("1", (2,), "float32", external=[(str(secret), 0, 8)])


def virtual(file, secret):
    layout = h5py.VirtualLayout((2, 12), "float32")
    layout[:] = h5py.VirtualSource(str(secret), "vars/0", shape=(2, 12))
    del file["heads/match/vars/0"]
    file["heads/match/vars"].create_virtual_dataset("0", layout)


def cycle(file, secret):
    file["heads/match/again"] = file["heads"]


def replaced(name, link):
    def make(file, secret):
        del file[name]
        file[name] = link(file)

    return make


def claims(**options):
    def make(file, secret):
        file["heads/match/vars"].create_dataset("2", dtype="float32", **options)

    return make


def bomb_behind_a_small_shape(file, secret):
    """A piece that says it is small, and unpacks to much: HDF5 unpacks whatever is there."""
    del file["heads/match/vars/1"]
    made = file["heads/match/vars"].create_dataset(
        "1", (2,), "float32", chunks=(2,), maxshape=(None,), compression="gzip"
    )
    made.id.write_direct_chunk((0,), _zeros(60))


def _zeros(megabytes):
    packing = zlib.compressobj()
    return b"".join([packing.compress(bytes(2**20)) for _ in range(megabytes)]) + packing.flush()


def large_piece(file, secret):
    """Few numbers in a piece for many."""
    file["heads/match/vars"].create_dataset(
        "2", (1,), "float32", maxshape=(None,), chunks=(2**24,), compression="gzip", data=[1.0]
    )


def twice_packed(file, secret):
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((4,))
    properties.set_deflate(1)
    properties.set_deflate(1)
    h5py.h5d.create(file["heads/match/vars"].id, b"2", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((4,)), properties)


def checksummed(file, secret):
    file["heads/match/vars"].create_dataset("2", data=np.ones(4, "float32"), chunks=(4,), fletcher32=True)


def deep(file, secret):
    file.create_group("/".join("a" * 100))


def many_groups(file, secret):
    for i in range(1200):
        file.create_group(f"g/{i}")
    file["g/0/s"] = h5py.SoftLink("/g")


def attribute(value, **options):
    def make(file, secret):
        file.attrs.create(CONFIG_ATTRIBUTE, value, **options)

    return make


def dataset(value, **options):
    def make(file, secret):
        file["heads/match/vars"].create_dataset("2", data=value, **options)

    return make


def optimizer_link(file, secret):
    file["optimizer/vars/0"] = h5py.ExternalLink(secret, "/")


def optimizer_elsewhere(file, secret):
    """Not read here, but Keras would."""
    file.create_group("optimizer/vars").create_dataset("0", (6,), "float32", external=[(str(secret), 0, 24)])


def optimizer_bomb(file, secret):
    file.create_group("optimizer/vars").create_dataset("0", (2**40,), "float32", chunks=(1024,))


HELD = r"claims to be .*, more than the file can hold in the \d+ bytes of it"
TEXTS = np.array(["x" * 2**16] * 3000, object)
HDF5 = {
    "external link": (external_link, r"heads/match/vars/1 is a link, which Keras does not write; nothing was read"),
    "soft link": (
        replaced("heads/match/vars/1", lambda _: h5py.SoftLink("/pooler/dense/vars/1")),
        r"heads/match/vars/1 is a link, which Keras does not write",
    ),
    "linked group": (replaced("heads/answer", lambda _: h5py.ExternalLink("other.h5", "/")), r"heads/answer is a link"),
    "second name": (
        replaced("heads/match/vars/0", lambda file: file["heads/match/vars/1"]),
        r"heads/match/vars/[01] has another name too",
    ),
    "cycle through the root": (
        replaced("heads/match/vars/0", lambda file: file["/"]),
        r"heads/match/vars/0 has another name too",
    ),
    "external file": (external_file, r"heads/match/vars/1 has its values in another file, which is not followed"),
    "virtual": (virtual, r"heads/match/vars/0 has its values in another file"),
    "cycle": (cycle, r"heads/match/again has another name too"),
    "no data": (claims(shape=(2**40,), chunks=(1024,)), HELD),
    "no data, packed": (claims(shape=(2**40,), chunks=(1024,), compression="gzip"), HELD),
    "no data, in one piece": (claims(shape=(2**20,)), HELD),
    "a bomb": (bomb_behind_a_small_shape, r"is damaged at heads/match/vars/1: its chunk at \(0,\) is not 8 bytes"),
    "a large piece": (large_piece, r"heads/match/vars/2 has larger chunks than it has values"),
    "packed twice": (twice_packed, r"heads/match/vars/2 is compressed by something other than deflate"),
    "another filter": (checksummed, r"heads/match/vars/2 is compressed by something other than deflate"),
    "deep": (deep, r"has deeper groups than any file of weights"),
    "many groups": (many_groups, r"g/0/s is a link"),
    "long config": (attribute(np.bytes_(b" " * 60000)), r"lxmert_config, is not a JSON file"),
    "config is a list": (attribute(["{}"]), r"its attribute lxmert_config, must be text; got"),
    "config is a long list": (attribute(["{}"] * 3), r"its attribute lxmert_config, must be text; got"),
    "config is a number": (attribute(3.5), r"its attribute lxmert_config, must be text; got"),
    "numbers of several kinds": (
        dataset(np.zeros(2, "f4,i4")),
        r"heads/match/vars/2 holds .*f4.*i4.*, which is not read",
    ),
    "texts": (dataset(["a", "b"]), r"heads/match/vars/2 holds text, which is not read"),
    "lists": (
        dataset(None, shape=(1,), dtype=h5py.vlen_dtype("f4")),
        r"heads/match/vars/2 holds object, which is not read",
    ),
    "references": (
        dataset(None, shape=(2,), dtype=h5py.ref_dtype),
        r"heads/match/vars/2 holds object, which is not read",
    ),
    "complex numbers": (dataset([1j, 2]), r"heads/match/vars/2 holds complex128, which is not read"),
    "optimizer link": (optimizer_link, r"optimizer/vars/0 is a link"),
    "optimizer elsewhere": (optimizer_elsewhere, r"optimizer/vars/0 has its values in another file"),
    "optimizer bomb": (optimizer_bomb, r"optimizer/vars/0 claims to be"),
}


@pytest.fixture
def make_h5(good, tmp_path, secret):
    def make(change, path=None):
        path = path or tmp_path / "w.weights.h5"
        shutil.copy(good / "good.weights.h5", path)
        with h5py.File(path, "a") as file:
            change(file, secret)
        return path

    return make


@pytest.mark.parametrize("name", HDF5)
def test_hdf5_that_misleads(name, make_h5):
    change, message = HDF5[name]
    refused(make_h5(change), message)


# An archive has its config beside the weights; that of the older layout is stored as in the other one.
NOT_OF_CONFIG = [name for name in HDF5 if "config" not in name]


@pytest.mark.parametrize(
    ("name", "packed"), covering(NOT_OF_CONFIG, {"stored": zipfile.ZIP_STORED, "deflated": zipfile.ZIP_DEFLATED})
)
def test_hdf5_that_misleads_in_an_archive(name, packed, make_h5, good, tmp_path):
    change, message = HDF5[name]
    with zipfile.ZipFile(good / "good.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["model.weights.h5"] = make_h5(change).read_bytes()
    refused(archive_of(tmp_path / "w.keras", members, packed), message)


@pytest.mark.parametrize("name", NOT_OF_CONFIG)
def test_hdf5_that_misleads_in_the_older_layout(name, make_h5):
    """Everything two groups deeper, with the attribute by which the older layout is told."""
    change, message = HDF5[name]

    def older(file, secret):
        inner = file.create_group("layer/model")
        for group in [group for group in file if group != "layer"]:
            file.move(group, f"layer/model/{group}")
        change(inner, secret)
        file.attrs["layer_names"] = [b"layer"]

    for beginning in ("heads/", "optimizer/", "g/0/s"):
        message = message.replace(beginning, f"layer/model/{beginning}")
    refused(make_h5(older), message)


@pytest.fixture(scope="module")
def keras_model():
    from lxmert.tf import TFLxmertForPreTraining

    return TFLxmertForPreTraining(CONFIG)


@pytest.mark.parametrize("name", HDF5)
def test_keras_own_loading_refuses_too(name, make_h5, keras_model, monkeypatch):
    import keras

    def never(*_, **__):
        raise AssertionError("Keras opened it")

    change, message = HDF5[name]
    path = make_h5(change)
    monkeypatch.setattr(keras.Model, "load_weights", never)
    with pytest.raises(ValueError, match=message):
        keras_model.load_weights(path)


def test_keras_own_loading_of_what_is_no_hdf5(keras_model, tmp_path, secret):
    """A file that begins as one thing for us and as another, further on, for the HDF5 library; and files in parts."""
    model = keras_model
    with h5py.File(tmp_path / "inner.h5", "w") as file:
        file["x"] = h5py.ExternalLink(secret, "/")
    inner = (tmp_path / "inner.h5").read_bytes()
    text = json.dumps({"a": entry(0, len(inner), [len(inner)], "U8")}).encode().ljust(504)
    path = tmp_path / "w.weights.h5"
    path.write_bytes(len(text).to_bytes(8, "little") + text + inner)
    assert h5py.is_hdf5(path)
    with pytest.raises(ValueError, match=r"is safetensors, whatever its name says; load it by from_pretrained"):
        model.load_weights(path)
    index = tmp_path / "w.weights.json"
    for shard, message in (
        ("../secret.h5", r"names a file '../secret.h5'; only plain names"),
        ("inner.h5", r"x is a link, which Keras does not write"),
        (["inner.h5"], r"x is a link, which Keras does not write"),
        ("w.weights.h5", r"is safetensors, whatever its name says"),
    ):
        index.write_text(json.dumps({"metadata": {}, "weight_map": {"/pooler/dense/vars": shard}}))
        with pytest.raises(ValueError, match=message):
            model.load_weights(index)
    model.save_weights(index, max_shard_size=0.00001)
    model.load_weights(index)


DAMAGED = r"is a damaged HDF5 file: |is not a complete HDF5 file: "
SHORT, LONG = "y", "x" * 2**16


def one_text_for_all(data, count):
    """Every entry of a list of texts, of which the first is the longest, points at that one."""
    at = next(i for i in range(len(data)) if data[i : i + 4] == struct.pack("<I", len(LONG)) and entry_at(data, i))
    for i in range(count):
        data[at + 16 * i : at + 16 * i + 16] = data[at : at + 16]


def entry_at(data, at):
    heap = struct.unpack_from("<Q", data.ljust(at + 12, b"\0"), at + 4)[0]
    return heap < len(data) and data[heap : heap + 4] == b"GCOL"


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("dtype", 500, r"describes more than a file of its size holds"),
        ("weight_names", 500, r"describes more than a file of its size holds"),
        ("layer_names0", 500, r"describes more than a file of its size holds"),
        ("weight_names", 3, None),
        ("dtype", 1, r"a/vars/0 as |V2; these are read"),
    ],
)
def test_one_long_text_again_and_again(name, count, message, tmp_path):
    path = tmp_path / "w.weights.h5"
    with h5py.File(path, "w") as file:
        file["a/vars/0"] = np.zeros(4, "V2" if name == "dtype" else "float32")
        place = file["a/vars/0"] if name == "dtype" else file["a"]
        place.attrs.create(name, np.array([LONG] + [SHORT] * (count - 1), object), dtype=h5py.string_dtype())
    data = bytearray(path.read_bytes())
    one_text_for_all(data, count)
    path.write_bytes(data)
    if message:
        refused(path, message)
    else:
        assert shapes_of(path) == {"a/vars/0": (4,)}


@pytest.mark.parametrize("damage", DAMAGES)
def test_files_that_crash_or_hang_the_library(damage, good, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "_SECONDS", 0.2)
    path = tmp_path / "w.weights.h5"
    shutil.copy(good / "good.weights.h5", path)
    damage(path)
    assert path.stat().st_size < 2**20
    refused(path, DAMAGED)


@pytest.mark.parametrize("damage", [own_child, chunks_own_child, nested_lists])
def test_such_files_in_archives(damage, good, members, tmp_path):
    path = tmp_path / "w.h5"
    path.write_bytes(members["model.weights.h5"])
    damage(path)
    members["model.weights.h5"] = path.read_bytes()
    for packed in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refused(archive_of(tmp_path / "w.keras", members, packed), r"w\.keras " + DAMAGED)


def doors(path, folder, keras_model):
    """Everything that reads a weight file."""
    import lxmert.pt
    import lxmert.tf

    return {
        "open": lambda: open_weights(path),
        "inspect": lambda: inspect(path),
        "convert": lambda: convert(path, folder / "target"),
        "compare": lambda: compare(path, path),
        "PyTorch": lambda: lxmert.pt.LxmertForPreTraining.from_pretrained(path),
        "Keras": lambda: lxmert.tf.TFLxmertForPreTraining.from_pretrained(path),
        "load_weights": lambda: keras_model.load_weights(path),
    }


@pytest.mark.parametrize("damage", [own_child, nested_lists])
def test_such_files_at_every_door(damage, good, keras_model, tmp_path, monkeypatch):
    import keras

    path = tmp_path / "w.weights.h5"
    shutil.copy(good / "good.weights.h5", path)
    damage(path)

    def never(*_, **__):
        raise AssertionError("Keras opened it")

    monkeypatch.setattr(keras.Model, "load_weights", never)
    for opens in doors(path, tmp_path, keras_model).values():
        with pytest.raises(InvalidFileError, match=r"w\.weights\.h5 " + DAMAGED):
            opens()


def test_a_trusted_file_is_opened_in_this_process(good, tmp_path, monkeypatch):
    """And only then: there is no process for it, here as on a computer where none can be started."""

    def never(*_, **__):
        raise AssertionError("a process was started")

    monkeypatch.setattr(client._Server, "asked", never)
    monkeypatch.setattr(client, "_once", never)
    for name in ("good.weights.h5", "good.keras"):
        with open_checkpoint(good / name, trusted=True) as checkpoint:
            expected = checkpoint.file.shapes
        convert(good / name, tmp_path / name, trusted=True)
        file = open_weights(tmp_path / name, trusted=True)
        assert file.shapes == expected
        file.close()
        with pytest.raises(AssertionError, match="a process was started"):
            open_weights(good / name)


def test_a_second_beginning(good, tmp_path):
    """HDF5 may begin later in a file, behind what another reader takes for the whole: it is read as what it begins."""
    header = raw({"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})
    path = tmp_path / "w.weights.h5"
    path.write_bytes(header.ljust(2048, b" ") + (good / "good.weights.h5").read_bytes())
    refused(path, r"is not a complete safetensors file")


# Archives of Keras


def archive_of(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def members(good):
    with zipfile.ZipFile(good / "good.keras") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_a_bomb_in_an_archive(members, tmp_path):
    members["model.weights.h5"] = bytes(100 * 2**20)
    path = archive_of(tmp_path / "w.keras", members, zipfile.ZIP_DEFLATED)
    refused(path, r"its members claim 104,8\d\d,\d+ bytes")


@pytest.mark.parametrize("packed", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_to_pack(packed, members, tmp_path):
    refused(archive_of(tmp_path / "w.keras", members, packed), r"must be stored or compressed by deflate")


def test_names_that_lead_out_of_an_archive(members, tmp_path):
    """Nothing is unpacked by name: what an archive holds beside the two known members is not looked at."""
    members |= {"../outside": b"1", "/outside": b"2", "assets/../../outside": b"3"}
    read_all(archive_of(tmp_path / "w.keras", members))
    assert [item.name for item in tmp_path.iterdir()] == ["w.keras"]
    moved = {f"../{name}": content for name, content in members.items()}
    refused(archive_of(tmp_path / "w.keras", moved), r"is a ZIP archive, but not a .keras file")


def test_code_in_an_archives_description(members, tmp_path):
    description = json.loads(members["config.json"])
    description["config"]["config"] = {
        "module": "builtins",
        "class_name": "function",
        "config": "eval",
        "registered_name": "function",
    }
    members["config.json"] = json.dumps(description)
    refused(archive_of(tmp_path / "w.keras", members), r"is no .keras file of this package")


def test_verify_has_keras_refuse_code(monkeypatch):
    """`lxmert.inference.verify` loads archives with Keras itself, in the mode that runs nothing."""
    import inspect

    import keras

    from lxmert.inference import verify

    assert inspect.signature(keras.saving.load_model).parameters["safe_mode"].default is True
    assert "safe_mode=False" not in inspect.getsource(verify)


# config.json


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l_layers": 10**9}, r"l_layers must be at most 256; got 1000000000"),
        ({"hidden_size": 10**9, "num_attention_heads": 1000}, r"does not fit|wants"),
        ({"vocab_size": 2**31 - 1}, r"needs \[2147483647, 12\], the file has"),
        ({"hidden_size": float("nan")}, r"the configuration of .*hidden_size must be an integer"),
        ({"hidden_size": float("inf")}, r"hidden_size must be an integer"),
        ({"layer_norm_eps": float("nan")}, r"layer_norm_eps must be above 0"),
        ({"hidden_size": "12"}, r"hidden_size must be an integer"),
        ({"hidden_act": "__import__('os').system"}, r"hidden_act must be one of gelu"),
        ({"model_type": "../x"}, r"model_type must be one of lxmert, visual_bert"),
        ({"model_type": ["lxmert"]}, r"model_type must be one of"),
        ({"pruned_heads": {"language_layers.0.attention": [10**12]}}, r"must be some of the heads 0 to 2"),
    ],
)
def test_configs_that_mislead(change, message, tmp_path):
    folder = make_folder(tmp_path / "folder")
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**values, **change}))
    refused(folder, message, (ValueError, TypeError, CheckpointMismatchError))


def test_a_config_of_thousands_of_heads(tmp_path):
    folder = make_folder(tmp_path / "folder")
    values = json.loads((folder / "config.json").read_text())
    heads = {"hidden_size": 10**9, "num_attention_heads": 4000, "pruned_heads": {"language_layers.0.attention": [0]}}
    (folder / "config.json").write_text(json.dumps({**values, **heads}))
    refused(folder, r"does not fit")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, r"config.json is not a JSON file"),
        ('{"a":' * 100_000, r"config.json is not a JSON file"),
        ("[]", r"config.json must hold a JSON object"),
        ('{"hidden_size": ' + "9" * 5000 + "}", r"config.json is not a JSON file"),
        (" " * (16 * 2**20 + 1), r"config.json is larger than 4194304 bytes"),
        ("\0\0", r"config.json is not a JSON file"),
    ],
)
def test_configs_that_are_none(text, message, tmp_path):
    folder = make_folder(tmp_path / "folder")
    (folder / "config.json").write_text(text)
    refused(folder, message)

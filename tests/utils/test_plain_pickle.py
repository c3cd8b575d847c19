"""Pickles of plain containers and arrays, in every protocol; everything else is refused and nothing is called."""

import collections
import os
import pickle
import struct
import time
import tracemalloc

import numpy as np
import pytest

from lxmert.utils.plain_pickle import is_pickle, load_plain_pickle, parse_plain_pickle

ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)
PLAIN = {
    "rows": ROWS,
    "the same": ROWS,
    "columns": np.asfortranarray(ROWS),
    "big-endian": ROWS.astype(">f2"),
    "nothing": np.zeros((0, 4)),
    "names": np.array(["ab", "c"]),
    "bytes": np.array([b"ab"]),
    "truth": np.array([True, False]),
    "objects": np.array([{"a": 1}, "b"], object),
    "one object": np.array({"a": ROWS}, object),
    "numbers": [1, -3, 2**40, 2**100, 2.5, None, True, (), (1,), (1, 2, 3, 4)],
    "scalars": [np.float32(2.5), np.int64(7)],
    "text": ["ä", b"\xff\x00", b"", "x" * 300],
    "ordered": collections.OrderedDict(b=1, a=2),
    7: "a number as a key",
}


def same(found, wanted):
    if isinstance(wanted, np.ndarray) and wanted.dtype == object:
        return same(found, wanted.tolist())
    if isinstance(wanted, np.ndarray):
        return found.dtype == wanted.dtype and found.shape == wanted.shape and np.array_equal(found, wanted)
    if isinstance(wanted, dict):
        return list(found) == list(wanted) and all(same(found[key], wanted[key]) for key in wanted)
    if isinstance(wanted, (list, tuple)):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_of_every_protocol(tmp_path, protocol):
    path = tmp_path / "plain.pkl"
    path.write_bytes(pickle.dumps(PLAIN, protocol))
    assert is_pickle(path.read_bytes()[:16])
    assert same(load_plain_pickle(path), PLAIN)


class Calls:
    def __reduce__(self):
        return os.mkdir, ("called",)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"a": [Calls()]}, "posix.mkdir|nt.mkdir"),
        (os.system, "system"),
        (np.random.default_rng(0), "generator_ctor"),
        ({(1, 2): 3}, "a key of type tuple"),
        ({1, 2}, "set|SET"),
        (np.zeros(2, [("a", "i4")]), "an array of 'V4'"),
        (np.array([[{}, {}]], object), "objects in several dimensions"),
        (np.dtype("f4"), "float32"),
    ],
)
def test_everything_else_is_refused(tmp_path, monkeypatch, protocol, value, named):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=named):
        parse_plain_pickle(pickle.dumps([value], protocol), "a.pkl")
    assert not list(tmp_path.iterdir())


def test_damage():
    whole = pickle.dumps(PLAIN, 4)
    for end in range(0, len(whole), 7):
        with pytest.raises(ValueError, match="damaged pickle"):
            parse_plain_pickle(whole[:end], "a.pkl")
    claimed = pickle.dumps(ROWS, 2).replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86")
    with pytest.raises(ValueError, match=r"an array \[2, 4\] of float32 has other bytes"):
        parse_plain_pickle(claimed, "a.pkl")
    with pytest.raises(ValueError, match="deeper nesting"):
        parse_plain_pickle(b"(" * 2000 + b".", "a.pkl")


TOWER = b"]q\x00" + b"h\x00h\x00\x86q\x00" * 90  # each part twice in the next one
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n)R"
LONG = b"X" + struct.pack("<I", 400_000) + b"x" * 400_000 + b"q\x02"
MANY = b"(" + b"K\x01" * 100_000 + b"tq\x02"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TOWER, "nested deeper"),
        (TOWER + b"\x85N\x86]q\x01h\x01a", "nested deeper"),
        (b"N" + b"\x85" * 90_000, "nested deeper"),
        (TOWER + b"}h\x00Ns", "a key of type tuple"),
        (TOWER + b"h\x00\x93", "STACK_GLOBAL"),
        (TOWER + b"cnumpy\ndtype\nU\x02f4\x85R(K\x03h\x00NNNK\x00K\x00K\x00tb", "is a damaged pickle: it lacks"),
        (b"c_codecs\nencode\nq\x01" + LONG + b"h\x01h\x02\x85R" * 50_000, "again and again"),
        (b"c_codecs\nencode\nq\x01" + MANY + b"h\x01h\x02R" * 50_000, "_codecs.encode"),
        (
            b"cnumpy.core.multiarray\nscalar\nq\x01cnumpy\ndtype\nU\x07S400000\x85Rq\x03"
            + LONG
            + b"h\x01h\x03h\x02\x86R" * 50_000,
            "again and again",
        ),
        (ARRAY + b"\x94" * 60_000 + b"h\x00" * 40_000 + b"(K\x01)NNNtb", "has no shape or dtype"),
        (ARRAY + b"(K\x01" + MANY + b"NNNtb", "has no shape or dtype"),
        (
            b"}("
            + b"".join(b"\x8a\x0a" + (i * (2**61 - 1)).to_bytes(10, "little") + b"N" for i in range(1, 20_000))
            + b"u",
            "the key 23",
        ),
        (b"I" + b"9" * 900_000 + b"\n", "is a damaged pickle: Exceeds the limit"),
        (b"\x8b" + struct.pack("<I", 900_000) + b"\x7f" * 900_000, "LONG4"),
        (b"(ccollections\nOrderedDict\nt", "collections.OrderedDict"),
        (b"c" + b"a" * 400_000 + b"\n" + b"b" * 400_000 + b"\n", r"'aaa[a]+'…, which is not read"),
    ],
)
def test_a_small_pickle_takes_little_time_and_memory(content, message):
    start = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message) as caught:
            parse_plain_pickle(b"\x80\x02" + content + b".", "a.pkl")
        assert tracemalloc.get_traced_memory()[1] < 32 * 2**20
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 2
    assert len(str(caught.value)) < 500

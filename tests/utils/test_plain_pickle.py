"""Pickles of plain containers and arrays, in every protocol; everything else is refused and nothing is called."""

import collections
import os
import pickle

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

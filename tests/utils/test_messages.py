"""Names from files, as they are shown: nothing that a terminal obeys, and not too many of them."""

import datetime
import itertools
import time
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from lxmert.utils.messages import escaped, first_few, shown, unknown_keyword_message
from lxmert.weights.mismatch import after_colon


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("bert.encoder.layer.0", "bert.encoder.layer.0"),
        ("Grüße, 猫 \U0001f600 \\x1b", "Grüße, 猫 \U0001f600 \\x1b"),
        ("no\xa0break\u3000wide", "no\xa0break\u3000wide"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x9b2J", "\\x9b2J"),
        ("\x00\x07\x7f", "\\x00\\x07\\x7f"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("a\u2028b", "a\\u2028b"),
        ("\udcff", "\\udcff"),
        ("\U000e0041", "\\U000e0041"),
        ("a\nb\tc\rd", "a\\nb\\tc\\rd"),
    ],
)
def test_what_is_escaped(text, shown):
    assert escaped(text) == shown
    assert escaped(shown) == shown
    shown.encode("utf-8")


def test_lines_stay_where_they_may():
    assert escaped("a\n\tb\r\x1b", lines=True) == "a\n\tb\\r\\x1b"


def test_the_first_few():
    names = [str(i) for i in range(2000)]
    assert first_few([]) == ""
    assert first_few(names[:8]) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert first_few(iter(names[:9])) == "0, 1, 2, 3, 4, 5, 6, 7 and 1 more"
    assert first_few(names, 2, " (--all)") == "0, 1 and 1,998 more (--all)"
    assert first_few(names, None, " (--all)") == ", ".join(names)
    assert first_few(["a\nb", "\x1b"]) == "a\\nb, \\x1b"


def test_listed():
    assert after_colon([]) == ""
    assert after_colon(["a", "\x1b"]) == ": a, \\x1b"
    assert after_colon("abcdefgh") == ": a, b, c, d, e, f and 2 more"


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 1.5, float("inf"), 3, -(2**100), 2j, "", "a", b"\xff", bytearray(b"a"), int),
        *([], [1, "a"], (), (1,), (1, 2), {}, {"a": [1, {2: 3}]}, set(), {1}, frozenset(), frozenset({1})),
        *(datetime.date(2020, 1, 2), datetime.datetime(2020, 1, 2, 3), np.float32(1.5), np.int64(2)),
        "\x1b[2J \u202e \udcff \x00 \u2028",
    ],
)
def test_a_small_value_is_shown_as_python_writes_it(value):
    assert shown(value) == repr(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1 << 20_000, "an integer of 20,001 bits"),
        (-(2**128), "an integer of 129 bits"),
        ("a" * 100, f"'{'a' * 80}'…"),
        (b"\0" * 100, f"b'{chr(92)}x00{(chr(92) + 'x00') * 79}'"[:160] + "…"),
        (list(range(10)), "[0, 1, 2, 3, 4, 5, …]"),
        (tuple(range(10)), "(0, 1, 2, 3, 4, 5, …)"),
        (OrderedDict.fromkeys(range(9)), "{0: None, 1: None, 2: None, 3: None, …}"),
        ({"b", "a", "c"}, "{'a', 'b', 'c'}"),
        ([[[[1]], [[]]]], "[[[[…]], [[]]]]"),
        ([[[[]]]], "[[[[]]]]"),
        (object(), "<object>"),
        (np.zeros((2, 3)), "<ndarray of shape [2, 3]>"),
        (Path("a\x1b"), f"{type(Path()).__name__}('a\\x1b')"),
    ],
    ids=itertools.count(),
)
def test_another_value_is_shown_in_short(value, text):
    assert shown(value) == text


class _Cruel(dict):
    def __repr__(self):
        raise AssertionError("repr of a container must not be made")


def test_no_value_takes_long_to_show():
    deep = loop = []
    for _ in range(100_000):
        deep = [deep]
    loop.append(loop)
    wide = [None] * 1_000_000
    values = [deep, loop, wide, [wide] * 1000, {n: wide for n in range(1000)}, set(range(300_000)), _Cruel(a=wide)]
    values += ["\udcff" * 1_000_000, b"a" * 1_000_000, 1 << 10_000_000, {"k" * 1_000_000: "v" * 1_000_000}]
    values += [np.zeros(10_000_000), Path("a" * 1_000_000), frozenset(map(str, range(300_000)))]
    for value in values:
        start = time.process_time()
        assert len(shown(value)) <= 161
        assert time.process_time() - start < 0.05, type(value)
    while deep and deep is not loop:  # a list that is a hundred thousand deep
        deep = deep.pop()


def test_names_of_megabytes_stay_short():
    assert len(first_few(["a" * 1_000_000, "b"])) < 400
    assert len(unknown_keyword_message("a" * 1_000_000, ["a", "b"])) < 200
    start = time.process_time()
    assert escaped("\x1b" * 1_000_000) == "\\x1b" * 1_000_000
    assert time.process_time() - start < 0.5

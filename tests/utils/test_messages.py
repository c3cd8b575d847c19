"""Names from files, as they are shown: nothing that a terminal obeys, and not too many of them."""

import pytest

from lxmert.utils.messages import escaped, first_few
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

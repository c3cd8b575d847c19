"""What the commands about weights share: fields, the progress bar, tables, JSON."""

import argparse
import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from lxmert.cli.options import add_set, json_text, plain_json, progress_bar, some_of, table


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a=3", 3),
        ("a=1e-5", 1e-5),
        ("a=true", True),
        ("a=null", None),
        ("a=relu", "relu"),
        ('a="3"', "3"),
        ("a=b=c", "b=c"),
        ("a=", ""),
        ('a={"language_layers.0.attention": [1]}', {"language_layers.0.attention": [1]}),
        ("a=True", "True"),
        ("a=" + "[" * 100_000, "[" * 100_000),
    ],
)
def test_values(text, value):
    parser = argparse.ArgumentParser()
    add_set(parser)
    (found,) = parser.parse_args(["--set", text]).set
    assert found == ("a", value)
    assert type(found[1]) is type(value)


def test_fields_in_several_lists():
    parser = argparse.ArgumentParser()
    add_set(parser)
    assert parser.parse_args([]).set == []
    assert parser.parse_args(["--set", "a=1", "b=2", "--set", "a=3"]).set == [("a", 1), ("b", 2), ("a", 3)]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_bar_counts_what_several_threads_tell(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("reading") as advance:
        assert sys.stderr.getvalue() == ""  # warnings come first
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda size: advance(size, 4000), [1] * 4000))
        advance(0, 4000)
        bar = next(cell.cell_contents for cell in advance.__closure__ if hasattr(cell.cell_contents, "total"))
        assert (bar.done, bar.total) == (4000, 4000)
    assert "reading" in sys.stderr.getvalue()


@pytest.mark.parametrize(("stream", "quiet"), [(Terminal, True), (io.StringIO, False)])
def test_no_bar(stream, quiet, monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream())
    with progress_bar("reading", quiet) as advance:
        advance(1, 2)
    with progress_bar("reading", quiet):
        pass
    assert sys.stderr.getvalue() == ""


def test_a_table():
    assert table(("name", "count"), [("a", "1"), ("longer", "1,000")], left=1) == (
        "name    count\na           1\nlonger  1,000"
    )


def test_some_of_many_names():
    names = [str(i) for i in range(10)]
    assert some_of(names[:8], every=False) == "0, 1, 2, 3, 4, 5, 6, 7"
    assert some_of(names, every=False) == "0, 1, 2, 3, 4, 5, 6, 7 and 2 more (--all)"
    assert some_of(names, every=True) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"


@pytest.mark.parametrize("text", ["Grüße, 猫\u3000\U0001f600", "\x1b[2J\x07\x9b\x7f", "a\nb\u202e\ud800", "\U000e0041"])
def test_json_that_is_shown(text):
    shown = json_text({text: [text]})
    assert json.loads(shown) == {text: [text]}
    assert all(c.isprintable() or c in "\n\u3000" for c in shown)
    assert ("猫" in text) == ("猫" in shown)
    shown.encode("utf-8")


def test_plain_json():
    @dataclass
    class Part:
        x: float

    @dataclass
    class Whole:
        parts: tuple[Part, ...]
        names: dict[str, tuple[int, ...]]

    found = plain_json(Whole((Part(1.5), Part(float("nan")), Part(float("-inf"))), {"a": (1, 2)}))
    assert found == {"parts": [{"x": 1.5}, {"x": "NaN"}, {"x": "-Infinity"}], "names": {"a": [1, 2]}}
    json.dumps(found, allow_nan=False)

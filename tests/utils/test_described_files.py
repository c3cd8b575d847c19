"""JSON, YAML and TOML of strangers: whatever is in it, the error is ours, short, names the file, and comes soon."""

import re
import time

import pytest

from lxmert.utils.json_files import read_json
from lxmert.utils.toml_files import read_toml
from lxmert.utils.yaml_files import LARGEST_YAML, read_yaml

_DIGITS = "9" * 5000
_ALIASES = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
CASES = {
    "deep-lists.json": ('{"a": ' + "[" * 100_000, "is not a JSON file: maximum recursion depth"),
    "deep-objects.json": ('{"a":' * 200 + "1" + "}" * 200, "is nested more than 100 deep"),
    "digits.json": ('{"a": ' + _DIGITS + "}", "is not a JSON file: Exceeds the limit"),
    "bytes.json": (b"\xff\xfe{}", "is not a JSON file: "),
    "null.json": ("\0", "is not a JSON file: "),
    "twice.json": ('{"%s": 1, "%s": 2}' % (("\u202e" * 10**6,) * 2), "is not a JSON file: the key '\\u202e"),
    "other.json": ("[1e400]", "must hold a JSON object of keys and values; it holds a list"),
    "deep.yaml": ("a: " + "[" * 2_000, "is not a YAML file of plain values: maximum recursion depth"),
    "deeper.yaml": ("a: " + "[" * 101 + "]" * 101, "is nested more than 100 deep"),
    "keys.yaml": ("? " * 30_000, "is not a YAML file of plain values: maximum recursion depth"),
    "loop.yaml": ("a: &a [*a]", "is nested more than 100 deep"),
    "aliases.yaml": (_ALIASES, "repeats its values by aliases"),
    "digits.yaml": (f"a: {_DIGITS}", "is not a YAML file of plain values: a number is too long (line 1, column 4)"),
    "base.yaml": ("a: " + "1:" * 40 + "1", None),
    "date.yaml": ("a: 2001-99-01", "is not a YAML file of plain values: month must be in 1..12"),
    "scalar.yaml": ('a: !!int ""', "is not a YAML file of plain values: "),
    "float.yaml": ("a: !!float 1_", None),
    "unhashable.yaml": ("a: !!set {[1]: }", "is not a YAML file of plain values: "),
    "code.yaml": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor for the tag"),
    "control.yaml": ("a: \x1b[2J", "is not a YAML file of plain values: "),
    "bytes.yaml": (b"\xff\xfe\xff", "is not a YAML file of plain values: "),
    "twice.yaml": (f"{'k' * 100}: 1\n" * 2, "the key '" + "k" * 80 + "'… is there twice in one mapping"),
    "flow.yaml": ("a: [" + "1," * (LARGEST_YAML // 2 - 10) + "]", None),
    "deep-lists.toml": ("a = " + "[" * 30_000, "is not a TOML file: maximum recursion depth"),
    "deep-tables.toml": (
        "".join(f"[{'.'.join('a' * n)}]\n" for n in (60, 90)) + "b.c.d.e.f.g.h.i.j.k.l.m.n=1",
        "nested more",
    ),
    "key.toml": ("a." * 30_000 + "a = 1", "has a key of more than 100 parts"),
    "quoted-key.toml": ('"\\" " . ' * 8_000 + "a = 1", "has a key of more than 100 parts"),
    "comment.toml": ("#" + "a" * 65_000, None),
    "quotes.toml": ('#"' + '\\"' * 30_000, None),
    "digits.toml": (f"a = {_DIGITS}", "is not a TOML file: Exceeds the limit"),
    "date.toml": ("a = 2001-99-01", "is not a TOML file: "),
    "bytes.toml": (b"\xff", "is not a TOML file: 'utf-8' codec"),
    "large.toml": ("#" * 2**16 + "#", "is larger than 65536 bytes, too large for settings in TOML"),
}


@pytest.mark.parametrize("name", CASES)
def test_odd_content(name, tmp_path):
    content, told = CASES[name]
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    read = {".json": read_json, ".yaml": read_yaml, ".toml": read_toml}[path.suffix]
    start = time.process_time()
    if told is None:
        assert isinstance(read(path), dict)
    else:
        with pytest.raises(ValueError, match=re.escape(told)) as caught:
            read(path)
        message = str(caught.value)
        assert message.startswith(f"{path} ")
        assert len(message) < len(str(path)) + 500
        assert message.isprintable()
    assert time.process_time() - start < 2


@pytest.mark.parametrize("read", [read_json, read_yaml, read_toml])
def test_what_is_no_file(read, tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read(tmp_path / "absent")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match="folder"):
        read(tmp_path / "folder")
    (tmp_path / "empty").touch()
    if read is read_toml:
        assert read(tmp_path / "empty") == {}
    else:
        with pytest.raises(ValueError, match="empty"):
            read(tmp_path / "empty")

"""Files on disk: replacing without loss, JSON, and safetensors files against the library's own."""

import json
import os
import stat

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lxmert.utils.atomic_files import ensure_folder, replacing, replacing_files, write_text
from lxmert.utils.json_files import parse_json, read_json
from lxmert.weights.formats.raw_io import BFLOAT16
from lxmert.weights.formats.safetensors import SafetensorsFile, write_safetensors


def names_in(folder):
    return sorted(item.name for item in folder.iterdir())


def test_replacing_puts_the_new_file_in_place_of_the_old(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == tmp_path  # renaming is atomic within one file system only
    assert path.read_text() == "new"
    assert names_in(tmp_path) == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_replacing_keeps_the_old_file_after_an_error(error, tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["file"]


def test_a_replaced_file_is_as_readable_as_any(tmp_path):
    write_text(tmp_path / "ours", "1")
    (tmp_path / "plain").write_text("1")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "plain")]
    assert modes[0] == modes[1]


def test_replacing_a_folder_is_refused_before_the_work(tmp_path):
    (tmp_path / "folder").mkdir()

    def never():
        with replacing(tmp_path / "folder"):
            raise AssertionError("the work began")

    with pytest.raises(
        IsADirectoryError, match=r"folder is a folder; pass the path of a file, or move the folder away"
    ):
        never()
    assert names_in(tmp_path) == ["folder"]


def test_the_umask_stays_as_it_is(tmp_path, monkeypatch):
    """It is the whole process's: other threads make files meanwhile."""

    def never(mask):
        raise AssertionError("the umask was changed")

    mask = os.umask(0o027)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(os, "umask", never)
            write_text(tmp_path / "file", "1")
            with replacing_files(tmp_path) as new:
                (new / "config.json").write_text("{}")
    finally:
        os.umask(mask)
    assert {stat.S_IMODE(item.stat().st_mode) for item in tmp_path.iterdir()} == {0o640}


def test_a_replaced_link_becomes_a_file_and_its_goal_stays(tmp_path):
    (tmp_path / "goal").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "goal")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "goal").read_text() == "old"
    assert not (tmp_path / "link").is_symlink()


def test_text_is_utf8(tmp_path):
    write_text(tmp_path / "file", "größe\n")
    assert (tmp_path / "file").read_bytes() == "größe\n".encode()


def test_making_a_folder(tmp_path):
    with ensure_folder(tmp_path / "a" / "b") as folder:
        assert folder.is_dir()
    assert folder.is_dir()

    def fail(*names, leave=()):
        with ensure_folder(tmp_path.joinpath(*names)) as made:
            for name in leave:
                (made / name).touch()
            raise ValueError

    for names, left in ((("a", "b"), True), (("a", "c", "d"), False), (("e",), False)):
        with pytest.raises(ValueError):  # noqa: PT011
            fail(*names)
        assert tmp_path.joinpath(*names).is_dir() == left
    assert names_in(tmp_path) == ["a"]
    assert names_in(tmp_path / "a") == ["b"]
    with pytest.raises(ValueError):  # noqa: PT011
        fail("f", leave=["someone's"])
    assert names_in(tmp_path / "f") == ["someone's"]


def test_json(tmp_path):
    assert parse_json('{"a": 1}', "here") == parse_json(b'{"a": 1}', "here") == {"a": 1}
    with pytest.raises(ValueError, match=r"here is not a JSON file"):
        parse_json("{a}", "here")
    with pytest.raises(ValueError, match=r"here must hold a JSON object of keys and values; it holds a str"):
        parse_json('"a"', "here")
    (tmp_path / "file.json").write_text('{"a": [1]}')
    assert read_json(tmp_path / "file.json") == {"a": [1]}
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "absent.json")


ARRAYS = {
    "b.half": np.arange(6, dtype="float16").reshape(2, 3),
    "a.single": np.arange(6, dtype="float32").reshape(3, 2) / 7,
    "a.double": np.array([np.nan, -0.0, np.inf, 5e-324]),
    "c.none": np.zeros((0, 4), "float32"),
    "d.one": np.array(3.5, "float32"),
    "größe": np.ones(1, "float32"),
}


def as_tensors(arrays):
    return [(name, x.dtype, x.shape, lambda x=x: x) for name, x in arrays.items()]


def test_written_bytes_are_the_librarys(tmp_path):
    save_file(ARRAYS, tmp_path / "theirs", {"format": "pt"})
    write_safetensors(tmp_path / "ours", as_tensors(ARRAYS), {"format": "pt"})
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
    with safe_open(tmp_path / "ours", framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}


def test_views_and_foreign_byte_orders_are_written_as_they_read(tmp_path):
    grid = np.arange(12, dtype="float32").reshape(3, 4)
    views = {"turned": grid.T, "strided": grid[::2, ::3], "swapped": grid.astype(">f4")}
    write_safetensors(tmp_path / "file", as_tensors(views), {})
    for name, values in load_file(tmp_path / "file").items():
        assert np.array_equal(values, views[name]), name


def test_values_of_another_format_are_converted_and_what_overflows_is_counted(tmp_path):
    values = np.array([1.0, 1e30, -1e300, np.inf, np.nan, 1e-30])
    tensors = [
        ("half", np.dtype("float16"), (6,), lambda: values),
        ("brain", BFLOAT16, (6,), lambda: values),
        ("wide", np.dtype("float64"), (2,), lambda: np.array([1, 2], "f4")),
    ]
    assert write_safetensors(tmp_path / "file", tensors, {}) == {"half": 2, "brain": 1}
    written = load_file(tmp_path / "file")
    assert {name: x.dtype for name, x in written.items()} == {name: dtype for name, dtype, *_ in tensors}
    with np.errstate(over="ignore"):
        assert np.array_equal(written["half"], values.astype("f2"), equal_nan=True)
        assert np.array_equal(written["brain"].astype("f4"), values.astype(BFLOAT16).astype("f4"), equal_nan=True)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (("x", np.dtype("c8"), (2,), lambda: np.ones(2, "c8")), "x is complex64; these are written: float64, float32"),
        (("x", np.dtype("float32"), (3,), lambda: np.ones(2, "f4")), r"x must have shape \[3\]; got \[2\]"),
        (
            ("x", np.dtype("float32"), (2, 3), lambda: np.ones((3, 2), "f4")),
            r"x must have shape \[2, 3\]; got \[3, 2\]",
        ),
    ],
)
def test_values_that_are_not_as_announced(tensor, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        write_safetensors(tmp_path / "file", [tensor], {})


def test_reading(tmp_path):
    save_file(ARRAYS, tmp_path / "file.safetensors")
    file = SafetensorsFile(tmp_path / "file.safetensors")
    assert file.shapes == {name: x.shape for name, x in ARRAYS.items()}
    assert file.dtypes == {name: x.dtype for name, x in ARRAYS.items()}
    assert all(file.read(name).tobytes() == x.tobytes() for name, x in ARRAYS.items())
    assert file.config is None
    (tmp_path / "config.json").write_text('{"l_layers": 2}')
    assert file.config == {"l_layers": 2}
    file.close()


def raw_safetensors(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_reading_bfloat16(tmp_path):
    header = {
        "first": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        "small": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [4, 12]},
        "empty": {"dtype": "BF16", "shape": [0], "data_offsets": [12, 12]},
    }
    data = np.ones(1, "f4").tobytes() + np.array([0x3F80, 0xC000, 0x7F80, 0x4049], "<u2").tobytes()
    (tmp_path / "file").write_bytes(raw_safetensors(header, data))
    file = SafetensorsFile(tmp_path / "file")
    assert file.dtypes["small"] == BFLOAT16
    assert file.read("small").tolist() == [[1.0, -2.0], [np.inf, 3.140625]]
    assert file.read("first").tolist() == [1.0]
    assert file.read("empty").shape == (0,)
    file.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x10\0\0\0\0\0\0\0{", "is not a complete safetensors file"),
        (b"\xff" * 8 + b"{}", "is not a complete safetensors file"),
        (raw_safetensors({"x": {"dtype": "F32", "shape": [9], "data_offsets": [0, 36]}}, b"123"), "is not a complete"),
        (
            raw_safetensors({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"1234"),
            "is not a complete",
        ),
        (
            raw_safetensors({"x": {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]}}, b"12345678"),
            "holds x as F8_E4M3; these are read: F64, F32, F16, BF16",
        ),
    ],
)
def test_damaged_and_foreign_safetensors(content, message, tmp_path):
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        SafetensorsFile(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]

"""Which photographs sources lead to, and their names."""

import errno
import os

import pytest

from lxmert.detection.extraction.photographs import described_sources, find_photographs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in (
        "b/2.JPG",
        "b/10.png",
        "a.jpeg",
        "c/deep/3.webp",
        "note.md",
        ".hidden.jpg",
        ".thumbs/4.jpg",
        "z.1.tif",
    ):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).touch()
    (tmp_path / "photos" / "c" / "around").symlink_to(tmp_path / "photos")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "5.png").touch()
    (tmp_path / "photos" / "linked").symlink_to(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def names(*arguments, **options):
    return [photograph.name for photograph in find_photographs(*arguments, **options)]


def test_a_folder_with_those_below_it_in_the_order_of_their_paths(folder):
    found = find_photographs(folder)
    assert [photograph.name for photograph in found] == ["a", "10", "2", "3", "5", "z.1"]
    assert found[3].image == folder / "c" / "deep" / "3.webp"
    assert names(folder, names="{path}") == ["a", "b/10", "b/2", "c/deep/3", "linked/5", "z.1"]
    assert names([folder / "b", folder]) == ["10", "2", "a", "3", "5", "z.1"], "each file once"
    assert described_sources([folder / "b", folder / "a.jpeg"]) == [str(folder / "b"), str(folder)]


def test_of_two_links_to_a_folder_the_first_counts(folder):
    for name in ("zzz", "also", "middle"):
        (folder / name).symlink_to(folder.parent / "elsewhere")
    assert names(folder, names="{path}") == ["a", "also/5", "b/10", "b/2", "c/deep/3", "z.1"]


def test_a_folder_that_cannot_be_listed(folder, monkeypatch):
    scan = os.scandir

    def locked(path):
        if os.fspath(path).endswith("deep"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return scan(path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", locked)
        with pytest.raises(PermissionError, match="deep"):
            find_photographs(folder)


def test_files_and_patterns(folder):
    assert names("photos/note.md") == ["note"], "a file that is named is taken"
    assert names(["photos/*/*.*", "photos/a.jpeg"]) == ["10", "2", "5", "a"]
    assert names("photos/b/10.png", names="COCO_val2014_{id:012}") == ["COCO_val2014_000000000010"]
    assert names("photos/b", rename={"b/2": "two", "2": "never"}) == ["10", "never"]
    assert names(["photos/b/10.png", "photos/b/2.JPG"], rename={"photos/b/2": "two", "2": "never"}) == ["10", "two"]
    assert names({"first": folder, "second": folder}) == ["first", "second"]


@pytest.mark.parametrize("source", ["@lists/names", "lists/names.txt"])
def test_lists(folder, source):
    path = folder.parent / source.removeprefix("@")
    path.parent.mkdir()
    (path.parent / "beside.png").touch()
    path.write_bytes(f"\ufeffphotos/b/2.JPG\r\n\nbeside.png\n{folder / 'a.jpeg'}\nphotos/missing.jpg".encode())
    found = find_photographs([source])
    assert [photograph.name for photograph in found] == ["2", "beside", "a", "missing"], (
        "missing files are skipped later"
    )
    assert os.fspath(found[1].image) == "lists/beside.png"
    assert described_sources([source]) == [str(path)]


def test_names_that_are_not_unique(folder):
    (folder / "c" / "2.png").touch()
    (folder / "c" / "10.jpg").touch()
    message = (
        r"2 would be '10': .*b/10\.png, .*c/10\.jpg\. 1 more names are taken twice\. With names \{path\} .* rename "
    )
    with pytest.raises(ValueError, match=message):
        find_photographs(folder)
    assert "c/10" in names(folder, names="{path}")


@pytest.mark.parametrize(
    ("sources", "options", "error", "message"),
    [
        (["photos/x.jpg", "photos", "no*.png"], {}, FileNotFoundError, r"x\.jpg does not exist, no file fits no"),
        (["empty"], {}, FileNotFoundError, r"the folder empty holds no image files \(\.avif, \.bmp, "),
        (["@empty.txt", "@none"], {}, FileNotFoundError, r"@empty\.txt lists no files, none does not exist"),
        (["binary.txt"], {}, ValueError, "must be a text file"),
        ([], {}, ValueError, "at least one photograph"),
        ({}, {}, ValueError, "at least one photograph"),
        ({"a": "photos/a.jpeg"}, {"names": "{id}"}, ValueError, "names and rename are for files"),
        (["photos"], {"names": "{id}-{path}"}, ValueError, r"must have \{id\} or \{path\} in it once"),
        (["photos"], {"names": "{file}"}, ValueError, r"must have \{id\} or \{path\} in it once"),
        (["photos"], {"names": "{id:012}"}, ValueError, r"a\.jpeg: names requires a number of 12 digits.*'a'"),
        (["photos/a.jpeg"], {"rename": {"a": "x" * 256}}, ValueError, r"a\.jpeg: an image's name must have 1 to 255"),
    ],
)  # fmt: skip
def test_bad_input(folder, sources, options, error, message):
    (folder.parent / "empty").mkdir()
    (folder.parent / "empty.txt").write_text("\n \n")
    (folder.parent / "binary.txt").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(error, match=message):
        find_photographs(sources, **options)

"""Where files are written to: long names, links, devices, hidden folders of others, no folder for temporary files."""

import errno
import os
import socket
import tempfile
import zipfile

import pytest

from lxmert.data.features import RegionWriter, open_regions
from lxmert.data.features.partial_store import has_progress, partial_folder
from lxmert.utils import temporary_files
from lxmert.utils.atomic_files import check_writable, replacing, replacing_folder, write_text
from lxmert.utils.file_locks import holding
from lxmert.utils.output_files import check_output
from lxmert.utils.paths import check_folder
from lxmert.utils.temporary_files import hidden_name, in_system_folder, system_folder, temporary_file
from lxmert.weights.convert import convert
from lxmert.weights.formats import open_weights

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, devices and names in bytes")


def names_in(folder):
    return sorted(item.name for item in folder.iterdir())


def fill(folder, **options):
    with RegionWriter(folder, **options) as writer:
        writer.add("a", [[1.0, 2.0]], [[0, 0, 1, 1]], (2, 2))


def long_names():
    """Names of 230 to 255 bytes, of one and of several bytes a character."""
    yield from ("x" * size for size in (230, 237, *range(240, 256)))
    for size in range(240, 256):
        yield "é" * (size // 2) + "x" * (size % 2)
        yield "x" * (size % 4) + "\U0001f600" * (size // 4)


@pytest.mark.parametrize("kind", ["file", "folder", "store", "kept store"])
def test_long_names(kind, tmp_path, monkeypatch):
    """A name that the system allows is written, although the temporary one would be too long; and is cleaned up."""
    monkeypatch.setattr(temporary_files, "_MIN_AGE", 0)
    for name in list(long_names())[:: 1 if kind in ("file", "folder") else 9]:  # a store waits for the disk
        path = tmp_path / name
        left = tmp_path / hidden_name(path, "0123456789ab.tmp")
        assert len(os.fsencode(left.name)) <= 255
        assert os.fsencode(left.name) == os.fsencode(left.name).decode().encode()
        if kind == "file":
            left.write_text("left by a killed process")
            check_writable(path)
            write_text(path, "new")
            assert path.read_text() == "new"
        elif kind == "folder":
            left.mkdir()
            with replacing_folder(path, "things") as made:
                (made / "a").touch()
        else:
            fill(path, keep=kind == "kept store")
            assert open_regions(path).names == ["a"]
        assert names_in(tmp_path) == [name], f"{len(os.fsencode(name))} bytes"
        if path.is_dir():
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
        else:
            path.unlink()


def test_unfinished_work_on_a_long_name_is_found_again(tmp_path):
    store, other = (tmp_path / ("x" * 254 + last) for last in "ab")

    def stop():
        with RegionWriter(store, keep=True) as writer:
            writer.add("a", [[1.0, 2.0]], [[0, 0, 1, 1]], (2, 2))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert has_progress(store)
    assert not has_progress(other)
    with RegionWriter(store, keep=True) as writer:
        assert writer.count == 1
        assert writer.folder == store
    assert names_in(tmp_path) == [store.name]


def test_names_that_are_too_long(tmp_path):
    """A sentence with both numbers, before any work, and nothing is left."""
    for name, size in (("x" * 256, 256), ("é" * 130, 260)):
        path = tmp_path / name
        for write in (
            lambda path=path: write_text(path, "new"),
            lambda path=path: check_writable(path),
            lambda path=path: fill(path),
            lambda path=path: replacing_folder(path, "things").__enter__(),
            lambda path=path: check_folder(path, "things"),
            lambda path=path: check_output(path / "a.png", "output", (".png",)),
            lambda path=path: convert("easy-vqa", path / "a.weights.h5"),
            lambda path=path: convert("easy-vqa", path),
        ):
            with pytest.raises(OSError, match=rf"a name has {size} bytes, and the file system allows 255; pass a sh"):
                write()
    assert names_in(tmp_path) == []


def test_a_temporary_file_of_a_temporary_file(tmp_path, monkeypatch):
    """It goes by the name of the target, so that the next writer of the target removes what a killed process left."""
    monkeypatch.setattr(temporary_files, "_MIN_AGE", 0)
    for name in ("a.keras", "x" * 255, ".a.tmp"):
        path = tmp_path / name
        with replacing(path) as first, temporary_file(first) as second:
            kept = [(item.name, item.name.rpartition(".")[0][:-12]) for item in (first, second)]
            first.touch()
        assert kept[0][0] != kept[1][0]
        assert kept[0][1] == kept[1][1]
        for left, _ in kept:
            (tmp_path / left).touch()
        write_text(path, "new")
        assert names_in(tmp_path) == [name]
        path.unlink()


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kind", ["device", "pipe", "socket"])
def test_what_is_no_file_is_not_replaced_by_one(kind, linked, tmp_path, monkeypatch):
    """As root even /dev/null would be."""
    place = tmp_path / "place"
    if kind == "device":
        place.symlink_to(os.devnull)
        place = place if linked else tmp_path.joinpath(os.devnull)
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        held = socket.socket(socket.AF_UNIX)
        monkeypatch.chdir(tmp_path)  # such names are short
        held.bind("place")
        held.close()
    if linked and kind != "device":
        (tmp_path / "link").symlink_to(place)
        place = tmp_path / "link"
    before, mode = names_in(tmp_path), os.stat(place).st_mode
    for write in (
        lambda: write_text(place, "new"),
        lambda: check_writable(place),
        lambda: check_output(place, "output", ("",)),
    ):
        with pytest.raises(FileExistsError, match=rf"{place} is a device, a pipe or a socket, which a file would take"):
            write()
    with pytest.raises(NotADirectoryError, match=f"{place} is a file"):
        fill(place)
    assert names_in(tmp_path) == before
    assert os.stat(place).st_mode == mode


def test_links_as_targets_of_files(tmp_path):
    """The link is replaced, wherever it leads."""
    for goal in ("nowhere", "link", tmp_path / "a" / "b"):
        (tmp_path / "link").symlink_to(goal)
        check_output(tmp_path / "link", "output", ("",))
        write_text(tmp_path / "link", "new")
        assert not (tmp_path / "link").is_symlink()
        assert (tmp_path / "link").read_text() == "new"
        assert names_in(tmp_path) == ["link"]
        (tmp_path / "link").unlink()


@pytest.mark.parametrize("keep", [False, True])
def test_links_as_targets_of_folders(keep, tmp_path):
    """A link to an empty folder stays, and the folder that it leads to is filled; one that leads nowhere is refused."""
    (tmp_path / "disk" / "regions").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk" / "regions")
    fill(link, keep=keep)
    assert open_regions(link).names == ["a"]
    assert link.is_symlink()
    with pytest.raises(FileExistsError, match="holds a complete store already"):
        fill(link, keep=keep)
    assert names_in(tmp_path / "disk") == ["regions"]
    (tmp_path / "disk" / "data").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "disk" / "data")
    with replacing_folder(tmp_path / "data", "data") as made:
        (made / "a").touch()
    assert names_in(tmp_path / "disk" / "data") == ["a"]
    for goal in ("nowhere", "lost"):
        (tmp_path / "lost").symlink_to(goal)
        for place in (tmp_path / "lost", tmp_path / "lost" / "below"):
            for write in (
                lambda place=place: fill(place, keep=keep),
                lambda place=place: check_folder(place, "things"),
                lambda place=place: convert("easy-vqa", place),
                lambda place=place: convert("easy-vqa", place / "a.keras"),
            ):
                with pytest.raises(
                    NotADirectoryError, match=rf"lost is a link to {goal}, which does not exist; pass a f"
                ):
                    write()
        (tmp_path / "lost").unlink()
    assert names_in(tmp_path) == ["data", "disk", "link"]


# Hidden work folders


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize("kind", ["link", "lost link", "file", "pipe"])
def test_what_is_no_folder_of_unfinished_work(kind, restart, keep, tmp_path):
    """A link there is refused: it would be followed, and what it leads to emptied."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "features.npy").write_text("mine")
    hidden = partial_folder(tmp_path / "store", keep)
    if kind == "file":
        hidden.write_text("mine")
    elif kind == "pipe":
        os.mkfifo(hidden)
    else:
        hidden.symlink_to(elsewhere if kind == "link" else "nowhere")
    with pytest.raises(
        ValueError, match=rf"{hidden} is a link, or no folder, which this package does not make\. .*rem"
    ):
        fill(tmp_path / "store", keep=keep, restart=restart)
    assert (elsewhere / "features.npy").read_text() == "mine"
    assert names_in(elsewhere) == ["features.npy"]
    assert names_in(tmp_path) == sorted([hidden.name, "elsewhere"])
    hidden.unlink()
    fill(tmp_path / "store", keep=keep, restart=restart)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    "name",
    ["features.npy", "progress.json", "names.txt", "regions.json", ".regions.json.0123456789ab.tmp", "mine", "d"],
)
def test_what_is_no_unfinished_work(name, restart, keep, tmp_path):
    """Links in the folder, and what this package does not write: nothing is followed, overwritten or removed."""
    goal = tmp_path / "goal"
    goal.write_text("mine")
    hidden = partial_folder(tmp_path / "store", keep)
    hidden.mkdir()
    if name == "mine":
        (hidden / name).write_text("mine")
    elif name == "d":
        (hidden / name).mkdir()
    else:
        (hidden / name).symlink_to(goal)
    with pytest.raises(ValueError, match=rf"{hidden} holds '{name}', which this package does not make\. .* remove it"):
        fill(tmp_path / "store", keep=keep, restart=restart)
    assert goal.read_text() == "mine"
    assert names_in(hidden) == [name]
    assert names_in(tmp_path) == [hidden.name, "goal"]


def test_what_a_killed_writer_left_is_removed(tmp_path):
    for keep in (False, True):
        hidden = partial_folder(tmp_path / f"store{keep}", keep)
        hidden.mkdir()
        for name in (".progress.json.0123456789ab.tmp", ".regions.json.ba9876543210.tmp", "boxes.npy", "names.npy"):
            (hidden / name).write_text("left")
        fill(tmp_path / f"store{keep}", keep=keep)
        assert open_regions(tmp_path / f"store{keep}").names == ["a"]
        assert not any(name.startswith(".") for name in names_in(tmp_path / f"store{keep}"))


@pytest.mark.parametrize("kind", ["link", "lost link", "folder", "pipe"])
def test_what_is_no_lock(kind, tmp_path):
    """A link in the place of a lock is not followed: what it leads to would be emptied."""
    (tmp_path / "goal").write_text("mine")
    place = tmp_path / ".lock"
    if kind == "folder":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("goal" if kind == "link" else "nowhere")
    with pytest.raises(FileExistsError, match=r"\.lock is a link, or no file, .* while the run is in use\. Look"):
        holding(place, "the run").__enter__()
    assert (tmp_path / "goal").read_text() == "mine"
    assert names_in(tmp_path) == [".lock", "goal"]


# The system's folder


@pytest.fixture
def no_folder(monkeypatch):
    """No folder for temporary files, as where TMPDIR and all others are missing, full or read-only."""
    monkeypatch.setenv("TMPDIR", "/absent")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/absent", "/proc"])


SAID = r"No usable temporary directory found in .*; {} needs a folder for temporary files\. Make room .*, or set TMPDIR"


def test_no_folder_for_temporary_files(no_folder):
    with pytest.raises(FileNotFoundError, match=SAID.format("scoring")) as found, system_folder("scoring"):
        pass
    assert found.value.filename == "/absent"


def test_a_packed_archive_without_a_folder_for_temporary_files(no_folder, tmp_path):
    """Not the archive is to blame."""
    path = tmp_path / "a.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", '{"config": {"config": {"model_type": "lxmert"}}}')
        archive.writestr("model.weights.h5", b"1234")
    with pytest.raises(FileNotFoundError, match=SAID.format(f"unpacking {path}")):
        open_weights(path)


def test_errors_in_the_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def fail(error):
        with in_system_folder("unpacking"):
            raise error

    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
        with pytest.raises(OSError, match=rf"{os.strerror(number)}; unpacking needs .*: '{tmp_path}'") as found:
            fail(OSError(number, os.strerror(number)))
        assert found.value.errno == number
    for error in (OSError(errno.EINVAL, "seek"), OSError("damaged"), ValueError("damaged")):
        with pytest.raises(type(error)) as found:
            fail(error)
        assert found.value is error

"""Conversions that are killed, stopped, starved or crossed by others: the target is wholly the old or the new one."""

import contextlib
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from lxmert.utils import atomic_files, file_locks, temporary_files
from lxmert.utils.atomic_files import recover_folder, replacing, replacing_files
from lxmert.utils.json_files import read_json
from lxmert.weights.convert import convert
from lxmert.weights.formats import open_weights

from .cases import mostly_full
from .converting import Conversions
from .weight_folders import CONFIG, make_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and forks")

OLD = CONFIG.replace(l_layers=1, x_layers=1, r_layers=1, num_qa_labels=8)
NEW = CONFIG.replace(l_layers=1, x_layers=1, r_layers=1)
PARTS = {"max_shard_size": 12000}
# What is written where: how the old target was made, how the new one is, and the target's name.
KINDS = {
    "folder": ({}, {}, "folder"),
    "parts over one": ({}, PARTS, "folder"),
    "one over parts": (PARTS, {}, "folder"),
    "parts over parts": (PARTS, {"max_shard_size": 8000}, "folder"),
    "tf_model.h5": ({"to": "tf_model.h5"}, {"to": "tf_model.h5"}, "folder"),
    "h5": ({}, {}, "a.h5"),
    "weights.h5": ({}, {}, "a.weights.h5"),
    "keras": ({}, {}, "a.keras"),
}


@pytest.fixture(scope="module")
def conversions():
    server = Conversions()
    yield server
    server.close()


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Two models, and what their targets hold, by the kind of target."""
    home = tmp_path_factory.mktemp("models")
    make_folder(home / "old", "LxmertForPreTraining", OLD)
    make_folder(home / "new", "LxmertForPreTraining", NEW)
    for kind, (old_options, new_options, name) in KINDS.items():
        convert(home / "old", home / kind / "old" / name, **old_options)
        convert(home / "new", home / kind / "new" / name, **new_options)
    return home


def held(target):
    """A fingerprint of all that a target holds: config, names, bits."""
    file = open_weights(target)
    try:
        digest = hashlib.sha256(json.dumps(file.config, sort_keys=True).encode())
        for name in sorted(file.shapes):
            values = file.read(name)
            digest.update(f"{name} {values.dtype} {values.shape}".encode() + values.tobytes())
        return digest.hexdigest()
    finally:
        file.close()


def names_below(folder):
    return sorted(str(item.relative_to(folder)) for item in folder.rglob("*"))


class Place:
    """A folder in which a target is overwritten again and again."""

    def __init__(self, models, kind, folder):
        self.kind, self.models, self.folder = kind, models, folder
        self.target = folder / "place" / KINDS[kind][2]
        self.old, self.new = (held(models / kind / age / self.target.name) for age in ("old", "new"))
        assert self.old != self.new

    def reset(self):
        shutil.rmtree(self.target.parent, ignore_errors=True)
        shutil.copytree(self.models / self.kind / "old", self.target.parent)

    def job(self, **options):
        job = {"source": str(self.models / "new"), "target": str(self.target), "options": KINDS[self.kind][1]}
        return {**job, "young": 0, **options}

    def check(self, conversions, left_as=()):
        """Either old or new; and the next run is as if nothing had happened."""
        assert held(self.target) in (left_as or (self.old, self.new))
        assert conversions.run(self.job()) == [{"status": 0, "error": None}]
        self.check_new()

    def check_new(self):
        assert held(self.target) == self.new
        assert names_below(self.target.parent) == names_below(self.models / self.kind / "new")

    def check_old(self):
        assert held(self.target) == self.old
        assert names_below(self.target.parent) == names_below(self.models / self.kind / "old")


@pytest.fixture
def place(models, tmp_path, request):
    return Place(models, request.param, tmp_path)


def kinds(*always):
    """Some kinds of targets; all of them with `make test-all`."""
    return pytest.mark.parametrize("place", mostly_full(KINDS, always), indirect=True)


@kinds("parts over one")
def test_killed_before_each_step(place, conversions):
    """Every time before it opens, makes, moves or removes a file: between any two of these nothing else changes."""
    for step in range(500):
        place.reset()
        (done,) = conversions.run(place.job(step=step))
        if done["status"] == 0:
            break
        assert done == {"status": -signal.SIGKILL, "error": None}
        place.check(conversions)
    assert 5 < step < 499
    place.check_new()


@kinds("one over parts", "keras")
def test_killed_at_random_moments(place, conversions):
    draw = random.Random(place.kind)
    killed = 0
    for _ in range(8):
        place.reset()
        (done,) = conversions.run(place.job(after=10 ** draw.uniform(-3.3, -1.3)))
        assert done["status"] in (0, -signal.SIGALRM)
        killed += done["status"] != 0
        place.check(conversions)


@kinds("folder", "weights.h5")
def test_stopped_by_the_user(place, conversions):
    draw = random.Random(place.kind)
    for step in sorted(draw.sample(range(30), 4)):
        place.reset()
        (done,) = conversions.run(place.job(step=step, signal=signal.SIGINT))
        assert done in ({"status": 0, "error": None}, {"status": 1, "error": "KeyboardInterrupt: "})
        place.check(conversions)


@kinds("parts over parts", "tf_model.h5", "keras")
def test_a_full_disk(place, conversions):
    size = max(item.stat().st_size for item in (place.models / place.kind / "new").rglob("*") if item.is_file())
    place.reset()
    for largest in (0, 1, 100, size // 3, size - 1):
        (done,) = conversions.run(place.job(largest=largest))
        assert done["status"] == 1
        assert done["error"].startswith("OSError: "), done
        place.check_old()
    place.check(conversions, left_as=(place.old,))


@kinds(*KINDS)
def test_a_folder_that_cannot_be_written(place, conversions):
    with tempfile.TemporaryDirectory() as home:  # pytest's own is closed to others
        Path(home).chmod(0o755)
        shutil.copytree(place.models / "new", Path(home) / "new")
        shutil.copytree(place.models / place.kind / "old", Path(home) / "place")
        for item in Path(home).rglob("*.safetensors"):
            item.chmod(0o644)
        os.chmod(Path(home) / "place", 0o555)
        target = Path(home) / "place" / place.target.name
        if target.is_dir():
            target.chmod(0o555)
        user = {"user": 65534} if os.getuid() == 0 else {}
        job = place.job(source=str(Path(home) / "new"), target=str(target), **user)
        (done,) = conversions.run(job)
        assert done == {"status": 1, "error": f"PermissionError: [Errno 13] Permission denied: '{target}'"}
        assert held(target) == place.old
        Path(home, "place").chmod(0o755)


@pytest.mark.parametrize("kind", mostly_full(["folder", "parts over one", "weights.h5", "keras"], ["parts over one"]))
def test_two_at_a_time(kind, models, conversions, tmp_path):
    """Two processes write two models to one place: it becomes one of them, not a part of each."""
    old_options, new_options, name = KINDS[kind]
    target = tmp_path / "place" / name
    wanted = [held(models / kind / age / name) for age in ("old", "new")]
    listings = [names_below(models / kind / age) for age in ("old", "new")]
    for _ in range(4):
        shutil.rmtree(target.parent, ignore_errors=True)
        job = {"source": str(models / "old"), "target": str(target), "options": old_options}
        other = {"source": str(models / "new"), "target": str(target), "options": new_options}
        assert [done["error"] for done in conversions.run(job, other, job, other)] == [None] * 4
        winner = wanted.index(held(target))
        assert names_below(target.parent) == listings[winner]


# One step after the other, in this process


class Killed(BaseException):
    """Stands for the end of the process."""


A, B, GONE = "config.json", "model.safetensors", "gone.safetensors"


def replace_in(folder, monkeypatch, deaths, stale=(GONE,)):
    """Replace two atomic_files, and die instead of the step of that number of those that move and remove."""
    steps, rmtree = 0, shutil.rmtree

    def counting(step):
        def counted(*args, **kwargs):
            nonlocal steps
            steps += 1
            if steps > deaths and step is rmtree:
                return None  # when the block is left, as it is not where a process ends
            if steps > deaths:
                raise Killed
            return step(*args, **kwargs)

        return counted

    with monkeypatch.context() as patched:
        for name in ("replace", "rename", "unlink", "rmdir"):
            patched.setattr(atomic_files.os, name, counting(getattr(os, name)))
        patched.setattr(shutil, "rmtree", counting(rmtree))
        with replacing_files(folder, lambda: stale) as new:
            (new / A).write_text("new a")
            (new / B).write_text("new b")


def contents(folder):
    return {item.name: item.read_text() for item in folder.iterdir() if item.is_file()}


def test_what_was_decided_is_finished_by_the_next_one(tmp_path, monkeypatch):
    before = {A: "old a", B: "old b", GONE: "old", "other": "stays"}
    after = {A: "new a", B: "new b", "other": "stays"}
    monkeypatch.setattr(temporary_files, "_MIN_AGE", 0)
    seen = []
    for deaths in range(20):
        folder = tmp_path / str(deaths)
        folder.mkdir()
        for name, text in before.items():
            (folder / name).write_text(text)
        try:
            replace_in(folder, monkeypatch, deaths)
        except Killed:
            recover_folder(folder)
            assert contents(folder) in (before, after)
            seen.append(contents(folder))
            replace_in(folder, monkeypatch, 100)
        assert contents(folder) == after
        assert sorted(item.name for item in folder.iterdir()) == sorted(after)
        if deaths > len(seen):
            break
    assert seen[0] == before
    assert seen[1:] == [after] * (len(seen) - 1)
    assert 4 < len(seen) < 15


def test_what_is_stale_is_asked_when_no_other_writes(tmp_path):
    """What another one wrote in the meantime is stale too."""

    def stale():
        return [item.name for item in tmp_path.iterdir() if item.name == B]

    with replacing_files(tmp_path, stale) as ours:
        (ours / A).write_text("1")
        with replacing_files(tmp_path) as theirs:
            (theirs / B).write_text("2")
        assert contents(tmp_path) == {B: "2"}
    assert contents(tmp_path) == {A: "1"}


def abandoned(folder, stale):
    complete = folder / ".lxmert-complete"
    complete.mkdir()
    (complete / A).write_text("new")
    (complete / "stale.json").write_text(stale)
    return complete


@pytest.mark.parametrize(
    "name",
    ["../outside", "/outside", "..", ".", "", "a/b", "a\\b", "C:outside", "outside\0", 1, None, ["a"], "notes.txt"],
)
def test_a_folder_made_to_remove_files_elsewhere(name, tmp_path):
    (tmp_path / "outside").write_text("1")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / GONE).write_text("2")
    (tmp_path / "folder" / "notes.txt").write_text("3")
    abandoned(tmp_path / "folder", json.dumps([GONE, name]))
    with pytest.raises(
        ValueError, match=r"lxmert-complete lists .* for removal; nothing .* Look into it, .* remove it"
    ):
        recover_folder(tmp_path / "folder")
    assert contents(tmp_path) == {"outside": "1"}
    assert contents(tmp_path / "folder") == {GONE: "2", "notes.txt": "3"}  # not even the name before


@pytest.mark.parametrize("kind", ["another name", "link", "folder", "stale is a link", "stale is no list"])
def test_a_folder_made_to_replace_other_files(kind, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / A).write_text("old")
    complete = abandoned(tmp_path, "{}" if kind == "stale is no list" else "[]")
    if kind == "another name":
        (complete / "notes.txt").write_text("theirs")
    elif kind == "link":
        (complete / B).symlink_to(tmp_path / "notes.txt")
    elif kind == "folder":
        (complete / B).mkdir()
    elif kind == "stale is a link":
        (complete / "stale.json").unlink()
        (complete / "stale.json").symlink_to(tmp_path / "notes.txt")
    said = {
        "another name": r"lxmert-complete holds 'notes\.txt'; nothing that this package writes does\. .* remove it",
        "stale is a link": r"lxmert-complete holds 'stale\.json', which is no plain file; .* remove it",
        "stale is no list": r"stale\.json must hold a JSON list",
    }
    with pytest.raises(
        ValueError, match=said.get(kind, r"holds 'model\.safetensors', which is no plain file; .* remove it")
    ):
        recover_folder(tmp_path)
    assert contents(tmp_path) == {"notes.txt": "mine", A: "old"}
    with pytest.raises(ValueError, match=r"lxmert-complete"), replacing_files(tmp_path) as new:
        (new / A).write_text("new")
    assert contents(tmp_path) == {"notes.txt": "mine", A: "old"}
    shutil.rmtree(complete)  # what the message says
    with replacing_files(tmp_path) as new:
        (new / A).write_text("new")
    assert contents(tmp_path) == {"notes.txt": "mine", A: "new"}


def test_only_known_names_are_written(tmp_path):
    """What could not be finished later is not decided."""
    with pytest.raises(ValueError, match=r"holds 'other\.txt'"), replacing_files(tmp_path) as new:
        (new / "other.txt").write_text("1")
    with (
        pytest.raises(ValueError, match=r"lists 'other\.txt' for removal"),
        replacing_files(tmp_path, lambda: ["other.txt"]),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", [A, B, GONE])
def test_a_folder_in_the_way_of_a_file(name, tmp_path):
    (tmp_path / name).mkdir()
    said = rf"{name} is a folder, in the way of the file of that name; move it away"

    def write():
        with replacing_files(tmp_path, lambda: [GONE]) as new:
            (new / A).write_text("new")
            (new / B).write_text("new")

    with pytest.raises(IsADirectoryError, match=said):
        write()
    assert [item.name for item in tmp_path.iterdir()] == [name]
    assert atomic_files.is_consistent(tmp_path)


def test_a_file_in_the_way_of_what_is_decided(tmp_path):
    (tmp_path / ".lxmert-complete").write_text("?")
    with pytest.raises(ValueError, match=r"lxmert-complete is no folder; .* remove it"), replacing_files(tmp_path):
        pass
    assert [item.name for item in tmp_path.iterdir()] == [".lxmert-complete"]


def test_another_user_may_read_what_was_decided(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary_files, "_MIN_AGE", 0)
    (tmp_path / "plain").mkdir()
    (tmp_path / "file").write_text("1")
    folder = tmp_path / "folder"
    for deaths in range(3, 20):
        folder.mkdir()
        with contextlib.suppress(Killed):
            replace_in(folder, monkeypatch, deaths)
        if (folder / ".lxmert-complete" / A).exists():
            break
        shutil.rmtree(folder)
    modes = [(folder / ".lxmert-complete").stat().st_mode, (folder / ".lxmert-complete" / A).stat().st_mode]
    assert modes == [(tmp_path / name).stat().st_mode for name in ("plain", "file")]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK])
def test_a_file_system_without_locks(number, tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr(file_locks.fcntl, "flock", flock)
    with replacing_files(tmp_path) as new:
        (new / A).write_text("new")
    with replacing(tmp_path / "b") as temporary:
        temporary.write_text("new")
    assert contents(tmp_path) == {A: "new", "b": "new"}


def test_a_link_in_place_of_complete_files(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder").mkdir()
    complete = abandoned(tmp_path / "elsewhere", json.dumps([GONE]))
    (tmp_path / "folder" / GONE).write_text("2")
    (tmp_path / "folder" / ".lxmert-complete").symlink_to(complete)
    assert atomic_files.is_consistent(tmp_path / "folder")
    recover_folder(tmp_path / "folder")
    with pytest.raises(ValueError, match=r"is no folder"), replacing_files(tmp_path / "folder"):
        pass
    assert contents(tmp_path / "folder") == {GONE: "2"}
    assert sorted(contents(complete)) == [A, "stale.json"]


# Folders of a user, named nearly as this package names its own.
MINE = [
    ".a[1].h5.my backup.tmp",
    ".a[1].h5.0123456789AB.tmp",
    ".a[1].h5.0123456789abc.tmp",
    ".a[1].h5.0123456789a.tmp",
    ".a[1].h5..tmp",
    ".a[1].h5.0123456789ab.tmp.tmp",
    ".a[1].h5.x.0123456789ab.tmp",
    ".a[1].h5.0123456789ab.tmp2",
    "..a[1].h5.0123456789ab.tmp",
]


def test_what_abandoned_files_may_be(tmp_path, monkeypatch):
    """A name with wildcards, a pipe, a link: nothing waits, nothing is followed, nothing else is removed."""
    monkeypatch.setattr(temporary_files, "_MIN_AGE", 0)
    os.mkfifo(tmp_path / ".a[1].h5.aaaaaaaaaaaa.tmp")
    (tmp_path / ".a[1].h5.0123456789ab.tmp").write_text("left")
    (tmp_path / ".a[1].h5.bbbbbbbbbbbb.tmp").mkdir()
    (tmp_path / ".a[1].h5.bbbbbbbbbbbb.tmp" / "part").write_text("left")
    (tmp_path / ".a1.h5.0123456789ab.tmp").write_text("another's")
    (tmp_path / "goal").write_text("goal")
    (tmp_path / ".a[1].h5.dddddddddddd.tmp").symlink_to(tmp_path / "goal")
    for name in MINE:
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine").write_text("mine")
    with replacing(tmp_path / "a[1].h5") as temporary:
        temporary.write_text("new")
    assert contents(tmp_path) == {
        "a[1].h5": "new",
        ".a1.h5.0123456789ab.tmp": "another's",
        "goal": "goal",
        ".a[1].h5.dddddddddddd.tmp": "goal",
    }
    assert sorted(path.parent.name for path in tmp_path.glob("*/mine")) == sorted(MINE)


def test_an_index_does_not_decide_what_is_removed(models, tmp_path):
    """Writing into a folder whose index names other files than weights leaves those alone."""
    (tmp_path / "mine.txt").write_text("1")
    (tmp_path / "model.safetensors.index.json").write_text('{"weight_map": {"a": "mine.txt", "b": "b.safetensors"}}')
    (tmp_path / "b.safetensors").write_text("2")
    convert(models / "new", tmp_path)
    assert sorted(item.name for item in tmp_path.iterdir()) == ["config.json", "mine.txt", "model.safetensors"]
    assert read_json(tmp_path / "config.json")["num_qa_labels"] == NEW.num_qa_labels

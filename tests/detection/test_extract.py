"""From photographs to a store: damaged ones, interruptions, several processes; always the same bytes."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from lxmert import RegionDetector
from lxmert.data.features import check_regions, open_regions
from lxmert.data.features import writer as writing
from lxmert.data.features.partial_store import partial_folder, saved_note
from lxmert.detection.extraction import extract_features, parts, run
from lxmert.detection.extraction.parts import parts_folder
from lxmert.detection.shapes import ShapeDetector
from tests.detection.extraction_cases import Halves, photographs, same_stores
from tests.inference.conftest import draw
from tests.reference.detectors import golden_network
from tests.vision.golden_detector import SMALL

ROOT = Path(__file__).parents[2]
DAMAGED, REFUSED = (2, 4, 13), (7, 8)
GOOD = [number for number in range(14) if number not in (*DAMAGED, *REFUSED)]
BATCHES = [[0, 1], [3, 5], [6], [9, 10, 11], [12]]  # of three: the first without 2, [6], 7 and 8 one by one


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return photographs(tmp_path_factory.mktemp("photos"), 14, DAMAGED, REFUSED)


@pytest.fixture(scope="module")
def whole(photos, tmp_path_factory):
    """The store as one process makes it without interruption."""
    store = tmp_path_factory.mktemp("whole") / "store"
    extract_features(photos, store, Halves())
    return store


@pytest.fixture
def saving(monkeypatch):
    """Saves each image at once, as a slow detector has it."""
    monkeypatch.setattr(writing, "_BLOCK", 1)
    monkeypatch.setattr(writing, "_SAVE_INTERVAL", -1.0)


@pytest.fixture
def process(monkeypatch):
    """Extracts as one of several processes; the others have done their parts, so it must not wait."""

    def wait(seconds):
        raise AssertionError("waits for another process")

    monkeypatch.setattr(parts, "time", SimpleNamespace(sleep=wait))

    def run(rank, world, *arguments, **options):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(world))
        try:
            return extract_features(*arguments, **options)
        finally:
            monkeypatch.delenv("RANK")
            monkeypatch.delenv("WORLD_SIZE")

    return run


def test_the_shapes_of_images_in_a_store(tmp_path):
    """Paths, arrays and PIL images: what the detector finds, and where it is from."""
    images = {"red": draw(), "blue": np.asarray(draw((50, 40), "rectangle", "blue", count=2))}
    report = extract_features(images, tmp_path / "store", ShapeDetector())
    assert (report.images, report.regions, report.resumed, report.skipped) == (2, 5, 0, [])
    store, found = open_regions(tmp_path / "store"), ShapeDetector()(list(images.values()))
    batch = store.batch(store.places(["red", "blue"]))
    np.testing.assert_array_equal(batch["visual_feats"], found.features)
    np.testing.assert_array_equal(batch["visual_pos"], found.normalized_boxes)
    np.testing.assert_array_equal(batch["visual_attention_mask"], found.mask)
    np.testing.assert_array_equal(store.sizes([0, 1]), found.sizes)
    assert store.facts(0)["detector"] == ShapeDetector().settings
    assert check_regions([tmp_path / "store"]).good


def test_damaged_photographs_are_skipped_and_named(photos, tmp_path, whole):
    detector = Halves()
    report = extract_features(photos, tmp_path / "store", detector)
    assert detector.batches == BATCHES
    assert (report.images, report.regions) == (len(GOOD), 2 * len(GOOD))
    assert [line.partition(".png")[0][-3:] for line in report.skipped] == ["p02", "p04", "p07", "p08", "p13"]
    assert "truncated" in report.skipped[0]
    assert report.skipped[2] == f"{photos / 'p07.png'}: no region can be found in it."
    store = open_regions(tmp_path / "store")
    assert store.names == [f"p{number:02}" for number in GOOD]
    labels = store.batch([0], labels=True)
    assert labels["object_ids"].tolist() == [[0, 1]]
    assert labels["attribute_ids"].tolist() == [[3, -100]]
    assert labels["attribute_confidence"].tolist() == [[0.75, 0]], "the score of no attribute is 0"
    facts = store.facts(0)
    assert facts["skipped"] == report.skipped
    assert facts["sources"] == [str(photos)]
    assert facts["detector"] == {"kind": "halves", "scale": [1, 2]}
    assert same_stores(tmp_path / "store", whole)


def test_the_first_damaged_photograph_stops_a_strict_extraction(tmp_path, saving):
    photos, store = photographs(tmp_path / "photos", 14, DAMAGED, REFUSED), tmp_path / "store"
    for number, saved in ((2, 0), (4, 3)):
        with pytest.raises(
            ValueError, match=rf"p0{number}\.png is truncated.* read so far: {saved}, kept in .*strict to"
        ):
            extract_features(photos, store, Halves(), strict=True)
        photographs(tmp_path / "other", number + 1)
        shutil.copy(tmp_path / "other" / f"p0{number}.png", photos)
    with pytest.raises(ValueError, match=r"p07\.png: no region can be found"):
        extract_features(photos, store, Halves(), strict=True)
    report = extract_features(photos, store, Halves())
    assert (report.images, report.resumed, len(report.skipped)) == (11, 6, 3)


def test_a_name_is_no_detector(tmp_path):
    with pytest.raises(TypeError, match=r"must be what RegionDetector\.from_pretrained gives; got 'shapes'"):
        extract_features(tmp_path, tmp_path / "store", "shapes")


def test_what_was_found_before_a_damaged_photograph_is_kept_and_counted(tmp_path):
    photos = photographs(tmp_path / "photos", 6, damaged=[5])
    with pytest.raises(ValueError, match="Images read so far: 3, kept in"):
        extract_features(photos, tmp_path / "store", Halves(), strict=True)
    assert extract_features(photos, tmp_path / "store", Halves()).resumed == 3


def test_an_error_of_the_system_is_no_damage(tmp_path, monkeypatch):
    """Good photographs would be skipped where a disk on the network is lost for a while, or too many files are open."""
    photos, opened = photographs(tmp_path / "photos", 6), Image.open

    def lost(file, *arguments, **options):
        if Path(file.name).name == "p04.png":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return opened(file, *arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", lost)
        with pytest.raises(
            OSError, match=r"Stale file handle: .*p04\.png\. Images read so far: 3, kept in .* to continue"
        ):
            extract_features(photos, tmp_path / "store", Halves())
    report = extract_features(photos, tmp_path / "store", Halves())
    assert (report.images, report.resumed, report.skipped) == (6, 3, [])


def test_no_good_photograph(tmp_path, monkeypatch):
    photos, store = photographs(tmp_path / "photos", 5, damaged=range(5)), tmp_path / "store"
    with pytest.raises(ValueError, match=r"none of the 5 photographs has regions: .*p00.*p02.*[^.]\. And 2 more\.$"):
        extract_features(photos, store, Halves())
    monkeypatch.setattr(run, "_FIRST", 3)
    with pytest.raises(ValueError, match=r"none of the first 3 photographs has regions"):
        extract_features(photos, store, Halves())
    shutil.copytree(photographs(tmp_path / "repaired", 5), photos, dirs_exist_ok=True)
    assert extract_features(photos, store, Halves()).images == 5, "repaired photographs are tried again"


@pytest.mark.parametrize(
    ("done", "error"), [(0, KeyboardInterrupt), (1, SystemExit), (3, KeyboardInterrupt), (4, MemoryError)]
)
def test_an_interrupted_extraction_continues(photos, tmp_path, whole, done, error):
    store = tmp_path / "store"
    with pytest.raises(error):
        extract_features(photos, store, Halves(stop_after=done, error=error))
    assert not store.exists()
    detector = Halves()
    report = extract_features(photos, store, detector)
    assert detector.batches == BATCHES[2 if done == 3 else done :], "a batch with refused photographs begins again"
    assert report.resumed == sum(map(len, BATCHES[: 2 if done == 3 else done]))
    assert same_stores(store, whole)
    detector = Halves()
    report = extract_features(photos, store, detector)
    assert (detector.batches, report.images, report.resumed, len(report.skipped)) == ([], len(GOOD), len(GOOD), 5)


@pytest.mark.parametrize("after", [0, 9, 20, 60])
def test_a_full_disk(photos, tmp_path, whole, saving, monkeypatch, after):
    write, done = os.pwrite, [0]

    def full(handle, content, offset):
        done[0] += 1
        if done[0] > after:
            write(handle, bytes(content)[: len(content) // 2], offset)  # half of it fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, content, offset)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            extract_features(photos, tmp_path / "store", Halves())
    report = extract_features(photos, tmp_path / "store", Halves())
    assert report.resumed == max(0, (after - 1) // 7)  # seven files, after the first offset
    assert same_stores(tmp_path / "store", whole)


def test_what_unfinished_work_is_continued_with(tmp_path):
    photos, store = photographs(tmp_path / "photos", 14, DAMAGED, REFUSED), tmp_path / "store"

    def stopped():
        with pytest.raises(KeyboardInterrupt):
            extract_features(photos, store, Halves(stop_after=2))

    stopped()
    with pytest.raises(ValueError, match="detector kind was 'halves' and is 'others'"):
        extract_features(photos, store, Halves("others"))
    with pytest.raises(ValueError, match="dtype was 'float32' and is 'float16'"):
        extract_features(photos, store, Halves(), dtype="float16")
    with pytest.raises(ValueError, match="unfinished extraction of other photographs"):
        extract_features(sorted(photos.iterdir())[::-1], store, Halves())
    with pytest.raises(ValueError, match="unfinished extraction of other photographs"):
        extract_features(photos, store, Halves(), names="a{id}")
    report = extract_features(photos, store, Halves("others"), restart=True)
    assert (report.images, report.resumed) == (len(GOOD), 0)
    for wanted, other in (
        (lambda: extract_features(photos, store, Halves("others"), restart=True), "already;"),
        (lambda: extract_features(photos, store, Halves()), r"with other settings \(detector kind was 'others' and is"),
        (lambda: extract_features(photos / "p00.png", store, Halves("others")), "of other photographs;"),
        (
            lambda: extract_features(photos, store, Halves("others"), names="a{id}", dtype="float16"),
            r"of other photographs and with other settings \(dtype was 'float32' and is 'float16'\); pass another",
        ),
    ):
        with pytest.raises(FileExistsError, match=f"holds a complete store {other}"):
            wanted()
    shutil.rmtree(store)
    stopped()
    photographs(photos, 17, DAMAGED, REFUSED)  # more behind those that are done
    report = extract_features(photos, store, Halves())
    assert (report.images, report.resumed) == (len(GOOD) + 3, 4)
    shutil.rmtree(store)
    stopped()
    noted = partial_folder(store) / "progress.json"
    progress = json.loads(noted.read_text())
    for note, message in (({"next": 6}, "is damaged"), ({**progress["note"], "next": -1}, "other photographs")):
        noted.write_text(json.dumps({**progress, "note": note}))
        with pytest.raises(ValueError, match=message):
            extract_features(photos, store, Halves())


def test_several_processes_make_the_same_store(photos, tmp_path, whole, process, saving):
    store = tmp_path / "store"
    detectors = [Halves() for _ in range(2)]
    with pytest.raises(KeyboardInterrupt):
        process(1, 2, photos, store, Halves(stop_after=1))
    report = process(1, 2, photos, store, detectors[1])
    assert (report.images, report.resumed) == (4, 3)
    report = process(0, 2, photos, store, detectors[0])
    assert [detector.batches for detector in detectors] == [BATCHES[:3], BATCHES[4:]]
    assert (report.images, report.resumed, len(report.skipped)) == (len(GOOD), 0, 5)
    assert same_stores(store, whole)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
    for rank, skipped in enumerate([report.skipped, []]):  # once more
        assert process(rank, 2, photos, store, Halves(stop_after=0)).skipped == skipped


def test_a_merge_that_is_interrupted(photos, tmp_path, process, monkeypatch):
    """The first process continues in the middle of a part; with another number of processes nothing is lost either."""
    for last in (4, 1):
        store = tmp_path / f"store{last}"
        for rank in range(1, 4):
            process(rank, 4, photos, store, Halves(batch_size=1))
        add, added = writing.RegionWriter.add_image, []

        def interrupted(self, image, *arguments, add=add, added=added, **options):
            if image.name == "p10":
                raise KeyboardInterrupt
            added.append(image.name)
            add(self, image, *arguments, **options)

        with monkeypatch.context() as patched:
            patched.setattr(writing.RegionWriter, "add_image", interrupted)
            with pytest.raises(KeyboardInterrupt):
                process(0, 4, photos, store, Halves(batch_size=1))
        assert "p09" in added
        assert saved_note(store)["next"] == 7
        for rank in (1, 2, 3)[: last - 1]:
            process(rank, last, photos, store, Halves(stop_after=0, batch_size=1))
        report = process(0, last, photos, store, Halves(batch_size=1))
        assert report.resumed == added.index("p09") + 1
        one = tmp_path / "one"
        extract_features(photos, one, Halves(batch_size=1))
        assert same_stores(store, one)
        shutil.rmtree(one)
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_parts_without_a_good_photograph_or_without_any(tmp_path, process, monkeypatch):
    monkeypatch.setattr(run, "_FIRST", 2)  # for the first process alone
    photos, store = photographs(tmp_path / "photos", 6, damaged=(3, 4, 5)), tmp_path / "store"
    assert len(process(1, 2, photos, store, Halves()).skipped) == 3
    report = process(0, 2, photos, store, Halves())
    assert (report.images, len(report.skipped)) == (3, 3)
    extract_features(photos, tmp_path / "one", Halves())
    assert same_stores(store, tmp_path / "one")
    shutil.rmtree(store)
    assert [process(rank, 4, photos, store, Halves()).images for rank in (1, 2, 3)] == [0, 0, 0]
    assert process(0, 4, photos, store, Halves()).images == 3
    assert same_stores(store, tmp_path / "one")


def test_parts_that_do_not_belong_together(photos, tmp_path, process, monkeypatch):
    store = tmp_path / "store"
    process(1, 2, photos, store, Halves("others"))
    with pytest.raises(
        ValueError,
        match=r"9-14 was extracted from other photographs or with other settings\. Remove .*\.store\.parts to start",
    ):
        process(0, 2, photos, store, Halves())
    with pytest.raises(ValueError, match=r"restart is for one process.*Remove .*\.store\.partial and .*\.store\.parts"):
        process(0, 2, photos, store, Halves(), restart=True)
    assert extract_features(photos, store, Halves(), restart=True).resumed == 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    for rank, world in (("1", "1"), ("-1", "2"), ("x", "2"), ("0", "0")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", world)
        with pytest.raises(ValueError, match=f"RANK and WORLD_SIZE must be .* got RANK={rank} and WORLD_SIZE={world}"):
            extract_features(photos, tmp_path / "other", Halves())


def test_a_link_in_the_place_of_parts(photos, tmp_path, process):
    """It is refused: what it leads to would be written into, and removed."""
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    (elsewhere / "0-9").mkdir(parents=True)
    (elsewhere / "0-9" / "mine").touch()
    parts_folder(store).symlink_to(elsewhere)
    for attempt in (
        lambda: extract_features(photos, store, Halves()),
        lambda: extract_features(photos, store, Halves(), restart=True),
        lambda: process(1, 2, photos, store, Halves()),
    ):
        with pytest.raises(
            NotADirectoryError, match=r"\.store\.parts is a link, .* the parts of .*store\. Look into it"
        ):
            attempt()
    assert [path.name for path in elsewhere.rglob("*")] == ["0-9", "mine"]


def test_only_parts_are_removed(photos, tmp_path):
    """What a user keeps in the folder of parts stays there; parts that are links are not followed."""
    store, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mine").touch()
    folder = parts_folder(store)
    for name in ("0-9", ".9-14.partial", ".9-14.writing", ".9-14.0123456789ab.tmp", "9-14 copy", ".9-14.backup.tmp"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").touch()
    (folder / "14-20").symlink_to(elsewhere)
    extract_features(photos, store, Halves())
    assert sorted(path.name for path in folder.iterdir()) == [".9-14.backup.tmp", "14-20", "9-14 copy"]
    assert [path.name for path in elsewhere.iterdir()] == ["mine"]


def test_few_photographs_are_open_at_a_time(tmp_path):
    """Photographs are opened while others are computed, as many as fit into the queue."""
    most = []

    class Watching(Halves):
        def detect(self, images):
            found = super().detect(images)
            done, started = sum(map(len, self.batches)), time.monotonic()
            while self.opened == done < 40 and time.monotonic() < started + 20:
                time.sleep(0.001)
            most.append(self.opened - done)
            return found

    report = extract_features(
        photographs(tmp_path / "photos", 40), tmp_path / "store", Watching(batch_size=2), readers=2
    )
    assert report.images == 40
    assert len(most) == 20
    assert min(most[:-1]) > 0
    assert max(most) <= 2 + 2 * 2  # batch_size + 2 * readers
    for name, detector, options in (("batch_size", Halves(batch_size=0), {}), ("readers", Halves(), {"readers": 0})):
        with pytest.raises(ValueError, match=rf"^{name} must be at least 1; got 0\."):
            extract_features(tmp_path / "photos", tmp_path / "other", detector, **options)


@pytest.mark.full
@pytest.mark.parametrize("world", [1, 3])
def test_killed_at_twenty_steps(tmp_path, world):
    command = [sys.executable, "-m", "tests.detection.killed_extraction", str(tmp_path), str(world)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (len(found["killed"]), found["different"]) == (20, []), done.stderr


@pytest.mark.full
def test_torchrun(photos, tmp_path, monkeypatch):
    """Two processes at the same time, and one with as many threads as each: the same store, of a narrow network."""
    golden_network("pt", SMALL, "float32").save_pretrained(tmp_path / "detector")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "lxmert", "features"]
    command += ["extract", photos, tmp_path / "two", "--detector", tmp_path / "detector", "--regions", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path / 'two'}: 11 images, " in done.stdout
    assert done.stdout.endswith(" regions; 3 skipped as damaged\n")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    extract_features(photos, tmp_path / "one", RegionDetector.from_pretrained(str(tmp_path / "detector"), regions=5))
    torch.set_num_threads(threads)
    assert same_stores(tmp_path / "two", tmp_path / "one")

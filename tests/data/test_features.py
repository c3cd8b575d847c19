"""The store itself: what is written is what is read, and damage is seen."""

import json
import multiprocessing
import os
import pickle
import re
import shutil

import numpy as np
import pytest

from lxmert.data.features import RegionWriter, check_regions, open_regions, partial_store, store_folder
from lxmert.data.features.partial_store import partial_folder
from lxmert.data.features.row_reader import widen
from tests.data.region_files import F, add, image

COUNT = 9


@pytest.fixture(params=["float16", "float32"])
def folder(request, tmp_path):
    return write(tmp_path / "store", range(COUNT), request.param)


def write(folder, numbers, dtype="float32", **options):
    with RegionWriter(folder, dtype) as writer:
        for number in numbers:
            add(writer, image(number, **options))
    return folder


def expected(numbers, regions):
    batch = {
        "visual_feats": np.zeros((len(numbers), regions, F), np.float32),
        "visual_pos": np.zeros((len(numbers), regions, 4), np.float32),
        "visual_attention_mask": np.zeros((len(numbers), regions), np.float32),
        "object_ids": np.full((len(numbers), regions), -100),
        "object_confidence": np.zeros((len(numbers), regions), np.float32),
        "attribute_ids": np.full((len(numbers), regions), -100),
        "attribute_confidence": np.zeros((len(numbers), regions), np.float32),
    }
    for row, number in enumerate(numbers):
        one = image(number)
        count = min(regions, len(one.features))
        height, width = one.size
        batch["visual_feats"][row, :count] = one.features[:count]
        sides = np.array([width, height, width, height], np.float32)
        batch["visual_pos"][row, :count] = one.boxes[:count] / sides
        batch["visual_attention_mask"][row, :count] = 1
        for name in ("object_ids", "object_confidence", "attribute_ids", "attribute_confidence"):
            batch[name][row, :count] = getattr(one, name)[:count]
    return batch


@pytest.mark.parametrize(("numbers", "regions"), [([3, 0, 3, 8], None), ([7], 2), ([4, 1], 6), ([2], 3)])
def test_a_batch_is_what_was_written(folder, numbers, regions):
    store = open_regions(folder)
    assert (len(store), store.feature_size, store.most_regions, store.has_labels) == (COUNT, F, 4, True)
    places = store.places([f"image_{number:03d}" for number in numbers])
    wanted = expected(numbers, regions or max(1 + number % 4 for number in numbers))
    found = store.batch(places, regions, labels=True)
    assert list(found) == list(wanted)
    for name, values in wanted.items():
        assert found[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    assert list(store.batch(places)) == ["visual_feats", "visual_pos", "visual_attention_mask"]
    np.testing.assert_array_equal(store.counts(places), [1 + number % 4 for number in numbers])
    np.testing.assert_array_equal(store.sizes(places), [[48, 64]] * len(numbers))


def test_an_empty_batch(folder):
    found = open_regions(folder).batch(np.zeros(0, np.int64), regions=3)
    assert found["visual_feats"].shape == (0, 3, F)
    assert open_regions(folder).batch([])["visual_pos"].shape == (0, 0, 4)


def test_single_regions(folder):
    store = open_regions([folder])
    found = store.features_at([3, 0, 6], [3, 0, 1])
    np.testing.assert_array_equal(found, [image(3).features[3], image(0).features[0], image(6).features[1]])
    with pytest.raises(IndexError, match="image 'image_001' has 2 regions; there is no region 2"):
        store.features_at([0, 1], [0, 2])
    with pytest.raises(IndexError, match="there is no image 9; the store has 9"):
        store.batch([0, 9])
    with pytest.raises(IndexError, match="there is no image -1"):
        store.counts([-1])


def test_several_folders(tmp_path):
    folders = [write(tmp_path / "a", [5, 2]), write(tmp_path / "b", [7, 5, 0], "float16"), write(tmp_path / "c", [1])]
    store = open_regions(folders)
    assert store.names == [f"image_{number:03d}" for number in (5, 2, 7, 5, 0, 1)]
    numbers = [1, 7, 5, 2, 0, 7]
    places = store.places([f"image_{number:03d}" for number in numbers])
    assert places.tolist() == [5, 2, 0, 1, 4, 2]  # what two folders hold is the first one's
    found, wanted = store.batch(places, labels=True), expected(numbers, 4)
    for name, values in wanted.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    np.testing.assert_array_equal(
        store.features_at(places, [0, 3, 1, 2, 0, 1])[[1, 3]], [image(7).features[3], image(2).features[2]]
    )
    with RegionWriter(tmp_path / "d", "float32") as writer:
        add(writer, image(0, features=F + 1))
    with pytest.raises(ValueError, match=r"one size in all folders; .*a has 10, .*d has 11"):
        open_regions([folders[0], tmp_path / "d"])


@pytest.mark.parametrize("name", ["image_00", "image_0000", "image_000\0", "", "x" * 400, "Ünder"])
def test_missing_images_are_named(folder, name):
    with pytest.raises(ValueError, match=r"an image is not in .*store: .*such as image_000"):
        open_regions(folder).places(["image_000", name])


def test_many_missing_images_are_counted(folder):
    names = [f"other_{number}" for number in range(7)]
    with pytest.raises(ValueError, match=r"7 of 8 images are not in .*: other_0, other_1, other_2 and 4 more"):
        open_regions(folder).places([*names, "image_000", *names])


def test_names_of_any_characters(tmp_path):
    names = ["n1 a", "ü", "日本", "z" * 255, "0", "00"]
    with RegionWriter(tmp_path / "store") as writer:
        for number, name in enumerate(names):
            add(writer, _named(number, name))
    store = open_regions(tmp_path / "store")
    assert store.names == names
    assert store.places(names[::-1]).tolist() == [5, 4, 3, 2, 1, 0]


def _named(number, name):
    one = image(number)
    return type(one)(**{**vars(one), "name": name})


def test_images_without_labels(tmp_path):
    with RegionWriter(tmp_path / "store", "float32") as writer:
        add(writer, image(3, labels=False))
        one = image(2)
        writer.add(one.name, one.features, one.boxes, one.size, object_ids=one.object_ids)
    store = open_regions(tmp_path / "store")
    assert (store.has_labels, store.has_objects, store.has_attributes) == (False, False, False)
    assert (store.largest_object_id, store.largest_attribute_id) == (max(one.object_ids), -1)
    found = store.batch([0, 1], labels=True)
    assert (found["object_ids"][0] == -100).all()
    assert (found["object_confidence"][0] == 0).all()
    np.testing.assert_array_equal(found["object_ids"][1, :3], one.object_ids)
    assert found["object_confidence"][1].tolist() == [1, 1, 1, 0]  # sure, where nothing else is said
    assert (found["attribute_ids"] == -100).all()


def test_single_regions_without_labels(tmp_path):
    one = image(3)
    objects, attributes = np.array([-100, 7, 0, -100]), np.full(4, -100)
    with RegionWriter(tmp_path / "store") as writer:
        writer.add(
            one.name, one.features, one.boxes, one.size, objects, np.array([0, 0.5, 1, 0]), attributes, np.zeros(4)
        )
        writer.add("other", one.features, one.boxes, one.size, objects, None, attributes)  # no confidences
    store = open_regions(tmp_path / "store")
    assert store.has_labels
    assert (store.largest_object_id, store.largest_attribute_id) == (7, -1)
    found = store.batch([0, 1], labels=True)
    assert found["object_ids"].tolist() == [objects.tolist()] * 2
    assert found["object_confidence"].tolist() == [[0, 0.5, 1, 0], [0, 1, 1, 0]]
    assert (found["attribute_ids"] == -100).all()
    assert (found["attribute_confidence"] == 0).all()
    assert check_regions([tmp_path / "store"]).good


def test_objects_without_attributes(tmp_path):
    folders = [write(tmp_path / "both", [0, 1]), tmp_path / "objects"]
    one = image(7)
    with RegionWriter(folders[1]) as writer:
        writer.add(one.name, one.features, one.boxes, one.size, object_ids=np.array([1, 1600, 2, 3]))
    for store in (open_regions(folders[1]), open_regions(folders)):
        assert (store.has_objects, store.has_attributes, store.has_labels) == (True, False, False)
        assert store.largest_object_id == 1600
    assert store.largest_attribute_id == max(max(image(number).attribute_ids) for number in (0, 1))


def test_largest_ids_of_stores_that_do_not_tell_them(folder, monkeypatch):
    index = json.loads((folder / "regions.json").read_text())
    told = [index.pop(f"largest_{kind}_id") for kind in ("object", "attribute")]
    images = list(map(image, range(COUNT)))
    assert told == [max(max(one.object_ids) for one in images), max(max(one.attribute_ids) for one in images)]
    (folder / "regions.json").write_text(json.dumps(index))
    monkeypatch.setattr(store_folder, "_BLOCK", 4)  # the labels are read in several pieces
    store = open_regions(folder)
    assert [store.largest_object_id, store.largest_attribute_id] == told
    assert check_regions([folder]).good


def test_a_store_that_counts_pictures(folder):
    """Earlier commits named the count so."""
    index = json.loads((folder / "regions.json").read_text())
    index["pictures"] = index.pop("images")
    (folder / "regions.json").write_text(json.dumps(index))
    assert len(open_regions(folder)) == COUNT
    assert check_regions([folder]).good


def test_wrong_largest_ids_are_found(folder):
    _index(folder, largest_object_id=5)
    assert open_regions(folder).largest_object_id == 5  # what is told is taken, and checked by the check
    (finding,) = check_regions([folder]).damage
    assert finding.image is None
    assert finding.what.startswith("regions.json says that the largest object id and attribute id are [5, ")


def test_an_image_without_regions(tmp_path):
    with RegionWriter(tmp_path / "store") as writer:
        add(writer, image(1))
        writer.add("none", np.zeros((0, F)), np.zeros((0, 4)), (5, 6))
    assert open_regions(tmp_path / "store").batch([1, 0])["visual_attention_mask"].tolist() == [[0, 0], [1, 1]]


def test_every_float16_number_is_widened_exactly():
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    every = every[np.isfinite(every)]
    target = np.empty(every.shape, np.float32)
    widen(every, target)
    wanted = every.astype(np.float32)
    assert (target.view(np.int32) == wanted.view(np.int32)).all()  # minus zero too


def test_pickles_are_small_and_reopen(folder):
    store = open_regions(folder)
    content = pickle.dumps(store)
    assert len(content) < 1000
    np.testing.assert_array_equal(pickle.loads(content).batch([4])["visual_feats"], store.batch([4])["visual_feats"])


def _read(arguments):
    store, places = arguments
    return store.batch(places)["visual_feats"]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_the_same(folder, method):
    if method == "fork" and not hasattr(os, "fork"):
        pytest.skip("the system cannot fork")
    store = open_regions(folder)
    if method == "fork":  # a real fork in a process with other libraries' threads would warn
        child = os.pipe()
        if os.fork() == 0:
            os.write(child[1], _read((store, [5, 1])).tobytes())
            os._exit(0)
        os.wait()
        found = np.frombuffer(os.read(child[0], 10**5), np.float32).reshape(2, 2, F)
        for handle in child:
            os.close(handle)
    else:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.map(_read, [(store, [5, 1])])[0]
    np.testing.assert_array_equal(found, store.batch([5, 1])["visual_feats"])


def test_closing(folder):
    store = open_regions(folder)
    store.close()
    with pytest.raises(ValueError, match="was closed"):
        store.batch([0])


BAD_IMAGES = {
    "shape of features": ({"features": np.zeros(3)}, r"features must be numbers \[regions, size\]; got float64 \[3\]"),
    "NaN": ({"features": np.full((4, F), np.nan)}, "number 0 of region 0 is nan"),
    "infinite": ({"features": np.full((4, F), -np.inf)}, "number 0 of region 0 is -inf"),
    "other size": ({"features": np.zeros((4, F + 2))}, "features must be of size 10, as those .* got 12"),
    "too large": ({"features": np.full((4, F), 1e6)}, "must fit into float16; number 0 of region 0 is 1000000"),
    "number of boxes": ({"boxes": np.zeros((3, 4))}, r"boxes must be numbers \[4, 4\].* got float64 \[3, 4\]"),
    "box outside": ({"boxes": np.full((4, 4), 60.0)}, r"64 wide and 48 high; box 0 .* is \[60.0, 60.0, 60.0, 60.0\]"),
    "box turned": ({"boxes": np.tile([9.0, 9, 5, 10], (4, 1))}, "x1 <= x2 and y1 <= y2; box 0 is"),
    "box NaN": ({"boxes": np.full((4, 4), np.nan)}, "boxes must be finite; box 0"),
    "size": ({"size": (0, 5)}, "1 to 16,777,216 pixels"),
    "half size": ({"size": (4.5, 5)}, "whole pixels"),
    "ids": ({"object_ids": np.full(4, -1)}, "object_ids must be 0 or more, or -100 for none; that of region 0 is -1"),
    "confidence of none": (
        {"object_ids": np.array([3, -100, 4, 5]), "object_confidence": np.full(4, 0.5)},
        "object_confidence must be 0 where there is no label; that of region 1, whose id is -100, is 0.5",
    ),
    "ids' number": ({"attribute_ids": np.zeros(3, int)}, r"attribute_ids must be integers \[4\]"),
    "confidence": ({"object_confidence": np.full(4, 1.5)}, "must be in 0 to 1; that of region 0 is 1.5"),
    "NaN confidence": ({"attribute_confidence": np.full(4, np.nan)}, "in 0 to 1; that of region 0 is nan"),
    "no ids": ({"object_ids": None}, "object_confidence is of no use without object_ids"),
    "the same name": ({"name": "image_000"}, "of this name is in the store already"),
    "no name": ({"name": ""}, "1 to 255 bytes"),
    "long name": ({"name": "x" * 256}, "1 to 255 bytes"),
    "name with a tab": ({"name": "a\tb"}, "no control characters"),
    "half a character": ({"name": "\ud800"}, "half a character"),
}


@pytest.mark.parametrize("case", BAD_IMAGES)
def test_bad_images_are_refused_and_nothing_is_added(tmp_path, case):
    changed, message = BAD_IMAGES[case]
    with RegionWriter(tmp_path / "store", "float16") as writer:
        add(writer, image(0))
        with pytest.raises(ValueError, match=message):
            writer.add(**{**vars(image(3)), **changed})
        add(writer, image(3))
    assert open_regions(tmp_path / "store").names == ["image_000", "image_003"]
    assert check_regions([tmp_path / "store"]).good


def test_boxes_may_reach_out_by_the_originals_tolerance(tmp_path):
    boxes = np.array([[-0.0004, 0, 64.0004, 48.0004]])
    with RegionWriter(tmp_path / "store", "float32") as writer:
        writer.add("a", np.zeros((1, F)), boxes, (48, 64))
        with pytest.raises(ValueError, match="boxes must be in the image"):
            writer.add("b", np.zeros((1, F)), boxes * 3, (48, 64))


def _add_all(writer, images):
    for one in images:
        add(writer, one)


def test_a_failed_block_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="half a character"), RegionWriter(tmp_path / "store") as writer:
        _add_all(writer, [image(0), _named(1, "\ud800")])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="no image was given"), RegionWriter(tmp_path / "store"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path):
    folder = write(tmp_path / "store", [0])
    with pytest.raises(FileExistsError, match="holds a complete store already"), RegionWriter(folder):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"), RegionWriter(tmp_path / "file"):
        pass
    with pytest.raises(ValueError, match="dtype must be float16 or float32; got 'int8'"):
        RegionWriter(tmp_path / "other", "int8")
    (tmp_path / "empty").mkdir()
    assert len(open_regions(write(tmp_path / "empty", [1, 2]))) == 2


def test_two_writers_of_one_store(tmp_path):
    with RegionWriter(tmp_path / "store") as writer:
        with pytest.raises(BlockingIOError, match="another process is writing"), RegionWriter(tmp_path / "store"):
            pass
        with pytest.raises(BlockingIOError, match="another process is writing"):
            RegionWriter(tmp_path / "store", restart=True).__enter__()
        add(writer, image(0))
    assert len(open_regions(tmp_path / "store")) == 1


def test_a_writer_that_gets_the_lock_of_a_store_that_was_just_made(tmp_path, monkeypatch):
    if not partial_store.HAS_LOCKS:
        pytest.skip("the system has no such locks")
    whole, lock = write(tmp_path / "whole", range(3)), partial_store.lock

    def late(handle):  # the other writer finishes between our opening of its folder and our lock
        monkeypatch.setattr(partial_store, "lock", lock)
        partial_folder(tmp_path / "store").rmdir()
        os.rename(whole, tmp_path / "store")
        return lock(handle)

    monkeypatch.setattr(partial_store, "lock", late)
    with (
        pytest.raises(BlockingIOError, match="another process has just written"),
        RegionWriter(tmp_path / "store", keep=True, restart=True),
    ):
        pass
    assert len(open_regions(tmp_path / "store")) == 3
    assert not list(tmp_path.glob(".*"))


def test_foreign_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        open_regions(tmp_path / "nothing")
    with pytest.raises(ValueError, match=r"holds no regions: it has no regions\.json"):
        open_regions(tmp_path)
    with pytest.raises(ValueError, match="at least one folder"):
        open_regions([])


def _index(folder, **changed):
    index = json.loads((folder / "regions.json").read_text())
    (folder / "regions.json").write_text(json.dumps({**index, **changed}))


def _bytes(folder, name, at, content):
    with (folder / name).open("r+b") as file:
        file.seek(at, os.SEEK_END if at < 0 else os.SEEK_SET)
        file.write(content)


def _cut(folder, name):
    os.truncate(folder / name, os.path.getsize(folder / name) - 1)


DAMAGES = {
    "format": (lambda f: _index(f, format="other"), "must have the format 'lxmert regions'"),
    "version": (lambda f: _index(f, version=2), "has version 2; only version 1 can be read"),
    "count": (lambda f: _index(f, images=-1), "images must be an integer from 1; it is -1"),
    "counts differ": (lambda f: _index(f, images=8), r"offsets\.npy must hold int64 \[9\]"),
    "most": (lambda f: _index(f, most_regions=99), "the most regions of an image are 4, not 99"),
    "largest": (lambda f: _index(f, largest_object_id=-2), "largest_object_id must be an integer from -1; it is -2"),
    "dtype": (lambda f: _index(f, dtype="int8"), "dtype must be float16 or float32; it is 'int8'"),
    "no dtype": (lambda f: _index(f, dtype=["int8"]), r"dtype must be float16 or float32; it is \['int8'\]"),
    "no JSON": (lambda f: (f / "regions.json").write_text("{"), "is not a JSON file"),
    "absent": (lambda f: (f / "labels.npy").unlink(), r"is incomplete: it has no labels\.npy"),
    "cut off": (lambda f: _cut(f, "features.npy"), r"features\.npy is truncated: by its header"),
    "longer": (lambda f: _bytes(f, "sizes.npy", os.path.getsize(f / "sizes.npy"), b"0"), "has extra bytes"),
    "no array": (lambda f: _bytes(f, "boxes.npy", 0, b"oops"), r"boxes\.npy is not a \.npy file of numbers"),
    "objects": (lambda f: np.save(f / "names.npy", np.array([None] * 9), allow_pickle=True), "holds Python objects"),
    "offsets": (lambda f: _bytes(f, "offsets.npy", 256 + 8, b"\xff" * 8), "image 0 end too early"),
    "last offset": (lambda f: _bytes(f, "offsets.npy", -8, b"\xff\0\0\0\0\0\0\0"), "must go from 0 to the number"),
    "size": (lambda f: _bytes(f, "sizes.npy", 256, bytes(4)), "image 0 has no height or width"),
    "names twice": (lambda f: _bytes(f, "names.npy", 256, b"image_001"), "'image_001' is there twice"),
    "names' order": (lambda f: _bytes(f, "names.npy", 256, b"q"), "'image_001' comes after 'qmage_000'"),
    "places": (lambda f: _bytes(f, "name_places.npy", 256, b"\x08"), "no name leads to image 0"),
    "places outside": (lambda f: _bytes(f, "name_places.npy", 256, b"\xff\xff"), "a name leads to no image"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_seen_when_a_store_is_opened(tmp_path, case):
    damage, message = DAMAGES[case]
    folder = write(tmp_path / "store", range(COUNT))
    damage(folder)
    with pytest.raises(ValueError, match=message):
        open_regions(folder)
    report = check_regions([folder])
    assert not report.good
    assert report.damage[0].image is None


CHANGES = {
    "a feature": ("features.npy", 256, b"\x01", "checksum differs"),
    "NaN": ("features.npy", 256, b"\xff\xff\xff\x7f", "1 of its features are NaN or infinite"),
    "a box": ("boxes.npy", 256, b"\x01", "checksum differs"),
    "a box outside": ("boxes.npy", 256, np.float32(-9).tobytes(), r"box 0 is \[-9.0, .*outside of the image"),
    "a label": ("labels.npy", 256, b"\xaa\xaa", "checksum differs"),
    "a size": ("sizes.npy", 256, b"\x31", "checksum differs"),
    "a checksum": ("checksums.npy", 256, b"\xaa\xaa\xaa", "checksum differs"),
    "a name": ("names.npy", 256, b"h", "checksum differs"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_check_names_the_damaged_image(tmp_path, case):
    name, at, content, message = CHANGES[case]
    folder = write(tmp_path / "store", range(COUNT))
    assert check_regions([folder]).damage == []
    _bytes(folder, name, at, content)
    report = check_regions([folder])
    damaged = {finding.image for finding in report.damage}
    assert damaged == {"hmage_000" if case == "a name" else "image_000"}
    assert any(re.search(message, finding.what) for finding in report.damage)


def test_check_of_several_folders(tmp_path):
    folders = [write(tmp_path / "a", [1, 2]), write(tmp_path / "b", [2, 3]), tmp_path / "c"]
    shutil.copytree(folders[0], folders[2])
    _bytes(folders[2], "features.npy", -1, b"\x11")
    told = []
    report = check_regions(folders, lambda size, total: told.append((size, total)))
    assert [(finding.folder, finding.image) for finding in report.damage] == [(str(folders[2]), "image_002")]
    assert report.repeated == ["image_002", "image_001"]
    assert (report.images, report.regions) == (6, 2 * (2 + 3) + 3 + 4)
    assert sum(size for size, _ in told) == told[0][1]
    with pytest.raises(FileNotFoundError):
        check_regions([tmp_path / "nothing"])


def test_the_files_are_plain_arrays(folder):
    features = np.load(folder / "features.npy", mmap_mode="r")
    np.testing.assert_array_equal(features[0], image(0).features[0])
    assert np.load(folder / "labels.npy")["object_id"][0] == image(0).object_ids[0]
    arrays = ["features", "boxes", "labels", "offsets", "sizes", "checksums", "names", "name_places"]
    assert {file.name for file in folder.iterdir()} == {"regions.json", *(f"{name}.npy" for name in arrays)}


@pytest.mark.parametrize("name", ["features", "boxes", "labels", "names", "name_places", "checksums"])
def test_a_file_that_becomes_shorter_is_an_error(name, folder):
    store = open_regions(folder)
    expected = store.batch([8], labels=True)
    for catalogue in ("offsets", "sizes", name):  # the first two are in memory
        os.truncate(folder / f"{catalogue}.npy", 260)
    if name in ("features", "boxes", "labels"):
        with pytest.raises(OSError, match=rf"{name}\.npy was truncated after it was opened"):
            store.batch([8], labels=True)
        return
    for key, values in store.batch([8], labels=True).items():
        np.testing.assert_array_equal(values, expected[key])
    with pytest.raises(OSError, match=rf"{name}\.npy was truncated after it was opened"):
        store._parts[0].checksums if name == "checksums" else store.places([image(8).name])

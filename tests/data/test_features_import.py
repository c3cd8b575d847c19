"""Every published kind of file into a store; damaged ones; and imports that are stopped and go on."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from lxmert.data.features import ImportOptions, check_regions, import_regions, open_regions
from lxmert.data.features import writer as writing
from lxmert.data.features.partial_store import partial_folder
from lxmert.data.features.sources.open import open_source
from tests.data.region_files import (
    F,
    bottom_up_line,
    image,
    lxmert_line,
    text,
    write_gqa,
    write_groups,
    write_rows,
    write_tsv,
)

IMAGES = [image(number) for number in range(8)]
PLAIN = [image(number, labels=False) for number in range(8)]


def check(folder, images, exact=True):
    """See that a store holds these images."""
    store = open_regions(folder)
    assert store.names == [one.name for one in images]
    assert check_regions([folder]).good
    for place, one in enumerate(images):
        found = store.batch([place], labels=True)
        height, width = one.size
        boxes = one.boxes / np.array([width, height, width, height], np.float32)
        np.testing.assert_array_equal(found["visual_feats"][0], one.features)
        np.testing.assert_allclose(found["visual_pos"][0], boxes, rtol=0, atol=0 if exact else 1e-6)
        assert store.sizes([place]).tolist() == [list(one.size)]
        for name in ("object_ids", "object_confidence", "attribute_ids", "attribute_confidence"):
            values = getattr(one, name)
            np.testing.assert_array_equal(found[name][0], (-100 if "ids" in name else 0) if values is None else values)


def npz_folder(folder, images):
    folder.mkdir()
    for one in images:
        values = {
            name: value for name, value in vars(one).items() if value is not None and name not in ("name", "size")
        }
        np.savez(folder / f"{one.name}.npz", height=one.size[0], width=one.size[1], **values)
    return folder


def npz_columns(folder, images):
    """As the extractor writes them that calls features x, and has them as columns."""
    folder.mkdir()
    for one in images:
        parts = {"x": one.features.T, "bbox": one.boxes, "num_bbox": len(one.boxes), "image_h": 48, "image_w": 64}
        np.savez(folder / f"{one.name}.npz", info=np.array({"a": 1}, dtype=object), **parts)
    return folder


def npy_folder(folder, images):
    (folder / "deeper").mkdir(parents=True)
    for one in images:
        start = folder / "deeper" / one.name
        np.save(f"{start}.npy", one.features)
        for name in ("boxes", "size", "object_ids", "object_confidence", "attribute_ids", "attribute_confidence"):
            if getattr(one, name) is not None:
                np.save(f"{start}_{name}.npy", getattr(one, name))
    return folder


KINDS = {
    "TSV of LXMERT": (lambda f: [write_tsv(f / "a.tsv", IMAGES)], IMAGES),
    "TSV of bottom-up": (lambda f: [write_tsv(f / "a.tsv", PLAIN, bottom_up_line)], PLAIN),
    "several": (
        lambda f: [
            write_tsv(f / "a.tsv", PLAIN[:3], bottom_up_line),
            write_groups(f / "a.h5", PLAIN[3:6]),
            npz_folder(f / "a", PLAIN[6:]),
        ],
        PLAIN,
    ),
    "groups": (lambda f: [write_groups(f / "a.h5", IMAGES)], IMAGES),
    "packed groups": (lambda f: [write_groups(f / "a.h5", IMAGES, compression="gzip", shuffle=True)], IMAGES),
    "GQA": (lambda f: write_gqa(f / "gqa", PLAIN), PLAIN[::2] + PLAIN[1::2]),
    "GQA, sizes": (lambda f: write_gqa(f / "gqa", PLAIN, "xywh"), PLAIN[::2] + PLAIN[1::2]),
    "npz": (lambda f: [npz_folder(f / "a", IMAGES)], IMAGES),
    "npz, columns": (lambda f: [npz_columns(f / "a", PLAIN)], PLAIN),
    "one npz": (lambda f: [npz_folder(f / "a", IMAGES) / "image_003.npz"], IMAGES[3:4]),
    "npy": (lambda f: [npy_folder(f / "a", IMAGES)], IMAGES),
}


# float32 for every kind, float16 for one; make test-all runs the rest.
@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        *((kind, "float32") for kind in KINDS),
        *(pytest.param(k, "float16", marks=[] if k == "several" else pytest.mark.full) for k in KINDS),
    ],
)
def test_every_kind_of_source(tmp_path, kind, dtype):
    write, images = KINDS[kind]
    sources, told = write(tmp_path), []
    report = import_regions(
        sources, tmp_path / "store", ImportOptions(dtype), progress=lambda size, total: told.append((size, total))
    )
    assert (report.images, report.resumed, report.skipped, report.rows_without_id) == (len(images), 0, [], 0)
    check(tmp_path / "store", images, exact=kind != "GQA, sizes")
    assert sum(size for size, _ in told) == told[0][1] == sum(open_source(source).size for source in sources)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("spans", [False, True])
@pytest.mark.parametrize("kind", ["object", "list", "text", "inside"])
def test_rows_of_hdf5_with_ids(tmp_path, spans, kind):
    images = [image(number, None if spans else 3, labels=False) for number in range(4)]
    file, ids = write_rows(tmp_path / "a.hdf5", images, spans), tmp_path / "ids"
    names = [one.name for one in images]
    if kind == "object":
        ids.write_text(json.dumps({name: row for row, name in reversed(list(enumerate(names)))}))
    elif kind == "list":
        ids.write_text(json.dumps(names))
    elif kind == "text":
        ids.write_text("\n".join(names) + "\n")
    else:
        ids = None
        with h5py.File(file, "a") as opened:
            opened["image_ids"] = np.array(names, "S")
    import_regions([file], tmp_path / "store", ImportOptions(ids=ids))
    check(tmp_path / "store", images)


@pytest.mark.parametrize("kind", ["list", "text", "inside"])
@pytest.mark.parametrize("given", [3, 5])
def test_ids_without_rows_must_be_as_many_as_the_rows(tmp_path, kind, given):
    file = write_rows(tmp_path / "a.hdf5", [image(number, 3, labels=False) for number in range(4)])
    ids, names = tmp_path / "ids", [f"p{number}" for number in range(given)]
    if kind == "inside":
        ids, where = None, r"a\.hdf5: its ids"
        with h5py.File(file, "a") as opened:
            opened["image_ids"] = np.array(names, "S")
    else:
        where = "ids"
        ids.write_text(json.dumps(names) if kind == "list" else "\n".join(names) + "\n")
    message = rf"{where} must have one id for each of the 4 rows of .*a\.hdf5; it has {given}\. .*a JSON object"
    with pytest.raises(ValueError, match=message):
        import_regions([file], tmp_path / "store", ImportOptions(ids=ids))
    assert not (tmp_path / "store").exists()


def test_rows_that_an_object_of_ids_leaves_out_are_counted(tmp_path):
    images = [image(number, 3, labels=False) for number in range(5)]
    file, ids = write_rows(tmp_path / "a.hdf5", images), tmp_path / "ids"
    ids.write_text(json.dumps({images[row].name: row for row in (3, 1)}))
    report = import_regions([file], tmp_path / "store", ImportOptions(ids=ids))
    assert (report.images, report.rows_without_id) == (2, 3)
    check(tmp_path / "store", [images[1], images[3]])
    assert open_regions(tmp_path / "store").facts(0)["rows_without_id"] == 3


def test_rows_that_gqas_table_leaves_out_are_counted(tmp_path):
    files = write_gqa(tmp_path / "gqa", PLAIN)
    table = tmp_path / "gqa" / "gqa_objects_info.json"
    told = json.loads(table.read_text())
    del told[PLAIN[2].name], told[PLAIN[5].name]
    table.write_text(json.dumps(told))
    report = import_regions(files, tmp_path / "store", ImportOptions(boxes="xyxy"))
    assert (report.images, report.rows_without_id) == (6, 2)


def test_rows_without_ids(tmp_path):
    file = write_rows(tmp_path / "a.h5", [image(1, 3, labels=False)])
    with pytest.raises(ValueError, match=r"pass them with --ids FILE: .*a pickle of the same, as it was published"):
        import_regions([file], tmp_path / "store")
    (tmp_path / "ids.pkl").write_bytes(pickle.dumps({1: os.getpid}))
    with pytest.raises(ValueError, match=r"ids\.pkl is a pickle with 'posix\.getpid', which is not read"):
        import_regions([file], tmp_path / "store", ImportOptions(ids=tmp_path / "ids.pkl"))
    (tmp_path / "ids").write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"the rows must be 0 to 0, those of .*; that of 'a' is 1"):
        import_regions([file], tmp_path / "store", ImportOptions(ids=tmp_path / "ids"))


def test_gqa_boxes_that_could_be_either(tmp_path):
    one = image(3, labels=False)
    small = type(one)(**{**vars(one), "boxes": one.boxes * 0.25})
    small.boxes[:, 2:] += 10
    files = write_gqa(tmp_path / "gqa", [small, small])
    with pytest.raises(ValueError, match=r"could be either of two corners .* with --boxes xyxy or --boxes xywh"):
        import_regions(files[1:], tmp_path / "store")
    import_regions(files[1:], tmp_path / "store", ImportOptions(boxes="xyxy"))
    check(tmp_path / "store", [small])


def test_names_and_new_names(tmp_path):
    images = [type(one)(**{**vars(one), "name": name}) for one, name in zip(PLAIN, ["42", "7", "n1"], strict=False)]
    file = write_tsv(tmp_path / "a.tsv", images, bottom_up_line)
    import_regions([file], tmp_path / "store", ImportOptions(names="COCO_{id:012}", rename={"n1": "other"}))
    assert open_regions(tmp_path / "store").names == ["COCO_000000000042", "COCO_000000000007", "other"]
    with pytest.raises(ValueError, match="names requires a number of 12 digits; the image's id is 'n1'"):
        import_regions([file], tmp_path / "new", ImportOptions(names="COCO_{id:012}"))
    with pytest.raises(ValueError, match=r"names must have \{id\} in it once"):
        import_regions([file], tmp_path / "newer", ImportOptions(names="{id.__class__}"))


def line(number, **other):
    return lxmert_line(IMAGES[number], **other)


ONE = IMAGES[3]  # four regions
DAMAGES = {
    "base64": (line(3, features="A" + text(ONE.features, "<f4")[1:-3] + "*=="), "its features are damaged base64"),
    "padding": (line(3, boxes=text(ONE.boxes, "<f4")[:-1]), "its boxes are damaged base64"),
    "columns": (line(3).replace("\t", " ", 1), "a line has 10 columns; this one has 9"),
    "num_boxes": (line(3, num_boxes="5"), "its objects_id must have 40 bytes for num_boxes 5; they have 32"),
    "no number": (line(3, num_boxes="4.0"), "num_boxes must be an integer from 1; got '4.0'"),
    "height": (line(3, img_h="0"), "the height must be an integer from 1; got '0'"),
    "boxes short": (line(3, boxes=text(ONE.boxes[:3], "<f4")), "its boxes must have 64 bytes .* they have 48"),
    "features short": (line(3, features=text(ONE.features.ravel()[:-1], "<f4")), "features must have a multiple of 16"),
    "feature size": (line(3, features=text(ONE.features[:, :5], "<f4")), "features must be of size 10, .* got 5"),
    "NaN": (line(3, features=text(ONE.features * np.nan, "<f4")), "features must be finite; number 0 of region 0"),
    "outside": (line(3, boxes=text(ONE.boxes + 99, "<f4")), "boxes must be in the image, 64 wide and 48 high; box"),
    "twice": (line(3, img_id="image_001"), "an image of this name is in the store already"),
    "no id": (line(3, img_id=""), "an image's name must have 1 to 255 bytes"),
    "empty line": ("\n", "a line has 10 columns; this one has 1"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_line_is_named_or_skipped_and_nothing_is_lost(tmp_path, case):
    bad, message = DAMAGES[case]
    file, out, other = tmp_path / "a.tsv", tmp_path / "store", tmp_path / "other"
    good = list(map(lxmert_line, IMAGES))
    file.write_text("".join([*good[:3], bad, *good[4:]]))
    with pytest.raises(ValueError, match=rf"a\.tsv, line 4.*{message}.*\. Images read so far: 3, kept in .*partial"):
        import_regions([file], out)
    assert not out.exists()
    (skipped,) = import_regions([file], other, ImportOptions(skip_damaged=True)).skipped
    check(other, IMAGES[:3] + IMAGES[4:])
    assert skipped.startswith(f"{file}, line 4")
    assert open_regions(other).facts(0)["skipped"] == [skipped]
    file.write_text("".join(good))  # repaired
    report = import_regions([file], out)
    assert (report.images, report.resumed) == (8, 3)
    check(out, IMAGES)


@pytest.mark.parametrize("left", [1, 40, -5])
def test_a_truncated_file(tmp_path, left):
    file = write_tsv(tmp_path / "a.tsv", IMAGES)
    whole = file.read_bytes()
    start = len(b"".join(whole.splitlines(keepends=True)[:-1]))
    file.write_bytes(whole[: start + left] if left > 0 else whole[:left])
    with pytest.raises(ValueError, match=r"line 8.*[tT]he file ends inside of this line.*so far: 7"):
        import_regions([file], tmp_path / "store")
    file.write_bytes(whole[:-1])  # only the last end of a line is missing: all is there
    assert import_regions([file], tmp_path / "store").resumed == 7
    check(tmp_path / "store", IMAGES)


def test_boxes_may_be_clipped(tmp_path):
    one = IMAGES[3]
    file = tmp_path / "a.tsv"
    file.write_text(line(0) + line(3, boxes=text(one.boxes + np.array([0, 0, 99, 99]), "<f4")))
    with pytest.raises(ValueError, match="boxes must be in the image"):
        import_regions([file], tmp_path / "store")
    import_regions([file], tmp_path / "store", ImportOptions(clip_boxes=True))
    assert open_regions(tmp_path / "store").batch([1])["visual_pos"][0, :, 2:].tolist() == [[1, 1]] * 4


FOREIGN = {
    "empty": (b"", "is an empty file, which is not a known layout"),
    "text": (b"hello\n", "is a text file whose first line has 1 column, as it has no tab, .*TSV of LXMERT"),
    "pickle": (pickle.dumps({"a": 1}), "is a pickle, which is not a known layout"),
    "cut HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "is not a complete HDF5 file"),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_foreign_files(tmp_path, case):
    content, message = FOREIGN[case]
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        import_regions([tmp_path / "a"], tmp_path / "store")
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_foreign_folders(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"is an empty folder, which is not a known layout.*NumPy files"):
        import_regions([tmp_path / "a"], tmp_path / "store")
    np.save(tmp_path / "a" / "x.npy", IMAGES[0].features)
    np.save(tmp_path / "a" / "x_info.npy", np.array({"bbox": 1}, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"x\.npy: its boxes must be \[regions, 4\]"):
        import_regions([tmp_path / "a"], tmp_path / "store")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is a device, a pipe or a socket; pass a file or a folder"):
        import_regions([tmp_path / "pipe"], tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="nothing does not exist"):
        import_regions([tmp_path / "nothing"], tmp_path / "store")


def test_damaged_numpy_files(tmp_path):
    folder = npz_folder(tmp_path / "a", IMAGES)
    np.savez(folder / "image_001.npz", features=np.array([None]), boxes=np.zeros((1, 4)), height=1, width=1)
    whole = (folder / "image_004.npz").read_bytes()
    (folder / "image_004.npz").write_bytes(whole[:-30])
    np.savez(folder / "image_006.npz", features=IMAGES[6].features)
    report = import_regions([folder], tmp_path / "store", ImportOptions(skip_damaged=True))
    assert report.images == 5
    for said, (number, message) in zip(
        report.skipped,
        {1: "its features must be numbers", 4: "is not a complete ZIP archive", 6: "it lacks boxes"}.items(),
        strict=True,
    ):
        assert f"image_00{number}.npz" in said
        assert message in said
    folder = npy_folder(tmp_path / "b", IMAGES)
    (folder / "deeper" / "image_002_boxes.npy").unlink()
    with pytest.raises(ValueError, match=r"image_002\.npy: image_002_boxes\.npy is missing next to it"):
        import_regions([folder], tmp_path / "other")


def test_hdf5_that_points_elsewhere_or_claims_too_much(tmp_path):
    other = write_groups(tmp_path / "other.h5", IMAGES)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["image"] = h5py.ExternalLink(str(other), "/image_000")
    with pytest.raises(ValueError, match="image is a link, which is not followed"):
        import_regions([tmp_path / "a.h5"], tmp_path / "store")
    file = write_groups(tmp_path / "b.h5", IMAGES)
    with h5py.File(file, "a") as opened:
        del opened["image_001/features"], opened["image_003/features"], opened["image_005/features"]
        opened["image_001/features"] = h5py.SoftLink("/image_000/features")
        opened["image_003"].create_dataset("features", (10**6, 10**6), "float32")  # never written
        opened["image_005"].create_dataset("features", (2, F), "float32", external=[(str(other), 0, 2 * F * 4)])
    report = import_regions([file], tmp_path / "store", ImportOptions(skip_damaged=True))
    assert report.images == 5
    for said, message in zip(
        report.skipped, ["is a link", "claims to be [1000000, 1000000]", "in another file"], strict=True
    ):
        assert message in said
    with h5py.File(tmp_path / "c.h5", "w") as opened:
        opened["something"] = [1]
    with pytest.raises(ValueError, match="is an HDF5 file that has something at its top, which is not a known layout"):
        import_regions([tmp_path / "c.h5"], tmp_path / "new")


def stopped(tmp_path, monkeypatch=None):
    """An import that stopped after three images of the second file."""
    files = [write_tsv(tmp_path / "a.tsv", IMAGES[:2]), tmp_path / "b.tsv"]
    good = list(map(lxmert_line, IMAGES[2:]))
    files[1].write_text("".join([*good[:3], "x\n", *good[3:]]))
    with pytest.raises(ValueError, match="so far: 5"):
        import_regions(files, tmp_path / "store")
    files[1].write_text("".join(good))
    return files


def test_going_on_with_other_files_or_settings(tmp_path):
    files = stopped(tmp_path)
    for changed, message in [
        ({"dtype": "float16"}, "dtype was 'float32' and is 'float16'"),
        ({"names": "a{id}"}, "names was None and is 'a{id}'"),
        ({"rename": {"a": "b"}}, "rename was None"),
    ]:
        with pytest.raises(ValueError, match=f"unfinished work with other settings: {message}.*--restart"):
            import_regions(files, tmp_path / "store", ImportOptions(**changed))
    with pytest.raises(ValueError, match="holds the unfinished import of"):
        import_regions(files[::-1], tmp_path / "store")
    changed = files[1].read_text()
    files[1].write_text(changed.replace("image_004", "image_044"))
    with pytest.raises(ValueError, match=r"b\.tsv has changed since the import began: line 3"):
        import_regions(files, tmp_path / "store")
    files[1].write_text(changed)
    # What comes behind may change: another file.
    more = write_tsv(tmp_path / "c.tsv", [image(20)])
    report = import_regions([*files, more], tmp_path / "store")
    assert (report.images, report.resumed) == (9, 5)
    check(tmp_path / "store", [*IMAGES, image(20)])


def test_beginning_anew(tmp_path):
    files = stopped(tmp_path)
    report = import_regions(files, tmp_path / "store", ImportOptions("float16"), restart=True)
    assert (report.images, report.resumed) == (8, 0)
    check(tmp_path / "store", IMAGES)
    assert not list(tmp_path.glob(".*"))


def test_beginning_anew_leaves_an_import_alone_that_is_running(tmp_path):
    file, out, tries = write_tsv(tmp_path / "a.tsv", IMAGES), tmp_path / "store", []

    def interfere(size, total):
        if not tries:
            tries.append(partial_folder(out))
            with pytest.raises(BlockingIOError, match="another process is writing"):
                import_regions([file], out, restart=True)

    assert import_regions([file], out, progress=interfere).images == 8
    assert tries
    check(out, IMAGES)
    with pytest.raises(FileExistsError, match="holds a complete store already"):
        import_regions([file], out, restart=True)
    check(out, IMAGES)


def test_going_on_with_work_that_an_older_version_began(tmp_path):
    files = stopped(tmp_path)
    noted = partial_folder(tmp_path / "store") / "progress.json"
    progress = json.loads(noted.read_text())
    del progress["largest_ids"]
    noted.write_text(json.dumps(progress))
    assert import_regions(files, tmp_path / "store").resumed == 5
    check(tmp_path / "store", IMAGES)
    assert "largest_object_id" not in json.loads((tmp_path / "store" / "regions.json").read_text())
    assert open_regions(tmp_path / "store").largest_object_id == max(max(one.object_ids) for one in IMAGES)


def test_damaged_unfinished_work(tmp_path):
    files = stopped(tmp_path)
    partial = partial_folder(tmp_path / "store")
    os.truncate(partial / "features.npy", 300)
    with pytest.raises(ValueError, match=r"is damaged: features\.npy is shorter than its progress says.*--restart"):
        import_regions(files, tmp_path / "store")
    (partial / "progress.json").write_text("{")
    with pytest.raises(ValueError, match="not a JSON file"):
        import_regions(files, tmp_path / "store")


@pytest.mark.parametrize("after", [0, 1, 5, 20, 35])
def test_a_full_disk(tmp_path, monkeypatch, after):
    """The disk is full from some write on; what was written before is kept, and the import goes on."""
    file, out = write_tsv(tmp_path / "a.tsv", IMAGES), tmp_path / "store"
    monkeypatch.setattr(writing, "_BLOCK", 1)  # every image is written
    monkeypatch.setattr(writing, "_SAVE_INTERVAL", -1.0)  # and noted
    write, done = os.pwrite, [0]

    def full(handle, content, offset):
        done[0] += 1
        if done[0] > after:
            write(handle, bytes(content)[: len(content) // 2], offset)  # half of it fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, content, offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space left"):
        import_regions([file], out)
    monkeypatch.setattr(os, "pwrite", write)
    report = import_regions([file], out)
    assert report.resumed == max(0, (after - 1) // 7)  # seven files, after the first offset
    check(out, IMAGES)


KILLED = """
import sys, time
from lxmert.data.features import import_regions, writer
writer._BLOCK, writer._SAVE_INTERVAL = 1, -1.0
add = writer.RegionWriter.add_image
def slow(self, *arguments):
    add(self, *arguments)
    print(self.count, flush=True)
    time.sleep(0.003)
writer.RegionWriter.add_image = slow
import_regions([sys.argv[1]], sys.argv[2])
"""


@pytest.mark.full
def test_killed_at_any_moment(tmp_path):
    images = [image(number) for number in range(60)]
    file, out = write_tsv(tmp_path / "a.tsv", images), tmp_path / "store"
    draw, kept, kills = np.random.default_rng(0), 0, 0
    while not out.exists():
        assert kills < 40
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(file), str(out)], stdout=subprocess.PIPE, text=True,
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        with process:
            first = process.stdout.readline()
            if first:  # it goes on behind what was kept
                assert int(first) > kept
                time.sleep(draw.random() * 0.08)
            os.kill(process.pid, signal.SIGKILL) if process.poll() is None else None
            last = [first, *process.stdout.read().splitlines(keepends=True)]
        kills += 1
        noted = partial_folder(out) / "progress.json"
        if noted.is_file():
            now = json.loads(noted.read_text())["images"]
            told = max([int(one) for one in last if one.endswith("\n")], default=kept)
            assert now >= told - 1 >= kept - 1  # all that it told of, but perhaps for the last one
            kept = now
    assert kills > 1
    check(out, images)
    assert not list(tmp_path.glob(".*"))


def test_an_interruption_keeps_everything(tmp_path):
    file, out = write_tsv(tmp_path / "a.tsv", IMAGES), tmp_path / "store"

    def interrupt(size, total):
        if size:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_regions([file], out, progress=interrupt)  # told at the end of the file
    assert import_regions([file], out).resumed == 8
    check(out, IMAGES)

"""Small files of features that are made to crash, to hang, or to fill the memory; each is refused by its name."""

import io
import json
import struct
import time
import zipfile
from contextlib import closing

import h5py
import numpy as np
import pyarrow
import pytest

from lxmert.data.features import ImportOptions, import_regions, open_regions
from lxmert.data.features.sources.arrays.lmdb_pages import LmdbFile
from tests.data.layouts.array_cases import arrow_file, volta
from tests.data.region_files import image, write_gqa, write_groups, write_rows

GOOD = {"features": np.ones((2, 8), "f4"), "boxes": np.array([[0, 0, 9, 9], [1, 1, 5, 5]], "f4")}
IMAGES = [image(number, 3, labels=False) for number in range(6)]


def refused(tmp_path, path, message, **options):
    start = time.process_time()
    with pytest.raises(ValueError, match=message) as error:
        import_regions([path], tmp_path / "store", ImportOptions(**options))
    assert path.name in str(error.value)
    assert len(str(error.value)) < 2000
    assert time.process_time() - start < 2
    assert not (tmp_path / "store").exists()


def npy(text, version=1, numbers=b""):
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + numbers


def header(shape, dtype="<f4", by_columns=False):
    return f"{{'descr': {dtype!r}, 'fortran_order': {by_columns}, 'shape': {shape}}}\n".encode()


NO_HEADER = "it has no header of one"
HEADERS = {
    "brackets": (npy(b"(" * 9000), NO_HEADER),
    "signs": (npy(b"-" * 9000 + b"1"), NO_HEADER),
    "quote": (npy(b"{'descr': '''<f4"), r"x\.npy is not a \.npy file"),
    "long": (npy(b" " * 10_000_000, 2), NO_HEADER),
    "claimed length": (npy(header("(1,)"), 2)[:8] + b"\xff\xff\xff\xff", NO_HEADER),
    "Python 2": (npy(b"{'descr': '<f4', 'fortran_order': False, 'shape': (9L, 2L)}\n"), r"must hold float32 \[9, 2\]"),
    "calls": (npy(b"__import__('os').abort()\n"), r"is not a \.npy file"),
    "digits": (npy(header("(" + "9" * 5000 + ",)")), r"is not a \.npy file"),
    "huge": (npy(header("(281474976710655, 281474976710655)")), r"claims to be float32 \[281474976710655"),
    "huge of nothing": (npy(header("(0, 1099511627776, 1099511627776)")), r"claims to be float32 \[0, 1099511627776"),
    "true": (npy(header("(True,)"), numbers=bytes(4)), r"claims to be float32 \[True\]"),
    "negative": (npy(header("(-1, 2)")), NO_HEADER),
    "no bytes": (npy(header("(1000000000000,)", "<U0")), "claims to be <U0"),
    "axes": (npy(header("(" + "1," * 99 + ")")), "claims to be float32"),
    "complex": (npy(header("(1,)", "<c8"), numbers=bytes(8)), r"must hold complex64 \[1\]"),
    "records": (
        npy(b"{'descr': [('a', '<f4', (2000000000,))], 'fortran_order': False, 'shape': ()}"),
        "not a .npy file|must",
    ),
    "version": (npy(b"", 9), r"is not a \.npy file"),
    "nothing": (b"\x93NUMPY", r"is not a \.npy file"),
    "objects": (npy(header("()", "|O"), numbers=b"\x80\x04cos\nabort\n)R."), "is a pickle with 'os.abort'"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_of_numpy(tmp_path, case):
    content, message = HEADERS[case]
    (tmp_path / "x.npy").write_bytes(content)
    refused(tmp_path, tmp_path / "x.npy", message)
    with zipfile.ZipFile(tmp_path / "y.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("features.npy", content)
    refused(tmp_path, tmp_path / "y.npz", r"y\.npz")


def saved(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


MORE_THAN_ITS_LISTS = {
    "a long text": {"features": ["x" * 200_000] + ["a"] * 2000},
    "long bytes": {"image_size": [b"x" * 200_000] + [b"a"] * 2000},
    "an array again": {"features": [np.ones((1, 50_000), "f4")] * 4000},
    "a text as an array": {"features": [np.array("x" * 100_000)] + [1] * 4000},
}


@pytest.mark.parametrize("case", MORE_THAN_ITS_LISTS)
def test_lists_of_which_numpy_makes_far_more(tmp_path, case):
    """All texts in an array are as long as the longest: gigabytes, of two hundred kilobytes."""
    np.save(tmp_path / "x.npy", {**GOOD, "image_size": [10, 10], **MORE_THAN_ITS_LISTS[case]}, allow_pickle=True)
    refused(tmp_path, tmp_path / "x.npy", r"are larger than 67,108,864 bytes, too large for an image")


IDS = {
    "no characters": (np.full(2, 0x7FFFFFFF, "u4").view("U1"), r"ids is damaged: .*character"),
    "fractions": (np.ones(2), r"ids must be strings or integers \[N\]; it is float64 \[2\]"),
    "lists": (np.array([[1], [2, 3]], object), r"ids must be strings or integers \[N\]; it is \[\[1\], \[2, 3\]\]"),
    "a long one": (np.array(["x" * 300_000, *"a" * 2000], object), r"its ids must have one id for each of the 2 rows"),
}


@pytest.mark.parametrize("beside", [False, True])
@pytest.mark.parametrize("case", IDS)
def test_ids_in_arrays(tmp_path, case, beside):
    ids, message = IDS[case]
    values = {name: np.stack([values] * 2) for name, values in GOOD.items()}
    np.savez(tmp_path / "x.npz", **values, sizes=np.full((2, 2), 10), **({} if beside else {"ids": ids}))
    np.save(tmp_path / "ids.npy", ids, allow_pickle=True)
    options = ImportOptions(ids=tmp_path / "ids.npy" if beside else None)
    with pytest.raises(ValueError, match=r"ids\.npy" if beside else rf"x\.npz.*{message}"):
        import_regions([tmp_path / "x.npz"], tmp_path / "store", options)


def zipped(path, features, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("features.npy", features)
        archive.writestr("boxes.npy", saved(GOOD["boxes"]))
        archive.writestr("height.npy", saved(10))
        archive.writestr("width.npy", saved(10))
    return path


def patched(path, place, content, after=b"PK\x01\x02"):
    """With other bytes at a place of the first entry of the directory."""
    whole = bytearray(path.read_bytes())
    start = whole.index(after) + place
    whole[start : start + len(content)] = content
    path.write_bytes(whole)
    return path


def test_zip_archives(tmp_path):
    features, path = saved(GOOD["features"]), tmp_path / "x.npz"
    import_regions([zipped(path, features)], tmp_path / "good")
    assert open_regions(tmp_path / "good").names == ["x"]
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        refused(tmp_path, zipped(path, features, method), "must be stored or compressed by deflate")
    refused(tmp_path, patched(zipped(path, features), 8, b"\x01"), "is encrypted")
    refused(tmp_path, patched(zipped(path, features), 24, struct.pack("<I", 10**9)), "its members claim 1,000,0")
    refused(tmp_path, patched(zipped(path, features), 20, struct.pack("<I", 10**6)), "its members claim")
    refused(tmp_path, patched(zipped(path, features), 10, b"\x63"), "must be stored or compressed")
    refused(tmp_path, patched(zipped(path, features), 42, b"\xff\xff"), r"x\.npz")
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(zipped(path, features), "a") as archive:
        archive.writestr("features.npy", features)
    refused(tmp_path, path, "has two members named 'features.npy'")
    path.write_bytes(zipped(path, features).read_bytes()[:-30])
    refused(tmp_path, path, "is not a complete ZIP archive")


@pytest.mark.parametrize(
    "height",
    [np.inf, -np.inf, np.nan, 10.5, 2.0**70, np.float16(np.inf), "9" * 5000, [1, 2], {}, None, 10**30, [[]]],
)
def test_sizes_and_counts(tmp_path, height):
    for number, values in enumerate(({"height": height, "width": 10}, {"size": [height, 10]}, {"num_boxes": height})):
        np.save(tmp_path / f"{number}.npy", np.array({**GOOD, "height": 10, "width": 10, **values}, object))
        if number != 1:
            refused(tmp_path, tmp_path / f"{number}.npy", "must be|cannot be read|lacks")


def test_pickles_that_grow(tmp_path):
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    for number, content in enumerate((deep, b"\x80\x02}(X\x08\x00\x00\x00features" + b"K\x01" * 10 + b"u.")):
        (tmp_path / f"{number}.npy").write_bytes(npy(header("()", "|O"), numbers=content))
        refused(tmp_path, tmp_path / f"{number}.npy", f"{number}.npy")


def test_hdf5_that_unpacks_to_more_than_an_image(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in ("image",):
            group = file.create_group(name)
            values = np.zeros((1, 2**24 + 1), "f4")
            group.create_dataset("features", chunks=values.shape, compression="gzip", compression_opts=1, data=values)
            group["boxes"], group["img_h"], group["img_w"] = np.zeros((1, 4), "f4"), 9, 9
    refused(tmp_path, tmp_path / "a.h5", "claims to be|claims chunks|larger than")


def test_images_that_claim_more_than_a_file_can_hold(tmp_path, monkeypatch):
    """All together: a store of them would fill the disk."""
    path = write_groups(tmp_path / "a.h5", IMAGES)
    monkeypatch.setattr("lxmert.data.features.import_features.max_unpacked_size", lambda size: 100)
    refused(tmp_path, path, r"its images claim more than its [\d,]+ bytes can hold")


def test_images_that_share_their_bytes(tmp_path):
    """In a file of kilobytes: each would be read, and unpacked, anew."""
    boxes = np.tile(np.array([1, 2, 30, 40], "f4"), (1000, 1))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        options = {"chunks": (1000, 2048), "compression": "gzip", "compression_opts": 1}
        file.create_dataset("image_features", data=np.zeros((1000, 2048), "f4"), **options)
        file["image_bb"], file["spatial_features"] = boxes, np.tile(boxes / 100, 2)[:, :6]
        file["pos_boxes"], file["image_ids"] = np.tile([0, 1000], (20, 1)), np.arange(20)
    refused(tmp_path, tmp_path / "a.h5", r"pos_boxes gives 20,000 regions to images, of the 1,000 that there are")


def test_hdf5_with_one_damaged_group_among_others(tmp_path):
    path = write_groups(tmp_path / "a.h5", IMAGES)
    with h5py.File(path) as file:
        place = h5py.h5o.get_info(file["image_002"].id).addr
    content = bytearray(path.read_bytes())
    content[place : place + 8] = b"\xff" * 8
    path.write_bytes(content)
    report = import_regions([path], tmp_path / "store", ImportOptions(skip_damaged=True))
    assert report.images == 5
    assert "image_002" in report.skipped[0]


def test_hdf5_is_opened_once_and_rows_stay_within_their_array(tmp_path):
    path = write_rows(tmp_path / "a.hdf5", IMAGES)
    with h5py.File(path, "a") as file:
        file["image_ids"] = np.array([one.name for one in IMAGES], "S")
        del file["image_bb"]
        file["image_bb"] = np.stack([one.boxes for one in IMAGES[:3]])
    report = import_regions([path], tmp_path / "store", ImportOptions(skip_damaged=True))
    assert report.images == 3
    assert "has no rows 3 to 4" in report.skipped[0]


@pytest.mark.parametrize(("key", "value"), [("width", 10**30), ("idx", 10**30), ("objectsNum", -1), ("height", 1.5)])
def test_the_table_of_gqa(tmp_path, key, value):
    path = write_gqa(tmp_path / "gqa", IMAGES)[0]
    info = json.loads((path.parent / "gqa_objects_info.json").read_text())
    info[IMAGES[0].name][key] = value
    (path.parent / "gqa_objects_info.json").write_text(json.dumps(info))
    with pytest.raises(ValueError, match=r"gqa_objects_info\.json: 'image_000' (must have integers|is row 0 with -1)"):
        import_regions([path], tmp_path / "store")


def test_gqa_with_boxes_of_fewer_rows(tmp_path):
    path = write_gqa(tmp_path / "gqa", IMAGES)[0]
    with h5py.File(path, "a") as file:
        boxes = file["bboxes"][()]
        del file["bboxes"]
        file["bboxes"] = boxes[:, :1]
    refused(tmp_path, path, r"gqa_objects_0\.h5: bboxes could be either")
    with pytest.raises(
        ValueError, match=r"gqa_objects_0\.h5, image 'image_000': row 0 with \d+ values is not in an array"
    ):
        import_regions([path], tmp_path / "store", ImportOptions(boxes="xyxy"))


def lmdb_with(tmp_path, change):
    path = volta(tmp_path) / "data.mdb"
    content = bytearray(path.read_bytes())
    with closing(LmdbFile(path)) as file:
        leaf = file._root * 4096
    change(content, leaf, leaf + struct.unpack_from("<H", content, leaf + 16)[0])
    path.write_bytes(content)
    return path


LMDB = {
    "entry": (lambda content, leaf, node: struct.pack_into("<H", content, leaf + 16, 0xFFF0), "has an entry at 65520"),
    "value": (lambda content, leaf, node: struct.pack_into("<I", content, node, 2**31), "a value of page"),
    "key": (lambda content, leaf, node: struct.pack_into("<H", content, node + 6, 2**15), "a key of page"),
    "free": (lambda content, leaf, node: struct.pack_into("<H", content, leaf + 12, 60_000), "it has no page"),
    "kind": (lambda content, leaf, node: struct.pack_into("<H", content, leaf + 10, 1), "it has no page|contain each"),
    "root": (lambda content, leaf, node: struct.pack_into("<2Q", content, 4096 + 128, 2**40, 1), "it has no page"),
    "pages": (lambda content, leaf, node: struct.pack_into("<Q", content, 4096 + 136, 2**50), "is truncated"),
    "page size": (lambda content, leaf, node: struct.pack_into("<I", content, 40, 0), "its pages have 0 bytes"),
    "cut": (lambda content, leaf, node: content.__delitem__(slice(100, None)), "is not an LMDB file of format 1"),
}


@pytest.mark.parametrize("case", LMDB)
def test_lmdb(tmp_path, case):
    change, message = LMDB[case]
    path = lmdb_with(tmp_path, change)
    refused(tmp_path, path, message)


def test_an_lmdb_tree_that_contains_itself(tmp_path):
    def change(content, leaf, node):
        struct.pack_into("<HH", content, leaf + 10, 1, 16 + 4)
        struct.pack_into("<2H", content, leaf + 16, 100, 120)
        for place in (100, 120):
            struct.pack_into("<IHH", content, leaf + place, leaf // 4096, 0, 0)

    refused(tmp_path, lmdb_with(tmp_path, change), "its pages contain each other|none of its tree")


def test_arrow_whose_lists_end_elsewhere(tmp_path):
    path = arrow_file(tmp_path)
    content = path.read_bytes()
    wrong = pyarrow.array([0, 4, 8, 12], pyarrow.int32()).buffers()[1].to_pybytes()
    assert wrong in content
    path.write_bytes(content.replace(wrong, struct.pack("<4i", 0, 2**30, 8, 2**31 - 1)))
    refused(tmp_path, path, r"a\.arrow is not a complete Arrow")


def test_arrow_that_claims_to_unpack_to_terabytes(tmp_path):
    table = pyarrow.table(
        {"img_id": ["a"], "roi_features": [[[0.0] * 4096]], "boxes": [[[0.0, 0, 1, 1]]], "sizes": [[9, 9]]}
    )
    options = pyarrow.ipc.IpcWriteOptions(compression="zstd")
    with (
        pyarrow.OSFile(str(tmp_path / "a.arrow"), "wb") as file,
        pyarrow.ipc.new_file(file, table.schema, options=options) as writer,
    ):
        writer.write_table(table)
    content = (tmp_path / "a.arrow").read_bytes()
    size = struct.pack("<q", 4096 * 8)
    assert size in content
    for claimed in (2**40, 2**62, 2**31):
        (tmp_path / "a.arrow").write_bytes(content.replace(size, struct.pack("<q", claimed)))
        refused(tmp_path, tmp_path / "a.arrow", r"a\.arrow is (a damaged|not a complete) Arrow")

"""Files of arrays that are damaged, changed or hostile: NumPy, LMDB, Arrow."""

import builtins
import json
import os
import pickle
import sys

import h5py
import lmdb
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from lxmert.data.features import ImportOptions, import_regions, open_regions
from lxmert.data.features.sources.open import open_source
from tests.data.layouts import EXPECTED
from tests.data.layouts.array_cases import (
    arrow_file,
    arrow_table,
    npy_folder,
    packed_npz,
    saved_data_set,
    volta,
    write_lmdb,
)

FEATURES, BOXES, NORMALIZED = (EXPECTED[name] for name in ("features", "boxes", "normalized"))
FLAT = BOXES * np.array([1, 0.4, 1, 0.4], np.float32)  # in images that are 320 wide and 150 high


def refused(tmp_path, source, message, **options):
    with pytest.raises(ValueError, match=message):
        import_regions([source], tmp_path / "store", ImportOptions(**options))
    assert not (tmp_path / "store").exists()


def npz(tmp_path, **arrays):
    given = {"ids": np.arange(3), "features": FEATURES, "boxes": NORMALIZED, **arrays}
    np.savez(tmp_path / "a.npz", **given)
    return tmp_path / "a.npz"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"ids": np.arange(2)}, "its ids must have one id for each of the 3 rows"),
        ({"ids": np.array([1.5, 2, 3])}, "ids must be strings or integers"),
        ({"features": FEATURES[:, :3]}, "must have as many regions"),
        ({"features": np.asfortranarray(FEATURES)}, r"column by column.*ascontiguousarray"),
        ({"object_ids": np.zeros((2, 4), int)}, "object_ids must have 3 rows, as the features have"),
        ({"features": np.full(FEATURES.shape, None)}, "must hold numbers; it holds object"),
        ({"num_boxes": [4, 5, 4]}, "image '1': its arrays must have 5 regions, as num_boxes says"),
        ({"num_boxes": [-1, 4, 4]}, "image '0': its num_boxes must be an integer from 1; it is -1"),
        ({"sizes": np.full((3, 2), np.inf)}, "image '0': its sizes must be one integer; it is inf"),
        ({"boxes": BOXES, "sizes": [[100, 700]] * 3}, "boxes must be in the image"),
        ({"boxes": FLAT, "sizes": [[320, 150]] * 3}, "sizes are height, width"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, message):
    refused(tmp_path, npz(tmp_path, **arrays), message)


SIZES = np.array([[150, 320]] * 3)
CORNER_AND_SIZE = np.concatenate([FLAT[..., :2], FLAT[..., 2:] - FLAT[..., :2]], axis=2)


@pytest.mark.parametrize(
    ("arrays", "message", "options"),
    [
        ({"boxes": FLAT, "sizes": SIZES[:, ::-1]}, "sizes are height, width", {}),
        ({"boxes": CORNER_AND_SIZE, "sizes": SIZES}, r"only as a corner with .*--boxes xywh", {}),
        ({"boxes": FLAT, "sizes": SIZES}, r"only as two corners.*--boxes xyxy", {"boxes": "xywh"}),
        ({"boxes": FLAT, "normalized_boxes": FLAT}, "no image was given", {}),
    ],
)
def test_what_boxes_contradict_is_not_hidden(tmp_path, arrays, message, options):
    """Neither by clipping, nor by skipping all but the images that do not show it."""
    arrays = {name: np.array(values) for name, values in arrays.items()}
    arrays.get("boxes", arrays.get("normalized_boxes"))[0] *= 0.1
    refused(tmp_path, npz(tmp_path, **arrays), message, clip_boxes=True, skip_damaged=True, **options)


def test_a_single_image_of_another_kind(tmp_path):
    """It is damaged, also where it is the first; fractions that exceed the image a little are still fractions."""
    for number, (boxes, sizes) in enumerate(
        [
            (np.concatenate([NORMALIZED[:1], FLAT[1:]]), SIZES),
            (np.concatenate([FLAT[:1], NORMALIZED[1:]]), SIZES),
            (FLAT, np.concatenate([SIZES[:1, ::-1], SIZES[1:]])),
        ]
    ):
        source = npz(tmp_path, boxes=boxes, sizes=sizes)
        report = import_regions([source], tmp_path / str(number), ImportOptions(clip_boxes=True, skip_damaged=True))
        assert report.images == 2
        assert "image '0': its boxes" in report.skipped[0]
    over = NORMALIZED.copy()
    over[:, 0, 2] = 1.05
    import_regions([npz(tmp_path, boxes=over, sizes=SIZES)], tmp_path / "over", ImportOptions(clip_boxes=True))
    expected = np.minimum(over, 1)
    assert np.allclose(open_regions(tmp_path / "over").batch([0, 1, 2])["visual_pos"], expected, atol=1e-6)


def test_swapped_sizes_of_groups_and_stores(tmp_path):
    """Of layouts with a record for each image, too; after the error, the store can be opened again."""
    images = {
        name: {"features": FEATURES[0], "boxes": boxes, "img_w": 150, "img_h": 320}
        for name, boxes in zip("012", FLAT, strict=True)
    }
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, image in images.items():
            for key, value in image.items():
                file[f"{name}/{key}"] = value
    store = write_lmdb(tmp_path / "a.lmdb", images)
    for source in (tmp_path / "a.h5", store, store):
        refused(tmp_path, source, "sizes are height, width", clip_boxes=True, skip_damaged=True)


def test_options_that_a_layout_does_not_heed(tmp_path):
    source = npz(tmp_path)
    refused(tmp_path, source, r"--columns and --boxes-from cannot be used", columns="id,features", boxes_from="a.tsv")
    import_regions([source], tmp_path / "corners", ImportOptions(boxes="xyxy"))
    with pytest.raises(ValueError, match='boxes must be "xyxy" or "xywh"; got \'yxyx\''):
        ImportOptions(boxes="yxyx")


@pytest.mark.parametrize("kind", ["npy", "array", "objects", "bom"])
def test_ids_of_every_kind(tmp_path, kind):
    names, given, ids = np.array(["é", "b", "c"]), {"ids": None}, tmp_path / "ids"
    if kind == "npy":
        np.save(ids.with_suffix(".npy"), names)
        ids.with_suffix(".npy").rename(ids)
    elif kind == "array":
        ids.write_bytes(pickle.dumps(names))
    elif kind == "bom":
        ids.write_text("\n".join(names), "utf-8-sig")
    else:
        given, ids = {"ids": names.astype(object)}, None
    arrays = {"features": FEATURES, "boxes": NORMALIZED, **given}
    np.savez(tmp_path / "a.npz", **{name: values for name, values in arrays.items() if values is not None})
    import_regions([tmp_path / "a.npz"], tmp_path / "store", ImportOptions(ids=ids))
    assert list(open_regions(tmp_path / "store").names) == list(names)


def test_one_image_with_its_id(tmp_path):
    np.savez(tmp_path / "7.npz", features=FEATURES[0], boxes=NORMALIZED[0], image_id="7")
    import_regions([tmp_path / "7.npz"], tmp_path / "store")
    assert list(open_regions(tmp_path / "store").names) == ["7"]


@pytest.mark.parametrize("endless", [False, True])
def test_lists_that_are_larger_than_their_file(tmp_path, endless):
    values: list = [0.0] * 1000
    for _ in range(3):
        values = [values] * 1000
    if endless:
        values[0] = values
    np.save(tmp_path / "0.npy", {"features": values, "boxes": NORMALIZED[0]})
    refused(tmp_path, tmp_path / "0.npy", "is nested deeper than any file of its kind needs")


def test_truncated_arrays(tmp_path):
    (tmp_path / "a").mkdir()
    folder = npy_folder(tmp_path / "a")
    os.truncate(folder / "features.npy", 300)
    refused(tmp_path, folder, r"features\.npy is truncated")
    (tmp_path / "b").mkdir()
    path = packed_npz(tmp_path / "b")
    content = bytearray(path.read_bytes())
    content[400:440] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz"):
        import_regions([path], tmp_path / "store")


class Calls:
    def __reduce__(self):
        return builtins.open, ("called", "w")


def test_pickles_are_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    store = volta(tmp_path / "a")
    with lmdb.open(str(store), map_size=2**22) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"1", pickle.dumps({"features": Calls()}))
    np.save(tmp_path / "0.npy", np.array({"features": Calls()}, object), allow_pickle=True)
    for source in (store, tmp_path / "0.npy"):
        with pytest.raises(ValueError, match=r"is a pickle with '_?io\.open', which is not read"):
            import_regions([source], tmp_path / source.stem / "store")
    assert not (tmp_path / "called").exists()


def test_damaged_lmdb(tmp_path):
    store = volta(tmp_path)
    with lmdb.open(str(store), map_size=2**22) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"1", pickle.dumps([1]))
        transaction.put(b"2", pickle.dumps({"features": FEATURES[2], "num_boxes": 4}))
    report = import_regions([store], tmp_path / "store", ImportOptions(skip_damaged=True))
    assert report.images == 1
    assert "image '1': its value must be a pickled dict" in report.skipped[0]
    assert "image '2': it lacks boxes" in report.skipped[1]
    source = open_source(store)
    position = next(iter(source.entries(None))).position
    with pytest.raises(ValueError, match="has changed since the import began: 'x'"):
        list(source.entries({**position, "last": "x"}))
    os.truncate(store / "data.mdb", 2 * 4096 + 1)
    refused(tmp_path / "new", store, "is truncated: it has")


def test_damaged_arrow_files(tmp_path):
    path = arrow_file(tmp_path)
    source = open_source(path)
    position = list(source.entries(None))[1].position
    with pytest.raises(ValueError, match="has changed since the import began: 'x'"):
        list(source.entries({**position, "last": "x"}))
    del source
    os.truncate(path, path.stat().st_size - 40)
    refused(tmp_path, path, r"a\.arrow is not a complete Arrow or Parquet file")
    pyarrow.parquet.write_table(arrow_table().drop_columns(["img_id", "boxes"]), tmp_path / "a.parquet")
    refused(
        tmp_path, tmp_path / "a.parquet", r"lacks the columns boxes .*; height and width .*; ids \(the images' names\)"
    )
    ragged = [[[1.0, 2.0], [3.0]]] * 3
    table = arrow_table().set_column(1, "roi_features", pyarrow.array(ragged))
    pyarrow.parquet.write_table(table, tmp_path / "b.parquet")
    refused(tmp_path, tmp_path / "b.parquet", "image '0': its roi_features must have as many numbers in every row")


def test_the_folder_of_a_data_set_names_files_of_its_own(tmp_path):
    (tmp_path / "a").mkdir()
    folder = saved_data_set(tmp_path / "a")
    state = json.loads((folder / "state.json").read_text())
    (folder / "dataset_dict.json").write_text('{"splits": 5}')
    refused(tmp_path, folder, r"dataset_dict\.json must list its splits; it has 5")
    (folder / "dataset_dict.json").unlink()
    for name in ("../b.arrow", "\ud800.arrow"):
        (folder / "state.json").write_text(json.dumps({**state, "_data_files": [{"filename": name}]}))
        refused(tmp_path, folder, r"state\.json names a file '.*\.arrow'; only plain names")
    (folder / "state.json").write_text(json.dumps({**state, "_indices_data_files": [{"filename": "i.arrow"}]}))
    refused(tmp_path, folder, r"selects rows by an index.*flatten_indices")


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    source = arrow_file(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r'needs pyarrow\. Install it with: pip install "lxmert\[datasets\]"'):
        open_source(source)

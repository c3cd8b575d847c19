"""One image under the spellings of its name that published files have."""

import logging

import numpy as np
import pytest

from lxmert.data.features import RegionWriter, open_regions


def store_of(folder, *names):
    with RegionWriter(folder) as writer:
        for number, name in enumerate(names):
            writer.add(name, np.full((1, 2), number), np.array([[0, 0, 1, 1]]), size=(4, 4))
    return open_regions(folder)


@pytest.mark.parametrize(
    "stored",
    ["42", "COCO_val2014_000000000042", "000000000042", "COCO_val2014_000000000042.jpg", "coco_val2014_000000000042"],
)
def test_the_official_spellings_of_a_picture(stored, tmp_path, caplog):
    store = store_of(tmp_path / "store", "other", stored, "7")
    caplog.set_level(logging.INFO, "lxmert")
    spellings = [
        42,
        "42",
        "000000000042.jpg",
        "COCO_val2014_000000000042",
        "val2014/COCO_val2014_000000000042.jpg",
        "/data/val2017/000000000042.jpg",
    ]
    assert store.places(spellings).tolist() == [1] * len(spellings)
    assert len(caplog.records) == 1
    assert f"is {stored}" in caplog.text
    caplog.clear()
    assert store.places(["other", stored]).tolist() == [0, 1]
    assert not caplog.records


def test_files_are_found_without_folder_and_extension(tmp_path):
    store = store_of(tmp_path / "store", "a/1", "b/1", "dev-850-0-img0", "VizWiz_val_00000000.jpg")
    names = ["img/dev-850-0-img0.png", "VizWiz_val_00000000", "a/1.jpg", "data/b/1.png"]
    assert store.places(names).tolist() == [2, 3, 0, 1]


def test_what_is_ambiguous_is_refused(tmp_path):
    store = store_of(tmp_path / "both", "COCO_train2014_000000000042", "COCO_val2014_000000000042")
    assert store.places(["COCO_val2014_000000000042.jpg"]).tolist() == [1]
    with pytest.raises(ValueError, match="'42' may be 'COCO_train2014_000000000042', 'COCO_val2014_000000000042'"):
        store.places(["42"])
    with pytest.raises(ValueError, match=r"an image is not in .*COCO_test2015_000000000042"):
        store.places(["COCO_test2015_000000000042"])
    store = store_of(tmp_path / "bare", "42")
    with pytest.raises(ValueError, match="may both be '42' in the region store, which names no split"):
        store.places(["COCO_train2014_000000000042", "COCO_val2014_000000000042"])

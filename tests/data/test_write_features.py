"""Stores of arrays in memory, what they lack, and arrays that every reader refuses."""

import numpy as np
import pytest

from lxmert.data.features import RegionWriter, import_regions, open_regions, write_features
from lxmert.data.features.image_regions import ImageRegions
from tests.data.layouts import EXPECTED

FEATURES, BOXES, NORMALIZED = (EXPECTED[name] for name in ("features", "boxes", "normalized"))
SIZES = [(300, 320)] * 3


def check(store, size=(300, 320)):
    assert store.names == ["0", "1", "2"]
    found = store.batch(range(3))
    np.testing.assert_array_equal(found["visual_feats"], FEATURES)
    np.testing.assert_allclose(found["visual_pos"], NORMALIZED, rtol=0, atol=0 if size == (1, 1) else 1e-6)
    assert store.sizes([0]).tolist() == [list(size)]


def test_arrays(tmp_path):
    check(write_features(tmp_path / "a", np.arange(3), FEATURES, BOXES, SIZES))
    check(write_features(tmp_path / "b", ["0", "1", "2"], FEATURES, NORMALIZED), size=(1, 1))
    check(write_features(tmp_path / "c", iter("012"), iter(FEATURES), iter(NORMALIZED), iter(SIZES)))
    store = write_features(
        tmp_path / "d", ["0", "1"], [FEATURES[0], FEATURES[1][:2]], [BOXES[0], BOXES[1][:2]], SIZES[:2]
    )
    assert store.counts([0, 1]).tolist() == [4, 2]


def test_pictures(tmp_path):
    dicts = (
        {"id": i, "features": FEATURES[i], "boxes": BOXES[i], "height": 300, "width": 320, "object_ids": [1, 2, 3, 4]}
        for i in range(3)
    )
    store = write_features(tmp_path / "a", pictures=dicts)
    check(store)
    assert store.batch([2], labels=True)["object_ids"].tolist() == [[1, 2, 3, 4]]
    regions = [ImageRegions(str(i), FEATURES[i], BOXES[i], (300, 320)) for i in range(3)]
    check(write_features(tmp_path / "b", pictures=regions))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ids": "0"}, "features, boxes must be given"),
        ({"ids": "012", "features": FEATURES, "boxes": BOXES}, "image '0': it lacks the size of the image"),
        ({"ids": "01", "features": FEATURES, "boxes": NORMALIZED}, "as many rows.*'ids': 2, 'features': 3"),
        ({"ids": iter("01"), "features": iter(FEATURES), "boxes": iter(NORMALIZED)}, "as many rows"),
        ({"pictures": [], "ids": "0"}, "either pictures or arrays; got pictures and ids"),
        ({"pictures": [{"features": FEATURES[0]}]}, r"image 0: it lacks boxes .*; height and width .*; ids"),
        ({"pictures": [7]}, "image 0: it must be a dictionary or ImageRegions; got int"),
        ({"ids": "000", "features": FEATURES, "boxes": NORMALIZED}, "image '0': an image of this name"),
        (
            {"ids": "01", "features": FEATURES[:2] * np.nan, "boxes": NORMALIZED[:2]},
            "image '0': features must be finite",
        ),
        (
            {"ids": "01", "features": FEATURES[:2], "boxes": [BOXES[0], NORMALIZED[1]], "sizes": SIZES[:2]},
            "image '1': its boxes are fractions, unlike those of other images",
        ),
        ({"ids": "0", "features": FEATURES[:1], "boxes": BOXES[:1], "box_format": "cxcywh"}, "box_format must be"),
    ],
)
def test_what_is_missing_or_wrong(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=message):
        write_features(tmp_path / "a", **arguments)
    assert not list(tmp_path.iterdir())


def test_files_say_all_that_is_missing(tmp_path):
    np.savez(tmp_path / "a.npz", features=FEATURES, bbox=BOXES)
    with pytest.raises(
        ValueError, match=r"a\.npz lacks ids .*--ids FILE\); sizes .*--sizes FILE.*It has bbox, features"
    ):
        import_regions([tmp_path / "a.npz"], tmp_path / "store")
    np.savez(tmp_path / "b.npz", ids=np.arange(3), image=FEATURES)
    with pytest.raises(ValueError, match=r"b\.npz lacks features .*; boxes .*; height and width"):
        import_regions([tmp_path / "b.npz"], tmp_path / "store")
    np.savez(tmp_path / "c.npz", ids=np.arange(3), features=FEATURES[0], boxes=NORMALIZED[0])
    with pytest.raises(ValueError, match=r"features must be \[N, R, F\] and boxes \[N, R, 4\]; they are \[4, 6\]"):
        import_regions([tmp_path / "c.npz"], tmp_path / "store")


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_features_that_are_not_finite_are_refused_when_they_are_read(tmp_path, dtype, value):
    """A store that another program wrote, or changed."""
    with RegionWriter(tmp_path / "store", dtype) as writer:
        for i in range(3):
            writer.add(str(i), FEATURES[i], BOXES[i], (300, 320))
    stored = np.load(tmp_path / "store" / "features.npy", mmap_mode="r+")
    stored[4 + 3, 5] = value
    stored.flush()
    store = open_regions(tmp_path / "store")
    message = r"store, image '1': its features must be finite; number 5 of region {} is NaN or infinite"
    for _ in range(2):
        with pytest.raises(ValueError, match=message.format(3)):
            store.batch([0, 1])
        with pytest.raises(ValueError, match=message.format(0)):
            store.features_at([0, 1], [0, 3])
    store.batch([1], regions=3)  # without the wrong one
    with pytest.raises(ValueError, match=message.format(3)):
        store.batch([1])
    np.testing.assert_allclose(store.batch([0, 2])["visual_feats"], FEATURES[[0, 2]], rtol=1e-3)


def test_boxes_that_are_not_finite_are_refused_when_they_are_read(tmp_path):
    write_features(tmp_path / "store", "012", FEATURES, NORMALIZED).close()
    stored = np.load(tmp_path / "store" / "boxes.npy", mmap_mode="r+")
    stored[4, 0] = np.nan
    stored.flush()
    with pytest.raises(ValueError, match="image '1': its boxes must be finite"):
        open_regions(tmp_path / "store").batch([0, 1, 2])

"""VCR's JSON file of an image."""

import json
import re

import pytest

from lxmert.data.datasets.vcr_metadata import metadata_path, read_vcr_metadata

RIGHT = {
    "boxes": [[1.5, 2, 30, 20, 0.9], [0, 0, 8, 9.25, 0.75]],
    "names": ["person", "diningtable"],
    "segms": [[[[1.5, 2], [30, 2], [30, 20]], [[2, 2], [3, 3]]], []],
    "width": 40,
    "height": 30,
}


def written(path, values):
    path.write_text(json.dumps(values))
    return path


def test_what_is_read(tmp_path):
    image = tmp_path / "movie" / "00.01.46.736-00.01.50.168@0.jpg"
    assert metadata_path(image).name == "00.01.46.736-00.01.50.168@0.json"
    objects, size = read_vcr_metadata(written(tmp_path / "a.json", {**RIGHT, "more": 1}))
    assert size == (30, 40)
    assert objects.boxes.tolist() == [[1.5, 2, 30, 20], [0, 0, 8, 9.25]]
    assert objects.confidence.tolist() == pytest.approx([0.9, 0.75])
    assert objects.names == ("person", "diningtable")
    assert objects.object_ids.tolist() == [1, 61]
    assert [[polygon.shape for polygon in polygons] for polygons in objects.polygons] == [[(3, 2), (2, 2)], []]
    objects.check(*size)
    alone, size = read_vcr_metadata(written(tmp_path / "a.json", {"boxes": [[0, 0, 1, 1]], "names": ["cat"]}))
    assert (alone.confidence, alone.polygons, size) == (None, None, None)
    nothing, _ = read_vcr_metadata(written(tmp_path / "a.json", {"boxes": [], "names": [], "segms": []}))
    assert nothing.boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": None}, "boxes must be a list of x1, y1, x2, y2 and maybe a confidence; got None"),
        ({"boxes": [[1, 2, 3], [1, 2, "x", 4]]}, "box 0 must be 4 or 5 numbers; got [1, 2, 3]; box 1 must be"),
        ({"boxes": [[1, 2, 3, 4, 0.5], [1, 2, 3, 4]]}, "either all boxes or none must have a confidence"),
        ({"boxes": [[1, 2, 3, 4, 5], [1, 2, 3, 4, 0]]}, "the confidence of box 0 must be 0 to 1; got 5"),
        ({"boxes": [[1, 2, 3, 4]]}, "names must be as many as boxes, 1; got 2; segms must be a list"),
        ({"names": "person"}, "names must be a list of the classes of the boxes; got 'person'"),
        ({"names": ["person"]}, "names must be as many as boxes, 2; got 1"),
        ({"segms": {}}, "segms must be a list of the polygons of each of the 2 boxes; got {}"),
        ({"segms": [[]]}, "segms must be a list of the polygons of each of the 2 boxes; got 1"),
        ({"segms": [[[1, 2]], []]}, "the segms of object 0 must be polygons, lists of [x, y]; got [[1, 2]]"),
        ({"segms": [[], [[[1, 2, 3]]]]}, "the segms of object 1 must be polygons"),
        ({"segms": [[], [[[1, None]]]]}, "the segms of object 1 must be polygons"),
        ({"width": 0}, "height and width must be positive integers; got 30 and 0"),
        ({"width": None}, "height and width must be positive integers; got 30 and None"),
    ],
)
def test_wrong_files(changes, message, tmp_path):
    path = written(tmp_path / "a.json", {**RIGHT, **changes})
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_vcr_metadata(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_files_that_are_no_metadata(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"a\.json, the metadata of the image, is missing"):
        read_vcr_metadata(tmp_path / "a.json")
    path = tmp_path / "a.json"
    path.write_text("[1, 2]")
    with pytest.raises(ValueError, match="must hold a JSON object"):
        read_vcr_metadata(path)
    path.write_text('{"boxes": [], "boxes": []}')
    with pytest.raises(ValueError, match="'boxes' is there twice"):
        read_vcr_metadata(path)
    path.write_text("{}")
    with pytest.raises(ValueError, match=r"boxes must be a list .*; there are none; names must be .*; there are none"):
        read_vcr_metadata(path)
    path.write_text(f'{{"boxes": [[{"9" * 400}, 0, 1, 1]], "names": ["cat"]}}')
    with pytest.raises(ValueError, match="box 0 must be 4 or 5 numbers"):
        read_vcr_metadata(path)

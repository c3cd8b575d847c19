"""`lxmert features extract`: what it prints, its exit status, and what it refuses."""

import json
import shutil
import signal

import pytest

from lxmert.data.features import open_regions
from lxmert.detection.shapes import ShapeDetector
from tests.inference.conftest import draw


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(3):
        draw(count=number + 1).save(f"photos/{number:012}.png")
    return "photos"


@pytest.fixture
def extract(lxmert):
    return lambda *arguments: lxmert("features", "extract", *arguments, "--detector", "shapes")


@pytest.fixture
def refused_extract(refused):
    return lambda *arguments: refused("features", "extract", *arguments, "--detector", "shapes")


def test_a_folder(photos, extract, lxmert):
    assert extract(photos, "store") == (0, "store: 3 images, 9 regions\n", "")
    assert lxmert("features", "check", "store")[:2] == (0, "3 images, 9 regions: no damage\n")
    rows = [line.split() for line in lxmert("features", "info", "store")[1].splitlines()]
    for row in (["detector", "kind", "shapes"], ["detector", "max", "shapes", "7"], ["photographs", "count", "3"]):
        assert row in rows
    told = "store: 3 images, 9 regions, 3 of them by an earlier run\n"
    assert extract(photos, "store") == (0, told, ""), "it is complete"


def test_names_and_lists(photos, extract):
    with open("list.txt", "w") as file:
        file.write("photos/000000000002.png\nphotos/000000000000.png\n")
    with open("names.json", "w") as file:
        json.dump({"000000000000": "first"}, file)
    options = ("--names", "COCO_val2014_{id:012}", "--rename", "names.json", "--dtype", "float16", "--readers", "1")
    status, out, _ = extract("list.txt", "photos/000000000001.png", "store", *options, "--json")
    assert (status, json.loads(out)["images"], json.loads(out)["skipped"]) == (0, 3, [])
    store = open_regions("store")
    assert store.names == ["COCO_val2014_000000000002", "first", "COCO_val2014_000000000001"]
    assert store.facts(0)["dtype"] == "float16"


def test_damaged_photographs(photos, extract, refused_extract, lxmert):
    for number in range(3, 25):
        shutil.copy(__file__, f"photos/{number}.png")
    error = refused_extract(photos, "store", "--strict")
    assert "photos/10.png" in error
    assert error.endswith("run the same command again, without --strict to skip such photographs.\n")
    status, out, _ = extract(photos, "store")
    lines = out.splitlines()
    assert (status, len(lines)) == (0, 22)
    assert lines[0].startswith("skipped: image must be an image file")
    told = "store: 3 images, 9 regions, 3 of them by an earlier run; 22 skipped as damaged"
    assert lines[-2:] == ["and 2 more (--all)", told]
    assert len(extract(photos, "store", "--all")[1].splitlines()) == 23
    described = lxmert("features", "info", "store")[1].splitlines()
    assert ["skipped", "22"] in map(str.split, described)
    assert described[-22].startswith("bytes")
    assert described[-21:] == [*lines[:20], "and 2 more (--json)"]
    assert len(json.loads(extract(photos, "store", "--json")[1])["skipped"]) == 22
    assert "none of the 22 photographs has regions: " in refused_extract("photos/?.png", "photos/??.png", "other")


def test_what_is_refused(photos, refused_extract, refused, monkeypatch):
    assert "none.jpg does not exist" in refused_extract("none.jpg", "store")
    shutil.copytree("photos", "photos/inner")
    error = refused_extract(photos, "store")
    assert "2 would be '000000000000'" in error
    assert "--names {path}" in error
    assert "--rename gives names" in error
    shutil.rmtree("photos/inner")
    assert "--readers must be at least 1; got 0." in refused_extract(photos, "store", "--readers", "0")
    error = refused_extract(photos, "store", "--batch-size", "2", "--profile", "hf", "--detector-sha256", "0")
    meaningless = "--profile, --detector-sha256, --batch-size have no meaning for the detector 'shapes'"
    assert f"{meaningless}; it takes no options." in error
    assert "holds something already" in refused_extract(photos, "photos")
    for place in ("photos/000000000000.png", "photos/000000000000.png/inner/store"):
        assert "000000000000.png is a file; pass a folder" in refused_extract(photos, place)
    assert "must be a path; got an empty string" in refused_extract(photos, "")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "--restart is for one process" in refused_extract(photos, "store", "--restart")
    monkeypatch.setenv("RANK", "2")
    assert "RANK and WORLD_SIZE must be" in refused_extract(photos, "store")


def test_an_interruption(photos, extract, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(ShapeDetector, "detect", lambda self, images: signal.raise_signal(signal.SIGINT))
        status, out, err = extract(photos, "store")
    assert (status, out) == (130, "")
    assert "Images read so far: 0, kept in " in err
    assert err.endswith("Run the same command again to continue.\nlxmert features: interrupted\n")
    assert extract(photos, "store", "--resume")[:2] == (0, "store: 3 images, 9 regions\n")


def test_one_of_several_processes_prints(photos, extract, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, printed in (("1", ""), ("0", "store: 3 images, 9 regions\n")):
        monkeypatch.setenv("RANK", rank)
        assert extract(photos, "store") == (0, printed, "")

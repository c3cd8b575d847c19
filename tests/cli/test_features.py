"""`lxmert features`: what it prints, its exit status, and what it refuses."""

import json

import pytest

from lxmert.cli import main
from lxmert.data.features import open_regions
from lxmert.data.features.sources.open import LAYOUTS
from tests.data.layouts import DATA
from tests.data.region_files import image, lxmert_line, write_rows, write_tsv

IMAGES = [image(number) for number in range(4)]


def features(*arguments):
    return main(["features", *map(str, arguments)])


@pytest.fixture
def source(tmp_path):
    return write_tsv(tmp_path / "a.tsv", IMAGES)


def test_import_check_and_info(source, tmp_path, capsys):
    out = tmp_path / "store"
    assert features("import", source, out) == 0
    assert capsys.readouterr() == (f"{out}: 4 images, 10 regions\n", "")
    assert features("check", out) == 0
    assert capsys.readouterr().out == "4 images, 10 regions: no damage\n"
    assert features("info", out) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].split() == ["store", str(out)]
    rows = dict(line.split(maxsplit=1) for line in told if line.startswith(("images", "regions", "dtype", "sources")))
    assert rows == {"images": "4", "regions": "10", "dtype": "float32", "sources": str(source)}


def test_draw(source, tmp_path, capsys):
    assert features("import", source, tmp_path / "store") == 0
    name = open_regions(tmp_path / "store").names[2]
    capsys.readouterr()
    assert features("info", tmp_path / "store", "--draw", name, tmp_path / "a.png") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.png'}: 3 boxes of {name}\n"
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert features("info", tmp_path / "store", "--image", tmp_path / "a.png") == 1
    assert "pass --draw too" in capsys.readouterr().err


def test_json(source, tmp_path, capsys):
    out = tmp_path / "store"
    assert features("import", source, out, "--dtype", "float16", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["images"], report["regions"], report["resumed"], report["skipped"]) == (4, 10, 0, [])
    assert features("check", out, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "good": True, "images": 4, "regions": 10, "damage": [], "repeated": []
    }  # fmt: skip
    assert features("info", out, "--json") == 0
    assert json.loads(capsys.readouterr().out)["dtype"] == "float16"


def test_rows_without_ids_are_told(tmp_path, capsys):
    rows = write_rows(tmp_path / "a.h5", [image(number, 3, labels=False) for number in range(3)])
    (tmp_path / "ids.json").write_text('{"one": 2}')
    assert features("import", rows, tmp_path / "store", "--ids", tmp_path / "ids.json") == 0
    told = f"{tmp_path / 'store'}: 1 images, 3 regions; 2 rows without an id were skipped\n"
    assert capsys.readouterr() == (told, "")
    assert open_regions(tmp_path / "store").names == ["one"]


def test_help_says_what_float16_costs(capsys):
    with pytest.raises(SystemExit):
        features("import", "--help")
    assert "by up to 2^-11 (0.05%) of it (default: float32)" in " ".join(capsys.readouterr().out.split())


def test_help_lists_every_layout_with_an_example(capsys):
    with pytest.raises(SystemExit):
        features("import", "--help")
    told = " ".join(capsys.readouterr().out.split())
    for layout in LAYOUTS:
        assert f"{layout.name}: {layout.contains}" in told
        assert f" lxmert features import {layout.example}" in told


def test_columns_are_asked_for_and_stated(tmp_path, capsys):
    source, out = DATA / "six_columns_height_first.tsv", tmp_path / "store"
    assert features("import", source, out, "--clip-boxes") == 1
    columns = "image_id,image_h,image_w,num_boxes,boxes,features"
    assert f" or --columns {columns}." in capsys.readouterr().err
    assert features("import", source, out, "--columns", columns) == 0
    assert open_regions(out).sizes([0]).tolist() == [[300, 320]]
    assert features("import", source, tmp_path / "other", "--columns", columns.replace("num_", "nun_")) == 1
    assert "Did you mean 'num_boxes'?" in capsys.readouterr().err
    assert features("import", DATA / "vinvl_features.tsv", tmp_path / "b", "--boxes-from", DATA / "vinvl.tsv") == 0


def test_damage_is_the_exit_status(source, tmp_path, capsys):
    out = tmp_path / "store"
    features("import", source, out)
    with (out / "boxes.npy").open("r+b") as file:
        file.seek(256)
        file.write(b"\x01\x02")
    capsys.readouterr()
    assert features("check", out) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first == f"{out}, image 'image_000': it is not what was written: its checksum differs"
    assert last == "4 images, 10 regions: 1 damaged"
    assert features("check", out, "--json") == 1
    assert json.loads(capsys.readouterr().out)["damage"][0]["image"] == "image_000"
    (out / "sizes.npy").unlink()
    assert features("check", out) == 1
    told = capsys.readouterr().out
    assert "has no sizes.npy" in told
    assert told.splitlines()[-1] == "0 images, 0 regions: 1 of 1 folders not usable"


def test_a_stopped_import(source, tmp_path, capsys):
    out = tmp_path / "store"
    good = list(map(lxmert_line, IMAGES))
    source.write_text("".join([*good[:2], "damaged\n", *good[2:]]))
    assert features("import", source, out) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"lxmert features: error: {source}, line 3")
    assert "Images read so far: 2" in error
    assert "--skip-damaged" in error
    assert features("import", source, out, "--skip-damaged") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith(f"skipped: {source}, line 3")
    assert told[1] == f"{out}: 4 images, 10 regions, 2 of them by an earlier run; 1 skipped as damaged"
    assert open_regions(out).names == [one.name for one in IMAGES]
    assert features("import", source, out) == 1
    assert "holds a complete store already" in capsys.readouterr().err


def test_new_names(source, tmp_path, capsys):
    (tmp_path / "names.json").write_text(json.dumps({"image_001": "one"}))
    assert features("import", source, tmp_path / "store", "--rename", tmp_path / "names.json", "--names", "p/{id}") == 0
    assert open_regions(tmp_path / "store").names == ["p/image_000", "one", "p/image_002", "p/image_003"]
    (tmp_path / "names.json").write_text(json.dumps({"image_001": 1}))
    assert features("import", source, tmp_path / "new", "--rename", tmp_path / "names.json") == 1
    assert "must hold names as strings; that of 'image_001' is 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "nothing.tsv", "out"], "nothing.tsv does not exist"),
        (["check", "nothing"], "nothing does not exist"),
        (["info", "nothing"], "nothing does not exist"),
    ],
)
def test_errors(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert features(*arguments) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

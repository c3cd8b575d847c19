"""`lxmert data`: what it writes, what it tells, and what it refuses."""

import json

import pytest

from lxmert.cli import main


def test_scenes(tmp_path, capsys):
    folder = tmp_path / "scenes"
    assert main(["data", "scenes", str(folder), "--images", "80", "--processes", "1", "--seed", "3"]) == 0
    out, err = capsys.readouterr()
    assert err == ""  # no progress bar where nobody looks
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["images"], summary["seed"], summary["size"]) == (80, 3, 128)
    table = [line.split() for line in out.splitlines() if line.strip().startswith(("train", "valid", "test"))]
    assert table == [
        [split, *(f"{counts[name]:,}" for name in ("images", "questions", "statements", "captions"))]
        for split, counts in summary["splits"].items()
    ]
    assert "attribute  comparison    counting    relation         all" in out
    for knows in ("question only", "image only"):
        assert f"the {knows}" in out
        assert f"{summary['baselines'][knows]['all']:.1%}" in out
    assert not (folder / "images").exists()


def test_images_are_kept_and_quiet_says_nothing(tmp_path, capsys):
    folder = tmp_path / "scenes"
    options = ["--images", "80", "--size", "64", "--keep-images", "--dtype", "float16", "--processes", "1"]
    assert main(["data", "scenes", str(folder), *options, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert len(list((folder / "images").iterdir())) == 80


def test_easy_vqa(tmp_path, capsys):
    folder = tmp_path / "easy"
    assert main(["data", "easy-vqa", str(folder), "--max-images", "100"]) == 0
    out = capsys.readouterr().out
    assert "color    presence       shape         all" in out
    assert f"wrote {folder}" in out
    assert json.loads((folder / "summary.json").read_text())["splits"]["valid"]["images"] == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scenes", "--images", "8"], "images must be 80 or more; got 8."),
        (["scenes", "--size", "10"], "size must be from 64 to 512 pixels; got 10."),
        (["scenes", "--processes", "0"], "processes must be 1 or more; got 0."),
        (["easy-vqa", "--max-images", "5"], "max_images must be 100 or more, so that every split has pairs; got 5."),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path, capsys, arguments, message):
    data, *options = arguments
    assert main(["data", data, str(tmp_path / "new"), *options]) == 1
    assert capsys.readouterr().err == f"lxmert data: error: {message}\n"
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_is_refused(tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    assert main(["data", "scenes", str(tmp_path), "--images", "80"]) == 1
    assert "is not empty; pass another folder" in capsys.readouterr().err

"""The losses and scores of runs as a picture: what is drawn, and what is refused."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from lxmert.cli import main
from lxmert.training.plots import draw_curves, plot_runs, read_curves


def logged(folder, steps=6, score="accuracy"):
    """A log of a run that is writing its next line."""
    (folder / "logs").mkdir(parents=True)
    lines = []
    for step in range(1, steps + 1):
        lines.append({"step": step, "train/loss": 1 / step, "rate": 0.1, "norm": 2.0})
        if step % 3 == 0:
            lines.append({"step": step, f"valid/{score}": "nan" if step == 3 else 7.5, f"valid/{score}/color": 5.0})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "logs" / "log.jsonl").write_text(text + '{"step": 7, "tra')
    return folder


def lines_of(axes):
    return {line.get_label(): line.get_xydata() for line in axes.lines if not line.get_label().startswith("_")}


def test_what_is_drawn(tmp_path):
    runs = {name: read_curves(logged(tmp_path / name)) for name in ("a", "b$")}
    figure = draw_curves(runs)
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    loss, accuracy = map(lines_of, figure.axes)
    assert list(loss) == ["a, training", r"b\$, training"]
    np.testing.assert_array_equal(loss["a, training"], [(step, 1 / step) for step in range(1, 7)])
    np.testing.assert_array_equal(accuracy["a, validation"], [(3, np.nan), (6, 7.5)])
    assert [axes.get_title() for axes in draw_curves(runs, every=True).axes][2:] == ["accuracy/color"]


def test_a_loss_of_training_and_validation_in_one_picture_with_its_mean(tmp_path):
    figure = draw_curves({"a": read_curves(logged(tmp_path / "a", 80, score="loss"))})
    (axes,) = figure.axes
    found = lines_of(axes)
    assert list(found) == ["a, training", "a, validation"]
    values = 1 / np.arange(1, 81)
    mean = found["a, training"][:, 1]
    np.testing.assert_allclose(
        [mean[0], mean[40], mean[79]], [values[:3].mean(), values[38:43].mean(), values[77:].mean()]
    )


def test_files(tmp_path, capsys):
    a, b = logged(tmp_path / "a"), logged(tmp_path / "b")
    for name in ("curves.png", "curves.svg"):
        assert main(["plot", str(a), str(b / "logs" / "log.jsonl"), "--output", str(tmp_path / name)]) == 0
        assert capsys.readouterr().out == f"wrote {tmp_path / name}: loss, accuracy\n"
    with Image.open(tmp_path / "curves.png") as image:
        colours = {pixel for _, pixel in image.convert("RGB").getcolors(2**20)}
    assert {(0, 114, 178), (213, 94, 0)} <= colours, "a colour for each run"
    assert (tmp_path / "curves.svg").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none"], "there is no file or folder 'none'; pass output folders of a run."),
        (["empty"], "empty holds no run: there is no logs/log.jsonl in it."),
        (["new"], "new/logs/log.jsonl has no losses and scores yet; a run writes a line every --log-every steps."),
        (
            ["damaged"],
            "damaged/logs/log.jsonl, line 2: it must be an object with a step and numbers, as a run logs it; ",
        ),
        (["run", "--output", "a.pdf"], "--output must end in .png or .svg; got a.pdf."),
        (["run", "--output", "none/a.png"], "--output must be a file in a folder that is there; got none/a.png."),
        (["run", "--output", ""], "--output must be a path; got an empty string."),
    ],
)
def test_refused(arguments, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    logged(tmp_path / "run")
    (tmp_path / "empty").mkdir()
    for name, text in (("new", '{"step": 1'), ("damaged", '{"step": 1, "train/loss": 1}\n{"step": "one"}\n')):
        (logged(tmp_path / name) / "logs" / "log.jsonl").write_text(text)
    assert main(["plot", *arguments]) == 1
    assert f"lxmert plot: error: {message}" in capsys.readouterr().err
    assert not (tmp_path / "losses.png").exists()


@pytest.mark.parametrize(
    "lines",
    [
        ['"step": 1, "train/\\ud800$\\\\frac{\\u0000": 1'],
        [f'"step": 1, "train/{"x" * 10_000}": 1'],
        ['"step": 0, "train/loss": 1', '"step": 9007199254740991, "train/loss": 1'],
        [f'"step": {n}, "train/loss": {x}' for n, x in enumerate(("1e308", "-1e308", "1e-320", '"nan"', "1e400"))],
    ],
)
def test_odd_names_and_numbers_are_drawn(lines, tmp_path):
    (tmp_path / "log.jsonl").write_text("".join(f"{{{line}}}\n" for line in lines))
    plot_runs([tmp_path / "log.jsonl"], tmp_path / "a.png")


def test_names_that_cannot_be_drawn(tmp_path):
    for names, message in (
        (["a/b"], "scores of types of questions only"),
        (range(300), "300 names of losses and scores"),
    ):
        (tmp_path / "log.jsonl").write_text("".join(f'{{"step": 1, "train/{name}": 1}}\n' for name in names))
        with pytest.raises(ValueError, match=message):
            plot_runs([tmp_path / "log.jsonl"], tmp_path / "a.png")


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'needs matplotlib\. Install it with: pip install "lxmert\[plot\]"'):
        plot_runs([logged(tmp_path / "a")], tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()

"""What several commands are tested on."""

import json
import shutil

import pytest

from lxmert.cli import main
from tests.training.conftest import scenes
from tests.weights.weight_folders import make_folder

__all__ = ["scenes"]


@pytest.fixture
def lxmert(capsys):
    """Runs a command: its exit status, and what it printed to standard output and to standard error."""

    def run(*arguments):
        return main([*map(str, arguments)]), *capsys.readouterr()

    return run


@pytest.fixture
def refused(lxmert):
    """Runs a command that has to fail: its error, without `lxmert COMMAND: error: ` before it."""

    def run(*arguments):
        status, out, err = lxmert(*arguments)
        assert (status, out) == (1, "")
        assert err.startswith(f"lxmert {arguments[0]}: error: ")
        assert "Traceback" not in err
        return err.partition(": error: ")[2]

    return run


@pytest.fixture
def source(tmp_path):
    """A folder with the weights of a small LXMERT."""
    return make_folder(tmp_path / "source")


@pytest.fixture
def hub(source, tmp_path, monkeypatch):
    """Gives the source for every model on the hub; what was asked for, as (name, revision)."""
    requests = []

    def download_weights(name, **options):
        requests.append((name, options["revision"]))
        return shutil.copytree(source, tmp_path / "cache" / name, dirs_exist_ok=True)

    for module in ("open", "model_files"):
        monkeypatch.setattr(f"lxmert.weights.{module}.download_weights", download_weights)
    monkeypatch.chdir(tmp_path)
    return requests


@pytest.fixture
def tables(tmp_path):
    """The answers of the models of the tests, five; and four others, of which the first, second and last are known."""
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    old.write_text(json.dumps(["yes", "no", "2", "man", "gray"]))
    new.write_text(json.dumps({"Grey.": 0, "a man": 1, "purple": 2, "no": 3}))
    return old, new


def shows_nothing_of(text, printed):
    """Whether none of the control characters of a text was printed."""
    return not {c for c in text if not c.isprintable()} & set(printed)

"""The names of the checkpoints that come with the package, beside local files and folders."""

from pathlib import Path

from lxmert.utils.included_models import included_models, local_path


def test_a_local_folder_comes_first_unless_it_is_a_data_set(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    included = included_models()["scenes"]
    assert local_path("scenes") == included
    Path("scenes/regions").mkdir(parents=True)
    assert local_path("scenes") == Path("scenes")
    Path("scenes/summary.json").touch()
    assert local_path("scenes") == included
    assert local_path(Path("scenes")) == Path("scenes")
    Path("scenes").rename("other")
    assert local_path("other") == Path("other"), "no name of a checkpoint"

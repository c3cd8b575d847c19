"""Weight files that several tests read, made once."""

import pytest

from lxmert.weights.convert import convert

from .weight_folders import make_folder


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    """One model in every format."""
    folder = make_folder(tmp_path_factory.mktemp("good"))
    convert(folder, folder / "good.weights.h5")
    convert(folder, folder / "good.keras")
    return folder

"""A few drawn scenes in every format, made once."""

import pytest

from lxmert.data.synthetic.scenes.generate import FEWEST_IMAGES, make_scenes


@pytest.fixture(scope="session")
def scenes(tmp_path_factory):
    """The folder of the scenes; nobody writes in it."""
    folder = tmp_path_factory.mktemp("scenes") / "scenes"
    make_scenes(folder, FEWEST_IMAGES, progress=False)
    return folder


@pytest.fixture(autouse=True)
def _one_thread():
    """The models are small: threads would spend their time waiting for each other."""
    import torch

    torch.set_num_threads(1)

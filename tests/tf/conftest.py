"""What every Keras test starts from."""

import random

import keras
import pytest

keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _seeds():
    """The same random weights in every test, whichever ran before.

    Keras draws its seeds from Python's generator. `keras.utils.set_random_seed` would also make TensorFlow forget the
    kernels that it has prepared, which costs each test 20 ms.
    """
    random.seed(0)

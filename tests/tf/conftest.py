"""What every Keras test starts from."""

import keras
import pytest


@pytest.fixture(autouse=True)
def _seeds():
    """The same random numbers in every test, whichever ran before."""
    keras.utils.set_random_seed(0)

"""What every test of both backends starts from."""

import random

import keras
import pytest
import torch

from .backend import BACKENDS

# The models are small: threads would spend their time waiting for each other.
torch.set_num_threads(1)
keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _seeds():
    """The same random numbers in every test, whichever ran before.

    Keras draws its seeds from Python's generator; `keras.utils.set_random_seed` would also make TensorFlow forget the
    kernels that it has prepared, which costs each test 20 ms.
    """
    random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(params=BACKENDS)
def backend(request):
    """The operations of a backend; a test may name it in its own table of parameters (`indirect`)."""
    return BACKENDS[request.param]

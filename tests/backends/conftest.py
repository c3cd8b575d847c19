"""What every test of both backends starts from."""

import keras
import pytest
import torch

from .backend import BACKENDS

# The models are small: threads would spend their time waiting for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeds():
    """The same random numbers in every test, whichever ran before."""
    keras.utils.set_random_seed(0)
    torch.manual_seed(0)


@pytest.fixture(params=BACKENDS)
def backend(request):
    """The operations of a backend; a test may name it in its own table of parameters (`indirect`)."""
    return BACKENDS[request.param]

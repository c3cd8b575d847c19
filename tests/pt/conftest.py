"""What every PyTorch test starts from."""

import pytest
import torch

# The models are small: threads would spend their time waiting for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeds():
    """The same random numbers in every test, whichever ran before."""
    torch.manual_seed(0)

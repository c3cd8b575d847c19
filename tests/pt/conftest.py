"""What every PyTorch test starts from."""

import pytest
import torch

from lxmert.pt import use_cpu_products
from lxmert.pt.cpu_kernels import linear as products

# The models are small: threads would spend their time waiting for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seeds():
    """The same random numbers in every test, whichever ran before."""
    torch.manual_seed(0)


@pytest.fixture
def every_size(monkeypatch):
    """Small products go the way of large ones too, that of oneDNN on every CPU."""
    monkeypatch.setattr(products, "_MIN_PRODUCTS", {False: 0, True: 0})
    with use_cpu_products("onednn"):
        yield


@pytest.fixture
def count(monkeypatch):
    """Has the calls of a function counted: a list that grows by the arguments of each."""

    products.kernels_are_on()  # the self-test, which calls them too

    def counted(home, name):
        calls = []
        own = getattr(home, name)
        monkeypatch.setattr(home, name, lambda *args: calls.append(args) or own(*args))
        return calls

    return counted

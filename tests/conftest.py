"""What every run of the tests does."""

import gc

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep what the imports make out of the garbage collection.

    These are about a million objects. To look for garbage among them would take a quarter of the time that the imports
    take, and then again each time that Keras deletes a layer.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()
        gc.set_threshold(10_000, 20, 20)

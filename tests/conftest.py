"""What every run of the tests does."""

import gc


def pytest_collection_finish():
    """Keep what the imports made out of the garbage collection.

    These are about a million objects. Keras collects garbage whenever a layer is deleted, and looked through all of
    them each time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)

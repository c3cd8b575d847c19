"""Fixtures of the tests of explanations."""

import pytest


@pytest.fixture
def without_graphs():
    """Keras computes at once what it would trace first, which takes longer than all else in these tests."""
    import tensorflow

    tensorflow.config.run_functions_eagerly(True)
    yield
    tensorflow.config.run_functions_eagerly(False)

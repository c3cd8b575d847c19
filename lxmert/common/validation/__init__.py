"""Checks of the inputs of a model, by shape, dtype and range, with the same error messages in both backends."""

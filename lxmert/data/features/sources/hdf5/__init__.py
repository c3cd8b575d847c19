"""Layouts of region features in HDF5 files."""

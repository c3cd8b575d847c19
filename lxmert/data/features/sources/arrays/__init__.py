"""Layouts of region features that are arrays: NumPy, Arrow, LMDB."""

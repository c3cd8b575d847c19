"""Readers of the file formats in which region features are published."""

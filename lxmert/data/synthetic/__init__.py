"""Data sets that are drawn, and the files they are written to."""

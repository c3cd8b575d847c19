"""From an image to the regions that a model reads; NumPy only."""

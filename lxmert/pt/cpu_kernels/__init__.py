"""Faster linear layers, attention and dropout on CPUs."""

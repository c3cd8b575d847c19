"""Shared helpers: atomic files, messages, memory, optional imports."""

"""Readers of published region features, one file for each layout."""

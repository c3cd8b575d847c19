"""Layouts of region features that are text: TSV and JSON."""

"""Weights in files: reading and writing every format, converting, comparing, inspecting. No framework is imported."""

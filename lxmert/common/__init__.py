"""What both backends share: NumPy only, no tensor of either framework."""

"""Training: what both backends share of it. No framework is imported before a model is made."""

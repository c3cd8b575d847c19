"""Training in Keras."""

"""The names of the parameters of both models in every published format."""

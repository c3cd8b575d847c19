"""Examples to the inputs of a model: padding, masking, labels."""

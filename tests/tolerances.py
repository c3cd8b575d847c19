"""The only numbers by which two results may differ, each with its reason. Measured differences are far below them."""

# Absolute, for outputs, hidden states, attention maps and losses. They are of order 1 to 10 (norms come last);
# float64 keeps 16 digits and a model of these depths loses two. The classic porting mistakes (the tanh GELU, a wrong
# epsilon, a mask of -10000) differ by 2e-6 to 7e-4: float64 tells them from rounding, float32 does not.
OUTPUTS = {"float64": 1e-10, "float32": 1e-5}

# Largest difference over the largest entry of the same gradient: gradients of different parameters are of very
# different sizes, and the entries of one are sums over a batch, in another order in each framework.
GRADIENTS = {"float64": 1e-8, "float32": 1e-4}

# Absolute, for weights after ten AdamW steps with a learning rate of 1e-3. Adam divides by the size of the gradient, so
# that a relative difference of the gradients becomes one of the steps: 1e-8 is a thousandth of a percent of one step.
# float32 is not compared: where a gradient is 0 but for rounding, Adam makes whole steps of the rounding.
WEIGHTS = {"float64": 1e-8}

# Absolute, for the full-size model in float32: its loss, near 60, moves in steps of 4e-6.
FULL_SIZE = {"float32": 2e-5}

# Absolute, and for VisualBERT relative too, for the published values of the published models: they were printed with
# four digits, from float32.
PUBLISHED = 1e-4

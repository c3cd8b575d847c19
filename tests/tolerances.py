"""The only numbers by which two results may differ, each with its reason. Measured differences are far below them."""

# Absolute, for outputs, hidden states, attention maps and losses. They are of order 1 (states leave a layer norm); float64
# keeps 16 digits and a model of these depths loses two or three. The classic porting mistakes (the tanh GELU, a wrong
# epsilon, a mask of -10000) differ by 2e-6 to 7e-4, so float64 tells them from rounding, and float32 does not.
OUTPUTS = {"float64": 1e-10, "float32": 1e-5}

# Largest difference over the largest entry of the same gradient: gradients of different parameters are of very different
# sizes, and the entries of one are sums over a batch, in another order in each framework.
GRADIENTS = {"float64": 1e-8, "float32": 1e-4}

# Absolute, for weights after ten AdamW steps with a learning rate of 1e-3. Adam divides by the size of the gradient, so
# that a relative difference of the gradients becomes one of the steps: 1e-8 is a thousandth of a percent of one step.
# float32 is not compared: where a gradient is 0 but for rounding, Adam makes whole steps of the rounding.
WEIGHTS = {"float64": 1e-8}

# Absolute, for the full-size model in float32: nineteen layers of width 768 sum ten to a hundred times more terms than
# the small models do.
FULL_SIZE = {"float32": 1e-4}

"""The update formulas of the optimizers, and the code that comes of them."""

"""Derivatives compared: differences, the complex step, forward and reverse mode."""

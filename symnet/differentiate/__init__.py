"""The adjoint rule and its dual: reverse mode, forward mode, second order, and the programs that are compiled.

One rule derives every gradient; no derivative of a layer is written by hand.
"""

"""Passes over the body of one equation: simplified, safe where exp overflows, its common exponentials once.

What a function means is said in `ir/functions.py`.
"""

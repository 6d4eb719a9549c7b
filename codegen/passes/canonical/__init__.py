"""Passes that bring equations into one form: gathered sums, merged and shared equations, none that nobody reads.

They change no arithmetic.  Bodies are rewritten in `scalar`, sums and products in `algebra`.
"""

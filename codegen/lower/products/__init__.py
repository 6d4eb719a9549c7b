"""Recipes for sums of products of whatever form: matrix products of two factors, and what is brought down to them.

`contraction` decides which index plays which part, `operands` how the factors lie; `factors`, `weighted` and `sums`
make two factors of other sums.  No window here: see `lower/windows`, which may use this room, but not the reverse.
"""

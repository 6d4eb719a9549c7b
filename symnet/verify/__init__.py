"""Modules and derivatives compared with what is meant: `symnet check`, `sn.interpret`, what is not finite.

Nothing here is part of generated code.
"""

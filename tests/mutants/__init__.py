"""Mutations of codegen/, one at a time, each against the tests that reach its line: `python -m mutants`.

sites.py finds what may be changed, coverage.py which checks reach which line, checks.py what a check is, scratch.py
tries one mutation in a copy of the tree, driver.py runs and counts them.
"""

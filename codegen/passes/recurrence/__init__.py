"""Passes over loops: what does not depend on a step goes before or after it, gates go together.

Which equations run in a loop is read in `analysis/loops.py`.
"""

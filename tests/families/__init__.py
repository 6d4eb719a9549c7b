"""Families of drawn equations, each made so that one pass or one recipe meets what it is for.

A family takes a `random.Random` and gives one `Drawn` program; the same seed gives the same program everywhere.
"""

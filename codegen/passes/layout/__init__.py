"""Passes that choose the order of axes in storage; an order renames places and changes no value.

`orders.py` applies orders; the others choose them.
"""

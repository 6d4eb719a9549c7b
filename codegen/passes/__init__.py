"""The table of passes: what is done to a program on its way from the declaration to the finished plan, row by row.

`table.py` has the rows in order, `state.py` says what a row is, `watch.py` asks the oracle about each.
The passes live in canonical, scalar, algebra, recurrence and layout; those that make a plan, in `lower` and `plan`.
"""

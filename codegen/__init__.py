"""From a program of tensor equations to Python source; knows nothing of networks, and is useful alone.

`pipeline.py` is all of it, read from top to bottom.  The rooms, from the ground up; an import may only go down:
ir, notation, machine, analysis, oracle, lower, plan, emit, passes.
"""

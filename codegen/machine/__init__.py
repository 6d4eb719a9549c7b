"""What is known of the machine that generated code runs on: assumed sizes, caches, rates, and limits of policy.

`model.py` holds all of it in one frozen `Machine`, which is passed to whatever decides by cost.  `MACHINE` is the
default, the same everywhere, so that the same network gives the same code on every machine.
"""

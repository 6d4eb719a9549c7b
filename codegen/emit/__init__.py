"""From a plan to source: NumPy, numexpr and numba, laid out as a formatter would.

What a step does is said by the plan; here it is only printed.
"""

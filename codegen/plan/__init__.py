"""From lowered steps to a plan: halos, arrays written in place, fused kernels, blocks of rows; and the memory plan.

Which recipe an equation takes is decided in `lower`; how a step is printed, in `emit`.
"""

"""From lowered steps to a plan: halos, arrays written in place, fused kernels, tiles of rows; and the memory plan.

Each file has one pass from plan to plan, which knows steps and views and no equation's meaning; `memory/` says which
arrays share their bytes.  Which recipe an equation takes is decided in `lower`; how a step is printed, in `emit`.
"""

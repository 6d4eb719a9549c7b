"""What a reader sees: formulas as LaTeX, step by step, in index and matrix notation, graphs, reports, audits.

All of it is read off the equations; what an equation is, is asked of `codegen.analysis`.
"""

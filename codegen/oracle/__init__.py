"""The judges: what a program and a plan mean, in slow loops and plain NumPy.

No rewriting, recipe or emitted code has a part in it.  Who asks the judges about each pass: `passes/watch.py`.
"""

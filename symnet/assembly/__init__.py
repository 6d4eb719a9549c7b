"""The text of a module: the numeric part of both modes, second order, memory, around the files of `runtime`.

`built.py` is what compiling makes.  Methods to look at it and to train it are in `network`.
"""

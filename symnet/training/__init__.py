"""What hangs on the training loop: checkpoints, callbacks, pictures, and training by SciPy.

The loop itself is in `runtime`, since a module has it without symnet.
"""

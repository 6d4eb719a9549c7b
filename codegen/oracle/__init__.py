"""The judges: what a program and a plan mean, and whether a pass left that as it was."""

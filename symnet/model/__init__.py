"""What is declared: layers, losses, activations, the static graph, and the equations it stands for.

No derivative and no code is here; they come from `differentiate` and `assembly`.
"""

"""What is known of a network without running it: operations, bytes, receptive fields.

How it is shown is in `explain`.
"""

"""Drawn formulas and drawn networks against judges that share no code with symnet.

    make soak SEED=1 MINUTES=3
    PYTHONPATH=.:tests python -m soak --kind formulas --target numpy --seed 1 --count 100

A case is reproduced from its integer seed alone.  `kinds.py` says what a kind of case is.
"""

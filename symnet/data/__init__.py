"""Arrays to train on: data sets, named columns, splits, and functions that change batches of pictures.

Each kind of file has its reader in `readers`; data larger than memory is in `stream`.
"""

"""Passes that use an identity of sums, maxima or lookups across equations: pooling first, tables first, softmax.

Each states the identity and when it holds.
"""

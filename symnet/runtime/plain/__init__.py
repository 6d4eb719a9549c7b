"""The part of a generated module that does not depend on the network, for those who read it and carry it away.

A module without workers, streams, resumption and schedules has these files in place of those of `symnet.runtime`.  They
do the same with less: conditions on constants of the network, such as `if NOISE:`, are decided when its module is
written, and what they lead to stays or goes.
"""

"""The intermediate representation: affine expressions, tensors, equations, programs, plans, and edits of them.

Here is what every other room builds on; nothing here decides anything.  What an equation is, is read in `analysis`.
"""

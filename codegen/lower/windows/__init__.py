"""Recipes for sums of products over a window that moves over an image: convolutions, and the gradients of kernels.

`recipes` is the table, `product` and `geometry` say what all of them ask of an equation, `costs` what each takes;
the other files have a recipe each.  Pools are no products: `lower/pooling`.  What a window is: `analysis/window`.
"""

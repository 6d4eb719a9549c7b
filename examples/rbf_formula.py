"""A layer of one's own: radial basis functions, written as the formula they are.

Unit k answers to points near its centre c[k], the more narrowly the larger g[k]. The
formula is all there is: the shapes of c and g, the gradients for c, g and x, and the
code all follow from it.

    symnet latex examples/rbf_formula.py
    python examples/train.py rbf_formula
"""

import symnet as sn

wine = sn.Input((13,), name="wine")
near = sn.Formula(
    "y[n,k] = exp(-g[k] * mean[i]((x[n,i] - c[k,i])**2))",
    params={"c": "k,i", "g": "k"},
    sizes={"k": 16},
    init={"g": "ones"},
    name="near",
)(wine)
logits = sn.Dense(3, name="logits")(near)

model = sn.Model(wine, logits, loss=sn.CrossEntropy(), name="rbf_formula")

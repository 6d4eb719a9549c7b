"""Logistic regression: one unit that tells benign from malignant by 30 measurements of cell nuclei.

    p(y = 1 given x) = sigmoid( w . x + b )

The loss takes z = w . x + b and not p, so that no log of a rounded 0 is ever taken.
The measurements differ in scale by a factor of 100,000: train.py standardises them with
the mean and the standard deviation of the training part.

    symnet latex examples/logistic_breast_cancer.py
    python examples/train.py logistic_breast_cancer
"""

import symnet as sn

cells = sn.Input((30,), name="cells")
benign = sn.Dense(1, name="benign")(cells)

model = sn.Model(cells, benign, loss=sn.BinaryCrossEntropy(), name="logistic_breast_cancer", l2=1e-3)

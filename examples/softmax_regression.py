"""Softmax regression: ten linear units and one decision, the smallest classifier of the digits.

    z[n,o] = b[o] + sum[i]( W[o,i] * x[n,i] )
    L[n]   = logsumexp[c]( z[n,c] ) - z[n,label[n]]

There is no softmax layer: cross-entropy takes the logits z, and the softmax comes
out of its derivative. Look for `p - onehot` in

    symnet latex examples/softmax_regression.py
    python examples/train.py softmax_regression
"""

import symnet as sn

image = sn.Input((1, 8, 8), name="image")
pixels = sn.Flatten()(image)
logits = sn.Dense(10, name="logits")(pixels)

model = sn.Model(image, logits, loss=sn.CrossEntropy(), name="softmax_regression", l2=1e-4)

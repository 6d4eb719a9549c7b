"""The multilayer perceptron of the textbooks: sigmoid units all the way, and the squared-error cost.

    a1 = sigmoid( W1 x + b1 )        a2 = sigmoid( W2 a1 + b2 )
    L  = (1/N) sum_n sum_k ( a2[n,k] - onehot(label[n])[k] )^2

Its gradients are the four equations of backpropagation; the derivative of the sigmoid
is computed from its own output, as a*(1 - a).

    symnet latex examples/mlp.py
    python examples/train.py mlp
"""

import symnet as sn

image = sn.Input((64,), name="image")
hidden = sn.Dense(64, activation="sigmoid", name="hidden")(image)
scores = sn.Dense(10, activation="sigmoid", name="scores")(hidden)

model = sn.Model(image, scores, loss=sn.SquaredError(), name="mlp")

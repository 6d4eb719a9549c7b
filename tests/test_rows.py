"""Which networks' batches may be divided, read from their equations."""

from __future__ import annotations

import pytest

import symnet as sn
from codegen.analysis.rows import rows
from symnet.differentiate.programs import network

X = sn.Input((6,), name="x")
PICTURE = sn.Input((1, 8, 8), name="picture")
TEXT = sn.Input(("T", 5), name="text")
TOKENS = sn.Input(("T",), dtype="int", name="tokens")
LOSS = sn.CrossEntropy()


def dense(units: int = 3, **options: object) -> sn.layers.Layer:
    return sn.Dense(units, **options)


def formula(text: str, sizes: dict[str, int] | None = None) -> sn.layers.Node:
    return dense()(sn.Formula(text, sizes=sizes or {})(X))


INDEPENDENT = {
    "dense": lambda: sn.Model(X, dense()(X), loss=LOSS),
    "l2": lambda: sn.Model(X, dense()(X), loss=sn.MeanSquaredError(), l2=0.1),
    "squared": lambda: sn.Model(X, dense()(X), loss=sn.SquaredError()),
    "weighted": lambda: sn.Model(X, dense()(X), loss=LOSS).weighted(),
    "divergence": lambda: sn.Model(X, dense()(X), loss=sn.KLDivergence()),
    "pictures": lambda: sn.Model(PICTURE, dense()(sn.Flatten()(sn.MaxPool2D(2)(sn.Conv2D(2, 3)(PICTURE)))), loss=LOSS),
    "noise": lambda: sn.Model(X, dense()(sn.Dropout(0.5)(dense()(X))), loss=LOSS),
    "norm of a sample": lambda: sn.Model(X, dense()(sn.LayerNorm()(X)), loss=LOSS),
    "recurrence": lambda: sn.Model(TEXT, dense()(sn.LSTM(4)(TEXT)), loss=LOSS),
    "attention": lambda: sn.Model(
        TOKENS, dense()(sn.MultiHeadAttention(2, causal=True)(sn.Embedding(7, 4)(TOKENS))), loss=LOSS
    ),
    "two losses": lambda: sn.Model(
        X, [dense(name="a")(X), dense(1, name="b")(X)], loss=[LOSS, sn.Huber()], loss_weights=[1, 0.5], l2=0.1
    ),
    "between features": lambda: sn.Model(X, formula("y[n,i] = x[n,i] - max[j](x[n,j])"), loss=LOSS),
}
NORMALISED = {
    "norm of a batch": lambda: sn.Model(X, dense()(sn.BatchNorm1D()(X)), loss=LOSS),
    "largest of a batch": lambda: sn.Model(X, formula("y[n,i] = x[n,i] - max[m](x[m,i])"), loss=LOSS),
    "sum of a batch": lambda: sn.Model(X, formula("y[n,i] = x[n,i] - sum[m](x[m,i])"), loss=LOSS),
}
ENTANGLED = {
    "the row before": lambda: sn.Model(X, formula("y[n,i] = x[n,i] - x[n-1,i]"), loss=LOSS),
    "a shift by the number of the row": lambda: sn.Model(X, formula("y[n,i] = x[n,i+n]", {"i": 6}), loss=LOSS),
    "the first row": lambda: sn.Model(X, formula("y[n,i] = x[n,i] - x[0,i]"), loss=LOSS),
    "every other row": lambda: sn.Model(X, formula("y[n,i] = sum[m,j](x[n,j]*x[m,j]*x[m,i])"), loss=LOSS),
    "the number of a row": lambda: sn.Model(X, formula("y[n,i] = x[n,i]*n"), loss=LOSS),
    "the number of rows": lambda: sn.Model(X, formula("y[n,i] = x[n,i]/N"), loss=LOSS),
    "no loss": lambda: sn.Model(X, dense()(X)),
}
CASES = {
    **{name: ("independent", model) for name, model in INDEPENDENT.items()},
    **{name: ("normalised", model) for name, model in NORMALISED.items()},
    **{name: ("entangled", model) for name, model in ENTANGLED.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_rows(name: str) -> None:
    expected, declare = CASES[name]
    assert rows(network(declare())) == expected

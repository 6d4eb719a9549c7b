"""The optimizers: a table of update formulas.

In each formula, over all trainable parameters at once (k runs over their elements):

    w, g     the parameter and its gradient
    lr, t    the learning rate and the number of this step, from 1
    X_next   what X becomes; every other name is state that starts at zero

The conventions and constants are PyTorch's.  The code is derived from the formulas by `symnet.optim.update`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Optimizer:
    """One update rule: its formula, the state it keeps, and a learning rate to start with."""

    name: str
    formula: str
    state: tuple[str, ...]
    learning_rate: float


OPTIMIZERS: tuple[Optimizer, ...] = (
    Optimizer(
        "sgd",
        "w_next[k] = w[k] - lr[]*g[k]",
        state=(),
        learning_rate=0.1,
    ),
    Optimizer(
        "momentum",
        """
        v_next[k] = 0.9*v[k] + g[k]
        w_next[k] = w[k] - lr[]*v_next[k]
        """,
        state=("v",),
        learning_rate=0.01,
    ),
    Optimizer(
        "nesterov",
        """
        v_next[k] = 0.9*v[k] + g[k]
        w_next[k] = w[k] - lr[]*(g[k] + 0.9*v_next[k])
        """,
        state=("v",),
        learning_rate=0.01,
    ),
    Optimizer(
        "rmsprop",
        """
        v_next[k] = 0.99*v[k] + 0.01*g[k]**2
        w_next[k] = w[k] - lr[]*g[k]/(sqrt(v_next[k]) + 1e-8)
        """,
        state=("v",),
        learning_rate=0.001,
    ),
    Optimizer(
        "adam",
        """
        m_next[k] = 0.9*m[k] + 0.1*g[k]
        v_next[k] = 0.999*v[k] + 0.001*g[k]**2
        w_next[k] = w[k] - lr[]*m_next[k]/(1 - 0.9**t[])/(sqrt(v_next[k]/(1 - 0.999**t[])) + 1e-8)
        """,
        state=("m", "v"),
        learning_rate=0.001,
    ),
    Optimizer(
        "adamw",
        """
        m_next[k] = 0.9*m[k] + 0.1*g[k]
        v_next[k] = 0.999*v[k] + 0.001*g[k]**2
        w_next[k] = w[k] - lr[]*(0.01*w[k] + m_next[k]/(1 - 0.9**t[])/(sqrt(v_next[k]/(1 - 0.999**t[])) + 1e-8))
        """,
        state=("m", "v"),
        learning_rate=0.001,
    ),
)
"""In the order in which a generated module lists them."""

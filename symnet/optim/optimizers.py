"""The optimizers: a table of update formulas.

In each formula, over all trainable parameters at once (k runs over their elements):

    w, g     the parameter and its gradient
    lr, t    the learning rate and the number of this step, from 1
    X_next   what X becomes; every other name is state that starts at zero

The equations run in order, each over all elements, and X_next replaces X at once: what reads X stands before it.
Of the usual ones, conventions and constants are PyTorch's.  Code, LaTeX and options are derived from this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Optimizer:
    """One update rule: its formula, the state it keeps, and a learning rate to start with.

    usual: whether a module has it where nobody says which ones it is to have.  whole: the rate of few steps that take
    all samples each, where that is another.
    """

    name: str
    formula: str
    state: tuple[str, ...]
    learning_rate: float
    usual: bool = True
    whole: float | None = None


_TABLE = (
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
        whole=0.01,
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
        whole=0.01,
    ),
    Optimizer(  # Chen et al., Symbolic Discovery of Optimization Algorithms, 2023
        "lion",
        """
        w_next[k] = w[k] - lr[]*sign(0.9*m[k] + 0.1*g[k])
        m_next[k] = 0.99*m[k] + 0.01*g[k]
        """,
        state=("m",),
        learning_rate=0.0001,
        whole=0.003,
        usual=False,
    ),
)

OPTIMIZERS: Mapping[str, Optimizer] = {each.name: each for each in _TABLE}
"""By name, in the order in which they are listed everywhere."""
USUAL = tuple(each.name for each in _TABLE if each.usual)
"""What a module has, in this order, where nobody says which ones it is to have."""

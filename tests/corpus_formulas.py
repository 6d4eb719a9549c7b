"""Activations and layers by formula, each with the same function in PyTorch, written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import symnet as sn
from batch import Network, TorchFormula, with_data

NAMED = ("relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu", "gelu_tanh", "linear")

FORMULAS: Mapping[str, TorchFormula] = {
    "x/(1+exp(-x))": lambda torch, x: x * torch.sigmoid(x),
    "log(1+exp(x))": lambda torch, x: torch.nn.functional.softplus(x),
    "1/(1+exp(-2*x))": lambda torch, x: torch.sigmoid(2 * x),
    "(exp(x)-exp(-x))/(exp(x)+exp(-x))": lambda torch, x: torch.tanh(x),
    "max(x, 0.1*x)": lambda torch, x: torch.where(x > 0, x, 0.1 * x),
    "min(max(x, -1), 1)": lambda torch, x: torch.clamp(x, -1, 1),
    "where(x > 0, x**2, 0)": lambda torch, x: torch.relu(x) ** 2,
    "x**3 - 2*x": lambda torch, x: x**3 - 2 * x,
    "exp(-x**2)": lambda torch, x: torch.exp(-(x**2)),
    "sqrt(1+x**2)": lambda torch, x: torch.sqrt(1 + x**2),
    "x/(1+abs(x))": lambda torch, x: x / (1 + abs(x)),
    "sin(x)*cos(2*x)": lambda torch, x: torch.sin(x) * torch.cos(2 * x),
    "atan(x) + erf(x)/2": lambda torch, x: torch.atan(x) + torch.erf(x) / 2,
    "x*tanh(log(1+exp(x)))": lambda torch, x: torch.nn.functional.mish(x),
    "log(2 + sin(x))": lambda torch, x: torch.log(2 + torch.sin(x)),
    "sinh(x/4) - cosh(x/3)": lambda torch, x: torch.sinh(x / 4) - torch.cosh(x / 3),
}
"""Activations by formula, and the same in PyTorch."""


def _formula(text: str, twin: TorchFormula, shape: tuple[int | str, ...] = (4,), **options: Any) -> Network:
    """Dense, the formula, and a loss on what comes out."""
    vector = sn.Input(shape, name="vector")
    output = sn.Formula(text, name="own", **options)(sn.Dense(4)(vector))
    model = sn.Model(vector, output, loss=sn.SquaredError())
    return with_data(model, formulas={"own": twin}, sizes={"T": 5})


def _lookup() -> Network:
    """Rows of a table by number, added over the words of a text."""
    tokens = sn.Input(("T",), dtype="int", name="tokens")
    table = sn.Formula("y[n,k] = sum[t](E[token[n,t],k])", params={"E": "v,k"}, sizes={"k": 4, "v": 3}, name="table")
    twin = {"table": lambda torch, tokens, E: E[tokens].sum(1)}
    model = sn.Model(tokens, sn.Dense(3)(table(tokens)), loss=sn.CrossEntropy())
    return with_data(model, sizes={"T": 5}, formulas=twin)


def _masked() -> Network:
    """The mean of the rows that a boolean mask lets through, by softmax weights."""
    x, mask = sn.Input(("T", 3), name="x"), sn.Input(("T",), dtype="bool", name="mask")
    pool = sn.Formula(
        "e[n,t] = sum[k](q[k]*x[n,t,k])\n"
        "a[n,t] = exp(e[n,t] - logsumexp[s | m[n,s]](e[n,s]))\n"
        "y[n,k] = sum[t | m[n,t]](a[n,t]*x[n,t,k])",
        params={"q": "k"},
        name="pool",
    )

    def twin(torch: Any, x: Any, m: Any, q: Any) -> Any:
        weights = torch.softmax((x @ q).masked_fill(~m, -torch.inf), 1)
        return (weights[:, :, None] * x).sum(1)

    h = sn.Dense(4)(x)
    made = with_data(
        sn.Model([x, mask], pool(x=h, m=mask), loss=sn.SquaredError()), sizes={"T": 5}, formulas={"pool": twin}
    )
    made.x["mask"][:, 0] = True
    return made


OWN: dict[str, Callable[[], Network]] = {
    "formula radial": lambda: _formula(
        "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))",
        lambda torch, x, c, g: torch.exp(-g * ((x[:, None] - c) ** 2).sum(2)),
        params={"c": "k,i", "g": "k"},
        sizes={"k": 3},
    ),
    "formula bilinear": lambda: _formula(
        "y[n,k] = sum[i,j](W[k,i,j]*x[n,i]*x[n,j])",
        lambda torch, x, W: torch.einsum("kij,ni,nj->nk", W, x, x),
        params={"W": "k,i,j"},
        sizes={"k": 3},
    ),
    "formula softmax": lambda: _formula(
        "y[n,k] = exp(x[n,k] - logsumexp[j](x[n,j]))", lambda torch, x: torch.softmax(x, 1)
    ),
    "formula normalised": lambda: _formula(
        "m[n] = mean[i](x[n,i])\nv[n] = mean[i]((x[n,i]-m[n])**2)\ny[n,i] = w[i]*(x[n,i]-m[n])/sqrt(v[n]+0.001) + b[i]",
        lambda torch, x, w, b: torch.nn.functional.layer_norm(x, (4,), w, b, 0.001),
        params={"w": "i", "b": "i"},
    ),
    "formula product": lambda: _formula("y[n] = prod[i](x[n,i] - 1)", lambda torch, x: (x - 1).prod(1)),
    "formula maximum": lambda: _formula(
        "y[n,k] = max[i](x[n,i] + s[k,i])",
        lambda torch, x, s: (x[:, None] + s).amax(2),
        params={"s": "k,i"},
        sizes={"k": 3},
    ),
    "formula difference": lambda: _formula(
        "y[n,t,i] = x[n,t,i] - x[n,t-1,i]",
        lambda torch, x: torch.diff(x, dim=1, prepend=torch.zeros_like(x[:, :1])),
        shape=("T", 3),
    ),
    "formula causal attention": lambda: _formula(
        "e[n,t,s] = sum[i](x[n,t,i]*x[n,s,i])\n"
        "y[n,t,i] = sum[s | s <= t](exp(e[n,t,s] - logsumexp[r | r <= t](e[n,t,r]))*x[n,s,i])",
        lambda torch, x: torch.nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True, scale=1.0),
        shape=("T", 3),
    ),
    "formula reversed": lambda: _formula(
        "y[n,k] = x[n,3-k]*w[k]", lambda torch, x, w: x.flip(1) * w, params={"w": "k"}, sizes={"k": 4}
    ),
    "formula running sum": lambda: _formula(
        "y[n,k] = sum[i | k >= i](w[k]*x[n,i])",
        lambda torch, x, w: torch.cumsum(x, 1) * w,
        params={"w": "k"},
        sizes={"k": 4},
    ),
    "lookup": _lookup,
    "masked": _masked,
}
"""Layers by formula."""

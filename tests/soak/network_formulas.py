"""Formulas of one's own that drawn networks hold: what no layer of the library writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from symnet.model.layers import Node


@dataclass(frozen=True)
class Own:
    """A formula.  kinds: of the nodes it takes.  fits: which of these.  besides: what further inputs must be."""

    kinds: tuple[str, ...]
    text: str
    params: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    fits: Callable[[Node], bool] | None = None
    besides: tuple[Callable[[Node, Node], bool], ...] = ()


def _same(a: Node, b: Node) -> bool:
    return b.tensor.dtype == "float" and a.tensor.shape == b.tensor.shape


def _floats(rank: int) -> Callable[[Node, Node], bool]:
    return lambda a, b: b.tensor.dtype == "float" and len(b.shape) == rank


def _of_width(a: Node, b: Node) -> bool:
    """A vector as wide as the sequence."""
    return b.tensor.dtype == "float" and len(b.shape) == 2 and a.shape[-1] == b.shape[-1]


def _wide(node: Node) -> bool:
    return isinstance(node.shape[-1], int)


SEQUENCES = ("sequence",)
ANY_ROW = ("sequence", "signal")

OWN = (
    Own(("vector",), "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))", {"c": "k,i", "g": "k"}, {"k": 3}),
    Own(("vector",), "y[n,k] = max[j](b[k,j] + sum[i](W[k,j,i]*x[n,i]))", {"W": "k,j,i", "b": "k,j"}, {"k": 2, "j": 3}),
    Own(("vector",), "y[n,k] = b[k] + sum[i,j](W[k,i,j]*x[n,i]*x[n,j])", {"W": "k,i,j", "b": "k"}, {"k": 2}),
    Own(("vector",), "y[n,k] = sum[i](W[k,i]*x[n,i] + b[k])", {"W": "k,i", "b": "k"}, {"k": 3}),
    Own(("vector",), "y[n,k] = x[n,k] - mean[m](x[m,k])"),
    Own(("vector",), "y[n,i] = x[n,i] + y[n,i-1]"),
    Own(("vector",), "s[n] = logsumexp[i](x[n,i])\ny[n,i] = x[n,i] - s[n]"),
    Own(("vector",), "m[n] = max[i](x[n,i])\ny[n,i] = m[n]*x[n,i] + i"),
    Own(("vector",), "y[n,k] = prod[i](1 + W[k,i]*x[n,i])", {"W": "k,i"}, {"k": 2}),
    Own(("vector",), "y[n,i] = where(x[n,i] > 0, x[n,i], a[i]*x[n,i])", {"a": "i"}),
    Own(("vector",), "y[n,k] = sum[i](x[n,i]*W[k,i]) / sqrt(1 + sum[j](x[n,j]**2))", {"W": "k,i"}, {"k": 2}),
    Own(("vector",), "y[n,i] = a[i]*x[n,i]*z[n,i] + z[n,i]", {"a": "i"}, besides=(_same,)),
    Own(("vector",), "y[n,k] = sum[i,j](A[k,i,j]*x[n,i]*z[n,j])", {"A": "k,i,j"}, {"k": 2}, besides=(_floats(2),)),
    Own(("vector",), "y[n,i,j] = x[n,i]*z[n,j]", besides=(_floats(2),)),
    Own(("vector",), "y[n,i] = x[n,i] - mean[j](x[n,j])\ny[n,i] += b[i]", {"b": "i"}),
    Own(SEQUENCES, "y[n,t,k] = x[n,t,k] - x[n,t-1,k]"),
    Own(SEQUENCES, "y[n,t,k] = sum[s | s <= t](x[n,s,k])"),
    Own(SEQUENCES, "y[n,t,k] = max[s | s <= t](x[n,s,k])"),
    Own(SEQUENCES, "y[n,t,k] = logsumexp[s | s >= t](x[n,s,k])"),
    Own(SEQUENCES, "y[n,t,k] = sigmoid(g[k])*y[n,t-1,k] + x[n,t,k]", {"g": "k"}),
    Own(SEQUENCES, "y[n,t,k] = tanh(x[n,t,k] + sum[j](W[k,j]*y[n,t+1,j]))", {"W": "k,j"}, fits=_wide),
    Own(SEQUENCES, "y[n,t,k] = b[k] + sum[u](w[u]*x[n,t+u-1,k])", {"w": "u", "b": "k"}, {"u": 3}, fits=_wide),
    Own(SEQUENCES, "y[n,t,k] = x[n,t,k] + t*a[k]", {"a": "k"}, fits=_wide),
    Own(SEQUENCES, "y[n,t,k] = x[n,t,k]/(1 + t)"),
    Own(SEQUENCES, "y[n,t,k] = x[n,t,k] - mean[s](x[n,s,k])"),
    Own(SEQUENCES, "y[n,t,k] = where(t % 2 = 0, x[n,t,k], -x[n,t,k])"),
    Own(SEQUENCES, "y[n,t,k] = 0.9**t*x[n,t,k]"),
    Own(SEQUENCES, "y[n,t,k] = x[n,t,k]*v[n,k]", besides=(_of_width,)),
    Own(SEQUENCES, "y[n,t,k] = x[n,t,k]*z[n,t,k] - z[n,t,k]**2", besides=(_same,)),
    Own(SEQUENCES, "y[n,s,t] = sum[k](x[n,s,k]*x[n,t,k])", fits=lambda node: isinstance(node.shape[1], int)),
    Own(SEQUENCES, "a[n,t,s] = exp(-(t-s)**2/2.0)\ny[n,t,k] = sum[s](a[n,t,s]*x[n,s,k])"),
    Own(("signal",), "y[n,i,j] = 0.5*x[n,i,j] + x[n,i,j-1] - x[n,i-1,j]"),
    Own(("picture",), "y[n,c,i,j] = x[n,c,i,j] - mean[k,l](x[n,c,k,l])"),
    Own(("picture",), "y[n,c,i,j] = x[n,c,i,j]*(1 + i - j)"),
    Own(("picture",), "s[n,c] = mean[i,j](x[n,c,i,j])\ny[n,c,i,j] = x[n,c,i,j]*sigmoid(s[n,c])"),
    Own(("picture",), "y[n,c,i,j] = sum[u,v](w[u,v]*x[n,c,i+u-1,j+v-1])", {"w": "u,v"}, {"u": 3, "v": 3}),
)

VECTOR_OF_SEQUENCE = (
    "y[n,k] = mean[t](x[n,t,k])",
    "y[n,k] = max[t](x[n,t,k])",
    "y[n,k] = sum[t](x[n,t,k])",
    "y[n,k] = logsumexp[t](x[n,t,k])",
    "y[n,k] = x[n,0,k]",
    "y[n,k] = sum[t](x[n,t,k]**2)/(1 + sum[s](x[n,s,k]**2))",
)

"""One layer between its inputs and a loss, compiled, and the same in PyTorch, float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import symnet as sn
from torch_or_skip import torch

Arrays = dict[str, np.ndarray]
Twin = Callable[[Mapping[str, torch.Tensor]], torch.Tensor]


@dataclass(frozen=True)
class Case:
    """A layer and its twin.

    inputs: per-sample shape by name (a string is a symbolic size); ints and bools: the names of those dtypes,
    an int with the number of its values.  twin: from inputs and parameters (local names) to the output.
    """

    name: str
    layer: Callable[..., Any]
    inputs: Mapping[str, tuple[int | str, ...]]
    twin: Twin
    ints: Mapping[str, int] = field(default_factory=dict)
    bools: tuple[str, ...] = ()
    layout: str | None = None
    T: int = 5

    def __str__(self) -> str:
        return self.name

    def model(self) -> sn.Model:
        nodes = {}
        for name, shape in self.inputs.items():
            dtype = "int" if name in self.ints else "bool" if name in self.bools else "float"
            layout = self.layout if dtype == "float" else None
            nodes[name] = sn.Input(shape, name=name, dtype=dtype, layout=layout)
        # A parameter in front of each float input shows the gradient by the input.
        fed = dict(nodes)
        for name, shape in self.inputs.items():
            if name not in self.ints and name not in self.bools:
                at = ",".join("abcde"[: len(shape)])
                scale = sn.Formula(
                    f"y[n,{at}] = scale[{at[-1]}]*x[n,{at}]", params={"scale": at[-1]}, name=f"{name}_fed"
                )
                fed[name] = scale(nodes[name])
        return sn.Model(list(nodes.values()), self.layer(*fed.values()), loss=sn.SquaredError())

    def arrays(self, model: sn.Model, seed: int = 0) -> tuple[Arrays, Arrays, np.ndarray]:
        """(parameters, inputs, target), drawn at random."""
        rng = np.random.default_rng(seed)
        known = {"N": 3, "T": self.T, "S": 4}
        drawn: Arrays = {}
        for tensor in model.program.tensors:
            if tensor.kind in ("input", "parameter"):
                shape = [e.evaluate(known) for e in tensor.shape]
                if tensor.dtype == "int":
                    drawn[tensor.name] = rng.integers(0, self.ints[tensor.name], shape)
                elif tensor.dtype == "bool":
                    drawn[tensor.name] = rng.random(shape) < 0.6
                else:
                    drawn[tensor.name] = rng.normal(size=shape)
        params = {p.name: drawn[p.name] for p in model.parameters}
        return params, {t.name: drawn[t.name] for t in model.inputs}, drawn["target"]


def compiled(model: sn.Model, params: Arrays, x: Arrays, y: np.ndarray) -> tuple[float, np.ndarray, Arrays]:
    """(loss, output, gradients) of the generated module."""
    module = sn.compile(model, dtype="float64").module
    fed = x if len(x) > 1 else next(iter(x.values()))
    loss, grads = module.loss_and_grads(params, fed, y)
    return loss, module.forward(params, fed), grads


def expected(case: Case, params: Arrays, x: Arrays, y: np.ndarray, timed: bool) -> tuple[float, np.ndarray, Arrays]:
    """(loss, output, gradients) of the twin."""
    leaves = {name: torch.tensor(a, requires_grad=True) for name, a in params.items()}
    values = {name: torch.tensor(a) for name, a in x.items()}
    for name in values:
        if f"{name}_fed.scale" in leaves:
            values[name] = values[name] * leaves[f"{name}_fed.scale"]
    output = case.twin({**values, **{name.split(".", 1)[1]: leaf for name, leaf in leaves.items()}})
    steps = y.shape[1] if timed else 1  # a loss at each time step
    loss = ((output - torch.tensor(y)) ** 2).sum() / (len(y) * steps)
    grads = torch.autograd.grad(loss, list(leaves.values())) if leaves else ()
    return (
        float(loss.detach()),
        output.detach().numpy(),
        {name: grad.numpy() for name, grad in zip(leaves, grads, strict=True)},
    )


def masked(scores: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """The softmax over what is seen, 0 where nothing is."""
    least = torch.where(seen, scores, torch.tensor(-1e9, dtype=scores.dtype))
    weights = torch.softmax(least, -1)
    return torch.where(seen, weights, torch.zeros_like(weights))


def heads(number: int, causal: bool = False, key: str = "query", value: str = "query") -> Twin:
    """torch's own multi-head attention on the parameters; a row that sees nothing gets 0."""

    def twin(v: Mapping[str, torch.Tensor]) -> torch.Tensor:
        q, k, w = v["query"], v[key], v[value]
        n, t, e = q.shape
        weights = v["in_proj_weight"].chunk(3)
        biases = v["in_proj_bias"].chunk(3) if "in_proj_bias" in v else (None,) * 3
        parts = [torch.nn.functional.linear(x, a, b) for x, a, b in zip((q, k, w), weights, biases, strict=True)]
        split = [p.reshape(n, p.shape[1], number, e // number).transpose(1, 2) for p in parts]
        scores = split[0] @ split[1].transpose(2, 3) / (e // number) ** 0.5
        seen = torch.ones(scores.shape, dtype=torch.bool)
        if causal:
            seen = seen & torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if "mask" in v:
            mask = v["mask"]
            seen = seen & (mask[:, None, None, :] if mask.ndim == 2 else mask[:, None])
        context = (masked(scores, seen) @ split[2]).transpose(1, 2).reshape(n, t, e)
        return torch.nn.functional.linear(context, v["out_proj.weight"], v.get("out_proj.bias"))

    return twin

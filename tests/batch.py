"""A network with a batch of data for it, as the tests of gradients take it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis.vendor.pretty import RepresentationPrinter

import symnet as sn

Arrays = dict[str, np.ndarray]
TorchFormula = Callable[..., Any]
"""(torch, the inputs in order, parameters by keyword) -> the output."""


@dataclass(frozen=True)
class Network:
    """A model with a batch.  `formulas`: by layer name, what a Formula layer computes, in PyTorch."""

    model: sn.Model
    x: Arrays
    y: np.ndarray
    layout: str = "CHW"
    formulas: Mapping[str, TorchFormula] = field(default_factory=dict)

    def __repr__(self) -> str:
        rows = [
            f"  {p.name} = {p.kind}({', '.join(f'{k}={v!r}' for k, v in vars(p.layer).items() if k != 'name')})"
            f"({', '.join(t.name for t in p.inputs)}) -> ({', '.join(map(str, p.output.shape))})"
            for p in self.model.layers
        ]
        shapes = {name: array.shape for name, array in self.x.items()}
        loss = self.model.loss.kind if self.model.loss else None
        return "\n".join([f"{self.layout} {shapes}, {loss}, l2={self.model.l2}", *rows])

    def _repr_pretty_(self, printer: RepresentationPrinter, cycle: bool) -> None:
        printer.text(repr(self))


def parameters(model: sn.Model, seed: int = 0) -> Arrays:
    """Random parameters, the biases too, and buffers of ones."""
    rng = np.random.default_rng(seed)
    drawn = {p.name: rng.normal(0, 0.5, [e.const for e in p.tensor.shape]) for p in model.parameters}
    return drawn | {b.name: np.ones([e.const for e in b.tensor.shape]) for b in model.buffers}


def with_data(
    model: sn.Model,
    samples: int = 3,
    seed: int = 1,
    one_hot: bool = False,
    sizes: Mapping[str, int] | None = None,
    tokens: int = 2,
    **more: Any,
) -> Network:
    """A network with continuous random inputs and fitting targets.  one_hot: integer labels for a squared loss.

    tokens: how many values integer inputs have.
    """
    rng = np.random.default_rng(seed)
    known = {"N": samples, **(sizes or {})}
    x: Arrays = {}
    for tensor in model.inputs:
        shape = [extent.evaluate(known) for extent in tensor.shape]
        x[tensor.name] = rng.normal(size=shape) if tensor.dtype == "float" else rng.integers(0, tokens, shape)
        if tensor.dtype == "bool":
            x[tensor.name] = x[tensor.name].astype(bool)
    shape = [extent.evaluate(known) for extent in model.target.shape]
    output = [extent.evaluate(known) for extent in model.output.shape]
    if one_hot:
        y = rng.integers(0, shape[-1], shape[:-1])
    elif model.target.dtype == "int":
        y = rng.integers(0, output[model.class_axis], shape)
    elif isinstance(model.loss, sn.BinaryCrossEntropy):
        y = rng.integers(0, 2, shape).astype(float)
    else:
        y = rng.normal(size=shape)
    return Network(model, x, y, **more)

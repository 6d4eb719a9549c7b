"""The data of a drawn network: parameters, inputs, targets, weights, and what the interpreters call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import symnet as sn
from soak.network_case import Case

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Data:
    """params: with buffers.  x, y: as the module takes them.  targets: by the name of their tensors, as floats are
    compared.  weights: of the samples, or None.  direction: one along each trainable parameter and float input."""

    params: Arrays
    x: Arrays
    y: Any
    targets: Arrays
    weights: np.ndarray | None
    sizes: dict[str, int]

    def arrays(self, noise: Arrays, model: sn.Model) -> Arrays:
        """What the interpreters take."""
        weights = {} if model.weight is None else {model.weight.name: self.weights}
        return {**self.params, **self.x, **self.targets, **noise, **weights}  # type: ignore[dict-item]


def data_for(case: Case, model: sn.Model) -> Data:
    """Random data for a model, from the case's seed alone."""
    rng = np.random.default_rng(case.seed)
    sizes = {name: dict(case.sizes).get(name, 2) for name in model.sizes}
    params = {p.name: _parameter(rng, p, sizes) for p in model.parameters}
    params |= {b.name: rng.uniform(0.5, 1.5, [e.const for e in b.tensor.shape]) for b in model.buffers}
    below = {s.name: s.below for s in case.sources}
    x: Arrays = {}
    for tensor in model.inputs:
        shape = [extent.evaluate(sizes) for extent in tensor.shape]
        if tensor.dtype == "float":
            x[tensor.name] = rng.normal(size=shape)
        elif tensor.dtype == "int":
            x[tensor.name] = rng.integers(0, below.get(tensor.name, 2), shape)
        else:
            x[tensor.name] = rng.random(shape) < rng.choice([0.3, 0.7, 0.9])
    targets, given = {}, {}
    for each in model.objectives:
        targets[each.target.name], given[each.output.name] = _target(rng, each, sizes)
    y = given if len(given) > 1 else next(iter(given.values()), None)
    weights = rng.choice([0.0, 0.5, 1.0, 2.0], sizes["N"]) if model.weight is not None else None
    return Data(params, x, y, targets, weights, sizes)


def _parameter(rng: np.random.Generator, parameter: Any, sizes: dict[str, int]) -> np.ndarray:
    shape = [extent.evaluate(sizes) for extent in parameter.tensor.shape]
    centre = 1.0 if parameter.init == "ones" else 0.0
    return np.asarray(rng.normal(centre, 0.5, shape))


def _target(rng: np.random.Generator, each: Any, sizes: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """What the loss compares with, and what the module is given for it: the same, or labels for one-hot rows."""
    shape = [extent.evaluate(sizes) for extent in each.target.shape]
    output = [extent.evaluate(sizes) for extent in each.output.shape]
    loss = each.loss
    if each.target.dtype == "int":
        labels = rng.integers(0, output[each.class_axis], shape)
        return labels, labels
    if isinstance(loss, sn.BinaryCrossEntropy):
        bits = rng.integers(0, 2, shape).astype(float)
        return bits, bits
    if isinstance(loss, sn.Hinge | sn.PerceptronLoss):
        signs = rng.choice([-1.0, 1.0], shape)
        return signs, signs
    if isinstance(loss, sn.KLDivergence):
        raw = rng.random(shape) + (rng.random(shape) < 0.3)
        raw = np.where(rng.random(shape) < 0.2, 0.0, raw) + 1e-3 * (raw.sum(each.class_axis, keepdims=True) == 0)
        total = raw.sum(each.class_axis, keepdims=True)
        share = np.where(total > 0, raw / np.where(total > 0, total, 1), 1 / shape[each.class_axis])
        return share, share
    numbers = rng.normal(size=shape)
    if len(shape) == 2 and isinstance(loss, sn.MeanSquaredError | sn.SquaredError | sn.Huber):
        if shape[1] > 1 and rng.random() < 0.25:
            labels = rng.integers(0, shape[1], shape[0])
            return np.eye(shape[1])[labels], labels
        if shape[1] == 1 and rng.random() < 0.5:
            return numbers, numbers[:, 0]
    return numbers, numbers

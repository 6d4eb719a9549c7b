"""What a drawn formula means, by brute force: every expression as an array over the boxes of all its indices.

Written from docs/equations.md, and shares nothing with codegen.  Arrays may be complex: with a step of 1e-30 in the
imaginary direction the imaginary part of the loss is its derivative to full precision, since no difference is taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from soak.tree import (
    Affine,
    Bracket,
    Call,
    Condition,
    Count,
    Equation,
    Formula,
    Group,
    Modulo,
    Number,
    Power,
    Product,
    Quotient,
    Read,
    Reduce,
    Remainder,
    Sum,
    Where,
    walk,
)

Array = np.ndarray
SKIPPING = ("max", "argmax", "logsumexp")
NEAR = 1e-7
"""Values closer than this are a tie or a kink."""

_erf = np.vectorize(math.erf, otypes=[float])


def erf(z: Array) -> Array:
    """The error function, and its derivative in the imaginary direction."""
    real = _erf(z.real)
    return real + 1j * z.imag * 2 / math.sqrt(math.pi) * np.exp(-(z.real**2)) if np.iscomplexobj(z) else real


def _sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


SMOOTH: Mapping[str, Callable[..., Array]] = {
    "exp": np.exp,
    "log": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "atan": np.arctan,
    "erf": erf,
    "log1p": lambda z: np.log(1 + z),
    "expm1": lambda z: np.exp(z) - 1,
    "sigmoid": _sigmoid,
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "silu": lambda z: z * _sigmoid(z),
    "gelu": lambda z: z * (1 + erf(z / math.sqrt(2))) / 2,
    "gelu_tanh": lambda z: z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))) / 2,
}
KINKED: Mapping[str, Callable[..., Array]] = {
    "abs": lambda z: np.where(z.real > 0, z, np.where(z.real < 0, -z, 0)),
    "sign": lambda z: np.sign(z.real),
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "leaky_relu": lambda z, slope=0.01: np.where(z.real > 0, z, slope * z),
    "elu": lambda z, alpha=1.0: np.where(z.real > 0, z, alpha * (np.exp(z) - 1)),
}
COMPARED: Mapping[str, Callable[[Array, Array], Array]] = {
    "=": np.equal,
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


class Value:
    """All tensors of a formula for arrays by name.

    kink: whether a branch was decided, or a maximum found, among values that are equal or nearly so.
    infinite: whether a factor of a product, or the base of a power, was infinite, so that the chain rule has 0 times
    infinity where the other factors, or what follows, have no slope.
    """

    def __init__(self, case: Formula, arrays: Mapping[str, Array], sizes: Mapping[str, int]) -> None:
        self.sizes = dict(sizes)
        self.extents = {name: extent.value(self.sizes) for name, extent in case.extents}
        self.values: dict[str, Array] = dict(arrays)
        self.kink = self.infinite = False
        self.complex = any(np.iscomplexobj(array) for array in arrays.values())
        with np.errstate(all="ignore"):
            self._run(case)
            self.output = self.values[case.output]
            self.loss = self._loss(case) if "target" in arrays else None

    def _run(self, case: Formula) -> None:
        """Every equation in turn; those that read what is not there yet form a recurrence, a fixed point from zero."""
        waiting = list(case.equations)
        while waiting:
            cycle = first_cycle(waiting)
            group, waiting = [e for e in waiting if e.target in cycle], [e for e in waiting if e.target not in cycle]
            for equation in group:
                shape = self._shape(equation, case)
                self.values.setdefault(equation.target, np.zeros(shape, complex if self.complex else float))
            reads_itself = any(isinstance(n, Read) and n.tensor in cycle for e in group for n in walk(e.body))
            for _ in range(1 + reads_itself * sum(self.values[name].size for name in cycle)):
                fresh = {name: np.zeros_like(self.values[name]) for name in cycle}
                for equation in group:
                    self._add(equation, fresh[equation.target])
                same = all(np.array_equal(fresh[name], self.values[name], equal_nan=True) for name in cycle)
                self.values.update(fresh)
                if same:
                    break

    def _shape(self, equation: Equation, case: Formula) -> tuple[int, ...]:
        first = next(e for e in case.equations if e.target == equation.target)
        return tuple(self._length(s) for s in first.at)

    def _length(self, s: Any) -> int:
        if isinstance(s, Group):
            return math.prod(self.extents[m] for m in s.members)
        return self.extents[s.plain]

    def _add(self, equation: Equation, target: Array) -> None:
        names: dict[str, None] = {}
        for node in walk(equation):
            match node:
                case Affine():
                    names.update(dict.fromkeys(name for name, _ in node.terms))
                case Quotient() | Remainder():
                    names[node.index] = None
                case Group():
                    names.update(dict.fromkeys(node.members))
                case Reduce():
                    names.update(dict.fromkeys(node.over))
        order = list(names)
        lengths = [self.extents[name] for name in order]
        self.axis = {name: k for k, name in enumerate(order)}
        self.grid = {
            name: np.arange(length).reshape([-1 if k == axis else 1 for k in range(len(order))])
            for axis, (name, length) in enumerate(zip(order, lengths, strict=True))
        }
        self.rank = len(order)
        self.frames: list[list[Array]] = [[]]
        free = {name for s in equation.at for name in _letters(s)}
        value = self.of(equation.body)
        full = [self.extents[name] if name in free else 1 for name in order]
        value = np.broadcast_to(value, full)
        inside, place = np.ones(full, bool), []
        for s, length in zip(equation.at, target.shape, strict=True):
            where = np.broadcast_to(self.where(s), full)
            inside = inside & (where >= 0) & (where < length)
            place.append(where)
        if not place:
            target += value.sum()
            return
        np.add.at(target, tuple(where[inside] for where in place), value[inside])

    def where(self, s: Any) -> Array:
        """The position that a subscript stands for."""
        match s:
            case Affine():
                total = s.const + (self.sizes[s.size] if s.size else 0)
                return sum((c * self.grid[name] for name, c in s.terms), np.full([1] * self.rank, total))
            case Quotient():
                return self.grid[s.index] // s.divisor
            case Remainder():
                return self.grid[s.index] % s.divisor
            case Group():
                total = np.zeros([1] * self.rank, int)
                for name in s.members:
                    total = total * self.extents[name] + self.grid[name]
                return total
            case Read():
                return self.read(s).real.astype(int)
        raise TypeError(s)

    def read(self, node: Read) -> Array:
        """The value of a read, 0 outside; that it was inside goes to the innermost frame."""
        array = self.values[node.tensor]
        inside, place = np.ones([1] * self.rank, bool), []
        for s, length in zip(node.at, array.shape, strict=True):
            where = self.where(s)
            inside = inside & (where >= 0) & (where < length)
            place.append(np.clip(where, 0, length - 1))
        self.frames[-1].append(inside)
        return np.where(inside, array[tuple(place)] if place else array.reshape([1] * self.rank), 0)

    def of(self, node: Any) -> Array:
        """The value of an expression."""
        match node:
            case Number():
                return np.full([1] * self.rank, float(node.text))
            case Count():
                return self.where(node.affine).astype(float)
            case Read():
                return self.read(node)
            case Sum():
                return sum((sign * self.of(term) for sign, term in node.terms), np.zeros([1] * self.rank))
            case Product():
                total = np.ones([1] * self.rank)
                for divides, factor in node.factors:
                    value = self.of(factor)
                    self.infinite |= len(node.factors) > 1 and bool(np.isinf(value.real).any())
                    total = total / value if divides else total * value
                return total
            case Power():
                exponent = node.exponent if isinstance(node.exponent, int) else self.of(node.exponent)
                base = self.of(node.base)
                self.infinite |= bool(np.isinf(base.real).any())
                return base**exponent
            case Call():
                return self.call(node)
            case Modulo():
                return self.where(node.affine) % node.divisor
            case Reduce():
                return self.reduce(node)
        holds = self.holds(node.conditions)
        return holds.astype(float) if isinstance(node, Bracket) else self.chosen(node, holds)

    def chosen(self, node: Where, holds: Array) -> Array:
        """`where`: both sides are computed."""
        return np.where(holds, self.of(node.then), self.of(node.otherwise))

    def call(self, node: Call) -> Array:
        """A function; two of the kinked ones choose between arguments, the first one where both are equal."""
        arguments = [self.of(argument) for argument in node.arguments]
        if node.function in SMOOTH:
            return SMOOTH[node.function](*arguments)
        if node.function not in ("max", "min"):
            self.near(arguments[0].real)
            return KINKED[node.function](*arguments)
        a, b = arguments
        self.near((a - b).real)
        return np.where(a.real >= b.real if node.function == "max" else a.real <= b.real, a, b)

    def near(self, difference: Array) -> None:
        """Note a kink where the difference is nearly zero."""
        self.kink |= bool((np.abs(difference) < NEAR).any())

    def holds(self, conditions: tuple[Condition, ...]) -> Array:
        """Whether all conditions hold."""
        total = np.ones([1] * self.rank, bool)
        for c in conditions:
            left = self.of(c.left)
            right = self.of(c.right) if c.op else np.zeros(1)
            total = total & COMPARED[c.op or "!="](left.real, right.real)
        return total

    def reduce(self, node: Reduce) -> Array:
        """A reduction over the points whose guards hold, and in SKIPPING whose reads are all inside."""
        self.frames.append([])
        body = self.of(node.body)
        kept = self.holds(node.guards)
        if node.op in SKIPPING:
            for inside in self.frames[-1]:
                kept = kept & inside
        self.frames.pop()
        axes = tuple(self.axis[name] for name in node.over)
        shape = np.broadcast_shapes(body.shape, kept.shape)
        shape = tuple(self.extents[node.over[axes.index(k)]] if k in axes else n for k, n in enumerate(shape))
        body, kept = np.broadcast_to(body, shape), np.broadcast_to(kept, shape)
        if node.op in ("sum", "mean"):
            total = np.where(kept, body, 0).sum(axis=axes, keepdims=True)
            return total / math.prod(self.extents[name] for name in node.over) if node.op == "mean" else total
        if node.op == "prod":
            self.infinite |= bool(np.isinf(body.real[kept]).any())
            return np.where(kept, body, 1).prod(axis=axes, keepdims=True)
        return self.greatest(node, body, kept, axes)

    def greatest(self, node: Reduce, body: Array, kept: Array, axes: tuple[int, ...]) -> Array:
        """max, argmax and logsumexp, over the reduced axes in the order of `over`."""
        rest = [k for k in range(self.rank) if k not in axes]
        turned = body.transpose(*rest, *axes).reshape(*(body.shape[k] for k in rest), -1)
        mask = kept.transpose(*rest, *axes).reshape(turned.shape)
        real = np.where(mask, turned.real, -np.inf)
        first = real.argmax(axis=-1)[..., None]
        top = np.where(mask.any(-1)[..., None], np.take_along_axis(turned, first, -1), -np.inf)
        if node.op != "logsumexp" and real.shape[-1] > 1:
            ordered = np.sort(real, axis=-1)
            self.near(np.nan_to_num(ordered[..., -1] - ordered[..., -2], nan=1.0))
        if node.op == "argmax":
            found = np.where(mask.any(-1)[..., None], first, -1).astype(float)
        elif node.op == "max":
            found = top
        else:
            found = top + np.log(np.where(mask, np.exp(turned - top), 0).sum(-1, keepdims=True))
        shape = [1 if k in axes else body.shape[k] for k in range(self.rank)]
        return found.reshape(shape)

    def _loss(self, case: Formula) -> Any:
        z, target = self.output, self.values["target"]
        if case.loss == "CrossEntropy":
            top = z.real.max(axis=-1, keepdims=True)
            total = np.log(np.exp(z - top).sum(-1)) + top[..., 0]
            return (total - np.take_along_axis(z, target[..., None], -1)[..., 0]).mean()
        square = (z - target) ** 2
        if case.loss == "MeanSquaredError":
            return square.mean()
        # SquaredError: of a sequence of symbolic length the mean over its steps, too.
        first = next(e for e in case.equations if e.target == case.output)
        timed = z.ndim == 3 and isinstance(first.at[1], Affine) and dict(case.extents)[first.at[1].plain or ""].size
        return square.sum() / (z.shape[0] * (z.shape[1] if timed else 1))


def _letters(s: Any) -> list[str]:
    match s:
        case Affine():
            return [name for name, _ in s.terms]
        case Quotient() | Remainder():
            return [s.index]
        case Group():
            return list(s.members)
        case Read():
            return [name for inner in s.at for name in _letters(inner)]
    raise TypeError(s)


def first_cycle(equations: list[Equation]) -> set[str]:
    """The targets that the first equation's target depends on and that depend on it, itself included."""
    reads: dict[str, set[str]] = {}
    for equation in equations:
        found = {n.tensor for n in walk(equation) if isinstance(n, Read)}
        reads.setdefault(equation.target, set()).update(found)

    def reached(name: str) -> set[str]:
        seen: set[str] = set()
        stack = list(reads.get(name, ()))
        while stack:
            found = stack.pop()
            if found in reads and found not in seen:
                seen.add(found)
                stack += reads[found]
        return seen

    first = equations[0].target
    return {first} | {name for name in reached(first) if first in reached(name)}

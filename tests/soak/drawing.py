"""Drawing expressions: the features that are wanted first, then what is left to chance.

Inputs and parameters are made where they are read, in the shapes that the read needs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from soak.conditions import Conditions
from soak.reads import AXIS
from soak.tree import (
    Affine,
    Bracket,
    Call,
    Condition,
    Count,
    Extent,
    Number,
    Power,
    Product,
    Read,
    Reduce,
    Sum,
    Where,
    letters,
    walk,
)
from soak.value import SKIPPING

REDUCTIONS = ("sum", "mean", "max", "argmax", "logsumexp", "prod")
WINDOW = ("window", "stride", "dilation", "2-D")
SAFE = ("tanh", "sin", "cos", "sigmoid", "softplus", "silu", "gelu", "gelu_tanh", "erf", "atan", "tanh", "exp", "expm1")
GUARDED = ("log", "sqrt", "log1p", "sinh", "cosh", "tan")
KINKS = ("abs", "relu", "leaky_relu", "elu", "max", "min", "sign")
DEPTH = 3


class Drawing(Conditions):
    """The state of one draw: tensors so far, the extents of indices, and the features still wanted."""

    def __init__(self, rng: random.Random, wanted: Sequence[str]) -> None:
        super().__init__(rng, wanted)
        self.builders: dict[str, Callable[[list[str], int, bool], Any]] = {
            **dict.fromkeys(REDUCTIONS, self.reduction),
            **dict.fromkeys(("guard", "guard %", "guard int", "mask", "unread", "lacking", "nested"), self.reduction),
            **dict.fromkeys(WINDOW, self.window),
            "softmax": self.softmax,
            "bracket": self.bracket,
            "where": self.where,
            "index number": self.index_number,
            "size number": self.size_number,
            "data number": self.data_number,
            "smooth": self.smooth,
            "kinked": self.kinked,
            "power": self.power,
            "division": self.division,
            "over batch": self.over_batch,
        }

    # expressions

    def body(self, scope: list[str]) -> Any:
        """A right side with these free indices, which has what is still wanted of an expression."""
        node = self.expression(scope, 0, False)
        for _ in range(5):
            if not self.unread and not any(name in self.builders or name in AXIS for name in self.wanted):
                break
            node = self.joined(node, self.expression(scope, 1, False))
        return node

    def joined(self, a: Any, b: Any) -> Any:
        """Two expressions as one."""
        match self.rng.randrange(6):
            case 0:
                return Product(((False, a), (False, b)))
            case 1:
                return Sum(((1, a), (-1, b)))
            case 2:
                return Product(((False, a), (False, Call("tanh", (b,)))))
            case _:
                return Sum(((1, a), (1, b)))

    def expression(self, scope: list[str], depth: int, skip: bool) -> Any:
        """An expression in the indices of `scope`.  skip: no read in it may leave its tensor."""
        fitting = [name for name in self.wanted if name in self.builders]
        if fitting and depth < DEPTH:
            name = self.rng.choice(fitting)
            if name != "nested" or len(fitting) == 1:
                self.take(name)
                if name in ("guard", "guard %", "guard int", "mask", "unread", "lacking", *WINDOW):
                    self.wanted.append(name)
                    self.wanted.sort()
            return self.builders[name](scope, depth, skip)
        if depth < 2 and self.rng.random() < 0.06:
            return self.rng.choice(list(self.builders.values())[:-1])(scope, depth, skip)
        return self.leaf(scope, skip)

    def leaf(self, scope: list[str], skip: bool) -> Any:
        """One to three reads."""
        first = self.read(scope, skip)
        left = [name for name in scope if name not in letters(first) and self.fixed(name)]
        if (left and self.rng.random() < 0.85) or self.rng.random() < 0.2 or "param" in self.wanted:
            self.take("param")
            second = self.parameter(left or [name for name in scope if self.fixed(name)], skip)
            return Product(((False, second), (False, first))) if self.chance(0.7) else Sum(((1, first), (1, second)))
        return first

    # reductions

    def reduction(self, scope: list[str], depth: int, skip: bool, op: str | None = None) -> Any:
        """A reduction over one or two new indices, with the conditions that are wanted."""
        pending = [name for name in self.wanted if name in REDUCTIONS]
        taken = getattr(self, "last_taken", "")
        op = op or (taken if taken in REDUCTIONS else None)
        self.last_taken = ""
        op = op or (self.rng.choice(pending) if pending else self.rng.choice(("sum", "sum", "sum", *REDUCTIONS)))
        if "lacking" in self.wanted and op not in ("sum", "mean"):
            op = "sum"
        if op == "mean" and any(name in self.wanted for name in ("guard", "guard %", "guard int", "mask")):
            op = "sum"
        self.take(op)
        over = [self.letter(scope) for _ in range(1 + self.chance(0.25))]
        over = list(dict.fromkeys(over))
        if op == "argmax" and self.chance(0.8):
            over = over[:1]
        inner = [*scope, *over]
        if op in SKIPPING and (self.chance(0.25) or (self.chance(0.6) and "outside" in self.wanted)):
            body = self.escaping(inner, over)
        else:
            nested = self.take("nested")
            fitting = depth < DEPTH - 1
            body = self.reduction(inner, depth + 1, op in SKIPPING) if nested and fitting else None
            body = body or self.expression(inner, depth + 1, skip or op in SKIPPING)
            body = self.fitting(body, inner, over, op, skip)
        guards = () if op == "mean" else self.guards(inner, over)
        if op == "prod":
            body = Sum(((1, Number("1")), (1, Product(((False, Number("0.5")), (False, body))))))
        return self.outer(Reduce(op, tuple(over), body, guards), scope)

    def fitting(self, body: Any, inner: list[str], over: list[str], op: str, skip: bool) -> Any:
        """A body that reads the reduced indices, but for those that shall not be read."""
        if self.take("unread"):
            spare = self.letter(inner)
            over.append(spare)
            inner.append(spare)
        elif set(over) - set(letters(body)) and self.chance(0.9):
            left = [name for name in over if name not in letters(body)]
            body = Product(((False, body), (False, self.reading(left, skip or op in SKIPPING))))
        if op in ("sum", "mean") and (self.take("lacking") or self.chance(0.08)):
            body = Sum(((1, body), (1, self.leaf([name for name in inner if name != over[0]], skip))))
        return body

    def reading(self, names: list[str], skip: bool) -> Any:
        """A read that mentions all of `names`."""
        if all(self.fixed(name) for name in names):
            return self.parameter(names, skip, whole=True)
        return self.input_read([self.batch, *names], skip, whole=True)

    def outer(self, node: Reduce, scope: list[str]) -> Any:
        """The reduction, or what may follow it."""
        if node.op == "argmax" and self.chance(0.7):
            other = self.leaf(scope, True)
            last = Count(Affine(((self.rng.choice(scope), 1),)))
            if self.chance(0.5):
                return Product(((False, other), (False, Bracket((Condition(node, "=", last),)))))
            return Product(((False, other), (False, node)))
        return node

    def escaping(self, inner: list[str], over: list[str]) -> Any:
        """A read that leaves its tensor at an end of the first reduced index, alone or with a term."""
        free = [name for name in inner if name not in over]
        over[:] = [name for name in over if self.extents[name].const > 1 or self.extents[name].size == "T"][:1]
        if not over:
            over.append(self.letter(inner, Extent(self.rng.choice((2, 3)))))
        inner[:] = [*free, *over]
        self.take("outside")
        step = self.rng.choice((-1, -1, 1))
        read = self.shifted(inner, over[0], step)
        if self.chance(0.3) and self.fixed(over[0]):
            return Sum(((1, read), (1, self.parameter([over[0]], True))))
        return Call(self.rng.choice(("tanh", "exp")), (read,)) if self.chance(0.2) else read

    def window(self, scope: list[str], depth: int, skip: bool) -> Any:
        """A reduction over a window of a new input."""
        pending = [name for name in self.wanted if name in REDUCTIONS]
        op = self.rng.choice(pending or ["sum", "sum", "max", "mean", "logsumexp", "prod"])
        guarded = any(name in self.wanted for name in ("guard", "guard %", "guard int", "mask"))
        op = "sum" if (op == "mean" and guarded) or "lacking" in self.wanted else op
        self.take(op)
        places = [name for name in scope if name not in ("n", "m") and self.extents[name].const >= 0]
        extra: list[str] = []
        count = 2 if self.take("2-D") else 1
        while len(places) < count:
            extra.append(self.letter([*scope, *extra]))
            places.append(extra[-1])
        chosen = self.rng.sample(places, count)
        over: list[str] = []
        subscripts, shape = [], []
        for place in chosen:
            tap = self.letter([*scope, *extra, *over], Extent(self.rng.choice((2, 2, 3))))
            over.append(tap)
            s, extent = self.tapped(place, tap, op in SKIPPING)
            subscripts.append(s)
            shape.append(extent)
        inner = [*scope, *extra, *over]
        self.take("window")
        read = self.made_read([self.batch], subscripts, shape, inner)
        body = self.window_body(read, inner, over, op, skip)
        guards = () if op == "mean" else self.guards(inner, over)
        node: Any = Reduce(op, tuple(over), body, guards)
        node = Reduce("sum", tuple(extra), node) if extra else node
        return self.outer(node, scope) if op == "argmax" else node

    def window_body(self, read: Any, inner: list[str], over: list[str], op: str, skip: bool) -> Any:
        """What a window reduces: the read, weighted or not."""
        if op in SKIPPING:
            body = Sum(((1, read), (1, self.parameter(over, True)))) if self.chance(0.3) else read
            return Call("tanh", (body,)) if self.chance(0.15) else body
        if op == "prod":
            return Sum(((1, Number("1")), (1, Product(((False, Number("0.5")), (False, read))))))
        body = read
        if self.chance(0.7):
            more = [name for name in inner if name not in ("n", "m", *over) and self.fixed(name) and self.chance(0.5)]
            body = Product(((False, self.parameter([*more, *over], skip, whole=True)), (False, read)))
        return self.fitting(body, inner, over, op, skip)

    def softmax(self, scope: list[str], depth: int, skip: bool) -> Any:
        """exp(e - logsumexp(e)), summed against values or as it is."""
        own = self.letter(scope)
        other = self.letter([*scope, own], self.extents[own])
        inner = [*scope, own]
        score = self.leaf(inner, True)
        if own not in letters(score):
            score = Sum(((1, score), (1, self.reading([own], True))))
        guards = self.guards(inner, [own])
        renamed = rename(score, own, other)
        total = Reduce("logsumexp", (other,), renamed, rename(guards, own, other))
        weights = Call("exp", (Sum(((1, score), (-1, total))),))
        value = self.reading([own], skip)
        return Reduce("sum", (own,), Product(((False, weights), (False, value))), guards)

    def over_batch(self, scope: list[str], depth: int, skip: bool) -> Any:
        """A mean over all samples."""
        self.extents["m"] = Extent(0, "N")
        before, self.batch = self.batch, "m"
        names = [name for name in scope if name not in ("n", "m")]
        body = self.input_read(["m", *names[:2]], skip)
        self.batch = before
        return Reduce("mean" if self.chance(0.6) else "sum", ("m",), body)

    # scalars

    def bracket(self, scope: list[str], depth: int, skip: bool) -> Any:
        test = self.test(scope, float_too=True)
        return Product(((False, Bracket((test,))), (False, self.expression(scope, depth + 1, skip))))

    def where(self, scope: list[str], depth: int, skip: bool) -> Any:
        tests = tuple(self.test(scope, float_too=True) for _ in range(1 + self.chance(0.2)))
        other = Number(self.rng.choice(("0", "1", "-2"))) if self.chance(0.4) else self.leaf(scope, skip)
        return Where(tests, self.expression(scope, depth + 1, skip), other)

    def index_number(self, scope: list[str], depth: int, skip: bool) -> Any:
        """An index as a number: a factor, a summand, an exponent, an angle."""
        names = [name for name in scope if name != "n"] or scope
        count = Count(Affine(((self.rng.choice(names), 1),), self.rng.choice((0, 0, 1))))
        inner = self.expression(scope, depth + 1, skip)
        match self.rng.randrange(4):
            case 0:
                return Product(((False, inner), (False, count)))
            case 1:
                return Sum(((1, inner), (1, Product(((False, count), (True, Number("4")))))))
            case 2:
                return Product(((False, inner), (False, Power(Number("0.9"), count))))
            case _:
                return Product(((False, inner), (False, Call("cos", (count,)))))

    def size_number(self, scope: list[str], depth: int, skip: bool) -> Any:
        inner = self.expression(scope, depth + 1, skip)
        size = "T" if self.symbolic and self.chance(0.5) else "N"
        count = Count(Affine((), self.rng.choice((0, 1)), size))
        if self.chance(0.6):
            return Product(((False, inner), (True, count)))
        return Sum(((1, inner), (-1, Product(((False, Number("0.1")), (False, count))))))

    def data_number(self, scope: list[str], depth: int, skip: bool) -> Any:
        """Integer and boolean inputs as numbers: factors, summands that are added up, exponents, at values."""
        names = [name for name in scope if name not in ("n", "m")]
        one, other = (self.data([self.batch, *names[:1]], self.rng.choice(("bool", "bool", "int"))) for _ in range(2))
        inner = self.expression(scope, depth + 1, skip)
        match self.rng.randrange(5):
            case 0:
                return Product(((False, inner), (False, one)))
            case 1:
                return Sum(((1, one), (self.rng.choice((1, -1)), other), (1, inner)))
            case 2:
                return Sum(tuple((1, Product(((False, inner), (False, each)))) for each in (one, other)))
            case 3:
                return Product(((False, Power(self.positive(inner), one)), (False, other)))
            case _:
                token = self.data([self.batch, *names[:1]], "int")
                return Product(((False, inner), (False, Read(one.tensor, (*one.at[:-1], token)))))

    def smooth(self, scope: list[str], depth: int, skip: bool) -> Any:
        inner = self.expression(scope, depth + 1, skip)
        if self.chance(0.25):
            name = self.rng.choice(GUARDED)
            if name in ("log", "sqrt", "log1p"):
                return Call(name, (self.positive(inner),))
            return Call(name, (Call("tanh", (inner,)),))
        return Call(self.rng.choice(SAFE), (inner,))

    def kinked(self, scope: list[str], depth: int, skip: bool) -> Any:
        inner = self.expression(scope, depth + 1, skip)
        name = self.rng.choice(KINKS)
        if name == "sign":
            return Product(((False, Call("sign", (inner,))), (False, self.leaf(scope, skip))))
        if name in ("max", "min"):
            other = Number(self.rng.choice(("0", "0.1"))) if self.chance(0.5) else self.leaf(scope, skip)
            return Call(name, (inner, other))
        if name in ("leaky_relu", "elu") and self.chance(0.3):
            return Call(name, (inner, Number("0.2")))
        return Call(name, (inner,))

    def power(self, scope: list[str], depth: int, skip: bool) -> Any:
        inner = self.expression(scope, depth + 1, skip)
        exponent = self.rng.choice((2, 2, 3, -1, -2))
        return Power(self.positive(inner) if exponent < 0 else inner, exponent)

    def division(self, scope: list[str], depth: int, skip: bool) -> Any:
        upper = self.expression(scope, depth + 1, skip)
        lower = self.positive(self.leaf(scope, skip)) if self.chance(0.7) else Number(self.rng.choice(("4", "3")))
        return Product(((False, upper), (True, lower)))

    def positive(self, node: Any) -> Any:
        """An expression that is well above 0."""
        match self.rng.randrange(3):
            case 0:
                return Sum(((1, Number("1.5")), (1, Power(node, 2))))
            case 1:
                return Sum(((1, Number("2")), (1, Call("cos", (node,)))))
            case _:
                return Sum(((1, Number("0.5")), (1, Call("sigmoid", (node,)))))


def rename(node: Any, old: str, new: str) -> Any:
    """A node with one index called otherwise."""
    if isinstance(node, tuple):
        return tuple(rename(item, old, new) for item in node)
    if isinstance(node, str):
        return new if node == old else node
    if not hasattr(node, "__dataclass_fields__"):
        return node
    return replace(node, **{name: rename(getattr(node, name), old, new) for name in node.__dataclass_fields__})


def reads_of(node: Any) -> list[Read]:
    """The reads in an expression."""
    return [inner for inner in walk(node) if isinstance(inner, Read)]

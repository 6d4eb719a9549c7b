"""Layers that compute each number from the numbers at the same place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor
from symnet.model import activations
from symnet.model.layers.base import Layer, Node
from symnet.model.layers.shaping import LETTERS
from symnet.model.layers.spelling import Site, Spelling, described
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import strict


@dataclass(frozen=True, eq=False)
class Activation(Layer):
    """y = f(x), number by number; `activation` is a name or a formula in one variable, such as "x/(1+exp(-x))"."""

    activation: str

    def __post_init__(self) -> None:
        super().__post_init__()
        activations.checked(f"{self.where}(activation=)", self.activation)

    @property
    def rectifies(self) -> bool:
        """True for relu and its kin."""
        return self.activation in activations.RECTIFIERS

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; the shape stays."""
        at = ",".join(_letters(f"{self.kind} '{site.name}'", inputs[0]))
        return Spelling(f"y[{at}] = {activations.apply(self.activation, f'x[{at}]')}", ("x",))


@dataclass(frozen=True, eq=False)
class Joint(Layer, abstract=True):
    """Several inputs of one rank joined by `operator`; an axis of 1 is repeated to fit the others."""

    operator: ClassVar[str]
    arity: ClassVar[int | None] = None

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError when the shapes do not fit."""
        where = f"{self.kind} '{site.name}'"
        if len(inputs) < 2:
            raise DefinitionError(f"{where}: expected at least two inputs, got {len(inputs)}")
        letters = _letters(where, inputs[0])
        extents = [Affine.of(1)] * len(letters)
        for tensor in inputs:
            if len(tensor.shape) != len(letters):
                raise _misfit(where, inputs)
            for k, extent in enumerate(tensor.shape):
                if extents[k] == Affine.of(1):
                    extents[k] = extent
                elif extent not in (Affine.of(1), extents[k]):
                    raise _misfit(where, inputs)
        names = tuple(f"x{k}" for k in range(1, len(inputs) + 1))
        reads = [
            f"{name}[{','.join(_at(i, e, full) for i, e, full in zip(letters, x.shape, extents, strict=True))}]"
            for name, x in zip(names, inputs, strict=True)
        ]
        return Spelling(
            text=f"y[{','.join(letters)}] = {f' {self.operator} '.join(reads)}",
            inputs=names,
            sizes=dict(zip(letters, extents, strict=True)),
        )


class Add(Joint):
    """y = x1 + x2 + ..."""

    operator: ClassVar[str] = "+"


class Subtract(Joint):
    """y = x1 - x2 - ..."""

    operator: ClassVar[str] = "-"


class Multiply(Joint):
    """y = x1 * x2 * ..., number by number."""

    operator: ClassVar[str] = "*"


class Divide(Joint):
    """y = x1 / x2 / ..., number by number."""

    operator: ClassVar[str] = "/"


def _at(letter: str, extent: Affine, full: Affine) -> str:
    return letter if extent == full else "0"


def _misfit(where: str, inputs: tuple[Tensor, ...]) -> ShapeError:
    shapes = " and ".join(described(x) for x in inputs)
    return ShapeError(f"{where}: the shapes {shapes} do not fit; expected equal ones, or 1 on an axis that is repeated")


def _letters(where: str, tensor: Tensor) -> tuple[str, ...]:
    if len(tensor.shape) > len(LETTERS):
        raise ShapeError(f"{where}: expected an input of at most {len(LETTERS)} axes, got {described(tensor)}")
    return LETTERS[: len(tensor.shape)]


@strict
def relu(node: Node) -> Node:
    """max(x, 0); its derivative at 0 is 0."""
    return Activation("relu")(node)


@strict
def leaky_relu(node: Node) -> Node:
    """x where positive, 0.01*x elsewhere."""
    return Activation("leaky_relu")(node)


@strict
def elu(node: Node) -> Node:
    """x where positive, exp(x)-1 elsewhere."""
    return Activation("elu")(node)


@strict
def sigmoid(node: Node) -> Node:
    """1/(1+exp(-x))."""
    return Activation("sigmoid")(node)


@strict
def tanh(node: Node) -> Node:
    """The hyperbolic tangent."""
    return Activation("tanh")(node)


@strict
def softplus(node: Node) -> Node:
    """log(1+exp(x))."""
    return Activation("softplus")(node)


@strict
def silu(node: Node) -> Node:
    """x*sigmoid(x)."""
    return Activation("silu")(node)


@strict
def gelu(node: Node) -> Node:
    """x*(1+erf(x/sqrt(2)))/2."""
    return Activation("gelu")(node)


@strict
def gelu_tanh(node: Node) -> Node:
    """The approximation of gelu with tanh."""
    return Activation("gelu_tanh")(node)

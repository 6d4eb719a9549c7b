"""The parts a layer's declaration is made of: its text, its parameters, and what the two come to in a model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Tensor
from symnet.support.errors import ShapeError
from symnet.support.options import LARGEST

Layout = Literal["CHW", "HWC"]
"""Where the channels of a picture or a signal stand: first or last after the batch axis."""

INITIALIZERS = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "zeros", "ones")
"""The rules by which `init_params` draws a parameter."""


@dataclass(frozen=True)
class Parameter:
    """A trained tensor.  `init` is one of INITIALIZERS; `fan_in`, `fan_out` as in PyTorch."""

    name: str
    tensor: Tensor
    init: str
    fan_in: int
    fan_out: int
    regularize: bool
    trainable: bool
    layer: str


@dataclass(frozen=True)
class Site:
    """Where a layer is used.

    name: the name of this use; the output tensor gets it.
    owner: the name under which the parameters stand (that of the layer's first use).
    layout: of the first input, or None when it is not known to be a picture.
    rectified: a rectifying activation follows directly.
    roles: what each input is to the layer, for layers that can do without some of them.
    training: for the training program; otherwise for that of evaluation.
    owners: the names of the layers before this one in the model, under which their parameters stand.
    """

    name: str
    owner: str
    layout: Layout | None = None
    rectified: bool = False
    roles: tuple[str, ...] = ()
    training: bool = True
    owners: Mapping[object, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Spelling:
    """A layer as text.

    inputs: the local name of each input.  output: the local name of the tensor that is the output.
    further: those of tensors that are handed out besides.
    params, sizes, shapes, indices: as `codegen.notation.elaborate` takes them.
    init: a rule by parameter, where not the default.  limits: the largest value of a symbolic size.
    ranges: by the local name of an integer input, the number that its values lie below.
    noise: shapes of tensors that training draws from [0, 1) before each step, by local name.
    buffers: subscripts of tensors that are kept like parameters but not trained; read by `state`, or by `text`
    where there is no `state`.
    state: equations that define `<buffer>.next`, the buffers' values after a step of training.
    borrowed: parameters that are those of another layer: that layer, and their name there.
    """

    text: str
    inputs: tuple[str, ...]
    output: str = "y"
    params: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int | str | Affine] = field(default_factory=dict)
    shapes: Mapping[str, Sequence[int | str | Affine]] = field(default_factory=dict)
    indices: tuple[str, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, int] = field(default_factory=dict)
    init: Mapping[str, str] = field(default_factory=dict)
    regularized: tuple[str, ...] = ()
    further: tuple[str, ...] = ()
    noise: Mapping[str, tuple[Affine, ...]] = field(default_factory=dict)
    buffers: Mapping[str, str] = field(default_factory=dict)
    state: str = ""
    borrowed: Mapping[str, tuple[object, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """The equations of the buffers' next values.  updates: by the name of a buffer, that of its next value."""

    tensors: tuple[Tensor, ...] = ()
    equations: tuple[Equation, ...] = ()
    updates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Declared:
    """What a layer adds to a program: new tensors (parameters left out), parameters, equations, and its outputs.

    noise: input tensors that training draws.  buffers: tensors with a state, not trained.
    limits, ranges: what the data must keep to, by the names of sizes and of the inputs' tensors.
    borrowed: parameters of other layers as this one reads them, with the layers.
    """

    tensors: tuple[Tensor, ...]
    parameters: tuple[Parameter, ...]
    equations: tuple[Equation, ...]
    output: Tensor
    further: tuple[Tensor, ...] = ()
    limits: Mapping[str, int] = field(default_factory=dict)
    ranges: Mapping[str, int] = field(default_factory=dict)
    noise: tuple[Tensor, ...] = ()
    buffers: tuple[Parameter, ...] = ()
    state: State = field(default_factory=State)
    borrowed: tuple[tuple[object, Tensor], ...] = ()


def readable(tensor: Tensor) -> tuple[int | str, ...]:
    """A tensor's extents as integers, the symbolic ones as text."""
    return tuple(e.const if e.is_constant else str(e) for e in tensor.shape)


def described(tensor: Tensor) -> str:
    """A tensor's shape for messages: `(N, 8, 8)`."""
    return f"({', '.join(str(e) for e in tensor.shape)})"


def fixed_shape(what: str, tensor: Tensor) -> tuple[int, ...]:
    """The shape of a tensor without symbolic extents; ShapeError when it has some or is too large."""
    for extent in tensor.shape:
        if not extent.is_constant:
            raise ShapeError(
                f"{what}: expected a shape without symbolic sizes, got {described(tensor)}; "
                f"declare the input with a number in the place of '{extent}', or act on another axis"
            )
    shape = tuple(e.const for e in tensor.shape)
    if math.prod(shape) > LARGEST:
        raise ShapeError(f"{what}: {math.prod(shape)} numbers {described(tensor)}; at most {LARGEST} are possible")
    return shape

"""Small programs written out by hand, for tests that must not depend on the layers."""

from __future__ import annotations

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Program, Read, Subscript, Tensor, size_symbol, slot

N = size_symbol("N")


def affine(text: str) -> Affine:
    """`2*i+u-1` as an affine expression."""
    total = Affine()
    for piece in text.replace("-", "+-").split("+"):
        factor, _, name = piece.removeprefix("-").rpartition("*")
        scale = int(factor or 1) * (-1 if piece.startswith("-") else 1)
        term = Affine((), int(name or 0)) if not name or name.isdigit() else Affine.of(name)
        total = total + term * scale
    return total


def subscripts(text: str) -> tuple[Subscript, ...]:
    """Comma-separated affine subscripts."""
    return tuple(affine(s.strip()) for s in text.split(",") if s.strip())


def tensor(name: str, shape: str, kind: str = "value", dtype: str = "float") -> Tensor:
    """A tensor whose extents are given as text."""
    return Tensor(name, tuple(affine(s.strip()) for s in shape.split(",") if s.strip()), dtype, kind)  # type: ignore[arg-type]


def read(name: str, at: str) -> Read:
    return Read(name, subscripts(at))


def equation(target: str, at: str, body: object, reads: tuple[Read, ...], box: str, **fields: object) -> Equation:
    """An equation; `box` is such as `n:N o:10`."""
    pairs = tuple((n, affine(e)) for n, e in (item.split(":") for item in box.split()))
    return Equation(target, subscripts(at), sympy.sympify(body), reads, pairs, **fields)  # type: ignore[arg-type]


def dense(layer: str, source: str, units: int, size: int, target: str = "", stage: str = "forward") -> list[Equation]:
    """`target = weight x + bias` as two equations."""
    name = target or layer
    reads = (read(f"{layer}.weight", "o,i"), read(source, "n,i"))
    box = f"n:N o:{units}"
    return [
        equation(name, "n,o", slot(0) * slot(1), reads, f"{box} i:{size}", over=("i",), stage=stage, origin=layer),
        equation(name, "n,o", slot(0), (read(f"{layer}.bias", "o"),), box, accumulate=True, stage=stage, origin=layer),
    ]


def cross_entropy(logits: str, classes: int) -> tuple[list[Tensor], list[Equation]]:
    """Softmax cross-entropy of `logits` (N, classes)."""
    label = Read("target", subscripts("n"))
    picked = Read(logits, (Affine.of("n"), label))
    tensors = [
        tensor("target", "N", "input", "int"),
        tensor("loss.lse", "N"),
        tensor("loss.sample", "N"),
        tensor("loss", "", "result"),
    ]
    common = {"stage": "loss", "origin": "loss"}
    lse, sample = read("loss.lse", "n"), read("loss.sample", "n")
    return tensors, [
        equation(
            "loss.lse",
            "n",
            slot(0),
            (read(logits, "n,c"),),
            f"n:N c:{classes}",
            over=("c",),
            reduce="logsumexp",
            **common,
        ),
        equation("loss.sample", "n", slot(0) - slot(1), (lse, picked), "n:N", **common),
        equation("loss", "", slot(0) / N, (sample,), "n:N", over=("n",), **common),
    ]


def mlp() -> Program:
    """A sigmoid layer of 5 units on 4 numbers, then 3 logits, with cross-entropy."""
    tensors, loss = cross_entropy("dense_2", 3)
    shapes = {"dense_1.weight": "5,4", "dense_1.bias": "5", "dense_2.weight": "3,5", "dense_2.bias": "3"}
    sigmoid = 1 / (1 + sympy.exp(-slot(0)))
    return Program(
        (
            tensor("image", "N,4", "input"),
            *(tensor(name, shape, "parameter") for name, shape in shapes.items()),
            tensor("dense_1.z", "N,5"),
            tensor("dense_1", "N,5"),
            tensor("dense_2", "N,3"),
            *tensors,
        ),
        (
            *dense("dense_1", "image", 5, 4, "dense_1.z"),
            equation(
                "dense_1", "n,o", sigmoid, (read("dense_1.z", "n,o"),), "n:N o:5", stage="forward", origin="dense_1"
            ),
            *dense("dense_2", "dense_1", 3, 5),
            *loss,
        ),
    )


def cnn() -> Program:
    """A padded convolution with relu, max pooling, flatten and dense, on 1x8x8."""
    relu = sympy.Piecewise((slot(0), slot(0) > 0), (0, True))
    conv, pool, flat = ({"stage": "forward", "origin": name} for name in ("conv2d_1", "maxpool2d_1", "flatten_1"))
    maps = "n:N p:4 i:8 j:8"
    window = (read("conv2d_1.weight", "p,d,u,v"), read("image", "n,d,i+u-1,j+v-1"))
    tensors, loss = cross_entropy("dense_1", 3)
    shapes = {"conv2d_1.weight": "4,1,3,3", "conv2d_1.bias": "4", "dense_1.weight": "3,64", "dense_1.bias": "3"}
    return Program(
        (
            tensor("image", "N,1,8,8", "input"),
            *(tensor(name, shape, "parameter") for name, shape in shapes.items()),
            tensor("conv2d_1.z", "N,4,8,8"),
            tensor("conv2d_1", "N,4,8,8"),
            tensor("maxpool2d_1", "N,4,4,4"),
            tensor("flatten_1", "N,64"),
            tensor("dense_1", "N,3"),
            *tensors,
        ),
        (
            equation(
                "conv2d_1.z", "n,p,i,j", slot(0) * slot(1), window, f"{maps} d:1 u:3 v:3", over=("d", "u", "v"), **conv
            ),
            equation("conv2d_1.z", "n,p,i,j", slot(0), (read("conv2d_1.bias", "p"),), maps, accumulate=True, **conv),
            equation("conv2d_1", "n,p,i,j", relu, (read("conv2d_1.z", "n,p,i,j"),), maps, **conv),
            equation(
                "maxpool2d_1",
                "n,c,i,j",
                slot(0),
                (read("conv2d_1", "n,c,2*i+u,2*j+v"),),
                "n:N c:4 i:4 j:4 u:2 v:2",
                over=("u", "v"),
                reduce="max",
                **pool,
            ),
            equation(
                "flatten_1", "n,16*c+4*i+j", slot(0), (read("maxpool2d_1", "n,c,i,j"),), "n:N c:4 i:4 j:4", **flat
            ),
            *dense("dense_1", "flatten_1", 3, 64),
            *loss,
        ),
    )

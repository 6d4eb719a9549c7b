"""How many bytes a network takes, as numbers for given sizes and as polynomials in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from codegen.ir.equation import Dtype
from codegen.plan.memory import Memory, Polynomial
from symnet.model.graph import Model
from symnet.optim.update import Update
from symnet.runtime.vectors import _BLOCK
from symnet.support.errors import DefinitionError
from symnet.support.options import choice, integer
from symnet.support.suggest import did_you_mean, listing


def bytes_of(dtype: str) -> Mapping[Dtype, int]:
    """Bytes an element, by kind of array, where floats are `dtype`."""
    return {"float": 4 if dtype == "float32" else 8, "int": 8, "bool": 1}


def memory(
    model: Model, dtype: str, workspace: Memory, updates: Sequence[Update], optimizer: str, sizes: Mapping[str, int]
) -> dict[str, int]:
    """The bytes that a step on all N samples at once holds: of parameters, gradients, optimizer and workspace.

    `make_step` learns from a large batch in parts, where the loss allows it, and holds less.
    updates: the optimizers that there are.
    sizes: the batch size N and every other symbolic size of the network.
    Raises DefinitionError for an unknown optimizer, and where a size is missing, unknown or no positive integer.
    """
    rules = {rule.name: rule for rule in updates}
    choice("memory(optimizer=)", optimizer, tuple(rules))
    _check(model.program.sizes, sizes)
    width = bytes_of(dtype)["float"]
    trained = sum(_count(p.tensor.shape) for p in model.parameters if p.trainable)
    frozen = sum(_count(p.tensor.shape) for p in model.parameters if not p.trainable)
    buffers = sum(_count(b.tensor.shape) for b in model.buffers)
    rule = rules[optimizer]
    scratch = min(trained, _BLOCK) * sum(bytes_of(dtype)[kind] for kind in rule.scratch)
    return {
        # A buffer is there twice: as it is, and as it will be after the step.
        "parameters": width * (trained + frozen + 2 * buffers),
        "gradients": width * trained,
        "optimizer": width * len(rule.state) * trained + scratch,
        "workspace": workspace.bytes(bytes_of(dtype)).evaluate(sizes),
    }


def workspace_bytes(workspace: Memory, dtype: str) -> str:
    """The bytes of a workspace as a polynomial, `1,536*N + 64`."""
    return grouped(workspace.bytes(bytes_of(dtype)))


def grouped(polynomial: Polynomial) -> str:
    """A polynomial as people write it: the coefficient first, thousands marked."""
    ordered = sorted(polynomial.terms, key=lambda term: (-len(term[0]), term[0]))
    parts = ["*".join([f"{abs(c):,}", *monomial]) for monomial, c in ordered]
    signs = ["-" if c < 0 else "+" for _, c in ordered]
    text = " ".join(f"{sign} {part}" for sign, part in zip(signs, parts, strict=True))
    return text.removeprefix("+ ") or "0"


def _check(known: tuple[str, ...], sizes: Mapping[str, int]) -> None:
    for name, value in sizes.items():
        if name not in known:
            raise DefinitionError(
                f"memory: unknown size {name!r}{did_you_mean(name, known)}; expected {listing(known)}"
            )
        integer(f"memory({name}=)", value, 1)
    missing = [name for name in known if name not in sizes]
    if missing:
        raise DefinitionError(f"memory: {missing[0]} is missing; give memory({', '.join(f'{n}=...' for n in known)})")


def _count(shape: tuple[object, ...]) -> int:
    return math.prod(extent.const for extent in shape)  # type: ignore[attr-defined]

"""The parts of a module: which there are, what each needs, and what it defines.

parts=["predict"]                 PARAMETERS, init_params, forward, predict
parts=["train", "schedules"]      and what these need: step, gradients, predict
"""

from __future__ import annotations

from dataclasses import dataclass

from symnet.support.errors import DefinitionError
from symnet.support.options import choice, strings


@dataclass(frozen=True)
class Part:
    """needs: other parts.  names: what it defines for those who call it."""

    needs: tuple[str, ...]
    names: tuple[str, ...]


PARTS = {
    "predict": Part((), ("init_params", "forward", "predict", "probabilities")),
    "gradients": Part(("predict",), ("loss", "loss_and_grads", "evaluate")),
    "step": Part(("gradients",), ("make_step",)),
    "train": Part(("step",), ("train",)),
    "check": Part(("gradients",), ("check",)),
    "program": Part(("predict",), ("main", "load_params", "save_params")),
    "workers": Part(("step",), ("_serve",)),
    "streams": Part(("train",), ("Source",)),
    "resume": Part(("train",), ()),
    "schedules": Part(("train",), ("SCHEDULES",)),
}
MORE = ("workers", "streams", "resume", "schedules")
EVERY = tuple(PARTS)
USUAL = EVERY
"""What a module has where nobody says what it is to have."""


def chosen(where: str, given: object) -> tuple[str, ...]:
    """These parts and what they need, in order.  Raises DefinitionError for none, and for what is no name of one."""
    wanted = {choice(where, name, PARTS) for name in strings(where, given)}
    if not wanted:
        raise DefinitionError(f"{where}: expected one part at least, of {', '.join(PARTS)}")
    while more := {need for name in wanted for need in PARTS[name].needs} - wanted:
        wanted |= more
    return tuple(name for name in PARTS if name in wanted)

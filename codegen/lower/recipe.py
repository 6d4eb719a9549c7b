"""A way to compute an equation: when it applies, what it costs, how it is built."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from codegen.ir.equation import Equation
from codegen.ir.plan import Step
from codegen.lower.copies import Copied
from codegen.lower.storage import Storage

M = TypeVar("M")


@dataclass(frozen=True)
class Site:
    """An equation with nothing implicit, where it is to be lowered."""

    equation: Equation
    storage: Storage
    _found: dict[object, Any] = field(default_factory=dict, repr=False, compare=False)

    def read(self, how: Callable[[Equation, Storage], M]) -> M:
        """What `how` finds in the equation; looked up once, whoever asks."""
        if how not in self._found:
            self._found[how] = how(self.equation, self.storage)
        found: M = self._found[how]
        return found


def _once(site: Site, found: Any) -> Iterable[int]:
    return (0,)


def _nothing(site: Site, found: Any, variant: int) -> tuple[Copied, ...]:
    return ()


def _uncompared(site: Site, found: Any, variant: int, ready: bool) -> float | None:
    return None


def _silent(site: Site, found: Any) -> str:
    return ""


@dataclass(frozen=True)
class Recipe(Generic[M]):
    """A row of the table.

    what: it takes, and what becomes of it, in one line.
    when: what it finds in the equation, None where it does not apply; nothing is changed by that.
    build: the steps, for what it found and one of its variants.
    variants: its ways, such as the columns in a block; none where it does not apply either.
    copies: what a variant reads of tensors that others may have copied, or copy after it.
    cost: ns a sample of a variant, whose first copy is there or not; None where it is not compared: then it comes
    after all that are, in the order of the table.
    remark: what the comments of the module say of it.
    """

    name: str
    what: str
    when: Callable[[Site], M | None]
    build: Callable[[Equation, Storage, M, int], list[Step]]
    variants: Callable[[Site, M], Iterable[int]] = _once
    copies: Callable[[Site, M, int], tuple[Copied, ...]] = _nothing
    cost: Callable[[Site, M, int, bool], float | None] = _uncompared
    remark: Callable[[Site, M], str] = _silent


@dataclass(frozen=True)
class Choice:
    """The recipe that an equation is computed by: its name, its variant, ns a sample, and what it copies or shares.

    between: what was chosen, where several were compared: the same for every equation that is the same but for its
    names, of tensors of the same shapes, and is competed for by the same recipes.  rivals: all that were compared.
    """

    recipe: str
    variant: int = 0
    cost: float | None = None
    copies: tuple[Copied, ...] = ()
    between: str = ""
    rivals: tuple[Choice, ...] = field(default=(), repr=False)

    @property
    def way(self) -> str:
        """`forward:shifts/4`: the recipe, and the variant where it has one."""
        return f"{self.recipe}/{self.variant}" if self.variant else self.recipe

"""What the names of a formula stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype
from codegen.notation.source import Source, listed, nearest
from codegen.notation.syntax import Access, Name, Node

Variable = tuple[int, int, str]
"""An index: the number of its definition, the offset of what binds it (-1: the left side), its name."""

INDEX_LIMIT = 12


@dataclass(frozen=True)
class Local:
    """A tensor as a formula sees it; `fresh` if the formula defines it, `shape` if known beforehand."""

    program_name: str
    rank: int
    dtype: Dtype
    shape: tuple[Affine, ...] | None
    fresh: bool = False
    parameter: bool = False


@dataclass(frozen=True)
class Split:
    """The index i of `i//k`: i = divisor*quotient + remainder."""

    divisor: int
    quotient: str
    remainder: str


@dataclass(frozen=True)
class Context:
    """What holds for the whole text.

    bound: names that are an index somewhere in the text, or an axis of a parameter;
    sizes: explicit extents and constants; symbols: the symbolic sizes.
    """

    source: Source
    locals: Mapping[str, Local]
    sizes: Mapping[str, Affine]
    symbols: frozenset[str]
    bound: frozenset[str]
    splits: Mapping[tuple[int, str], Split] = field(default_factory=dict)

    def local(self, access: Access | Name) -> Local:
        """The tensor that is read; FormulaError for an unknown one or a wrong rank."""
        found = self.locals.get(access.name)
        if found is None:
            raise self.source.fault(
                access.at,
                f"unknown tensor '{access.name}'",
                expected=f"one of {listed(self.locals)}",
                mend=nearest(access.name, self.locals) or "declare it as a parameter, or define it by an equation",
            )
        if isinstance(access, Access) and len(access.subscripts) != found.rank:
            raise self.source.fault(
                access.at,
                f"'{access.name}' has the wrong number of subscripts",
                expected=_counted(found.rank),
                got=_counted(len(access.subscripts)),
            )
        return found


def _counted(rank: int) -> str:
    return "no subscripts" if rank == 0 else "1 subscript" if rank == 1 else f"{rank} subscripts"


@dataclass(frozen=True)
class Scope:
    """The indices in force at a place of a definition; `own` are the subscripts of its left side."""

    context: Context
    number: int
    indices: Mapping[str, Variable]
    own: tuple[Node, ...] = ()

    def bind(self, names: tuple[Name, ...], place: int) -> Scope:
        """The scope inside a reduction over `names`; refuses an index bound twice or named like a size."""
        source, added = self.context.source, dict(self.indices)
        for name in names:
            if name.name in added:
                raise source.fault(
                    name.at, f"the index '{name.name}' is already in use here", mend="choose another letter"
                )
            if name.name in self.context.symbols:
                raise source.fault(
                    name.at,
                    f"'{name.name}' is both an index and a symbolic size",
                    mend="choose another letter for the index",
                )
            added |= self.variables(name.name, place)
        if len(added) > INDEX_LIMIT + 2 * len(self.context.splits):
            raise source.fault(
                names[0].at, "too many indices", expected=f"at most {INDEX_LIMIT} in one equation", got=str(len(added))
            )
        return Scope(self.context, self.number, added, self.own)

    def variables(self, name: str, place: int) -> dict[str, Variable]:
        """The index `name`, with its quotient and remainder when it is divided somewhere."""
        split = self.context.splits.get((self.number, name))
        names = (name,) if split is None else (name, split.quotient, split.remainder)
        return {n: (self.number, place, n) for n in names}

    def split(self, name: str) -> Split | None:
        """How the index is split, if it is one that is divided."""
        return self.context.splits.get((self.number, name)) if name in self.indices else None

    def number_or_index(self, name: Name) -> Affine | None:
        """The value of a bare name that is an index or a constant; None for a tensor's.

        FormulaError for an index that nothing binds and for an unknown name.
        """
        context, text = self.context, name.name
        if text in self.indices:
            return Affine.of(text)
        if text in context.symbols:
            return Affine.of(text)
        if text in context.sizes and text not in context.bound:
            return context.sizes[text]
        if self.is_tensor(text) or (text == "pi" and text not in context.bound):
            return None
        if text in context.bound or len(text) == 1:
            raise context.source.fault(
                name.at,
                f"the index '{text}' is not bound here",
                expected=f"one of {listed([*self.indices, *sorted(context.symbols)])}",
                mend=f"put it on the left side, reduce over it (sum[{text}](...)), "
                f"or give its value as sizes={{'{text}': ...}}",
            )
        known = [*self.indices, *context.sizes, *sorted(context.symbols), *context.locals]
        raise context.source.fault(
            name.at, f"unknown name '{text}'", expected=f"one of {listed(known)}", mend=nearest(text, known)
        )

    def is_tensor(self, name: str) -> bool:
        """Whether a bare name is a tensor's; indices, sizes and constants come first."""
        context = self.context
        return (
            name in context.locals
            and name not in context.bound
            and name not in context.symbols
            and name not in context.sizes
        )

    def elementwise(self, name: Name) -> Access:
        """A tensor's bare name as a read: a scalar, or at the subscripts of the left side."""
        local = self.context.local(name)
        if local.rank == 0:
            return Access(name.name, (), name.at)
        if local.rank != len(self.own):
            raise self.context.source.fault(
                name.at,
                f"'{name.name}' stands without subscripts",
                expected=_counted(local.rank),
                mend=f"write {name.name}[...]",
            )
        return Access(name.name, self.own, name.at)

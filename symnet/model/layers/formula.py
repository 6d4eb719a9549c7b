"""A layer of one's own: its formula, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from codegen.ir.equation import Dtype, Tensor
from codegen.notation import free_names, parse
from symnet.model.layers.base import Layer, Node
from symnet.model.layers.checks import checked_flags, checked_init
from symnet.model.layers.spelling import Site, Spelling
from symnet.support.errors import DefinitionError, located
from symnet.support.options import identifier, integer, shown, size_name, string
from symnet.support.suggest import did_you_mean, listing


@dataclass(frozen=True, eq=False)
class Formula(Layer):
    """A layer written in index notation, such as "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))".

    formula: one equation a line.  The first index of each left side is the batch, and the
        last equation's left side is the output.
    params: subscripts by parameter, such as {"c": "k,i", "g": "k"}.
    sizes: extents that no input fixes, such as {"k": 16}.
    init: a rule by parameter; Glorot's for two axes and more, zeros for one by default.

    Names that are neither defined nor parameters are the inputs, in order of first use, or
    by keyword: `Formula(...)(x=h, w=other)`.
    """

    formula: str
    params: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[str, int | str] = field(default_factory=dict)
    init: Mapping[str, str] | None = None
    trainable: bool = True

    arity: ClassVar[int | None] = None
    accepts: ClassVar[tuple[Dtype, ...]] = ("float", "int", "bool")

    def __post_init__(self) -> None:
        super().__post_init__()
        string(f"{self.where}(formula=)", self.formula)
        checked_flags(self.where, trainable=self.trainable)
        for option, table in (("params", self.params), ("sizes", self.sizes)):
            if not isinstance(table, Mapping):
                raise DefinitionError(f"{self.where}({option}=): expected a table of names, got {shown(table)}")
        for name, subscripts in self.params.items():
            identifier(f"{self.where}(params=)", name)
            string(f"{self.where}(params=): subscripts of '{name}'", subscripts)
        for name, size in self.sizes.items():
            if name == "N":
                raise DefinitionError(f"{self.where}(sizes=): 'N' is the size of the batch; use another name")
            if isinstance(size, str):
                size_name(f"{self.where}(sizes=): size of '{name}'", size)
            else:
                integer(f"{self.where}(sizes=): size of '{name}'", size)
        self._check_names()
        if self.init is not None and not isinstance(self.init, Mapping):
            raise DefinitionError(f"{self.where}(init=): expected a rule by parameter name, got {shown(self.init)}")
        checked_init(self.where, self.init, tuple(self.params), "")

    def _check_names(self) -> None:
        with located(self.where):
            free = free_names(self.formula)
        for name in self.params:
            if name not in free:
                raise DefinitionError(
                    f"{self.where}(params=): the formula does not read '{name}'{did_you_mean(name, free)}; "
                    f"it reads {listing(free) if free else 'nothing'}"
                )
        if all(name in self.params for name in free):
            raise DefinitionError(
                f"{self.where}: the formula reads no input, and needs one at least, with its subscripts, as in x[n,i]"
            )

    @property
    def input_names(self) -> tuple[str, ...]:
        """The local names of the inputs, in order of first use."""
        return tuple(name for name in free_names(self.formula) if name not in self.params)

    def arguments(self, nodes: tuple[Node, ...], named: Mapping[str, Node]) -> tuple[Node, ...]:
        """The inputs in order of first use, by position or by keyword."""
        names = self.input_names
        for name in named:
            if name not in names:
                raise DefinitionError(
                    f"{self.where}: no input '{name}'{did_you_mean(name, names)}; expected {listing(names)}"
                )
        given = dict(zip(names, nodes, strict=False))
        if len(nodes) > len(names) or given.keys() & named.keys() or len(nodes) + len(named) != len(names):
            got = f"{len(nodes)} by position" + (f" and {listing(named)}= by name" if named else "")
            raise DefinitionError(f"{self.where}: expected the inputs {', '.join(names)}, once each; got {got}")
        given |= named
        return tuple(given[name] for name in names)

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """The formula as it was written."""
        return Spelling(
            text=self.formula,
            inputs=self.input_names,
            output=parse(self.formula)[-1].target,
            params=self.params,
            sizes={name: size if isinstance(size, str) else int(size) for name, size in self.sizes.items()},
            init=checked_init(self.where, self.init, tuple(self.params), ""),
        )

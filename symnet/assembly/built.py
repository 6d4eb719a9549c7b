"""A model with its module: what compiling makes, for those who read it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import numpy as np

from codegen.emit.comments import Lines
from codegen.ir.equation import Program
from codegen.passes.state import Given, Traced
from codegen.plan.memory import Memory
from symnet.assembly.assemble import Text, assemble, extended
from symnet.assembly.loading import loaded
from symnet.assembly.wanted import USUAL as USUAL_PARTS
from symnet.differentiate.programs import evaluation, network
from symnet.machine.file import remark_of
from symnet.model.graph import Model
from symnet.optim.optimizers import OPTIMIZERS, USUAL
from symnet.optim.update import Update, update
from symnet.support.errors import DefinitionError
from symnet.support.extras import extra
from symnet.support.files import write_atomic
from symnet.support.options import choice, shown, strict

DTYPES = ("float32", "float64")


def precision(where: str, dtype: object) -> str:
    """The name of a dtype, given by name or as NumPy has it.  Raises DefinitionError for what is none of `DTYPES`."""
    for name in DTYPES:
        if dtype is getattr(np, name) or (isinstance(dtype, np.dtype) and dtype == np.dtype(name)):
            return name
    return choice(where, dtype, DTYPES)


@dataclass(frozen=True)
class Built:
    """A compiled model.

    model: its declaration.  program: forward, loss and backward equations after rewriting.
    source: the text of the generated module.  blocks: the lines of it that compute each equation.
    workspace, evaluation: what a workspace of the module allocates for training, and for use.
    dtype: of every float array.
    updates: the module's optimizers.
    wrt_inputs: whether there are gradients by the inputs.  compiled: whether numba compiles kernels and updates.
    trace: what each pass of the compiler did.
    parts: those that its module is to have, with what they need, or None for the usual ones.
    whole: the text of a module with every part, and the lines that compute each equation in that.
    """

    model: Model
    program: Program
    source: str
    blocks: tuple[Lines, ...]
    workspace: Memory
    evaluation: Memory
    dtype: str
    updates: tuple[Update, ...] = ()
    wrt_inputs: bool = False
    compiled: bool = False
    trace: tuple[Traced, ...] = field(default=(), repr=False, compare=False)
    parts: tuple[str, ...] | None = None
    whole: Text | None = field(default=None, repr=False)

    @classmethod
    def of(cls, model: Model, given: Given, dtype: str, *, wrt_inputs: bool = False, **options: Any) -> Self:
        """Derive, rewrite and generate.  options: those of `written`."""
        programs = network(model, wrt_inputs, given), evaluation(model, given)
        return cls.written(model, programs, given, dtype, wrt_inputs=wrt_inputs, **options)

    @classmethod
    def written(
        cls,
        model: Model,
        programs: tuple[Program, Program | None],
        given: Given,
        dtype: str,
        *,
        wrt_inputs: bool = False,
        hvp: bool = False,
        optimizers: tuple[str, ...] = USUAL,
        parts: tuple[str, ...] | None = None,
        remarks: tuple[str, ...] = (),
    ) -> Self:
        """Of programs that are derived and rewritten: for training, and for use where that is another."""
        remarks = (*remarks, *remark_of(given.machine))
        for remark in remarks:  # they become part of the source, which is run
            if not remark.isprintable() or '"""' in remark or "\\" in remark:
                raise DefinitionError(f'compile(remarks=): expected lines without \\ and """, got {shown(remark)}')
        made = assemble(
            model,
            *programs,
            given,
            dtype=dtype,
            wrt_inputs=wrt_inputs,
            hvp=hvp,
            optimizers=optimizers,
            parts=USUAL_PARTS if parts is None else parts,
            remarks=remarks,
        )
        return cls(
            model,
            programs[0],
            made.text.source,
            made.text.blocks,
            made.memory,
            made.evaluation,
            dtype,
            made.updates,
            wrt_inputs,
            made.compiled,
            tuple(given.trace or ()),
            parts,
            made.whole,
        )

    @cached_property
    def module(self) -> ModuleType:
        """The generated module, loaded; tracebacks and debuggers show its source.

        It has the parts that were asked for, and where nobody asked every part, whatever `source` has.
        Raises DefinitionError where numba is to compile kernels and is not installed.
        """
        if self.compiled:
            extra("numba", "target='numba'", "numba", DefinitionError)
        return loaded(self.model.name, self.source if self.parts else self.complete.source)

    @cached_property
    def complete(self) -> Self:
        """This network with every part in its module."""
        if self.whole is None or self.whole.source == self.source:
            return self
        return replace(self, source=self.whole.source, blocks=self.whole.blocks, parts=None)

    def __getstate__(self) -> dict[str, Any]:
        """The fields, for copies and pickles; what is computed of them is computed anew where it is wanted."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The names of the module's optimizers."""
        return tuple(each.name for each in self.updates)

    @property
    def chosen_optimizers(self) -> tuple[str, ...]:
        """Those names where they are not the usual ones, for pages; else none."""
        return () if self.optimizers == USUAL else self.optimizers

    @strict
    def having(self, optimizer: object) -> Self:
        """This network, or one whose module has this optimizer, too, where there is such a one."""
        if not isinstance(optimizer, str) or optimizer not in OPTIMIZERS or optimizer in self.optimizers:
            return self
        if optimizer not in self._having:
            written_for = self.updates[0].target, self.updates[0].machine
            more = (*self.updates, update(OPTIMIZERS[optimizer], *written_for))
            text = extended(Text(self.source, self.blocks), self.updates, more)
            whole = self.whole and extended(self.whole, self.updates, more)
            self._having[optimizer] = replace(self, source=text.source, blocks=text.blocks, whole=whole, updates=more)
        return self._having[optimizer]

    @cached_property
    def _having(self) -> dict[str, Self]:
        return {}

    @strict
    def save(self, path: str | Path) -> None:
        """Write the module; the file is written whole or not at all."""
        write_atomic(path, self.source)

"""Compiling a model: from its declaration to a module of Python source, in four lines."""

from __future__ import annotations

import builtins
import linecache
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from codegen.emit.stages import Lines
from codegen.equation import Program
from codegen.plan import Buffer
from symnet.assemble import assemble
from symnet.derive.network import derived, evaluation, network
from symnet.errors import DefinitionError, errors_of
from symnet.explain import notebook
from symnet.explain.gradients import gradients
from symnet.explain.latex import document
from symnet.explain.summary import summary
from symnet.files import write_atomic
from symnet.graph import Model
from symnet.options import choice, flag

DTYPES = ("float32", "float64")
TARGETS = ("auto", "numpy", "numexpr")


def compile(
    model: Model, dtype: str = "float32", target: str = "auto", wrt_inputs: bool = False, hvp: bool = False
) -> Network:
    """Derive the gradients of `model` and generate its module.

    dtype: "float32" or "float64", of every float array.
    target: "numpy", "numexpr", or "auto", which chooses for each kernel by a fixed cost model.
    wrt_inputs: `loss_and_grads` also gives the gradient by each float input, under the input's name (the names
    of parameters have dots, so the two never meet).
    hvp: the module also has `hvp(params, x, y, v)`, the Hessian of the loss times a direction `v` in the trainable
    parameters, and `jvp(params, x, v)`, the output and its derivative along `v`.
    Raises DefinitionError for an unknown dtype or target, and for hvp without a loss.
    """
    if not isinstance(model, Model):
        raise DefinitionError(f"compile: expected a sn.Model, got {model!r}")
    choice("compile(dtype=)", dtype, DTYPES)
    choice("compile(target=)", target, TARGETS)
    flag("compile(wrt_inputs=)", wrt_inputs)
    flag("compile(hvp=)", hvp)
    if hvp and not model.loss:
        raise DefinitionError(
            f"compile(hvp=True): '{model.name}' has no loss to differentiate; give Model(..., loss=...)"
        )
    program = network(model, wrt_inputs)
    built = assemble(model, program, evaluation(model), dtype=dtype, target=target, wrt_inputs=wrt_inputs, hvp=hvp)
    return Network(model, program, built.source, built.blocks, built.arrays, dtype, wrt_inputs)


@dataclass(frozen=True)
class Network:
    """A compiled model.

    model: its declaration.  program: forward, loss and backward equations after rewriting.
    source: the text of the generated module.  blocks: the lines of it that compute each equation.
    arrays: what a workspace of the module allocates.  dtype: of every float array.
    wrt_inputs: whether there are gradients by the inputs.
    """

    model: Model
    program: Program
    source: str
    blocks: tuple[Lines, ...]
    arrays: tuple[Buffer, ...]
    dtype: str
    wrt_inputs: bool = False

    @cached_property
    def module(self) -> ModuleType:
        """The generated module, loaded; tracebacks and debuggers show its source."""
        name = f"symnet generated {self.model.name}"
        filename = f"<{name}>"
        linecache.cache[filename] = (len(self.source), None, self.source.splitlines(keepends=True), filename)
        module = ModuleType(self.model.name, self.source.partition('"""')[2].partition('"""')[0])
        module.__file__ = filename
        exec(builtins.compile(self.source, filename, "exec"), module.__dict__)
        return module

    def save(self, path: str | Path) -> None:
        """Write the module; the file is written whole or not at all."""
        write_atomic(path, self.source)

    def latex(
        self, notation: str = "index", layout: str = "denominator", wrt: str | None = None, steps: bool = False
    ) -> str:
        """The derived gradients as Markdown with formulas in ```math fences.

        notation: "index" or "matrix".  layout: "denominator" or "numerator", of derivatives in matrix notation.
        wrt: the tensor to differentiate by; by default all trainable parameters.
        steps: add the steps that lead to each gradient, each with its reason and a numerical check.
        Raises DefinitionError for an unknown word or tensor.
        """
        if wrt is None and self.wrt_inputs and not steps and notation == "index":
            return document(derived(self.model, self.wrt_inputs), self.model)
        return gradients(self.model, notation, layout, wrt, steps).markdown()

    def summary(self) -> str:
        """The table of layers, with parameters, operations and receptive fields."""
        return summary(self.model)

    def _repr_svg_(self) -> str:
        return notebook.picture(self.model, self._derived)

    def _repr_latex_(self) -> str:
        return notebook.formulas(self.model, self._derived, self._stage)

    def _repr_html_(self) -> str:
        return notebook.card(self.model, self._derived, self._stage)

    @cached_property
    def _derived(self) -> Program:
        return derived(self.model, self.wrt_inputs)

    @property
    def _stage(self) -> str:
        """What there is to show: the gradients, or the formulas where there is no loss."""
        return "backward" if self.model.loss else "forward"

    def fit(self, x: Any, y: Any, params: dict[str, Any] | None = None, **options: Any) -> Any:
        """Train with `module.train` and its options; returns (params, history).

        params: where to start; by default `module.init_params(seed)`.
        Raises DataError for data or an option that the network cannot use.
        """
        start = self.module.init_params(options.get("seed", 0)) if params is None else params
        with errors_of(self.module):
            return self.module.train(start, x, y, **options)

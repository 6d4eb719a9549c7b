"""The document of `symnet latex`: gradients in index or matrix notation, whole or by one tensor, with their steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.ir.equation import Program
from symnet.differentiate.programs import derived
from symnet.differentiate.reverse import cotangent_name, gradient
from symnet.explain.latex import Chapter, Legend, Section, chapters, legend, written, written_tex
from symnet.explain.matrix.page import matrix_chapters, matrix_legend
from symnet.explain.matrix.prepare import LAYOUTS, prepare
from symnet.explain.steps import Step, derivations, largest, with_layout
from symnet.explain.symbols import glyphs
from symnet.explain.updates import updates_chapter, with_updates
from symnet.model.graph import Model
from symnet.support.errors import DefinitionError
from symnet.support.options import choice, shown
from symnet.support.suggest import did_you_mean, listing

NOTATIONS = ("index", "matrix")


@dataclass(frozen=True)
class Document:
    """What `symnet latex` writes: a title, the symbols with the conventions, chapters of formulas."""

    title: str
    legend: Legend
    chapters: tuple[Chapter, ...]

    def markdown(self) -> str:
        """Markdown with formulas in ```math fences."""
        return written(self.title, self.legend, self.chapters)

    def tex(self) -> str:
        """A LaTeX file that needs nothing but amsmath."""
        return written_tex(self.title, self.legend, self.chapters)


def gradients(
    model: Model,
    notation: str = "index",
    layout: str = "denominator",
    wrt: str | None = None,
    steps: bool = False,
    optimizers: Sequence[str] = (),
    program: Program | None = None,
) -> Document:
    """The formulas of `model` and its derived gradients.

    notation: "index" or "matrix".  layout: "denominator" or "numerator", of the derivatives in matrix notation.
    wrt: the tensor (a parameter, a float input, or a value such as "dense_1") by which the loss is differentiated;
    all trainable parameters where it is None.  steps: add the steps that lead to each gradient, checked numerically.
    optimizers: whose updates to add.  program: what to show instead of what is derived of the model.
    Raises DefinitionError for an unknown word or tensor, and where there is no loss to differentiate.
    """
    choice("latex(notation=)", notation, NOTATIONS)
    choice("latex(layout=)", layout, LAYOUTS)
    if layout == "numerator" and notation == "index":
        raise DefinitionError("latex(layout=): index notation has no layouts; expected notation='matrix' with it")
    program = _program(model, wrt, steps) if program is None else program
    if notation == "matrix":
        ready = prepare(program, layout)
        key, found = matrix_legend(ready), matrix_chapters(ready, model)
    else:
        key, found = legend(program), chapters(program, model)
    if steps:
        every = with_layout(derivations(program), prepare(program, layout))
        found = (*found, steps_chapter(every, program))
    if optimizers:
        found = (*found, updates_chapter(optimizers))
    return Document(model.name, with_updates(key, optimizers), found)


def steps_chapter(found: dict[str, tuple[Step, ...]], program: Program) -> Chapter:
    """The steps to each cotangent as a chapter, which says how well they were checked."""
    signs = glyphs(program)
    every = [step for steps in found.values() for step in steps]
    checked = sum(1 for step in every if step.difference is not None)
    note = (
        f"Of {len(every)} steps {checked} were tried on small random arrays while they were made: the chain rule "
        f"against central differences (relative), every further step against the one before. "
        f"The largest difference seen is {largest(every):.1e}."
    )
    sections = [Section("How the steps were checked", (), (note,))]
    for bar, steps in found.items():
        lines = tuple(f"{k}. ${s.latex}$ ({_reason(s)})" for k, s in enumerate(steps, start=1))
        sections.append(Section(f"Steps to ${signs[bar].at()}$", (), lines))
    return Chapter("Steps", tuple(sections))


def _reason(step: Step) -> str:
    return step.reason if step.difference is None else f"{step.reason}; difference {step.difference:.0e}"


def _program(model: Model, wrt: str | None, steps: bool) -> Program:
    if model.loss is None and (wrt is not None or steps):
        raise DefinitionError(f"Model '{model.name}' has no loss, so it has no gradients; declare one")
    if wrt is None:
        return derived(model)
    table = model.program.table
    floats = [t.name for t in model.program.tensors if t.dtype == "float" and t.name != "loss"]
    if wrt not in floats:
        near = did_you_mean(wrt, floats) or f"; expected {listing(floats)}"
        what = "holds no floating-point numbers" if wrt in table else "is no tensor of the model"
        raise DefinitionError(f"latex(wrt=): {shown(wrt)} {what}{near}")
    return _needed(gradient(model.program, [wrt]), cotangent_name(wrt))


def _needed(program: Program, result: str) -> Program:
    """The program without backward equations on which `result` does not depend."""
    wanted = {result}
    kept = []
    for equation in reversed(program.equations):
        if equation.stage != "backward" or equation.target in wanted:
            kept.append(equation)
            wanted |= {read.tensor for read in equation.reads} if equation.stage == "backward" else set()
            wanted |= {r.tensor for g in equation.guards for _, r in g.reads}
    return program.with_equations(reversed(kept))

"""Compiling a model: from its declaration to a module of Python source, in four lines."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from codegen.ir.equation import Program
from codegen.machine.model import MACHINE, Machine
from codegen.machine.target import TARGETS
from codegen.passes.state import Given
from codegen.passes.table import OPTIONAL
from symnet.assembly.built import Built, precision
from symnet.assembly.wanted import chosen as chosen_parts
from symnet.differentiate.programs import derived
from symnet.explain import notebook
from symnet.explain.gradients import NOTATIONS, gradients
from symnet.explain.summary import summary
from symnet.facts.memory import memory, workspace_bytes
from symnet.machine.file import machine_of
from symnet.model.graph import Model, model_of
from symnet.optim.chosen import chosen, optimizers_of
from symnet.support.errors import DefinitionError, border, errors_of
from symnet.support.options import bound, choice, flag, strict, string, strings
from symnet.training.callbacks.fitting import fit
from symnet.training.callbacks.watching import Watch
from symnet.training.checkpoints.start import Plan, load_params

RECIPES = ("columns", "shifts", "stacks")


@strict
@border
def compile(
    model: Model,
    dtype: str | type[np.floating] | np.dtype[Any] = "float32",
    target: str = "auto",
    wrt_inputs: bool = False,
    hvp: bool = False,
    weighted: bool = False,
    recipes: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
    without: tuple[str, ...] = (),
    machine: Machine | str | Path = MACHINE,
    optimizers: Sequence[str] | None = None,
    parts: Sequence[str] | None = None,
) -> Network:
    """Derive the gradients of `model` and generate its module.

    dtype: "float32" or "float64", or what NumPy has for them, of every float array.
    target: "numpy", "numexpr", "numba" (its kernels are compiled at their first call), or "auto", which chooses
    between NumPy and numexpr for each kernel by a fixed cost model.
    wrt_inputs: `loss_and_grads` also gives the gradient by each float input, under the input's name (the names
    of parameters have dots, so the two never meet).
    hvp: the module also has `hvp(params, x, y, v)`, the Hessian of the loss times a direction `v` in the trainable
    parameters, and `jvp(params, x, v)`, the output and its derivative along `v`.
    weighted: the loss has a weight for each sample, which loss, loss_and_grads, hvp, step and train take as
    `sample_weight`; train takes them by class, too, as `class_weight`.
    recipes: of "columns", "shifts" and "stacks" those to prefer for convolutions, whatever the cost model says.
    remarks: lines for the end of the module's docstring.
    without: names of passes of the compiler to leave out, and with them those that need one of these.
    machine: what the code is to be fast on: a file that `symnet tune --machine` wrote; by default a fixed one, so that
    the same network gives the same code everywhere.
    optimizers: the names of those that the module has, such as ["adam", "lion"]; by default those that the model's file
    names, or else "sgd", "momentum", "nesterov", "rmsprop", "adam" and "adamw".
    parts: what the module has, and with it what that needs, of "predict", "gradients", "step", "train", "check",
    "program" (the command line), "workers", "streams", "resume" and "schedules"; by default what the model's file
    names, or else everything.  `fit` brings the parts that it needs.
    Raises DefinitionError for an unknown dtype, target, recipe, pass, optimizer or part, for a machine file that is
    none, and for hvp or weighted without a loss.
    """
    model_of("compile", model)
    dtype = precision("compile(dtype=)", dtype)
    choice("compile(target=)", target, tuple(TARGETS))
    for recipe in strings("compile(recipes=)", recipes):
        choice("compile(recipes=)", recipe, RECIPES)
    machine = machine_of("compile(machine=)", machine)
    remarks = tuple(strings("compile(remarks=)", remarks))
    for name in strings("compile(without=)", without):
        choice("compile(without=)", name, OPTIONAL)
    named = optimizers_of(model) if optimizers is None else chosen("compile(optimizers=)", optimizers)
    wanted = model.parts if parts is None else chosen_parts("compile(parts=)", parts)
    flag("compile(wrt_inputs=)", wrt_inputs)
    flag("compile(hvp=)", hvp)
    model = model.weighted() if flag("compile(weighted=)", weighted) else model
    if hvp and not model.loss:
        raise DefinitionError(
            f"compile(hvp=True): '{model.name}' has no loss to differentiate; give Model(..., loss=...)"
        )
    given = Given(target=target, machine=machine, recipes=recipes, without=frozenset(without), trace=[])
    return Network.of(
        model, given, dtype, wrt_inputs=wrt_inputs, hvp=hvp, optimizers=named, parts=wanted, remarks=remarks
    )


@dataclass(frozen=True, repr=False)
class Network(Built):
    """A compiled model: what `Built` says, with methods to look at it, to train it and to use it."""

    @strict
    @border
    def latex(
        self,
        notation: str = "index",
        layout: str = "denominator",
        wrt: str | None = None,
        steps: bool = False,
        optimizer: str | None = None,
    ) -> str:
        """The derived gradients as Markdown with formulas in ```math fences.

        notation: "index" or "matrix".  layout: "denominator" or "numerator", of derivatives in matrix notation.
        wrt: the tensor to differentiate by; by default all trainable parameters.
        steps: add the steps that lead to each gradient, each with its reason and a numerical check.
        optimizer: one whose update is to be added; by default those of the module where they are not the usual ones.
        Raises DefinitionError for an unknown word, tensor or optimizer.
        """
        choice("latex(notation=)", notation, NOTATIONS)
        flag("latex(steps=)", steps)
        if wrt is not None:
            string("latex(wrt=)", wrt)
        shown = self.chosen_optimizers if optimizer is None else chosen("latex(optimizer=)", [optimizer])
        whole = self.wrt_inputs and wrt is None and not steps and notation == "index"
        program = derived(self.model, self.wrt_inputs) if whole else None
        return gradients(self.model, notation, layout, wrt, steps, shown, program).markdown()

    @strict
    @border
    def summary(self) -> str:
        """The table of layers, with parameters, operations and receptive fields, and the bytes of a workspace."""
        return f"{summary(self.model)}\n{self.bytes_text}"

    @property
    def bytes_text(self) -> str:
        """What workspaces hold, as polynomials: `workspace: 208,104*N + 96 bytes to train, 66,200*N to use`."""
        train, use = (workspace_bytes(plan, self.dtype) for plan in (self.workspace, self.evaluation))
        return f"workspace: {train} bytes to train, {use} to use"

    @strict
    @border
    def memory(self, N: int = 32, *, optimizer: str = "adam", training: bool = True, **sizes: int) -> dict[str, int]:
        """The bytes that training holds with N samples in a workspace, or use, with `training=False`.

        A batch whose workspace is much larger than a cache is learnt from in parts, where the loss is a mean over
        samples: then this is more than what training holds.
        {"parameters", "gradients", "optimizer", "workspace"}, of which use has the first and the last.
        optimizer: the rule that `make_step` is to follow.  sizes: the other symbolic sizes, such as T=64.
        Raises DefinitionError for an unknown optimizer, and for sizes that are missing, unknown or not positive.
        """
        plan = self.workspace if flag("memory(training=)", training) else self.evaluation
        found = memory(self.model, self.dtype, plan, self.updates, optimizer, {"N": N, **sizes})
        return found if training else {key: found[key] for key in ("parameters", "workspace")}

    def __repr__(self) -> str:
        return f"<Network '{self.model.name}': {len(self.model.layers)} layers, {self.dtype}>"

    @border
    def _repr_svg_(self) -> str:
        return notebook.picture(self.model, self._derived)

    @border
    def _repr_latex_(self) -> str:
        return notebook.formulas(self.model, self._derived, self._stage)

    @border
    def _repr_html_(self) -> str:
        return notebook.card(self.model, self._derived, self._stage)

    @cached_property
    def _derived(self) -> Program:
        return derived(self.model, self.wrt_inputs)

    @property
    def _stage(self) -> str:
        """What there is to show: the gradients, or the formulas where there is no loss."""
        return "backward" if self.model.loss else "forward"

    @strict
    def fit(
        self,
        x: Any,
        y: Any,
        params: dict[str, Any] | None = None,
        *,
        checkpoint: str | Path | None = None,
        checkpoint_every: int | str | None = None,
        keep: int | None = None,
        resume: bool | str | Path = False,
        metrics: str | Sequence[str] = (),
        tensorboard: str | Path | None = None,
        histograms: bool = False,
        plot: str | Path | None = None,
        class_names: Sequence[str] | None = None,
        progress: bool | None = None,
        **options: Any,
    ) -> Any:
        """Train with `module.train` and its options; returns (params, history).

        An optimizer that the module has not is brought along: `net.fit(x, y, optimizer="lion")`.

        params: where to start; by default `module.init_params(seed)`.
        checkpoint: a folder for checkpoints, made where it is missing.  checkpoint_every: "epoch" (the default), or a
        number of steps.  keep: how many there are at most; by default 3.
        resume: True to go on from the newest intact checkpoint of the folder, if there is one; or the path of a
        checkpoint or a folder.  The training ends with the same bytes as one that was not interrupted.
        metrics: names such as ["f1", "top5"] or ["mae"] (see `symnet.training.callbacks.metrics`), measured on
        `validation` after each epoch; the history has them as "val_f1" and so on.
        tensorboard: a folder for TensorBoard's event files; histograms: of the parameters, too.
        plot: a folder for pictures of the training and of what was learned; class_names: what they call the classes.
        progress: True for a live table on a terminal and lines elsewhere, False for nothing.
        Raises DataError for data or an option that the network cannot use, DefinitionError for an unknown option, and
        CheckpointError for a checkpoint.
        """
        plan = Plan(checkpoint, checkpoint_every, keep, resume)
        net = self.complete.having(options.get("optimizer"))
        bound("fit", net.module.train, (params, x, y), options, also=_OWN_OPTIONS)
        watch = Watch(metrics, tensorboard, histograms, plot, class_names, progress)
        with errors_of(net.module):
            for hook in ("on_step", "on_epoch"):  # the loop sees them inside of others
                if options.get(hook) is not None:
                    net.module._require_function(hook, options[hook], "event")
            start = net.module.init_params(options.get("seed", 0)) if params is None else params
        return fit(net, plan, watch, start, x, y, options)

    @strict
    @border
    def activations(
        self, params: Mapping[str, Any], x: Any, layers: Sequence[str] | None = None
    ) -> dict[str, np.ndarray]:
        """The outputs of these layers (by default all) for a batch `x`, as in use, by the layers' names.

        Raises DefinitionError for an unknown layer, DataError for parameters or data that do not fit.
        """
        every = [placed.name for placed in self.model.layers]
        names = every if layers is None else list(dict.fromkeys(strings("activations(layers=)", layers)))
        if not names:
            return {}
        module = compile(self.model.showing(names), dtype=self.dtype, target="numpy").module
        with errors_of(module):
            found = module.forward(params, x)
        outputs = {placed.name: placed.output.name for placed in self.model.layers}
        return {name: found[outputs[name]] if module.OUTPUTS else found for name in names}

    @strict
    def load(self, path: str | Path) -> dict[str, np.ndarray]:
        """Parameters and buffers from a checkpoint, or from the newest intact one of a folder, in the network's dtype.

        Those of the best epoch, where the training had a patience.
        Raises CheckpointError for what is no checkpoint of this network.
        """
        return load_params(path, self.model, self.dtype)


_OWN_OPTIONS = [p.name for p in inspect.signature(Network.fit).parameters.values() if p.kind is p.KEYWORD_ONLY]
"""The options of `fit` that `train` of the module has not."""

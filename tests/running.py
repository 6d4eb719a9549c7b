"""Running generated numeric code in tests: from a program and arrays to every tensor it defines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from codegen.emit.stages import Emitted
from codegen.ir.equation import Program
from codegen.machine.model import MACHINE, Machine
from codegen.passes.state import Given, State, Traced
from codegen.pipeline import generate, rewrite


@dataclass(frozen=True)
class Generated:
    """Loaded numeric code of one program, all its equations in one stage.

    names: the globals of its module.  outputs: the tensors that `results` returns.  emitted: with its memory plan.
    arena: the state with the memory plan, and what it is for.
    """

    program: Program
    source: str
    names: dict[str, Any]
    outputs: tuple[str, ...]
    emitted: Emitted
    arena: State

    def workspace(self, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]) -> Any:
        """A workspace that holds the inputs."""
        made = self.names["Workspace"](**{n: sizes[n] for n in self.program.sizes})
        for tensor in self.program.tensors:
            if tensor.kind == "input":
                getattr(made, tensor.name.replace(".", "_"))[...] = arrays[tensor.name]
        return made

    def parameters(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of the parameters, floats in the dtype of the module."""
        dtypes = {"float": self.names["DTYPE"], "int": np.int64, "bool": bool}
        return {
            t.name: np.asarray(arrays[t.name], dtypes[t.dtype]) for t in self.program.tensors if t.kind == "parameter"
        }

    def compute(self, parameters: Mapping[str, np.ndarray], workspace: Any) -> None:
        """Run every equation."""
        self.names["_all"](parameters, workspace)

    def results(self, workspace: Any) -> dict[str, np.ndarray]:
        """Copies of the outputs."""
        return {name: np.array(getattr(workspace, f"result_{k}")) for k, name in enumerate(self.outputs)}


def load(
    program: Program,
    outputs: tuple[str, ...],
    target: str = "numpy",
    rewriting: bool = True,
    dtype: str = "float64",
    checked: Mapping[str, int] | None = None,
    recipes: tuple[str, ...] = (),
    machine: Machine = MACHINE,
) -> Generated:
    """The generated code of `program`, which keeps `outputs`."""
    program = program.with_equations(e.with_(stage="all") for e in program.equations)
    if rewriting:
        program = rewrite(program, Given(keep=frozenset(outputs)))
    program = replace(
        program, tensors=tuple(replace(t, kind="value") if t.kind == "result" else t for t in program.tensors)
    )
    attributes = {f"result_{k}": name for k, name in enumerate(outputs)}
    stages = {"all": "Everything."}
    trace: list[Traced] = []
    given = Given(target=target, machine=machine, checked=checked or {}, recipes=recipes, trace=trace)
    emitted = generate(program, given, stages=stages, attributes=attributes)
    imports = "\n".join(["import numpy as np", *emitted.imports, f"DTYPE = np.{dtype}"])
    source = f"{imports}\n\n\n{emitted.source}"
    names: dict[str, Any] = {}
    exec(compile(source, "<generated>", "exec"), names)  # noqa: S102
    return Generated(program, source, names, outputs, emitted, trace[-1].after)


def run(
    program: Program,
    arrays: Mapping[str, np.ndarray],
    sizes: Mapping[str, int],
    outputs: tuple[str, ...],
    target: str = "numpy",
    rewriting: bool = True,
    calls: int = 2,
) -> dict[str, np.ndarray]:
    """`outputs` of `program` as the generated code computes them in float64, on the last of several calls."""
    generated = load(program, outputs, target, rewriting)
    parameters = generated.parameters(arrays)
    workspace = generated.workspace(arrays, sizes)
    for _ in range(calls):
        generated.compute(parameters, workspace)
    return generated.results(workspace)

"""Running generated numeric code in tests: from a program and arrays to every tensor it defines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from codegen.equation import Program
from codegen.pipeline import generate, rewrite


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
    program = program.with_equations(e.with_(stage="all") for e in program.equations)
    if rewriting:
        program = rewrite(program, frozenset(outputs))
    program = replace(
        program, tensors=tuple(replace(t, kind="value") if t.kind == "result" else t for t in program.tensors)
    )
    attributes = {f"result_{k}": name for k, name in enumerate(outputs)}
    emitted = generate(program, stages={"all": "Everything."}, target=target, attributes=attributes)
    imports = "\n".join(["import numpy as np", *emitted.imports, "DTYPE = np.float64"])
    module: dict[str, object] = {}
    source = f"{imports}\n\n\n{emitted.source}"
    exec(compile(source, "<generated>", "exec"), module)
    workspace = module["Workspace"](**{n: sizes[n] for n in program.sizes})  # type: ignore[operator]
    parameters = {t.name: np.asarray(arrays[t.name]) for t in program.tensors if t.kind == "parameter"}
    for _ in range(calls):
        for tensor in program.tensors:
            if tensor.kind == "input":
                getattr(workspace, tensor.name.replace(".", "_"))[...] = arrays[tensor.name]
        module["_all"](parameters, workspace)  # type: ignore[operator]
    return {name: np.array(getattr(workspace, f"result_{k}")) for k, name in enumerate(outputs)}

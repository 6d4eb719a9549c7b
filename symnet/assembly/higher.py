"""The numeric part of a module's derivatives along a direction: two workspaces, `_tangent` and `_hvp`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from codegen.emit.stages import Naming
from codegen.ir.names import allocate
from codegen.passes.state import Given
from codegen.pipeline import generate
from symnet.assembly.numeric import attributes, checked_labels, output_attributes
from symnet.differentiate.curvature import HVP, TANGENT, hessian, tangent
from symnet.differentiate.forward import tangent_name
from symnet.differentiate.programs import trainable
from symnet.differentiate.reverse import cotangent_name
from symnet.model.graph import Model

STAGES = {
    TANGENT: "From the inputs in `w` to `w.output` and its tangent; `p` holds the direction of x as t_x.",
    HVP: "Write the Hessian of the loss times the direction into `g`; `p` holds the direction of x as t_x.",
}


def higher(
    model: Model, given: Given, helpers: tuple[str, ...], reserved: tuple[str, ...]
) -> tuple[str, tuple[str, ...]]:
    """The source, and the imports that it needs.

    helpers: the functions that the module has already.  reserved: all else that it defines.
    """
    outputs = output_attributes(model)
    tangents = _tangent_attributes(model, outputs)
    targets = {attribute: each for attribute, each in attributes(model).items() if each not in ("loss", *outputs)}
    shared = {attribute: name for name, attribute in outputs.items()}
    given = replace(given, checked=checked_labels(model))
    results = {tangent_name(cotangent_name(name)): name for name in trainable(model)}
    first = generate(
        tangent(model, given),
        replace(given, title=TANGENT),
        stages={TANGENT: STAGES[TANGENT]},
        attributes=shared | {attribute: tangent_name(name) for name, attribute in tangents.items()},
        naming=Naming("Tangents", defined=helpers, taken=reserved),
    )
    second = generate(
        hessian(model, given),
        replace(given, results=results, title=HVP),
        stages={HVP: STAGES[HVP]},
        attributes=targets,
        naming=Naming(
            "Curvature",
            arguments={HVP: "g"},  # also where no parameter is trainable
            defined=(*helpers, *first.helpers),
            taken=(*reserved, *first.kernels),
        ),
    )
    keys = tangents if len(tangents) > 1 else {"": next(iter(tangents.values()))}
    table = ["TANGENTS = {", *(f'    "{name}": "{attribute}",' for name, attribute in keys.items()), "}"]
    source = "\n\n".join(["\n".join(table) + "\n", first.source, second.source])
    return source, (*first.imports, *second.imports)


def _tangent_attributes(model: Model, outputs: Mapping[str, str]) -> dict[str, str]:
    """The attribute of a workspace that holds the tangent of each output; one that is no input's."""
    taken = {t.name for t in model.inputs} | {*outputs.values()}
    found: dict[str, str] = {}
    for name, attribute in outputs.items():
        found[name] = allocate(attribute.replace("output", "tangent", 1), taken | {*found.values()})
    return found

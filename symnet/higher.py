"""The numeric part of a module's derivatives along a direction: two workspaces, `_tangent` and `_hvp`."""

from __future__ import annotations

from codegen.emit.stages import Naming
from codegen.pipeline import generate
from symnet.derive.curvature import HVP, TANGENT, hessian, tangent
from symnet.derive.forward import tangent_name
from symnet.derive.network import trainable
from symnet.derive.reverse import cotangent_name
from symnet.graph import Model
from symnet.numeric import checked_labels, output_attribute

STAGES = {
    TANGENT: "From the inputs in `w` to `w.output` and its tangent; `p` holds the direction of x as t_x.",
    HVP: "Write the Hessian of the loss times the direction into `g`; `p` holds the direction of x as t_x.",
}


def higher(model: Model, target: str, helpers: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The source, and the imports that it needs.

    helpers: the functions that the module has already.
    """
    tangents = {name: _attribute(name, model) for name in (t.name for t in model.outputs)}
    shared = [(name, output_attribute(model, name)) for name in tangents]
    attributes = {attribute: name for name, attribute in shared}
    first = generate(
        tangent(model),
        stages={TANGENT: STAGES[TANGENT]},
        target=target,
        attributes=attributes | {attribute: tangent_name(name) for name, attribute in tangents.items()},
        naming=Naming("Tangents", defined=helpers),
        checked=checked_labels(model),
    )
    second = generate(
        hessian(model),
        stages={HVP: STAGES[HVP]},
        target=target,
        results={tangent_name(cotangent_name(name)): name for name in trainable(model)},
        naming=Naming("Curvature", defined=(*helpers, *first.helpers)),
        checked=checked_labels(model),
    )
    keys = tangents if len(tangents) > 1 else {"": next(iter(tangents.values()))}
    table = ["TANGENTS = {", *(f'    "{name}": "{attribute}",' for name, attribute in keys.items()), "}"]
    source = "\n\n".join(["\n".join(table) + "\n", first.source, second.source])
    return source, (*first.imports, *second.imports)


def _attribute(name: str, model: Model) -> str:
    """The attribute of a workspace that holds the tangent of an output; one that is no input's."""
    attribute = output_attribute(model, name).replace("output", "tangent", 1)
    while attribute in {t.name for t in model.inputs}:
        attribute += "_"
    return attribute

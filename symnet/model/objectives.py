"""What a model is trained for: a loss for one output, or weighted losses for several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.ir.equation import Equation, Tensor
from codegen.notation import elaborate
from symnet.model.layers.spelling import Layout, Parameter
from symnet.model.losses import LOSSES, Loss
from symnet.support.errors import DefinitionError, located
from symnet.support.options import number, shown
from symnet.support.suggest import did_you_mean, listing


@dataclass(frozen=True)
class Objective:
    """A loss on an output.  target: the input tensor it is compared with; class_axis: of the classes, or None."""

    output: Tensor
    layout: Layout | None
    loss: Loss
    weight: float
    target: Tensor
    class_axis: int | None


def objectives(
    model: str, outputs: Sequence[tuple[Tensor, Layout | None]], loss: object, weights: object
) -> tuple[Objective, ...]:
    """The objectives of a model with these outputs.

    loss: None, a loss for the only output, a sequence with a loss or None for each output, or a mapping by the
    outputs' names.  weights: a factor for each loss in the same way; 1 by default.
    One objective compares with the tensor `target`, several with `target.<output>` each.
    Raises DefinitionError where losses and outputs do not match, ShapeError where a loss cannot take its output.
    """
    names = [tensor.name for tensor, _ in outputs]
    losses = _by_output(f"Model '{model}' (loss=)", loss, names)
    for value in losses.values():
        _check_loss(value)
    factors = _by_output(f"Model '{model}' (loss_weights=)", weights, names)
    chosen = {name: value for name, value in losses.items() if isinstance(value, Loss)}
    for name in factors:
        if name not in chosen and factors[name] is not None:
            raise DefinitionError(f"Model '{model}' (loss_weights=): a weight for '{name}', which has no loss")
    found = []
    for tensor, layout in outputs:
        if tensor.name not in chosen:
            continue
        each = chosen[tensor.name]
        given = factors.get(tensor.name)
        weight = 1.0 if given is None else number(f"Model '{model}' (loss_weights=)", given, 0.0)
        target = each.target(tensor, layout)
        if len(chosen) > 1:
            target = replace(target, name=f"target.{tensor.name}")
        found.append(Objective(tensor, layout, each, weight, target, each.class_axis(tensor, layout)))
    return tuple(found)


def loss_equations(
    found: Sequence[Objective], parameters: Iterable[Parameter], l2: float, weight: Tensor | None = None
) -> tuple[list[Tensor], list[Equation]]:
    """The tensors and equations that define the scalar `loss`: the weighted sum of all losses, and the l2 term.

    weight: the input tensor with a weight for each sample, or None: a factor of the sample's share of every loss.
    """
    samples = {} if weight is None else {"sample_weight": weight}
    factor = "sample_weight[n]*" if samples else ""
    tensors: list[Tensor] = []
    equations: list[Equation] = []
    parts: dict[str, Tensor] = {}
    only = found[0] if len(found) == 1 and found[0].weight == 1 else None
    text = only.loss.text(only.output, only.layout, factor) if only else ""
    known = {"z": only.output, "target": only.target, **samples} if only else parts
    for k, each in enumerate(() if only else found, start=1):
        name = "loss" if len(found) == 1 else f"loss.{each.output.name}"
        with located(f"loss {each.loss.kind} of '{each.output.name}'"):
            done = elaborate(
                each.loss.text(each.output, each.layout, factor),
                {"z": each.output, "target": each.target, **samples},
                names={"loss": f"{name}.plain" if len(found) == 1 else name},
                origin=name,
                stage="loss",
            )
        tensors += done.tensors
        equations += done.equations
        parts[f"part{k}"] = done.output
        text += f"{' + ' if k > 1 else 'loss[] = '}{each.weight!r}*part{k}[]"
    for k, parameter in enumerate(parameters if l2 else (), start=1):
        if parameter.regularize:
            at = ",".join(f"i{axis}" for axis in range(len(parameter.tensor.shape)))
            text += f"\nloss[] += sum[{at}]({l2!r}/2*w{k}[{at}]**2)"
            known[f"w{k}"] = parameter.tensor
    with located(f"loss {only.loss.kind}" if only else "loss"):
        done = elaborate(text, known, names={"loss": "loss"}, origin="loss", stage="loss")
    tensors += [replace(t, kind="result") if t.name == "loss" else t for t in done.tensors]
    return tensors, [*equations, *done.equations]


def _by_output(where: str, given: object, names: Sequence[str]) -> dict[str, object]:
    """What is given for each output, by its name."""
    if given is None:
        return {}
    if isinstance(given, Mapping):
        for name in given:
            if name not in names:
                hint = did_you_mean(str(name), names)
                raise DefinitionError(f"{where}: no output {shown(name)}{hint}; the outputs are {listing(names)}")
        return dict(given)
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if len(values) != len(names):
        raise DefinitionError(
            f"{where}: expected one for each of the {len(names)} outputs {listing(names)}, got {len(values)}; "
            "None where there is none"
        )
    return dict(zip(names, values, strict=True))


def _check_loss(loss: object) -> None:
    if loss is None or isinstance(loss, Loss):
        return
    classes = [cls.__name__ for cls in LOSSES.values()]
    raise DefinitionError(
        f"Model(loss=): expected a loss such as sn.CrossEntropy(), got {shown(loss)}; the losses are {listing(classes)}"
    )

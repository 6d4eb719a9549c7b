"""What layers with a weight, a bias and an activation have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from codegen.ir.affine import Affine
from symnet.model import activations
from symnet.model.layers.base import Layer
from symnet.model.layers.checks import checked_flags, checked_init
from symnet.model.layers.spelling import Site, Spelling


@dataclass(frozen=True, eq=False, kw_only=True)
class Weighted(Layer, abstract=True):
    """activation(bias + sum(weight * x)).

    activation: a name or a formula in one variable, such as "x/(1+exp(-x))".
    init: a rule for the weight, or rules by parameter name; by default He's before a
    rectifying activation, Glorot's before others, and zeros for the bias.
    """

    activation: str | None = None
    use_bias: bool = True
    init: str | Mapping[str, str] | None = None
    trainable: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_flags(self.where, use_bias=self.use_bias, trainable=self.trainable)
        checked_init(self.where, self.init, self.parameter_names, "weight")
        if self.activation is not None:
            activations.checked(f"{self.where}(activation=)", self.activation)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The local names of the parameters."""
        return ("weight", "bias") if self.use_bias else ("weight",)

    def weighted(
        self,
        site: Site,
        at: str,
        product: str,
        weight: str,
        bias: str,
        sizes: Mapping[str, int | str | Affine],
        grouped: str = "",
    ) -> Spelling:
        """The formula, for an output with subscripts `at` and parameters with `weight` and `bias`.

        `product` is the text of the sum; `grouped`, where given, are the subscripts at which it
        defines the output, which needs them apart from those of the elementwise rest.
        """
        act = self.activation if self.activation != "linear" else None
        target = "z" if act else "y"
        if not self.use_bias:
            text = f"{target}[{grouped or at}] = {product}"
        elif grouped:
            text = f"{target}[{grouped}] = {product}\n{target}[{at}] += bias[{bias}]"
        else:
            text = f"{target}[{at}] = bias[{bias}] + {product}"
        if act:
            text += f"\ny[{at}] = {activations.apply(act, f'z[{at}]')}"
        rectified = site.rectified or self.activation in activations.RECTIFIERS
        return Spelling(
            text=text,
            inputs=("x",),
            params={"weight": weight, "bias": bias} if self.use_bias else {"weight": weight},
            sizes=sizes,
            init={
                "weight": "he_uniform" if rectified else "glorot_uniform",
                **checked_init(self.where, self.init, self.parameter_names, "weight"),
            },
            regularized=("weight",),
        )

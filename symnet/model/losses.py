"""Losses, as text of the equation language.

Each is a mean over the batch, so the gradients of a batch are means too.  An output of three
axes (N, time, features) that is no signal of channels has a loss at each time step; their mean
is taken, or with reduction="sum_over_time" their sum.  Local names: `z` the model's output,
`target` what it is compared with, `loss` the scalar, and where samples have weights `sample_weight`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from codegen.ir.equation import Dtype, Tensor
from symnet.model.layers.spelling import Layout, described
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import Strict, choice, number

Decision = Literal["argmax", "threshold", "sign"]
REDUCTIONS = ("mean", "sum_over_time")

_SPATIAL = ("i", "j", "k", "l", "m", "o", "p")
_STEPS = ("t", "s", "r", "q", "p", "m", "l")


@dataclass(frozen=True, eq=False)
class Loss(metaclass=Strict):
    """Base of all losses.  reduction: "mean" over the time steps, or their "sum_over_time"."""

    reduction: str = "mean"

    decision: ClassVar[Decision | None] = None
    """What `predict` makes of the output: the greatest class, whether a logit is positive, its sign, or nothing."""
    target_dtype: ClassVar[Dtype] = "float"

    def __post_init__(self) -> None:
        choice(f"{self.kind}(reduction=)", self.reduction, REDUCTIONS)

    @property
    def kind(self) -> str:
        """The name of the loss."""
        return type(self).__name__

    def averaged(self, indices: str, term: str, weight: str) -> str:
        """The mean of `weight` times `term` over its indices; over the second, the time, the sum if that is asked."""
        term = f"{weight}({term})" if weight else term
        if self.reduction == "mean":
            return f"mean[{indices}]({term})"
        n, t, *rest = indices.split(",")
        return f"sum[{t}](mean[{','.join([n, *rest])}]({term}))"

    def class_axis(self, output: Tensor, layout: Layout | None = None) -> int | None:
        """The axis of the classes, for losses that have one."""
        return None

    def target(self, output: Tensor, layout: Layout | None = None) -> Tensor:
        """The input tensor `target` for this output; ShapeError when the loss cannot take the output."""
        self.check(output)
        if self.reduction != "mean" and not has_time(output, layout):
            raise ShapeError(
                f"{self.kind}(reduction='{self.reduction}'): expected an output with a time axis "
                f"(N, time, features), got {described(output)}"
            )
        axis = self.class_axis(output, layout)
        if axis is not None and self.target_dtype == "int" and not output.shape[axis].is_constant:
            raise ShapeError(
                f"{self.kind}: expected a fixed number of classes, got an output whose class axis, axis {axis} of "
                f"{described(output)}, has the symbolic extent {output.shape[axis]}; give that axis a number, "
                "or take a loss of each element, such as BinaryCrossEntropy"
            )
        shape = tuple(extent for k, extent in enumerate(output.shape) if k != axis)
        return Tensor("target", shape, self.target_dtype, "input")

    def check(self, output: Tensor) -> None:
        """Refuse outputs that are not numbers."""
        if output.dtype != "float":
            raise ShapeError(f"{self.kind}: expected an output of dtype float, got {output.dtype}")
        if len(output.shape) > len(_STEPS):
            raise ShapeError(f"{self.kind}: expected at most {len(_STEPS)} axes, got {described(output)}")

    @abstractmethod
    def text(self, output: Tensor, layout: Layout | None, weight: str = "") -> str:
        """The equations that define `loss` from `z` and `target`.

        weight: a factor of the loss of sample n, such as "sample_weight[n]*".
        """


class CrossEntropy(Loss):
    """logsumexp(z) - z[label], the mean over batch and positions.

    The output holds logits with the class axis last, or axis 1 for pictures (N, C, H, W); the
    target holds integer labels of the remaining shape.
    """

    decision: ClassVar[Decision | None] = "argmax"
    target_dtype: ClassVar[Dtype] = "int"

    def class_axis(self, output: Tensor, layout: Layout | None = None) -> int | None:
        """Axis 1 for pictures and signals with channels first, the last axis otherwise."""
        rank = len(output.shape)
        first = layout == "CHW" or (layout is None and rank == 4)
        return 1 if first and rank > 2 else rank - 1

    def check(self, output: Tensor) -> None:
        """Refuse outputs without a class axis."""
        super().check(output)
        if len(output.shape) < 2:
            raise ShapeError(
                f"CrossEntropy: expected logits with a class axis, such as (N, 10), got {described(output)}"
            )

    def text(self, output: Tensor, layout: Layout | None, weight: str = "") -> str:
        """See the class."""
        rank, axis = len(output.shape), self.class_axis(output, layout)
        others = list((_SPATIAL if axis == 1 and rank > 2 else _STEPS)[: rank - 2])
        rest = ",".join(["n", *others])
        logits, picked = ["n", *others], ["n", *others]
        logits.insert(axis or 1, "c")
        picked.insert(axis or 1, f"target[{rest}]")
        return (
            f"lse[{rest}] = logsumexp[c](z[{','.join(logits)}])\n"
            f"sample[{rest}] = lse[{rest}] - z[{','.join(picked)}]\n"
            f"loss[] = {self.averaged(rest, f'sample[{rest}]', weight)}"
        )


class Elementwise(Loss):
    """A loss that is a mean over all elements of `term`, in z and target at the subscripts `at`."""

    @abstractmethod
    def term(self, z: str, target: str) -> str:
        """The loss of one element."""

    def text(self, output: Tensor, layout: Layout | None, weight: str = "") -> str:
        """See the class."""
        at = _letters(output, layout)
        return f"loss[] = {self.averaged(at, self.term(f'z[{at}]', f'target[{at}]'), weight)}"


class BinaryCrossEntropy(Loss):
    """log(1+exp(z)) - target*z on logits z, the mean over all elements; targets 0 or 1 of the logits' shape."""

    decision: ClassVar[Decision | None] = "threshold"

    def text(self, output: Tensor, layout: Layout | None, weight: str = "") -> str:
        """See the class."""
        at = _letters(output, layout)
        sample = f"sample[{at}] = log(1+exp(z[{at}])) - target[{at}]*z[{at}]"
        return f"{sample}\nloss[] = {self.averaged(at, f'sample[{at}]', weight)}"


class MeanSquaredError(Elementwise):
    """(z - target)**2, the mean over all elements."""

    def term(self, z: str, target: str) -> str:
        """See the class."""
        return f"({z} - {target})**2"


class SquaredError(Loss):
    """(z - target)**2, the sum over the outputs and the mean over the batch.

    Where the sequences have a symbolic length, the outputs are those of a time step, and the mean is one over
    the time steps too; a fixed number of steps counts as so many outputs.
    """

    def text(self, output: Tensor, layout: Layout | None, weight: str = "") -> str:
        """See the class."""
        at = _letters(output, layout)
        timed = has_time(output, layout) and not output.shape[1].is_constant and self.reduction == "mean"
        count = f"(N*({output.shape[1]}))" if timed else "N"
        return f"loss[] = sum[{at}]({weight}(z[{at}] - target[{at}])**2/{count})"


@dataclass(frozen=True, eq=False)
class Huber(Elementwise):
    """e**2/2 where |e| <= delta, delta*(|e| - delta/2) elsewhere, e = z - target; the mean over all elements."""

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not number("Huber(delta=)", self.delta, 0.0):
            raise DefinitionError("Huber(delta=): expected a positive number, got 0")

    def term(self, z: str, target: str) -> str:
        """See the class."""
        e, d = f"({z} - {target})", f"{float(self.delta)!r}"
        return f"where({e} > {d}, {d}*({e} - {d}/2), where({e} < -{d}, -{d}*({e} + {d}/2), {e}**2/2))"


class LogCosh(Elementwise):
    """log(cosh(z - target)), the mean over all elements: about e**2/2 near 0 and |e| - log(2) far out.

    Its gradient is tanh(z - target).  The code computes softplus(2*e) - e - log(2), which does not overflow.
    """

    def term(self, z: str, target: str) -> str:
        """See the class."""
        return f"log(cosh({z} - {target}))"


class Hinge(Elementwise):
    """max(0, 1 - target*z), the mean over all elements; targets -1 or +1 of the output's shape."""

    decision: ClassVar[Decision | None] = "sign"

    def term(self, z: str, target: str) -> str:
        """See the class."""
        return f"max(0, 1 - {target}*{z})"


class PerceptronLoss(Elementwise):
    """-target*z where that is a mistake (target*z <= 0), else 0; the mean over all elements; targets -1 or +1.

    Its gradient is the perceptron's rule.  At z = 0, where a perceptron starts, it is that of a mistake.
    """

    decision: ClassVar[Decision | None] = "sign"

    def term(self, z: str, target: str) -> str:
        """See the class."""
        return f"where({target}*{z} > 0, 0, -{target}*{z})"


class KLDivergence(CrossEntropy):
    """sum(target*log(target/softmax(z))) over the classes, the mean over batch and positions.

    The output holds logits (or log-probabilities); the target a distribution of the output's shape.
    """

    target_dtype: ClassVar[Dtype] = "float"

    def target(self, output: Tensor, layout: Layout | None = None) -> Tensor:
        """The input tensor `target`, of the output's shape."""
        labels = super().target(output, layout)
        return Tensor(labels.name, output.shape, "float", "input")

    def text(self, output: Tensor, layout: Layout | None, weight: str = "") -> str:
        """See the class."""
        rank, axis = len(output.shape), self.class_axis(output, layout) or 1
        others = ["n", *(_SPATIAL if axis == 1 and rank > 2 else _STEPS)[: rank - 2]]
        rest, at = ",".join(others), ",".join([*others[:axis], "c", *others[axis:]])
        q = f"target[{at}]"
        return (
            f"lse[{rest}] = logsumexp[c](z[{at}])\n"
            f"sample[{rest}] = sum[c]({q}*(log(where({q} > 0, {q}, 1)) - z[{at}] + lse[{rest}]))\n"
            f"loss[] = {self.averaged(rest, f'sample[{rest}]', weight)}"
        )


LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_squared_error": MeanSquaredError,
    "squared_error": SquaredError,
    "huber": Huber,
    "log_cosh": LogCosh,
    "kl_divergence": KLDivergence,
    "hinge": Hinge,
    "perceptron": PerceptronLoss,
}
"""Losses by the name that model files use."""


def has_time(output: Tensor, layout: Layout | None) -> bool:
    """Whether axis 1 of an output is time: three axes, and no signal or picture of channels."""
    return len(output.shape) == 3 and layout is None


def _letters(output: Tensor, layout: Layout | None) -> str:
    """n, then o for a vector, t,o for a sequence, c,i,j for a picture."""
    if has_time(output, layout):
        return "n,t,o"
    return ",".join(("n", "o") if len(output.shape) == 2 else ("n", "c", *_SPATIAL)[: len(output.shape)])

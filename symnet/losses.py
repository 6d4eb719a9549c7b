"""Losses, as text of the equation language.

Each is a mean over the batch, so the gradients of a batch are means too.  Local
names: `z` the model's output, `target` what it is compared with, `loss` the scalar.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from codegen.equation import Dtype, Tensor
from symnet.errors import ShapeError
from symnet.layers.spelling import Layout, described
from symnet.options import Strict

Decision = Literal["argmax", "threshold"]

_SPATIAL = ("i", "j", "k", "l", "m", "o", "p")
_STEPS = ("t", "s", "r", "q", "p", "m", "l")


@dataclass(frozen=True, eq=False)
class Loss(metaclass=Strict):
    """Base of all losses."""

    decision: ClassVar[Decision | None] = None
    """What `predict` makes of the output: the greatest class, whether a logit is positive, or nothing."""
    target_dtype: ClassVar[Dtype] = "float"

    @property
    def kind(self) -> str:
        """The name of the loss."""
        return type(self).__name__

    def class_axis(self, output: Tensor, layout: Layout | None = None) -> int | None:
        """The axis of the classes, for losses that have one."""
        return None

    def target(self, output: Tensor, layout: Layout | None = None) -> Tensor:
        """The input tensor `target` for this output; ShapeError when the loss cannot take the output."""
        self.check(output)
        axis = self.class_axis(output, layout)
        shape = tuple(extent for k, extent in enumerate(output.shape) if k != axis)
        return Tensor("target", shape, self.target_dtype, "input")

    def check(self, output: Tensor) -> None:
        """Refuse outputs that are not numbers."""
        if output.dtype != "float":
            raise ShapeError(f"{self.kind}: expected an output of dtype float, got {output.dtype}")
        if len(output.shape) > len(_STEPS):
            raise ShapeError(f"{self.kind}: expected at most {len(_STEPS)} axes, got {described(output)}")

    @abstractmethod
    def text(self, output: Tensor, layout: Layout | None) -> str:
        """The equations that define `loss` from `z` and `target`."""


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

    def text(self, output: Tensor, layout: Layout | None) -> str:
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
            f"loss[] = mean[{rest}](sample[{rest}])"
        )


class BinaryCrossEntropy(Loss):
    """log(1+exp(z)) - target*z on logits z, the mean over all elements; targets 0 or 1 of the logits' shape."""

    decision: ClassVar[Decision | None] = "threshold"

    def text(self, output: Tensor, layout: Layout | None) -> str:
        """See the class."""
        at = _letters(output)
        return f"sample[{at}] = log(1+exp(z[{at}])) - target[{at}]*z[{at}]\nloss[] = mean[{at}](sample[{at}])"


class MeanSquaredError(Loss):
    """(z - target)**2, the mean over all elements."""

    def text(self, output: Tensor, layout: Layout | None) -> str:
        """See the class."""
        at = _letters(output)
        return f"loss[] = mean[{at}]((z[{at}] - target[{at}])**2)"


class SquaredError(Loss):
    """(z - target)**2, the sum over the outputs and the mean over the batch."""

    def text(self, output: Tensor, layout: Layout | None) -> str:
        """See the class."""
        at = _letters(output)
        return f"loss[] = sum[{at}]((z[{at}] - target[{at}])**2/N)"


LOSSES: dict[str, type[Loss]] = {
    "cross_entropy": CrossEntropy,
    "binary_cross_entropy": BinaryCrossEntropy,
    "mean_squared_error": MeanSquaredError,
    "squared_error": SquaredError,
}
"""Losses by the name that model files use."""


def _letters(output: Tensor) -> str:
    """n, then o for a vector, c,i,j for a picture."""
    return ",".join(("n", "o") if len(output.shape) == 2 else ("n", "c", *_SPATIAL)[: len(output.shape)])

"""Layers that do one thing in training and another in use: they draw noise, or keep running statistics.

Their equations stay pure.  Noise is an input tensor, which the training loop draws; a running statistic is a
buffer, whose next value is one more equation, and only a step of training puts it in the buffer's place.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from codegen.ir.affine import Affine
from codegen.ir.edit import redirected
from codegen.ir.equation import Equation, Tensor
from symnet.model.layers.base import Layer
from symnet.model.layers.checks import checked_size
from symnet.model.layers.normalization import Normalization
from symnet.model.layers.shaping import LETTERS
from symnet.model.layers.spelling import Site, Spelling, State, described
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.options import number, shown


@dataclass(frozen=True, eq=False)
class Dropout(Layer):
    """In training y = x/(1-rate) with the probability 1-rate and 0 else, number by number; in use y = x.

    The choice is [u >= rate] with u drawn from [0, 1), so the expectation of y is x.
    x: any shape -> y: the same.  DefinitionError unless 0 <= rate < 1.
    """

    rate: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not number(f"{self.where}(rate=)", self.rate, 0.0) < 1:
            raise DefinitionError(
                f"{self.where}(rate=): expected a share from 0 to below 1, got {shown(self.rate)}; "
                "it is the share of numbers that training sets to 0"
            )

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class."""
        x = inputs[0]
        if len(x.shape) > len(LETTERS):
            raise ShapeError(
                f"Dropout '{site.name}': expected an input of at most {len(LETTERS)} axes, got {described(x)}"
            )
        at = ",".join(LETTERS[: len(x.shape)])
        if not site.training or not self.rate:
            return Spelling(f"y[{at}] = x[{at}]", ("x",))
        rate = repr(float(self.rate))
        return Spelling(
            f"y[{at}] = where(noise[{at}] >= {rate}, x[{at}]/(1 - {rate}), 0)", ("x",), noise={"noise": x.shape}
        )


@dataclass(frozen=True, eq=False)
class BatchNorm(Normalization, abstract=True):
    """(x - mu)/sqrt(var + eps)*weight + bias, with one mean and one variance for each channel.

    In training mu and var are those of the batch (var with the divisor M, the count of its numbers in a channel), and
    each step moves the running statistics by the share `momentum` towards them (var with the divisor M-1).  In use
    mu and var are the running statistics.  Parameters weight, bias, buffers running_mean, running_var (C).
    num_features: C, as in PyTorch; it is compared with the input's.  DefinitionError for a momentum outside 0 to 1.
    """

    num_features: int | None = None
    momentum: float = field(default=0.1, kw_only=True)

    ranks: ClassVar[tuple[int, ...]]
    """The numbers of axes of inputs."""
    shapes: ClassVar[str]
    """Those inputs, for messages."""

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_size(f"{self.where}(num_features=)", self.num_features)
        if number(f"{self.where}(momentum=)", self.momentum, 0.0) > 1:
            raise DefinitionError(f"{self.where}(momentum=): expected a share from 0 to 1, got {shown(self.momentum)}")

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for an input of another rank, or of other channels than `num_features`."""
        where, x = f"{self.kind} '{site.name}'", inputs[0]
        if len(x.shape) not in self.ranks:
            raise ShapeError(f"{where}: expected an input of shape {self.shapes}, got {described(x)}")
        channels = x.shape[-1 if site.layout == "HWC" else 1]
        if self.num_features is not None and channels != Affine.of(int(self.num_features)):
            raise ShapeError(f"{where}: num_features={self.num_features}; the input {described(x)} has {channels}")
        others = ["n", *("i", "j")[: len(x.shape) - 2]]
        letters = [*others, "c"] if site.layout == "HWC" else ["n", "c", *others[1:]]
        at = ",".join(letters)
        common: dict[str, Any] = {
            "inputs": ("x",),
            "params": self.parameters("c"),
            "init": {"weight": "ones", "bias": "zeros", "running_mean": "zeros", "running_var": "ones"},
            "buffers": {"running_mean": "c", "running_var": "c"},
        }
        if site.training:
            extents = dict(zip(letters, x.shape, strict=True))
            count = "*".join(f"({extents[letter]})" for letter in others)
            return Spelling(self.standardized(at, "c", ",".join(others), at, "c"), state=self.moved(count), **common)
        return Spelling(
            f"scale[c] = 1/sqrt(running_var[c] + {float(self.eps)!r})\n"
            f"y[{at}] = (x[{at}] - running_mean[c])*scale[c]*weight[c]{' + bias[c]' * self.use_bias}",
            **common,
        )

    def moved(self, count: str) -> str:
        """The running statistics after a step; with a single number in a channel its variance counts as 0."""
        share = repr(float(self.momentum))
        return (
            f"running_mean.next[c] = (1 - {share})*running_mean[c] + {share}*mu[c]\n"
            f"running_var.next[c] = (1 - {share})*running_var[c] + {share}*var[c]*{count}/max({count} - 1, 1)"
        )


class BatchNorm1D(BatchNorm):
    """Batch normalisation of vectors (N, C) and signals (N, C, L), or (N, L, C) with channels last."""

    ranks: ClassVar[tuple[int, ...]] = (2, 3)
    shapes: ClassVar[str] = "(N, C) or (N, C, L)"


class BatchNorm2D(BatchNorm):
    """Batch normalisation of pictures (N, C, H, W), or (N, H, W, C) with channels last."""

    ranks: ClassVar[tuple[int, ...]] = (4,)
    shapes: ClassVar[str] = "(N, C, H, W)"


def chained(states: Iterable[State]) -> State:
    """The states of a network in one.  A buffer updated twice, by a layer called twice, is updated in turn."""
    tensors: dict[str, Tensor] = {}
    equations: list[Equation] = []
    newest: dict[str, str] = {}
    for state in states:
        equations += [redirected(equation, newest) for equation in state.equations]
        tensors |= {t.name: t for t in state.tensors}
        newest |= state.updates
    handed_out = set(newest.values())
    return State(
        tuple(replace(t, kind="result") if t.name in handed_out else t for t in tensors.values()),
        tuple(equations),
        newest,
    )

"""Recurrent layers: equations that read themselves one step earlier.

Parameters have PyTorch's shapes, names and gate order.  The state before the first step is
0, or the input `h_0`; the backward direction of a bidirectional layer reads one step later.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, ClassVar

from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Tensor
from symnet.model import activations
from symnet.model.layers.base import Node
from symnet.model.layers.checks import checked_flags, checked_init
from symnet.model.layers.slots import Slotted
from symnet.model.layers.spelling import Site, Spelling, described
from symnet.support.errors import ShapeError
from symnet.support.options import integer

REVERSE = "_reverse"
"""What PyTorch puts behind the names of the backward direction."""


@dataclass(frozen=True)
class Direction:
    """One direction in time, with the texts that depend on it.

    suffix: of all names.  back: the step before.  first, last: the steps at its ends.
    hidden: the name of the hidden state.  given: the inputs of the layer.
    """

    suffix: str
    back: str
    first: str
    last: str
    hidden: str
    given: frozenset[str]
    biased: bool

    def previous(self, state: str, initial: str) -> str:
        """The state of the step before, at n and k."""
        read = f"{state}[n,{self.back},k]"
        initial += self.suffix
        return f"({read} + [t = {self.first}]*{initial}[n,k])" if initial in self.given else read

    def input_sum(self, row: str) -> str:
        """What the input adds to the pre-activations; `row` are the weight's first subscripts."""
        s = self.suffix
        bias = f"bias_ih{s}[{row}] + " if self.biased else ""
        return f"{bias}sum[i](weight_ih{s}[{row},i]*x[n,t,i])"

    def state_sum(self, row: str) -> str:
        """What the state before adds to the pre-activations."""
        s = self.suffix
        bias = f"bias_hh{s}[{row}] + " if self.biased else ""
        return f"{bias}sum[j](weight_hh{s}[{row},j]*{self.hidden}[n,{self.back},j])"

    def initial_sum(self, target: str, gate: str, row: str) -> list[str]:
        """The equation by which a given initial state adds to the first step's pre-activations."""
        s = self.suffix
        if f"h_0{s}" not in self.given:
            return []
        return [f"{target}{s}[n,{self.first},{gate}] += sum[j](weight_hh{s}[{row},j]*h_0{s}[n,j])"]

    def kept(self, state: str, initial: str, value: str) -> str:
        """`value` where the mask holds, the state of the step before elsewhere."""
        return f"where(mask[n,t], {value}, {self.previous(state, initial)})" if "mask" in self.given else value


@dataclass(frozen=True, eq=False)
class Recurrent(Slotted, abstract=True):
    """The layers SimpleRNN, GRU and LSTM.

    x: (N, T, I) -> y: (N, T, units), or (N, units), the last step's, with return_sequences=False.
    bidirectional: a second direction from the end to the start; its values follow the others on the last axis.
    return_state: a call gives (y, h_n), or (y, h_n, c_n) for an LSTM, the states after the last step (N, units),
        followed by those of the backward direction.

    Further inputs, by name: `h_0`, `c_0` (N, units), the state before the first step (and
    `h_0_reverse`, `c_0_reverse`); `mask`, boolean (N, T), true at the steps that belong to a
    sequence: elsewhere the state stays as it is and y is 0.
    """

    units: int
    _: KW_ONLY
    return_sequences: bool = True
    return_state: bool = False
    bidirectional: bool = False
    use_bias: bool = True
    init: str | Mapping[str, str] | None = None
    trainable: bool = True

    gates: ClassVar[int] = 1
    states: ClassVar[tuple[str, ...]] = ("h",)
    dtypes: ClassVar[Mapping[str, Dtype]] = {"mask": "bool"}

    def __post_init__(self) -> None:
        super().__post_init__()
        integer(f"{self.where}(units=)", self.units)
        checked_flags(
            self.where,
            return_sequences=self.return_sequences,
            return_state=self.return_state,
            bidirectional=self.bidirectional,
            use_bias=self.use_bias,
            trainable=self.trainable,
        )
        checked_init(self.where, self.init, tuple(self._parameters()), "weight_hh")

    def __call__(self, *nodes: Node, **named: Node) -> Any:
        """The node of y; with return_state=True a tuple of y and the last states."""
        outputs = self.outputs(nodes, named)
        return outputs if self.return_state else outputs[0]

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffix of the names of each direction."""
        return ("", REVERSE) if self.bidirectional else ("",)

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return ("x", *(f"{state}_0{s}" for s in self.suffixes for state in self.states), "mask")

    @abstractmethod
    def direction(self, d: Direction) -> list[str]:
        """The equations of one direction."""

    def spell(self, inputs: tuple[Tensor, ...], site: Site) -> Spelling:
        """See the class; ShapeError for inputs of other shapes."""
        self._check_shapes(f"{self.kind} '{site.name}'", dict(zip(site.roles, inputs, strict=True)))
        steps = inputs[0].shape[1]
        given = frozenset(site.roles)
        direct = self.return_sequences and not self.bidirectional and "mask" not in given
        forward = Direction("", "t-1", "0", str(steps - 1), "y" if direct else "h", given, self.use_bias)
        backward = Direction(REVERSE, "t+1", str(steps - 1), "0", f"h{REVERSE}", given, self.use_bias)
        directions = [forward, backward][: len(self.suffixes)]
        lines = [line for d in directions for line in self.direction(d)]
        lines += self._output(directions, "mask" in given, direct)
        further = []
        for d in directions if self.return_state else []:
            for state in self.states:
                name = d.hidden if state == "h" else state + d.suffix
                lines.append(f"{state}_n{d.suffix}[n,k] = {name}[n,{d.last},k]")
                further.append(f"{state}_n{d.suffix}")
        names, units = self._parameters(), int(self.units)
        return Spelling(
            text="\n".join(lines),
            inputs=site.roles,
            params=names,
            sizes={"k": units, "j": units, "m": units * len(directions), "q": self.gates, "g": 2},
            init=checked_init(self.where, self.init, tuple(names), "weight_hh"),
            regularized=tuple(name for name in names if name.startswith("weight")),
            further=tuple(further),
        )

    def _output(self, directions: list[Direction], masked: bool, direct: bool) -> list[str]:
        """The equation of y: both directions one after the other, 0 where the mask does not hold."""
        if direct:
            return []
        units, k = int(self.units), "m" if self.bidirectional else "k"
        shifted = (k, f"{k}-{units}")
        if not self.return_sequences:
            reads = [f"{d.hidden}[n,{d.last},{at}]" for d, at in zip(directions, shifted, strict=False)]
            return [f"y[n,{k}] = {' + '.join(reads)}"]
        reads = [f"{d.hidden}[n,t,{at}]" for d, at in zip(directions, shifted, strict=False)]
        value = " + ".join(reads)
        return [f"y[n,t,{k}] = {f'where(mask[n,t], {value}, 0)' if masked else value}"]

    def _parameters(self) -> dict[str, str]:
        """The subscripts of each parameter; the rows of a weight are (gate, unit)."""
        row = "k" if self.gates == 1 else "(q,k)"
        names: dict[str, str] = {}
        for s in self.suffixes:
            names |= {f"weight_ih{s}": f"{row},i", f"weight_hh{s}": f"{row},j"}
            names |= {f"bias_ih{s}": row, f"bias_hh{s}": row} if self.use_bias else {}
        return names

    def _check_shapes(self, where: str, given: Mapping[str, Tensor]) -> None:
        x = given["x"]
        if len(x.shape) != 3:
            raise ShapeError(f"{where}: expected x of 3 axes (N, time, features), got {described(x)}")
        expected = {"mask": x.shape[:2]} | dict.fromkeys(self.slots[1:-1], (x.shape[0], Affine.of(int(self.units))))
        for name, tensor in given.items():
            if name != "x" and tensor.shape != expected[name]:
                wanted = ", ".join(map(str, expected[name]))
                raise ShapeError(f"{where}: expected {name} of the shape ({wanted}), got {described(tensor)}")


@dataclass(frozen=True, eq=False)
class SimpleRNN(Recurrent):
    """h[n,t,k] = tanh(b[k] + sum[i](weight_ih[k,i]*x[n,t,i]) + sum[j](weight_hh[k,j]*h[n,t-1,j])), Elman's network.

    activation: "tanh", "relu", or any other name or formula in one variable.
    Parameters: weight_ih (units, I), weight_hh (units, units), bias_ih, bias_hh (units).
    """

    activation: str = field(default="tanh", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        activations.checked(f"{self.where}(activation=)", self.activation)

    def direction(self, d: Direction) -> list[str]:
        """See the class."""
        s = d.suffix
        value = activations.apply(self.activation, f"z{s}[n,t,k]")
        lines = [
            f"z{s}[n,t,k] = {d.input_sum('k')} + {d.state_sum('k')}",
            *d.initial_sum("z", "k", "k"),
        ]
        if "mask" in d.given:
            lines.append(f"candidate{s}[n,t,k] = {value}")
            value = f"candidate{s}[n,t,k]"
        return [*lines, f"{d.hidden}[n,t,k] = {d.kept(d.hidden, 'h_0', value)}"]


@dataclass(frozen=True, eq=False)
class GRU(Recurrent):
    """Cho's gated recurrent unit, with PyTorch's equations and gate order (reset, update, candidate).

    h[n,t,k] = (1-u)*candidate + u*h[n,t-1,k], candidate = tanh(a + r*b), where a and b are what the
    input and the state add to the pre-activations, and r, u the sigmoids of such sums.
    Parameters: weight_ih (3*units, I), weight_hh (3*units, units), bias_ih, bias_hh (3*units).
    """

    gates: ClassVar[int] = 3

    def direction(self, d: Direction) -> list[str]:
        """See the class."""
        s = d.suffix
        at = "n,t,k"
        update = f"update_gate{s}[{at}]"
        value = f"(1 - {update})*candidate{s}[{at}] + {update}*{d.previous(d.hidden, 'h_0')}"
        return [
            f"z_ih{s}[n,t,q,k] = {d.input_sum('(q,k)')}",
            f"z_hh{s}[n,t,q,k] = {d.state_sum('(q,k)')}",
            *d.initial_sum("z_hh", "q,k", "(q,k)"),
            f"z{s}[n,t,g,k] = z_ih{s}[n,t,g,k] + z_hh{s}[n,t,g,k]",
            f"reset_gate{s}[{at}] = sigmoid(z{s}[n,t,0,k])",
            f"update_gate{s}[{at}] = sigmoid(z{s}[n,t,1,k])",
            f"z_candidate{s}[{at}] = z_ih{s}[n,t,2,k] + reset_gate{s}[{at}]*z_hh{s}[n,t,2,k]",
            f"candidate{s}[{at}] = tanh(z_candidate{s}[{at}])",
            f"{d.hidden}[{at}] = {d.kept(d.hidden, 'h_0', value)}",
        ]


@dataclass(frozen=True, eq=False)
class LSTM(Recurrent):
    """The long short-term memory, with PyTorch's equations and gate order (input, forget, candidate, output).

    c[n,t,k] = f*c[n,t-1,k] + i*g, h[n,t,k] = o*tanh(c[n,t,k]); i, f, o are sigmoids and g is the tanh of
    sums over the input and the state before.
    Parameters: weight_ih (4*units, I), weight_hh (4*units, units), bias_ih, bias_hh (4*units).
    """

    gates: ClassVar[int] = 4
    states: ClassVar[tuple[str, ...]] = ("h", "c")

    def direction(self, d: Direction) -> list[str]:
        """See the class."""
        s, cell, at = d.suffix, f"c{d.suffix}", "n,t,k"
        memory = f"forget_gate{s}[{at}]*{d.previous(cell, 'c_0')} + input_gate{s}[{at}]*candidate{s}[{at}]"
        return [
            f"z{s}[n,t,q,k] = {d.input_sum('(q,k)')} + {d.state_sum('(q,k)')}",
            *d.initial_sum("z", "q,k", "(q,k)"),
            f"input_gate{s}[{at}] = sigmoid(z{s}[n,t,0,k])",
            f"forget_gate{s}[{at}] = sigmoid(z{s}[n,t,1,k])",
            f"candidate{s}[{at}] = tanh(z{s}[n,t,2,k])",
            f"output_gate{s}[{at}] = sigmoid(z{s}[n,t,3,k])",
            f"{cell}[{at}] = {d.kept(cell, 'c_0', memory)}",
            f"{d.hidden}[{at}] = {d.kept(d.hidden, 'h_0', f'output_gate{s}[{at}]*tanh({cell}[{at}])')}",
        ]

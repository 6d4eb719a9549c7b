"""Small recurrent networks with their arrays, and the same in PyTorch, float64."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

import symnet as sn
from codegen.oracle.interpret import interpret
from symnet.differentiate.reverse import gradient
from torch_or_skip import torch

Arrays = dict[str, np.ndarray]
BATCH, STEPS, FEATURES, UNITS = 2, 3, 2, 2

TWINS = {"SimpleRNN": torch.nn.RNN, "GRU": torch.nn.GRU, "LSTM": torch.nn.LSTM}


@dataclass(frozen=True)
class Sequence:
    """A recurrent layer on random arrays; the loss is the sum of its values against fixed weights."""

    kind: str
    bidirectional: bool = False
    return_sequences: bool = True
    use_bias: bool = True
    initial: bool = False
    masked: bool = False
    returned: str = ""
    """The state that the loss reads, such as "h_n"; by default it reads y."""
    options: dict[str, str] = field(default_factory=dict)

    def model(self) -> sn.Model:
        """The layer between its inputs and the loss, by formulas."""
        x = sn.Input(("T", FEATURES), name="x")
        layer = getattr(sn, self.kind)(
            UNITS,
            bidirectional=self.bidirectional,
            return_sequences=self.return_sequences,
            use_bias=self.use_bias,
            return_state=bool(self.returned),
            **self.options,
        )
        named = {}
        if self.masked:
            named["mask"] = sn.Input("T", name="mask", dtype="bool")
        if self.initial:
            named |= {name: sn.Input(UNITS, name=name) for name in layer.slots[1:-1]}
        result = layer(x, **named)
        if self.returned:
            names = [f"{s}_n{suffix}" for suffix in layer.suffixes for s in layer.states]
            result = result[1 + names.index(self.returned)]
        reduction = "sum_over_time" if self.return_sequences and not self.returned else "mean"
        return sn.Model([x, *named.values()], result, loss=sn.SquaredError(reduction))

    def arrays(self, model: sn.Model, seed: int = 0) -> Arrays:
        """Random arrays for every input, parameter and the target."""
        rng = np.random.default_rng(seed)
        known = {"N": BATCH, "T": STEPS}
        arrays = {}
        for tensor in model.program.tensors:
            if tensor.kind in ("input", "parameter"):
                arrays[tensor.name] = rng.normal(size=[e.evaluate(known) for e in tensor.shape])
        if self.masked:
            arrays["mask"] = np.arange(STEPS) < np.array([[STEPS], [STEPS - 1]])
        return arrays


def interpreted(model: sn.Model, arrays: Arrays) -> tuple[float, Arrays, Arrays]:
    """(loss, outputs by name, gradients by name of parameter and float input), by the interpreter."""
    wanted = [t.name for t in model.program.tensors if t.kind in ("input", "parameter") and t.dtype == "float"]
    wanted.remove("target")
    values = interpret(gradient(model.program, wanted), arrays)
    return float(values["loss"]), values, {name: values[f"d_{name}"] for name in wanted}


def twin(case: Sequence, arrays: Arrays) -> tuple[float, np.ndarray, Arrays]:
    """(loss, output, gradients) as PyTorch computes them."""
    rest = {"nonlinearity": case.options["activation"]} if "activation" in case.options else {}
    layer = TWINS[case.kind](
        FEATURES, UNITS, bias=case.use_bias, batch_first=True, bidirectional=case.bidirectional, **rest
    ).double()
    name = f"{case.kind.lower()}_1"
    named = {f"{name}.{n.replace('_l0', '')}": p for n, p in layer.named_parameters()}
    with torch.no_grad():
        for full, parameter in named.items():
            parameter.copy_(torch.tensor(arrays[full]))
    leaves = {
        n: torch.tensor(a, requires_grad=True) for n, a in arrays.items() if n == "x" or n.startswith(("h_0", "c_0"))
    }
    suffixes = ("", "_reverse") if case.bidirectional else ("",)
    state = None
    if case.initial:
        parts = [
            torch.stack([leaves[f"{s}_0{suffix}"] for suffix in suffixes])
            for s in ("h", "c")[: 1 + (case.kind == "LSTM")]
        ]
        state = tuple(parts) if case.kind == "LSTM" else parts[0]
    x: object = leaves["x"]
    if case.masked:
        lengths = torch.tensor(arrays["mask"].sum(axis=1))
        x = torch.nn.utils.rnn.pack_padded_sequence(leaves["x"], lengths, batch_first=True, enforce_sorted=False)
    y, last = layer(x, state)
    if case.masked:
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=True, total_length=STEPS)
    h_n = last[0] if case.kind == "LSTM" else last
    if case.returned:
        source = last[1] if case.returned.startswith("c") else h_n
        y = source[1 if case.returned.endswith("reverse") else 0]
    elif not case.return_sequences:
        y = torch.cat(list(h_n), -1)
    loss = ((y - torch.tensor(arrays["target"])) ** 2).sum() / BATCH
    everything = {**leaves, **named}
    grads = torch.autograd.grad(loss, list(everything.values()), allow_unused=True)
    found = {n: np.zeros(arrays[n].shape) if g is None else g.numpy() for n, g in zip(everything, grads, strict=True)}
    return float(loss.detach()), y.detach().numpy(), found

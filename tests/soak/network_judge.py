"""What a drawn network is judged by: two interpreters of its equations, differences, and its own other functions.

values       outputs in training and in use, the loss, every gradient: the generated module against the equations
differences  gradients against central differences of the declared equations' loss
hvp, jvp     against differences of gradients and outputs
repeated     weights of samples against samples that are there several times
step         make_step's parameters and buffers after two steps, against the optimizer's rule in NumPy
class_weight train's factors by class against sample weights
PyTorch      its layers, losses and gradients, where tests/torch_twin.py has them
workers      train with two processes against train with one
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

import symnet as sn
from codegen.equation import Program
from codegen.interpret import interpret
from soak import grid
from soak.kinds import Verdict, refusal
from soak.network_case import Case
from soak.network_data import Arrays, Data, data_for
from soak.network_module import loaded
from soak.network_optimizers import PROPORTIONAL, RATES, stepped
from soak.network_torch import HAS_TORCH, computed, has_twin
from symnet.derive.network import derived

TOLERANCE = {"float64": 1e-8, "float32": 2e-4}
"""Of an array: the largest error over its scale."""
INTERPRETED = 4000
"""Points of all boxes up to which the interpreter judges too; the judge of `grid` always does."""
WILD = 1e6
"""Values beyond this say nothing about rounding."""
SEED = 5
"""Of the noise."""


class WrongError(Exception):
    """A judge disagrees: what, and the detail."""


@dataclass
class Found:
    """A compiled case with its data and what the judges say of it."""

    case: Case
    model: sn.Model
    module: ModuleType
    data: Data
    noise: Arrays
    program: Program
    dtype: str
    expected: Arrays = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def arrays(self) -> Arrays:
        return self.data.arrays(self.noise, self.model)

    @property
    def tolerance(self) -> float:
        return TOLERANCE[self.dtype]

    @property
    def weighted(self) -> dict[str, Any]:
        return {} if self.model.weight is None else {"sample_weight": self.data.weights}

    @property
    def directions(self) -> list[str]:
        """The tensors by which there are gradients."""
        inputs = [t.name for t in self.model.inputs if t.dtype == "float"]
        wrt = bool(dict(self.case.compiled).get("wrt_inputs"))
        return [p.name for p in self.model.parameters if p.trainable] + (inputs if wrt else [])


def judge(case: Case, target: str) -> Verdict:
    """See the module; a SymnetError of the declaration or of compiling is a refusal."""
    options = dict(case.compiled)
    try:
        model = case.model()
        net = sn.compile(model, target="numba" if target == "numba-python" else target, **options)
        module = loaded(net, target == "numba-python")
    except sn.SymnetError as error:
        return Verdict("refused", f"{type(error).__name__}: {refusal(str(error))}", str(error))
    model = net.model
    data = data_for(case, model)
    program = derived(model, bool(options.get("wrt_inputs")))
    found = Found(case, model, module, data, _noise(module, model, data), program, net.dtype)
    found.expected = grid.run(program, found.arrays, data.sizes)
    if wild(found.expected.values()):
        return Verdict("accepted", notes=("wild values, not compared",))
    try:
        for check in checks(found):
            with np.errstate(all="ignore"):
                check(found)
    except WrongError as error:
        return Verdict("failed", error.args[0], error.args[1], notes=tuple(found.notes))
    return Verdict("accepted", notes=tuple(found.notes))


def checks(found: Found) -> list[Callable[[Found], None]]:
    """What is judged of a case, the cheapest first."""
    wanted: list[Callable[[Found], None]] = [_values, _in_use, _interpreter]
    options = dict(found.case.compiled)
    if found.model.loss:
        wanted.append(_differences)
        wanted += [_curvature] if options.get("hvp") else []
        wanted += [check for name, check in CHECKS.items() if name in found.case.checks]
    return wanted


def wild(arrays: Any) -> bool:
    return any(a.dtype.kind == "f" and not (np.abs(a).max(initial=0.0) < WILD) for a in map(np.asarray, arrays))


def close(found: Found, what: str, got: Any, want: Any, scale: float = 0.0, tolerance: float | None = None) -> None:
    """WrongError unless `got` is `want` up to rounding."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise WrongError(f"wrong shape of {what.partition(' of ')[0]}", f"{what}: {got.shape}, expected {want.shape}")
    scale = max(scale, float(np.abs(want).max(initial=0.0)), 1e-3)
    error = np.abs(got - want).max(initial=0.0)
    if not error <= (tolerance or found.tolerance) * scale + rounding(found, what):
        shown = f"{got.ravel()[:6]}, expected {want.ravel()[:6]}"
        raise WrongError(f"wrong {what.partition(' of ')[0]}", f"{what}: error {error:.3g}; {shown}")


def rounding(found: Found, what: str) -> float:
    """What single precision may change: how far the equations move as their arrays are rounded."""
    return 0.0 if found.dtype == "float64" else 20 * _moved(found)


def _moved(found: Found) -> float:
    if "_moved" not in found.__dict__:
        rng = np.random.default_rng(0)
        largest = 0.0
        for _ in range(3):
            arrays = {
                k: a * (1 + 1e-6 * rng.normal(size=a.shape)) if a.dtype.kind == "f" else a
                for k, a in found.arrays.items()
                if k not in found.noise
            }
            other = grid.run(found.program, {**found.arrays, **arrays}, found.data.sizes)
            names = [o.name for o in found.model.outputs] + [f"d_{n}" for n in found.directions] + ["loss"]
            for name in names:
                if name in other:
                    largest = max(largest, float(np.abs(other[name] - found.expected[name]).max(initial=0.0)))
        found.__dict__["_moved"] = largest
    return float(found.__dict__["_moved"])


def _noise(module: ModuleType, model: sn.Model, data: Data) -> Arrays:
    """The noise that the module draws for SEED."""
    if not model.noise:
        return {}
    w = module.Workspace(**data.sizes)
    module._draw_noise_of(w, SEED)
    by_attribute = dict(zip(module.NOISE, model.noise, strict=True))
    return {tensor.name: np.array(getattr(w, attribute), float) for attribute, tensor in by_attribute.items()}


def outputs_of(found: Found, values: Mapping[str, np.ndarray]) -> Arrays:
    return {t.name: values[t.name] for t in found.model.outputs}


def by_name(found: Found, value: Any) -> Arrays:
    """What `forward` gives, by the outputs' names."""
    return value if isinstance(value, dict) else {found.model.output.name: value}


# --- the judges -------------------------------------------------------------------------------------


def _values(found: Found) -> None:
    """Outputs in training, loss and gradients; twice, with another batch in between; nothing given is changed."""
    module, data = found.module, found.data
    kept = {k: a.copy() for k, a in data.params.items()}
    got = by_name(found, module.forward(data.params, data.x, training=True, seed=SEED))
    for name, want in outputs_of(found, found.expected).items():
        close(found, f"forward of {name}", got[name], want)
    if not found.model.loss:
        return
    want_loss = found.expected["loss"]
    close(found, "loss", module.loss(data.params, data.x, data.y, seed=SEED, **found.weighted), want_loss)
    loss, grads = module.loss_and_grads(data.params, data.x, data.y, seed=SEED, **found.weighted)
    close(found, "loss", loss, want_loss)
    if list(grads) != found.directions:
        raise WrongError("wrong names of gradients", f"{list(grads)}, expected {found.directions}")
    scale = gradient_scale(found)
    for name in found.directions:
        close(found, f"gradient of {name}", grads[name], found.expected[f"d_{name}"], 1e-3 * scale)
    again = module.loss_and_grads(data.params, data.x, data.y, seed=SEED, **found.weighted)[1]
    for name in found.directions:
        if not np.array_equal(again[name], grads[name], equal_nan=True):
            raise WrongError("a second call differs", f"gradient of {name}: {again[name]}, first {grads[name]}")
    for name, array in kept.items():
        if not np.array_equal(array, data.params[name]):
            raise WrongError("a parameter was changed", name)


def gradient_scale(found: Found) -> float:
    return max((float(np.abs(found.expected[f"d_{n}"]).max(initial=0.0)) for n in found.directions), default=0.0)


def _in_use(found: Found) -> None:
    """Outputs and loss without noise and with running statistics."""
    module, data = found.module, found.data
    values = grid.run(found.model.evaluation, data.arrays({}, found.model), data.sizes)
    if wild(values.values()):
        found.notes.append("wild values in use")
        return
    got = by_name(found, module.forward(data.params, data.x))
    for name, want in outputs_of(found, values).items():
        close(found, f"forward in use of {name}", got[name], want)
    if found.model.loss:
        loss = module.loss(data.params, data.x, data.y, training=False, **found.weighted)
        close(found, "loss in use", loss, values["loss"])


def _interpreter(found: Found) -> None:
    """The interpreter says what `grid` says."""
    points = sum(
        int(np.prod([extent.evaluate(found.data.sizes) for _, extent in e.box])) for e in found.program.equations
    )
    if points > INTERPRETED:
        found.notes.append("too many points for the interpreter")
        return
    values = interpret(found.program, found.arrays, found.data.sizes)
    names = [*outputs_of(found, values), *(["loss"] if found.model.loss else [])]
    names += [f"d_{name}" for name in found.directions] if found.model.loss else []
    for name in names:
        got, want = found.expected[name], values[name]
        scale = max(1e-3, float(np.abs(want).max(initial=0.0)))
        if not np.abs(got - want).max(initial=0.0) <= 1e-9 * scale:
            raise WrongError("the interpreters differ", f"{name}: {got.ravel()[:6]} and {want.ravel()[:6]}")


def _differences(found: Found) -> None:
    """The gradients along random directions against central differences of the loss of the declared equations."""
    rng = np.random.default_rng(found.case.seed + 1)
    for _ in range(2):
        v = {name: rng.normal(size=found.arrays[name].shape) for name in found.directions}
        if not any(a.size for a in v.values()):
            return

        def loss(step: float, v: Arrays = v) -> float:
            moved = {name: found.arrays[name] + step * v[name] for name in v}
            return float(grid.run(found.model.program, {**found.arrays, **moved}, found.data.sizes)["loss"])

        slope = sum(float((found.expected[f"d_{n}"] * a).sum()) for n, a in v.items())
        scale = sum(float(np.abs(found.expected[f"d_{n}"] * a).sum()) for n, a in v.items())
        kept = slope_of(loss, slope, max(scale, 1e-3 * (1 + abs(float(found.expected["loss"])))))
        if kept == "kink":
            found.notes.append("kink")
        elif kept:
            raise WrongError("the derivation is wrong", f"slope {slope:.9g}, differences {kept}")


def slope_of(function: Callable[[float], Any], slope: Any, scale: float, tolerance: float = 2e-6) -> str:
    """ "" where the central differences of `function` at 0 are `slope`, "kink" where they are none, else they."""
    estimates = []
    for step in (1e-4, 1e-5):
        ahead, behind = np.asarray(function(step)), np.asarray(function(-step))
        estimates.append((ahead - behind) / (2 * step))
        if np.abs(estimates[-1] - slope).max(initial=0.0) <= tolerance * scale:
            return ""
    if not all(np.isfinite(e).all() for e in estimates):
        return "kink"
    # A third step, closer by far than a kink that the two others jumped over; its own rounding is larger.
    near = (np.asarray(function(1e-6)) - np.asarray(function(-1e-6))) / 2e-6
    if np.abs(near - slope).max(initial=0.0) <= 50 * tolerance * scale:
        return ""
    here = np.asarray(function(0.0))
    sides = [(np.asarray(function(s * 1e-5)) - here) / (s * 1e-5) for s in (1, -1)]
    if np.abs(sides[0] - sides[1]).max(initial=0.0) > 1e-2 * scale:
        return "kink"
    if np.abs(estimates[0] - estimates[1]).max(initial=0.0) > tolerance * scale:
        return "kink"
    return str([e.tolist() if e.size < 6 else e.ravel()[:6].tolist() for e in estimates])


def _curvature(found: Found) -> None:
    """hvp against differences of the derived gradients, jvp against those of the outputs in use."""
    rng = np.random.default_rng(found.case.seed + 2)
    names = [p.name for p in found.model.parameters if p.trainable]
    data = found.data
    v = {name: rng.normal(size=data.params[name].shape) for name in names}
    if not names:
        return
    got = found.module.hvp(data.params, data.x, data.y, v, seed=SEED, **found.weighted)

    def gradient(step: float) -> np.ndarray:
        moved = {name: data.params[name] + step * v[name] for name in names}
        values = grid.run(found.program, {**found.arrays, **moved}, data.sizes)
        return np.concatenate([values[f"d_{name}"].ravel() for name in names])

    whole = np.concatenate([np.asarray(got[name], float).ravel() for name in names])
    _slopes(found, "hvp", gradient, whole)

    def output(step: float) -> np.ndarray:
        moved = {name: data.params[name] + step * v[name] for name in names}
        values = grid.run(found.model.evaluation, {**data.arrays({}, found.model), **moved}, data.sizes)
        return np.concatenate([a.ravel() for a in outputs_of(found, values).values()])

    _, tangents = found.module.jvp(data.params, data.x, v)
    by = by_name(found, tangents)
    _slopes(found, "jvp", output, np.concatenate([by[t.name].ravel() for t in found.model.outputs]))


def _slopes(found: Found, what: str, function: Callable[[float], np.ndarray], slope: np.ndarray) -> None:
    scale = float(np.abs(slope).max(initial=0.0)) + 1e-2 * (1 + float(np.abs(function(0.0)).max(initial=0.0)))
    scale += rounding(found, what) * 1e4
    kept = slope_of(function, slope, scale, tolerance=1e-5 if found.dtype == "float64" else 5e-3)
    if kept == "kink":
        found.notes.append(f"kink of {what}")
    elif kept:
        raise WrongError(f"wrong {what}", f"{slope.ravel()[:6]}, differences {kept}")


def _repeated(found: Found) -> None:
    """Whole weights are samples that are there so many times, where the loss is a mean over them."""
    module, data = found.module, found.data
    if found.model.weight is None or module.ROWS != "independent" or found.model.noise or found.model.l2:
        return
    count = np.random.default_rng(found.case.seed).integers(0, 3, data.sizes["N"])
    if not count.any():
        return
    first = module.loss_and_grads(data.params, data.x, data.y, sample_weight=count)
    x = {k: np.repeat(a, count, axis=0) for k, a in data.x.items()}
    y = {k: np.repeat(a, count, axis=0) for k, a in data.y.items()} if isinstance(data.y, dict) else None
    y = np.repeat(data.y, count, axis=0) if y is None else y
    second = module.loss_and_grads(data.params, x, y)
    share = count.sum() / len(count)
    close(found, "loss of repeated samples", first[0], second[0] * share)
    for p in found.model.parameters:
        if p.trainable:
            want = second[1][p.name] * share
            close(
                found, f"gradient of repeated samples, {p.name}", first[1][p.name], want, 1e-3 * gradient_scale(found)
            )


def _step(found: Found) -> None:
    """Two steps of an optimizer go as PyTorch's would on the derived gradients, and move the buffers."""
    module, data, rule = found.module, found.data, found.case.optimizer
    trained = [p.name for p in found.model.parameters if p.trainable]
    if found.model.noise or not trained:
        return
    params, states, rate = dict(data.params), {}, RATES[rule]
    expected, sure = found.expected, dict.fromkeys(trained, True)
    with module.make_step(data.params, batch_size=data.sizes["N"], optimizer=rule, learning_rate=rate) as step:
        for number in (1, 2):
            loss = step(data.x, data.y, **found.weighted)
            close(found, f"loss of step {number}", loss, expected["loss"])
            for name in trained:
                g = expected[f"d_{name}"]
                # Where a gradient is all rounding, an adaptive rule makes a whole step of it.
                sure[name] &= (rule in PROPORTIONAL) | (np.abs(g) > 1e-5 * gradient_scale(found)) | (g == 0)
                params[name] = stepped(rule, params[name], g, states.setdefault(name, {}), number, rate)
            params |= {buffer: expected[new] for buffer, new in found.model.updates.items()}
            expected = grid.run(found.program, {**found.arrays, **params}, data.sizes)
            if wild(expected.values()):
                return
        after = step.params()
    for name, want in params.items():
        where = sure.get(name, True)
        close(found, f"parameter after two steps, {name}", after[name] * where, want * where, gradient_scale(found))


def _workers(found: Found) -> None:
    """Two processes learn what one does."""
    module, data = found.module, found.data
    if found.model.noise or found.model.buffers or module.ROWS != "independent" or data.sizes["N"] < 2:
        return
    if not any(p.trainable for p in found.model.parameters):
        return
    rule = found.case.optimizer
    options = {"epochs": 1, "batch_size": data.sizes["N"], "optimizer": rule, "learning_rate": RATES[rule], "seed": 3}
    one, _ = module.train(data.params, data.x, data.y, **options)
    two, _ = module.train(data.params, data.x, data.y, workers=2, **options)
    for p in found.model.parameters:
        close(found, f"parameter learnt by two workers, {p.name}", two[p.name], one[p.name], gradient_scale(found))


def _class_weight(found: Found) -> None:
    """train's class_weight is a sample_weight by label, with the mean 1."""
    module, data = found.module, found.data
    labels = np.asarray(data.y)
    single = not module.OUTPUTS and module.DECISION is not None and labels.size == data.sizes["N"]
    if not single or found.model.noise or found.model.weight is None:
        return
    if not any(p.trainable for p in found.model.parameters) or labels.shape != (labels.size,):
        return
    table = {label: 0.5 + k for k, label in enumerate(np.unique(labels).tolist())}
    weights = np.array([table[label] for label in labels.tolist()])
    arrays = {**found.arrays, found.model.weight.name: weights / weights.mean()}
    expected = grid.run(found.program, arrays, data.sizes)
    options = {"epochs": 1, "batch_size": data.sizes["N"], "optimizer": "sgd", "learning_rate": 0.125}
    after, _ = module.train(data.params, data.x, data.y, class_weight=table, **options)
    for p in found.model.parameters:
        if p.trainable:
            want = data.params[p.name] - 0.125 * expected[f"d_{p.name}"]
            close(found, f"parameter learnt with class weights, {p.name}", after[p.name], want, gradient_scale(found))


def _torch(found: Found) -> None:
    """PyTorch's layers, where there is a twin of each."""
    data = found.data
    trained = any(p.trainable for p in found.model.parameters)
    if not HAS_TORCH or not trained or not has_twin(found.case):
        found.notes.append("no twin in PyTorch")
        return
    found.notes.append("compared with PyTorch")
    loss, output, grads = computed(found.case, found.model, data.params, data.x, data.y)
    close(found, "loss against PyTorch", found.expected["loss"], loss)
    close(found, "forward against PyTorch", found.expected[found.model.output.name], output)
    for name, gradient in grads.items():
        want = found.expected[f"d_{name}"]
        close(found, f"gradient against PyTorch of {name}", want, gradient, gradient_scale(found))


CHECKS: Mapping[str, Callable[[Found], None]] = {
    "class_weight": _class_weight,
    "PyTorch": _torch,
    "repeated": _repeated,
    "step": _step,
    "workers": _workers,
}
"""Those that a part of the cases has."""

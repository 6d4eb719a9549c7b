"""What a drawn network is judged by: two interpreters of its equations, differences, and its own other functions.

values       outputs in training and in use, the loss, every gradient: the generated module against the equations
differences  gradients against central differences of the declared equations' loss
hvp, jvp     against differences of gradients and outputs
repeated     weights of samples against samples that are there several times
step         make_step's parameters and buffers after two steps, against the optimizer's rule in NumPy
class_weight train's factors by class against sample weights
PyTorch      its layers, losses and gradients, where tests/torch_twin.py has them
workers      train with two processes against train with one

Numbers of any size are compared, each array by its largest.  What is not compared is counted under its
reason: where the equations give no finite numbers, or single precision holds none so large, and where a branch hangs on
rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

import symnet as sn
from codegen.ir.equation import Program
from codegen.oracle.interpret import interpret
from soak import grid
from soak.kinds import Verdict, refusal
from soak.network_case import Case
from soak.network_data import Arrays, Data, data_for
from soak.network_module import loaded
from soak.network_optimizers import PROPORTIONAL, RATES, stepped
from soak.network_torch import HAS_TORCH, computed, has_twin
from soak.rounding import LIMITS, Rounding
from symnet.differentiate.programs import derived

TOLERANCE = {"float64": 1e-8, "float32": 1e-5}
"""Of an array: the largest error over its scale; beyond it, what rounding may do is looked up."""
LEAST = {"float64": 1e-3, "float32": 1.0}
"""The least scale; of gradients, the part of the largest of them.  Functions that level off have values near 1, and
slopes of 1 minus these, so that in single precision small numbers are as far off as 1 is."""
INTERPRETED = 4000
"""Points of all boxes up to which the interpreter judges too; the judge of `grid` always does."""
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
    compared: bool = False
    _roundings: dict[str, Rounding] = field(default_factory=dict)

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

    def rounding(self, in_use: bool = False) -> Rounding:
        """What rounding does to the training program, or to the one without noise and with running statistics."""
        key = "in use" if in_use else "training"
        if key not in self._roundings:
            program = self.model.evaluation if in_use else self.program
            arrays = self.data.arrays({}, self.model) if in_use else self.arrays
            expected = grid.run(program, arrays, self.data.sizes) if in_use else self.expected
            self._roundings[key] = Rounding(program, arrays, self.data.sizes, expected, self.dtype)
        return self._roundings[key]

    def comparable(self, what: str, want: np.ndarray) -> bool:
        """Whether an array of the equations can be compared with; else that is noted, with the reason."""
        reason = "" if np.isfinite(want).all() else "not finite"
        if not reason and want.dtype.kind == "f" and np.abs(want).max(initial=0.0) > LIMITS[self.dtype][1]:
            reason = f"beyond the range of {self.dtype}"
        self.compared |= not reason
        if reason:
            self.notes.append(f"not compared, {reason}: {what.partition(' of ')[0]}")
        return not reason


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
    try:
        for check in checks(found):
            with np.errstate(all="ignore"):
                check(found)
    except WrongError as error:
        return Verdict("failed", error.args[0], error.args[1], notes=tuple(found.notes))
    if not found.compared:
        return Verdict("uncompared", "no finite number", notes=tuple(found.notes))
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


def close(
    found: Found,
    what: str,
    got: Any,
    want: Any,
    scale: float = 0.0,
    *,
    of: str = "",
    in_use: bool = False,
    tolerance: float | None = None,
) -> None:
    """WrongError unless `got` is `want` up to rounding, which is that of the tensor `of`."""
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        raise WrongError(f"wrong shape of {what.partition(' of ')[0]}", f"{what}: {got.shape}, expected {want.shape}")
    if not found.comparable(what, want):
        return
    scale = max(scale, float(np.abs(want).max(initial=0.0)), LEAST[found.dtype])
    errors = np.abs(got - want)
    if not errors.max(initial=0.0) <= (tolerance or found.tolerance) * scale:
        reason = found.rounding(in_use).verdict(of, errors) if of else ""
        if reason:
            found.notes.append(f"{reason}: {what.partition(' of ')[0]}")
            return
        shown = f"{got.ravel()[:6]}, expected {want.ravel()[:6]}"
        raise WrongError(f"wrong {what.partition(' of ')[0]}", f"{what}: error {errors.max():.3g}; {shown}")


def _noise(module: ModuleType, model: sn.Model, data: Data) -> Arrays:
    """The noise that the module draws for SEED."""
    if not model.noise:
        return {}
    w = module.Workspace(*data.sizes.values())  # by place: a size may have another name there
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
        close(found, f"forward of {name}", got[name], want, of=name)
    if not found.model.loss:
        return
    want_loss = found.expected["loss"]
    close(found, "loss", module.loss(data.params, data.x, data.y, seed=SEED, **found.weighted), want_loss, of="loss")
    loss, grads = module.loss_and_grads(data.params, data.x, data.y, seed=SEED, **found.weighted)
    close(found, "loss", loss, want_loss, of="loss")
    if list(grads) != found.directions:
        raise WrongError("wrong names of gradients", f"{list(grads)}, expected {found.directions}")
    scale = LEAST[found.dtype] * gradient_scale(found)
    for name in found.directions:
        close(found, f"gradient of {name}", grads[name], found.expected[f"d_{name}"], scale, of=f"d_{name}")
    again = module.loss_and_grads(data.params, data.x, data.y, seed=SEED, **found.weighted)[1]
    for name in found.directions:
        if not np.array_equal(again[name], grads[name], equal_nan=True):
            raise WrongError("a second call differs", f"gradient of {name}: {again[name]}, first {grads[name]}")
    for name, array in kept.items():
        if not np.array_equal(array, data.params[name]):
            raise WrongError("a parameter was changed", name)


def trainable(found: Found, what: str) -> bool:
    """Whether a training can be compared: what it starts from is finite; noted where not."""
    arrays = [found.expected["loss"], *(found.expected[f"d_{name}"] for name in found.directions)]
    return min(found.comparable(what, np.asarray(array)) for array in arrays)


def gradient_scale(found: Found) -> float:
    sizes = [np.abs(found.expected[f"d_{n}"]).max(initial=0.0) for n in found.directions]
    return max((float(size) for size in sizes if np.isfinite(size)), default=0.0)


def _in_use(found: Found) -> None:
    """Outputs and loss without noise and with running statistics."""
    module, data = found.module, found.data
    values = found.rounding(in_use=True).expected
    got = by_name(found, module.forward(data.params, data.x))
    for name, want in outputs_of(found, values).items():
        close(found, f"forward in use of {name}", got[name], want, of=name, in_use=True)
    if found.model.loss:
        loss = module.loss(data.params, data.x, data.y, training=False, **found.weighted)
        close(found, "loss in use", loss, values["loss"], of="loss", in_use=True)


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
        with np.errstate(invalid="ignore"):
            errors = np.where((got == want) | (np.isnan(got) & np.isnan(want)), 0.0, np.abs(got - want))
        far = not errors.max(initial=0.0) <= 1e-9 * scale
        if far and not found.rounding().verdict(name, errors):
            raise WrongError("the interpreters differ", f"{name}: {got.ravel()[:6]} and {want.ravel()[:6]}")


def _differences(found: Found) -> None:
    """The gradients along random directions against central differences of the loss of the declared equations."""
    if not trainable(found, "differences"):
        return
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
    if found.dtype == "float32":  # of the module's gradients, not of the differences
        arrays = [found.rounding().of(f"d_{name}").max(initial=0.0) for name in found.directions]
        scale += 3e6 * max(map(float, arrays), default=0.0)
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
    close(found, "loss of repeated samples", first[0], second[0] * share, of="loss")
    for p in found.model.parameters:
        if p.trainable:
            want = second[1][p.name] * share
            what, scale = f"gradient of repeated samples, {p.name}", LEAST[found.dtype] * gradient_scale(found)
            close(found, what, first[1][p.name], want, scale, of=f"d_{p.name}")


def _step(found: Found) -> None:
    """Two steps of an optimizer go as PyTorch's would on the derived gradients, and move the buffers.

    The second is judged from where the first has led, so that what rounding decided there counts once.
    """
    module, data, rule = found.module, found.data, found.case.optimizer
    trained = [p.name for p in found.model.parameters if p.trainable]
    if found.model.noise or not trained or not trainable(found, "steps"):
        return
    params, states, rate = dict(data.params), {}, RATES[rule]
    expected, sure = found.expected, dict.fromkeys(trained, True)
    with module.make_step(data.params, batch_size=data.sizes["N"], optimizer=rule, learning_rate=rate) as step:
        for number in (1, 2):
            own = module.loss_and_grads(params, data.x, data.y, **found.weighted)[1]
            close(found, f"loss of step {number}", step(data.x, data.y, **found.weighted), expected["loss"], of="loss")
            after = {name: np.array(array, float) for name, array in step.params().items()}
            for name in trained:
                g = expected[f"d_{name}"]
                sure[name] &= (rule in PROPORTIONAL) | _certain(found, g, own[name])
                want = stepped(rule, params[name], g, states.setdefault(name, {}), number, rate)
                what, where = f"parameter after step {number} of {name}", np.asarray(sure[name], float)
                close(found, what, after[name] * where, want * where, 2 * rate * gradient_scale(found), of=f"d_{name}")
            for buffer, new in found.model.updates.items():
                close(found, f"buffer after step {number} of {buffer}", after[buffer], expected[new], of=new)
            params = after
            expected = grid.run(found.program, {**found.arrays, **params}, data.sizes)
            if not np.isfinite(expected["loss"]):
                found.notes.append("not compared, not finite: second step")
                return


def _certain(found: Found, g: np.ndarray, own: np.ndarray) -> Any:
    """Where a gradient is more than rounding, of which an adaptive rule makes a whole step.

    Of terms that cancel the sum may be exactly 0 in the equations' order, and not in the module's.
    """
    least = 1e-5 if found.dtype == "float64" else 1e-2
    return (np.abs(g) > least * gradient_scale(found)) | ((g == 0) & (own == 0))


def _workers(found: Found) -> None:
    """Two processes learn what one does."""
    module, data = found.module, found.data
    if not trainable(found, "workers"):
        return
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
    if not trainable(found, "class weights"):
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
            what = f"parameter learnt with class weights, {p.name}"
            close(found, what, after[p.name], want, gradient_scale(found), of=f"d_{p.name}")


def _torch(found: Found) -> None:
    """PyTorch's layers, where there is a twin of each."""
    data = found.data
    trained = any(p.trainable for p in found.model.parameters)
    if not HAS_TORCH or not trained or not has_twin(found.case):
        found.notes.append("no twin in PyTorch")
        return
    found.notes.append("compared with PyTorch")
    loss, output, grads = computed(found.case, found.model, data.params, data.x, data.y)
    close(found, "loss against PyTorch", found.expected["loss"], loss, of="loss")
    name = found.model.output.name
    close(found, "forward against PyTorch", found.expected[name], output, of=name)
    for name, gradient in grads.items():
        want = found.expected[f"d_{name}"]
        close(
            found, f"gradient against PyTorch of {name}", want, gradient, 1e-3 * gradient_scale(found), of=f"d_{name}"
        )


CHECKS: Mapping[str, Callable[[Found], None]] = {
    "class_weight": _class_weight,
    "PyTorch": _torch,
    "repeated": _repeated,
    "step": _step,
    "workers": _workers,
}
"""Those that a part of the cases has."""

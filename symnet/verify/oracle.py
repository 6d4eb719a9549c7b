"""`sn.interpret`: every tensor of a network from its equations, by the slow interpreter.

What it computes is read off the equations as they are declared and as the adjoint rule gives them, before any
rewriting; no generated code has a part in it.  So it judges the modules, whose code comes from rewritten equations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from numbers import Integral

import numpy as np
import numpy.typing as npt

from codegen.ir.equation import Dtype, Program, Tensor
from codegen.oracle.interpret import Array
from codegen.oracle.interpret import interpret as computed
from symnet.differentiate.programs import declared
from symnet.model.graph import WEIGHT, Model, model_of
from symnet.model.layers.spelling import described
from symnet.model.objectives import Objective
from symnet.support.arrays import numbers
from symnet.support.errors import DataError, ShapeError, SymnetError, located
from symnet.support.options import flag, shown, strict
from symnet.support.suggest import did_you_mean, listing

KINDS: Mapping[Dtype, str] = {"float": "fiub", "int": "iu", "bool": "b"}
"""The kinds of NumPy dtype that a tensor of each dtype takes."""


@strict
def interpret(
    model: Model,
    arrays: Mapping[str, npt.ArrayLike],
    sizes: Mapping[str, int] | None = None,
    wrt_inputs: bool = False,
    *,
    training: bool | None = None,
    seed: int = 0,
) -> dict[str, Array]:
    """Compute every tensor of `model` from its equations, by loops over their points: slow, obvious, in float64.

    The forward equations and the loss are taken as they were declared, the gradients as the adjoint rule derives them,
    before anything is rewritten.  Use small arrays: each point of each equation's box is a turn of a loop in Python.

    arrays: by name, an array for
      - each input: its declared shape with the batch in front, of its dtype (a float input takes integers, too);
      - each parameter and buffer: its shape, any real dtype;
      - where there is a loss, `target`, or with losses on several outputs `target.<output>` for each: what `y` of the
        module may be, so labels for class numbers, for squared losses on C outputs integer labels in place of one-hot
        rows, and (N,) in place of (N, 1);
      - `sample_weight`, if samples are to have weights: (N,), numbers from 0;
      - in training, each noise tensor by its name (`dropout_1.noise`), numbers in [0, 1).  Those left out are drawn by
        `seed`, as a module in float64 draws them; where one is given, all must be.
    sizes: the value of a symbolic size, such as {"T": 5}; "N" is the batch.  Those left out are read off the arrays.
    wrt_inputs: also the gradients by the float inputs.
    training: whether layers do what they do in training (noise, statistics of the batch) or in use.  By default True
    where there is a loss, as `loss` and `loss_and_grads` of the module do, and else False, as `forward` does.

    Returns an array by tensor name, float64, int64 or bool: inputs, parameters, every tensor between, the outputs, and
    with a loss `loss` (of no axes) and `d_<name>` for each trainable parameter, for each float input with `wrt_inputs`,
    and for each tensor on the way.  In training `<buffer>.next` is what a step makes of a buffer.

    Raises DataError for an array that is missing, unknown (with the nearest name), masked, of a wrong dtype or shape,
    not finite, or out of range; ShapeError for sizes that are unknown or do not fit the arrays; DefinitionError for
    what is no model or no flag; FormulaError for a recurrence that depends on itself.

        x = sn.Input((3,), name="x")
        model = sn.Model(x, sn.Dense(2, name="d")(x), loss=sn.SquaredError())
        params = {"d.weight": np.ones((2, 3)), "d.bias": [0, 1]}
        found = sn.interpret(model, {"x": [[1, 2, 3]], **params, "target": [[5, 5]]})
        found["d"], found["loss"], found["d_d.weight"]     # [[6., 7.]], 5., [[2., 4., 6.], [4., 8., 12.]]
    """
    model_of("interpret", model)
    flag("interpret(wrt_inputs=)", wrt_inputs)
    if not isinstance(arrays, Mapping):
        raise DataError(f"interpret(arrays=): expected a dict {{name: array}}, got {type(arrays).__name__}")
    if WEIGHT in arrays and model.weight is None:
        model = model.weighted()
    training = bool(model.objectives) if training is None else flag("interpret(training=)", training)
    program = _equations(model, wrt_inputs, training)
    given = _Given(model, program, arrays, {} if sizes is None else sizes)
    values = {tensor.name: given.array(tensor) for tensor in given.wanted if tensor.name in given.arrays}
    values |= _noise(model, given, seed) if training else {}
    if model.weight is not None and WEIGHT not in values:
        values[WEIGHT] = np.ones(given.sizes["N"])
    with located("interpret"):
        return computed(program, values, given.sizes)


@lru_cache(maxsize=8)
def _equations(model: Model, wrt_inputs: bool, training: bool) -> Program:
    """Kept for the models used last: numerical derivatives interpret the same equations many times."""
    return declared(model, wrt_inputs, training)


def _noise(model: Model, given: _Given, seed: int) -> dict[str, Array]:
    """The noise that is not given: drawn as the module does it, all from one generator."""
    missing = [t for t in model.noise if t.name not in given.arrays]
    if missing and len(missing) < len(model.noise):
        raise DataError(
            f"interpret(arrays=): {shown(missing[0].name)} is missing; give all of the noise or none of it, "
            "which is drawn from one generator"
        )
    rng = np.random.default_rng(_whole("interpret(seed=)", seed, 0, DataError))
    return {t.name: rng.random([e.evaluate(given.sizes) for e in t.shape]) for t in missing}


class _Given:
    """What the caller hands in, checked: `arrays` by the names of tensors, and every size of the program.

    wanted: the tensors that arrays may be given for, inputs first.
    """

    def __init__(
        self, model: Model, program: Program, arrays: Mapping[str, npt.ArrayLike], sizes: Mapping[str, int]
    ) -> None:
        self.model = model
        self.objectives = {each.target.name: each for each in model.objectives}
        noise = {t.name for t in model.noise}
        self.wanted = [t for t in program.tensors if t.kind in ("input", "parameter")]
        self.arrays = {self._known(name): _array(self._known(name), array) for name, array in arrays.items()}
        for tensor in self.wanted:
            if tensor.name not in self.arrays and tensor.name not in (*noise, WEIGHT):
                raise DataError(
                    f"interpret(arrays=): no array for the {self._what(tensor)} {shown(tensor.name)}, "
                    f"{tensor.dtype} values of shape {described(tensor)}; got {listing(self.arrays) or 'none'}"
                )
        self.sizes = self._found(program, sizes)

    def _known(self, name: object) -> str:
        """The name of the tensor that `name` stands for."""
        names = [t.name for t in self.wanted]
        only = self.model.objectives[0] if len(self.model.objectives) == 1 else None
        if only and name == f"target.{only.output.name}" and name not in names:
            return only.target.name
        if name not in names:
            text = f"interpret(arrays=): '{self.model.name}' has no input or parameter {shown(name)}"
            if not self.model.objectives and str(name).split(".")[0] == "target":
                raise DataError(f"{text}: it has no loss; leave it out, or give Model(..., loss=...)")
            raise DataError(f"{text}{did_you_mean(str(name), names)}; expected {listing(names)}")
        return str(name)

    def _what(self, tensor: Tensor) -> str:
        if tensor.name in self.objectives:
            return "target"
        return "buffer" if any(b.name == tensor.name for b in self.model.buffers) else tensor.kind

    def _found(self, program: Program, sizes: Mapping[str, int]) -> dict[str, int]:
        """Every size: of those given, and of the axes of the inputs."""
        if not isinstance(sizes, Mapping):
            raise DataError(f"interpret(sizes=): expected a dict {{size: number}}, got {shown(sizes)}")
        for name in sizes:
            if name not in program.sizes:
                hint = did_you_mean(str(name), program.sizes)
                raise ShapeError(
                    f"interpret(sizes=): '{self.model.name}' has no size {shown(name)}{hint}; "
                    f"its sizes are {listing(program.sizes)}"
                )
        known = {name: _whole(f"interpret(sizes=): {name}", value, 1, ShapeError) for name, value in sizes.items()}
        for tensor in self.model.inputs:
            array = self.arrays[tensor.name]
            if array.ndim != len(tensor.shape):
                raise DataError(
                    f"interpret(arrays=): the input {shown(tensor.name)}: expected shape {described(tensor)}, "
                    f"got {array.shape}; the first axis counts the samples"
                )
            for extent, length in zip(tensor.shape, array.shape, strict=True):
                name = extent.plain or ""
                if name in sizes and known[name] != length:
                    raise ShapeError(
                        f"interpret(sizes=): {name}={known[name]}, but the input {shown(tensor.name)}, declared "
                        f"{described(tensor)}, has the shape {array.shape}; leave the size out, or make them agree"
                    )
                if name:
                    known.setdefault(name, length)
        for name, length in known.items():
            if not 1 <= length <= self.model.limits.get(name, length):
                most = f" and at most {self.model.limits[name]}" if name in self.model.limits else ""
                raise DataError(f"interpret(arrays=): expected {name} to be at least 1{most}, got {length}")
        return known

    def array(self, tensor: Tensor) -> Array:
        """The array for `tensor`: of its shape and a fitting dtype, finite, in its range."""
        array, what = self.arrays[tensor.name], f"the {self._what(tensor)} {shown(tensor.name)}"
        where = f"interpret(arrays=): {what}"
        if array.dtype.kind not in KINDS[tensor.dtype]:
            hint = "class numbers and tokens are whole: use .astype(int)" if tensor.dtype == "int" else "convert it"
            raise DataError(f"{where}: expected {tensor.dtype} values, got dtype {array.dtype}; {hint}")
        objective = self.objectives.get(tensor.name)
        shape = tuple(extent.evaluate(self.sizes) for extent in tensor.shape)
        if objective:
            array = _fitted(array, shape, objective, where)
        if array.shape != shape:
            found = ", ".join(f"{n}={self.sizes[n]}" for n in dict.fromkeys(n for e in tensor.shape for n in e.names))
            raise DataError(
                f"{where}: expected shape {described(tensor)}{f' with {found}' if found else ''}, got {array.shape}; "
                "nothing is broadcast"
            )
        if tensor.kind == "input":
            self._check_values(tensor, array, where)
        return array

    def _check_values(self, tensor: Tensor, array: Array, where: str) -> None:
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            place = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
            raise DataError(f"{where}: expected finite numbers, got {array[place]} at {place}")
        low, high = self._range(tensor)
        if array.size and not (array.min() >= low and array.max() <= high):
            most = f" to {high}" if math.isfinite(high) else ""
            raise DataError(f"{where}: expected numbers from {low}{most}, got {array.min()} to {array.max()}")
        objective = self.objectives.get(tensor.name)
        if objective and objective.loss.decision == "sign" and not (abs(array) == 1).all():
            raise DataError(f"{where}: expected the targets -1 and 1, got {array.min()} to {array.max()}")

    def _range(self, tensor: Tensor) -> tuple[float, float]:
        """The least and the greatest value that a tensor may have."""
        objective = self.objectives.get(tensor.name)
        if objective and tensor.dtype == "int" and objective.class_axis is not None:
            return 0, objective.output.shape[objective.class_axis].evaluate(self.sizes) - 1
        if objective and objective.loss.decision == "threshold":
            return 0, 1
        if tensor.name in self.model.ranges:
            return 0, self.model.ranges[tensor.name] - 1
        if any(t.name == tensor.name for t in self.model.noise):
            return 0, 1 - 2**-53
        if tensor.dtype == "int":
            return -(2**63), 2**63 - 1
        return (0, math.inf) if tensor is self.model.weight else (-math.inf, math.inf)


def _whole(where: str, value: object, least: int, error: type[SymnetError]) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise error(f"{where}: expected an integer of at least {least}, got {shown(value)}")
    return int(value)


def _array(name: str, value: npt.ArrayLike) -> Array:
    """`value` as an array of numbers that float64 can hold, if they are float."""
    where = f"interpret(arrays=): {shown(name)}"
    array = numbers(where, value)
    if array.dtype.kind != "f" or array.dtype.itemsize <= 8:
        return array
    with np.errstate(over="ignore", under="ignore"):
        held = array.astype(np.float64)
    beyond = array[np.isfinite(array) & ~np.isfinite(held)]
    if beyond.size:
        raise DataError(f"{where}: expected numbers that float64 can hold, got {beyond[0]!s}")
    return held


def _fitted(array: Array, shape: tuple[int, ...], objective: Objective, where: str) -> Array:
    """A target in another spelling that modules take: a column as a vector, labels in place of one-hot rows."""
    if objective.target.dtype != "float" or array.shape == shape:
        return array
    if {array.shape, shape} == {(shape[0],), (shape[0], 1)}:
        return array.reshape(shape)
    classes = shape[-1] if len(shape) == 2 else 1
    if objective.loss.decision is None and classes > 1 and array.shape == shape[:-1] and array.dtype.kind in "iu":
        if array.min() < 0 or array.max() >= classes:
            raise DataError(f"{where}: expected labels from 0 to {classes - 1}, got {array.min()} to {array.max()}")
        return np.asarray(np.eye(classes)[array])
    return array

"""What is given is checked before anything is computed from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from symnet.runtime.head import (
    BUFFERS,
    DECISION,
    DECISIONS,
    DTYPE,
    EXACT,
    INITIALIZERS,
    INPUTS,
    KINDS,
    LABELS,
    LIMITS,
    MODEL,
    NOISE,
    ONE_HOT,
    OUTPUTS,
    PARAMETERS,
    RANGES,
    TARGET,
    TARGET_KINDS,
    TARGETS,
    Workspace,
)

Params = dict[str, np.ndarray]


class DataError(ValueError):
    """What was given does not fit: where, what was expected, and what came."""


def init_params(seed: int = 0) -> Params:
    """Fresh parameters, the same for the same seed: {name: array of DTYPE}."""
    _require("seed", seed, whole=True)
    rng = np.random.default_rng(seed)
    params: Params = {}
    for name, (rule, fan_in, fan_out) in INITIALIZERS.items():
        shape = PARAMETERS[name] if name in PARAMETERS else BUFFERS[name]
        law, _, draw = rule.rpartition("_")
        fan = max(fan_in, 1) + (max(fan_out, 1) if law == "glorot" else 0)
        top = (1 if law == "lecun" else 2) * (3 if draw == "uniform" else 1)
        size = (top / fan) ** 0.5 if law else 1.0
        if draw in ("zeros", "ones"):
            values = np.full(shape, float(draw == "ones"))
        elif draw == "uniform":
            values = rng.uniform(-size, size, shape)
        else:
            values = rng.normal(0.0, size, shape)
        params[name] = np.asarray(values, DTYPE)
    return params


def _params(params: Any, dtype: Any = DTYPE) -> Params:
    """The parameters as C-ordered arrays of `dtype`, in the order of PARAMETERS."""
    shapes = PARAMETERS | BUFFERS if BUFFERS else PARAMETERS
    if not isinstance(params, Mapping) or params.keys() != shapes.keys():
        keys = isinstance(params, Mapping)
        got = ", ".join(map(str, params)) if keys else type(params).__name__
        raise DataError(f"params: expected {', '.join(shapes)}; got {got}")
    arrays = {}
    for name, shape in shapes.items():
        array = _array(f"params: {name}", params[name], "fiu")
        if array.shape != shape:
            size = array.shape
            raise DataError(f"params: {name}: expected shape {shape}, got {size}")
        arrays[name] = np.asarray(array, dtype, order="C")
    return arrays


def _inputs(x: Any) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """The inputs by name, from one array or a dict of arrays, and the sizes they tell."""
    if len(INPUTS) == 1 and not isinstance(x, dict):
        x = dict.fromkeys(INPUTS, x)
    if not isinstance(x, dict) or x.keys() != INPUTS.keys():
        got = ", ".join(map(str, x)) if isinstance(x, dict) else type(x).__name__
        raise DataError(f"x: expected {', '.join(INPUTS)}; got {got}")
    arrays: dict[str, np.ndarray] = {}
    sizes: dict[str, int] = {}
    for name, (sample, kind) in INPUTS.items():
        kinds = {"float": "fiub", "int": "iu", "bool": "b"}[kind]
        array = arrays[name] = _array(f"x: {name}", x[name], kinds)
        shape = ("N", *sample)
        known = [
            sizes.setdefault(extent, size) if isinstance(extent, str) else extent
            for extent, size in zip(shape, array.shape, strict=False)
        ]
        if len(shape) != array.ndim or (*known,) != array.shape or 0 in known:
            wanted = f"({', '.join(map(str, shape))})"
            raise DataError(f"x: {name}: expected shape {wanted}, got {array.shape}")
        if "int" in KINDS and kind == "int":
            held = EXACT.get(name, 2**63 - 1) + 1
            least = 0 if name in RANGES else 1 - held
            _require_range(f"x: {name}", array, least, RANGES.get(name, held))
    if LIMITS:
        for name, limit in LIMITS.items():
            if sizes[name] > limit:
                raise DataError(f"x: expected {name} up to {limit}, got {sizes[name]}")
    return arrays, sizes


def _put_inputs(w: Any, arrays: dict[str, np.ndarray]) -> None:
    """Copy inputs to their places; refuse what is not finite."""
    for name, array in arrays.items():
        out = getattr(w, name)
        out[...] = array
        _require_finite(f"x: {name}", out)


def _put_targets(w: Any, y: Any) -> None:
    """Check targets and copy them to their places."""
    if TARGET is None and not TARGETS:
        raise DataError(f"y: {MODEL} has no loss; give Model(..., loss=...)")
    if TARGETS:
        if not isinstance(y, dict) and len(TARGETS) == 1:
            y = dict.fromkeys(TARGETS, y)
        if not isinstance(y, dict) or y.keys() != TARGETS.keys():
            got = ", ".join(map(str, y)) if isinstance(y, dict) else type(y).__name__
            raise DataError(f"y: expected a dict of {', '.join(TARGETS)}; got {got}")
        for name, (at, (_, kind, classes)) in TARGETS.items():
            _put_target(
                f"y: {name}", getattr(w, at), y[name], kind, classes, OUTPUTS[name][1]
            )
    elif TARGET is not None:
        _put_target("y", w.target, y, TARGET[1], TARGET[2], DECISION)


def _put_target(
    what: str,
    out: np.ndarray,
    y: Any,
    kind: str,
    classes: int | None,
    decision: str | None,
) -> None:
    """Check one target and copy it to its place.  Nothing is broadcast."""
    array = _array(what, y, "iu" if kind == "int" else "fiub")
    if "float" in TARGET_KINDS and kind == "float":
        column = {array.ndim, out.ndim} == {1, 2} and array.size == len(out) == out.size
        array = array.reshape(out.shape) if column else array  # (N,) is (N, 1)
    if ONE_HOT and kind == "float" and classes and array.shape == out.shape[:-1]:
        rows = np.arange(classes) == _array(what, y, "iu")[..., None]
        array = rows if rows.any(-1).all() else array
    if array.shape != out.shape:
        raise DataError(f"{what}: expected shape {out.shape}, got {array.shape}")
    if LABELS and kind == "int" and classes:
        _require_range(what, array, 0, classes)
    out[...] = array
    if "float" in TARGET_KINDS:
        _require_finite(what, out)
    if "threshold" in DECISIONS and decision == "threshold":
        _require_range(what, out, 0, np.nextafter(1, 2))
    if "sign" in DECISIONS and decision == "sign" and (abs(out) != 1).any():
        raise DataError(f"{what}: expected -1 and 1")


def _require_range(what: str, array: np.ndarray, least: Any, beyond: Any) -> None:
    """Refuse numbers that do not lie from `least` below `beyond`."""
    if array.min() < least or array.max() >= beyond:
        got = f"{array.min()} to {array.max()}"
        raise DataError(
            f"{what}: expected numbers from {least} below {beyond}, got {got}"
        )


def _array(what: str, value: Any, kinds: str) -> np.ndarray:
    """`value` as an array of one of these kinds of dtype."""
    if isinstance(value, np.ma.MaskedArray):
        raise DataError(f"{what}: expected numbers without a mask; use .filled(value)")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise DataError(f"{what}: expected an array: {error}") from None
    if array.dtype.kind not in kinds:
        expected = "numbers" if "f" in kinds else "whole numbers"
        raise DataError(f"{what}: expected {expected}, got dtype {array.dtype}")
    return array


def _require_finite(what: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity.  The squares are summed first, which allocates nothing."""
    if array.dtype.kind == "f" and not math.isfinite(np.vdot(array, array)):
        for place in np.argwhere(~np.isfinite(array)):
            where = tuple(map(int, place))
            raise DataError(f"{what}{where}: expected a number, got {array[where]}")


def _require(
    name: str, value: Any, whole: bool = False, positive: bool = False
) -> None:
    """Refuse an option that is no number from 0, or no whole or positive one."""
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    right = isinstance(value, kinds) and not isinstance(value, bool)
    if not right or not 0 <= value < math.inf or (positive and value == 0):
        kind, least = "whole" if whole else "finite", "above" if positive else "from"
        raise DataError(f"{name}: expected a {kind} number {least} 0, got {value!r}")


def _lacking(part: str, **given: bool) -> None:
    """Refuse what was given of options that belong to a part which is not there."""
    for name, there in given.items():
        if there:
            raise DataError(f"{name}: {MODEL} was compiled without {part}")


def _draw_noise(w: Workspace, noise: int | np.random.Generator) -> None:
    """Draw all noise in a workspace from [0, 1), by a seed or a generator."""
    if isinstance(noise, int):
        _require("seed", noise, whole=True)
    rng = np.random.default_rng(noise)
    for name in NOISE:
        array = getattr(w, name)
        rng.random(out=array, dtype=array.dtype)

"""What the caller hands in: checked, and copied into the workspace."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from symnet.runtime.containers import DataError, _as_array, _plain, _quoted
from symnet.runtime.head import (
    BUFFERS,
    DECISION,
    DTYPE,
    EXACT,
    INPUTS,
    LIMITS,
    MODEL,
    OUTPUTS,
    PARAMETERS,
    RANGES,
    TARGET,
    TARGETS,
)


def _nearest(name: object, known: Iterable[str]) -> str:
    """The hint that ends a message about an unknown name."""
    known = list(known)
    close = difflib.get_close_matches(str(name), known, 1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def _as_inputs(x: Any) -> dict[str, np.ndarray]:
    """The inputs by name, from one array or a dict of arrays."""
    if not isinstance(x, dict):
        if len(INPUTS) != 1:
            raise DataError(
                f"x: expected a dict with the inputs {', '.join(INPUTS)}, got {type(x).__name__}"
            )
        x = dict.fromkeys(INPUTS, x)
    for name in x:
        if name not in INPUTS:
            raise DataError(
                f"x: {MODEL} has no input {_quoted(name)}; {_nearest(name, INPUTS)}"
            )
    for name in INPUTS:
        if name not in x:
            raise DataError(f"x: input {name!r} is missing; got {_quoted(list(x))}")
    inputs = {
        name: _as_array(f"input {name!r}", x[name], kind)
        for name, (_, kind) in INPUTS.items()
    }
    for name, array in inputs.items():
        if INPUTS[name][1] == "int" and (name in EXACT or array.dtype == np.uint64):
            held = EXACT.get(name, 2**63 - 1)
            largest = max(int(array.max(initial=0)), -int(array.min(initial=0)))
            if largest > held:
                raise DataError(
                    f"input {name!r}: expected whole numbers up to {held}, which are exact in {MODEL}, got {largest}"
                )
    for name, count in RANGES.items():
        array = inputs[name]
        if array.size and not (array.min() >= 0 and array.max() < count):
            raise DataError(
                f"input {name!r}: expected numbers from 0 to {count - 1}, got {array.min()} to {array.max()}"
            )
    return inputs


def _sizes(arrays: dict[str, np.ndarray]) -> dict[str, int]:
    """The sizes that only the data tells: N, the number of samples, and the symbolic ones of `INPUTS`."""
    sizes: dict[str, int] = {}
    for name, array in arrays.items():
        expected = ("N", *INPUTS[name][0])
        known = [
            sizes.setdefault(e, got) if isinstance(e, str) else e
            for e, got in zip(expected, array.shape, strict=False)
        ]
        if len(expected) != array.ndim or tuple(known) != array.shape:
            hint = "the first axis counts the samples"
            per_sample = [e for e in expected[1:] if not isinstance(e, str)]
            if (
                len(per_sample) == len(expected) - 1
                and array.shape[1:]
                and array[:1].size == math.prod(per_sample)
            ):
                hint = f"try x.reshape({', '.join(map(str, (-1, *per_sample)))})"
            raise DataError(
                f"input {name!r}: expected shape {_shown(expected, sizes)}, got {array.shape}; {hint}"
            )
    for name, limit in LIMITS.items():
        if sizes[name] > limit:
            raise DataError(
                f"x: expected at most {name}={limit}, got {sizes[name]}; cut the sequences, or learn more positions"
            )
    if 0 in sizes.values():
        raise DataError(
            f"x: expected at least one sample, got an array of shape {next(iter(arrays.values())).shape}"
        )
    return sizes


def _shown(shape: Iterable[int | str], sizes: dict[str, int]) -> str:
    """A shape with its symbolic sizes, and what they are known to be: `(N=32, 64)`."""
    return f"({', '.join(f'{e}={sizes[e]}' if isinstance(e, str) and e in sizes else str(e) for e in shape)})"


def _put_input(out: np.ndarray, name: str, array: np.ndarray) -> None:
    """Copy one checked input into the workspace; no NaN and no infinity gets past here."""
    out[...] = array
    _require_finite(f"input {name!r}", out)


def _require_finite(what: str, array: np.ndarray) -> None:
    """Refuse NaN and infinity.  The squares are summed first: one fast call that allocates nothing."""
    if array.dtype.kind != "f" or math.isfinite(np.vdot(array, array)):
        return
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        where = tuple(map(int, bad[0]))
        raise DataError(
            f"{what}: expected finite numbers, got {array[where]} at {where} ({len(bad)} in all, as {array.dtype}); "
            "drop or fill these samples"
        )


def _targets_of(w: Any) -> dict[str, np.ndarray]:
    """The arrays of a workspace that hold targets, by attribute."""
    if TARGET is None and not TARGETS:
        raise DataError(
            f"y: {MODEL} was compiled without a loss; give Model(..., loss=...)"
        )
    names = [attribute for attribute, _ in TARGETS.values()] or ["target"]
    return {name: getattr(w, name) for name in names}


def _put_targets(out: dict[str, np.ndarray], y: Any) -> None:
    """Check the targets `y` and copy them into `out`: an array, or with several losses a dict by output."""
    if TARGET is not None:
        _put_target("y", out["target"], y, TARGET, DECISION)
        return
    if not isinstance(y, dict) and len(TARGETS) == 1:
        y = dict.fromkeys(TARGETS, y)
    if not isinstance(y, dict) or y.keys() != TARGETS.keys():
        got = _quoted(list(y)) if isinstance(y, dict) else type(y).__name__
        raise DataError(
            f"y: expected a dict with the targets of {', '.join(TARGETS)}, got {got}"
        )
    for name, (attribute, target) in TARGETS.items():
        what = f"y of {name!r}"
        _put_target(what, out[attribute], y[name], target, OUTPUTS[name][1])


def _put_target(
    what: str,
    out: np.ndarray,
    y: Any,
    target: tuple[tuple[int | str, ...], str, int | None],
    decision: str | None,
) -> None:
    """Check one target and copy it into `out`, which has the shape that the loss expects.

    Labels must lie in range.  For real-valued targets (N,) and (N, 1) stand for one another, and where the
    loss compares C outputs with C values, integer labels become one-hot rows.  Nothing else is broadcast.
    """
    _, kind, classes = target
    array = _as_array(what, y, kind)
    count = len(out)
    if array.shape == out.shape:
        if kind == "int" and classes:
            _require_labels(what, array, classes)
        out[...] = array
    elif kind == "float" and {array.shape, out.shape} == {(count,), (count, 1)}:
        out[...] = array.reshape(out.shape)
    elif (
        kind == "float"
        and classes
        and array.shape == out.shape[:-1]
        and array.dtype.kind in "iu"
    ):
        _require_labels(what, array, classes)
        out[...] = 0
        np.put_along_axis(out, array[..., None].astype(np.intp, copy=False), 1, -1)
    else:
        values = (
            f"whole numbers from 0 to {classes - 1}"
            if kind == "int" and classes
            else f"{kind} values"
        )
        hint = "nothing is broadcast"
        if kind == "int" and array.shape == (*out.shape, classes):
            hint = "for one-hot rows give y.argmax(-1)"
        raise DataError(
            f"{what}: expected {values} of shape {out.shape}, got shape {array.shape}; {hint}"
        )
    _require_finite(what, out)
    if decision == "threshold" and not (out.min() >= 0 and out.max() <= 1):
        raise DataError(
            f"{what}: expected targets from 0 to 1, got {out.min()} to {out.max()}; use 0 and 1"
        )
    if decision == "sign" and not (abs(out) == 1).all():
        raise DataError(
            f"{what}: expected the targets -1 and 1, got {out.min()} to {out.max()}"
        )


def _require_labels(what: str, labels: np.ndarray, classes: int) -> None:
    """Refuse labels outside `0 <= label < classes`."""
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(
            f"{what}: expected labels from 0 to {classes - 1}, got {labels.min()} to {labels.max()}; "
            "number the classes from 0"
        )


def _as_params(
    params: dict[str, Any], dtype: type[np.floating] = DTYPE
) -> dict[str, np.ndarray]:
    """The parameters and buffers as C-ordered arrays of `dtype`; copied only where that changes them."""
    shapes = {**PARAMETERS, **BUFFERS}
    if not isinstance(params, Mapping):
        raise DataError(
            f"params: expected a dict {{name: array}}, got {type(params).__name__}; init_params() gives one"
        )
    for name in params:
        if name not in shapes:
            raise DataError(
                f"params: {MODEL} has no parameter {_quoted(name)}; {_nearest(name, shapes)}"
            )
    arrays = {}
    for name, shape in shapes.items():
        if name not in params:
            raise DataError(
                f"params: {name!r} is missing; init_params() gives every parameter"
            )
        array = _plain(f"params: {name!r}", params[name])
        if array.dtype.kind not in "fiu" or array.shape != shape:
            raise DataError(
                f"params: {name!r}: expected numbers of shape {shape}, got shape {array.shape} and dtype {array.dtype}"
            )
        arrays[name] = _converted(name, array, dtype)
    return arrays


def _converted(name: str, array: np.ndarray, dtype: type[np.floating]) -> np.ndarray:
    if array.dtype == dtype:
        return np.asarray(array, order="C")
    try:
        with np.errstate(over="raise", under="ignore"):
            return np.asarray(array, dtype, order="C")
    except FloatingPointError:
        raise DataError(
            f"params: {name!r}: expected numbers that {dtype.__name__} can hold, got {np.abs(array).max()}"
        ) from None


def _require(
    name: str,
    value: Any,
    *,
    whole: bool = False,
    positive: bool = False,
    most: float = 1e300,
) -> None:
    """Refuse an option that is no number up to `most`, or no whole or positive one where it must be."""
    types = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    number = isinstance(value, types) and not isinstance(value, bool)
    if not number or not 0 <= value <= most or (positive and value == 0):
        expected = f"a {'whole' if whole else 'finite'} number {'above 0' if positive else 'from 0'}"
        if number and most < value < math.inf:
            raise DataError(f"{name}: expected {expected}, at most {most:,}; got more")
        raise DataError(f"{name}: expected {expected}, got {_quoted(value)}")


def _require_flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, (bool, int, np.bool_)):
        raise DataError(f"{name}: expected True or False, got {_quoted(value)}")


def _require_function(name: str, value: Any, *given: str) -> None:
    """Refuse what is no function, or none of so many arguments, before it is called far from here."""
    expected = f"{name}: expected a function {name}({', '.join(given)})"
    if not callable(value):
        raise DataError(f"{expected}, got {type(value).__name__}")
    try:
        inspect.signature(value).bind(*given)
    except TypeError as error:
        raise DataError(f"{expected}, got one with other arguments: {error}") from None
    except ValueError:
        pass  # a function written in C, which does not say what it takes

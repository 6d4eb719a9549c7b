"""A model of the machine at hand: some numbers are measured, others follow from these, and limits stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from codegen.machine.model import MACHINE, Machine
from symnet.machine.file import PARTS
from symnet.machine.probes import ACROSS, KNEE, PACKED, UNPACKED, probes, timed
from symnet.runtime.processes import _one_thread

MEASURED = {
    "gemm.flop": "a multiplication or an addition of a product",
    "gemm.call": "a product, however small",
    "gemm.packed": "a number that is packed",
    "gemm.across": "a multiplication or an addition where a factor lies across",
    "moves.copied": "a number copied, near and far",
    "moves.added": "a number added to another, near and far",
    "moves.transposed": "a number copied to another order of axes",
    "calls.ufunc": "a call of a NumPy function",
    "calls.numexpr": "an expression of numexpr",
    "elements.plain": "a multiplication of NumPy",
    "elements.function": "an exponential of NumPy",
    "elements.numexpr_plain": "a multiplication or an addition of numexpr",
    "elements.numexpr_function": "an exponential of numexpr",
    "elements.scattered": "a number added at a token",
    "caches.second": "numbers that fit into a core's own cache",
}
"""What is measured; nanoseconds where it says nothing else."""

FOLLOWS = {
    "gemm.product": "gemm.flop",
    "gemm.packing": "calls.ufunc",
    "gemm.packed_across": "gemm.packed",
    "gemm.packed_left": "gemm.packed",
    "gemm.written": "elements.plain",
    "gemm.streamed": "moves.copied",
    "gemm.aliased": "moves.copied",
    "gemm.stretched": "moves.copied",
    "moves.stacked": "moves.added",
    "calls.statement": "calls.ufunc",
    "calls.compiled": "calls.ufunc",
    "calls.numexpr": "calls.ufunc",
    "elements.memory": "moves.added",
    "elements.numexpr_plain": "elements.plain",
    "elements.numexpr_function": "elements.function",
    "registers.half_cycle": "gemm.flop",
    "registers.moved": "moves.copied",
    "registers.packed": "moves.copied",
    "caches.kept": "caches.second",
}
"""What is not measured is its default times the ratio of what it follows; of a pair, the ratio of what is near."""
WIDEST = 50.0
"""A value that differs from its default by more than this factor is no measurement."""

Values = Mapping[str, Any]


def measured(name: str, seconds: float = 40.0) -> tuple[Machine, dict[str, Any]]:
    """The model of this machine, and what of it was measured, by `part.field`."""
    with _one_thread():
        times = timed(probes(), seconds)
    found = {key: _plausible(value, _default(key)) for key, value in read_off(times).items()}
    return replace(model(found), name=name), found


def read_off(times: Mapping[str, float]) -> dict[str, Any]:
    """What times of probes say, by `part.field`."""
    gemm = MACHINE.gemm
    lanes, whole = MACHINE.registers.lanes, gemm.tails[4] / 4

    def work(m: int, k: int, n: int) -> float:
        return 2 * k * (m + gemm.thin) * -(-n // lanes) * whole

    shapes = (*UNPACKED, *PACKED)
    columns = [(1, work(m, k, n), k * n * ((m, k, n) in PACKED)) for m, k, n in shapes]
    call, flop, packed = _fitted(columns, [times[_key("product", shape)] for shape in shapes])
    across = min(
        (times[_key("across", (m, k, n))] - call) / (2 * (m + gemm.across_rows) * k * (n + gemm.across_columns))
        for m, k, n in ACROSS
    )
    found: dict[str, Any] = {
        "gemm.flop": flop,
        "gemm.call": call - times["ufunc"],  # what a statement takes is counted besides
        "gemm.packed": packed,
        "gemm.across": across,
        "moves.copied": (times["copied near"], times["copied far"]),
        "moves.added": (times["added near"], times["added far"]),
        "moves.transposed": times["transposed"],
        "calls.ufunc": times["ufunc"],
        "elements.plain": times["plain"],
        "elements.function": times["function"],
        "elements.scattered": times["scattered"],
        "caches.second": _knee([times[f"knee {count}"] for count in KNEE]),
    }
    if "numexpr" in times:
        found["calls.numexpr"] = times["numexpr"]
        found["elements.numexpr_plain"] = times["numexpr plain"]
        found["elements.numexpr_function"] = times["numexpr function"]
    return found


def model(found: Values) -> Machine:
    """The default with these values, and those that follow from them."""
    values = dict(found)
    for key, source in FOLLOWS.items():
        if key not in found and source in found:
            ratio = _first(found[source]) / _first(_default(source))
            values[key] = _scaled(_default(key), ratio)
    parts = {part: {k: v for k in asdict(getattr(MACHINE, part)) if (v := values.get(f"{part}.{k}"))} for part in PARTS}
    return MACHINE.changed(**parts)


def _default(key: str) -> Any:
    part, _, name = key.partition(".")
    return getattr(getattr(MACHINE, part), name)


def _plausible(value: Any, default: Any) -> Any:
    """A value within reason, with 4 digits; differences of times may be negative on a busy machine."""
    if isinstance(default, tuple):
        near, far = (_plausible(v, d) for v, d in zip(value, default, strict=True))
        return near, max(near, far)
    near = min(max(value, default / WIDEST), default * WIDEST)
    return round(near) if isinstance(default, int) else float(f"{near:.4g}")


def _scaled(default: Any, ratio: float) -> Any:
    if isinstance(default, tuple):
        return tuple(_scaled(each, ratio) for each in default)
    return max(1, round(default * ratio)) if isinstance(default, int) else float(f"{default * ratio:.4g}")


def _first(value: Any) -> float:
    return float(value[0] if isinstance(value, tuple) else value)


def _key(word: str, shape: tuple[int, int, int]) -> str:
    return " ".join((word, *map(str, shape)))


def _fitted(columns: Sequence[Sequence[float]], heights: Sequence[float]) -> list[float]:
    """Factors of the columns, none negative, that give the heights; each as far off as its height allows."""
    y = np.asarray(heights, float)
    rows = np.asarray(columns, float) / y[:, None]
    kept = list(range(rows.shape[1]))
    while True:
        factors = np.linalg.lstsq(rows[:, kept], np.ones(len(y)), rcond=None)[0]
        if all(factors >= 0):
            break
        del kept[int(np.argmin(factors * np.abs(rows[:, kept]).max(axis=0)))]
    found = dict(zip(kept, factors, strict=True))
    return [float(found.get(k, 0.0)) for k in range(rows.shape[1])]


def _knee(times: Sequence[float]) -> int:
    """Numbers of the largest array before the time of one rises towards that of the largest arrays."""
    least, most = min(times), times[-1]
    near = [count for count, time in zip(KNEE, times, strict=True) if time <= (least + most) / 2]
    return max(near, default=KNEE[0])

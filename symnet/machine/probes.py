"""Short pieces of work whose times tell the rates of a machine."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from symnet.support.extras import installed

ROUNDS = 5
NEAR, FAR = 1 << 15, 1 << 22
"""Numbers of arrays that stay in a core's own cache, and of arrays that do not."""
CALLED = 16
"""Numbers of an array on which an operation is hardly more than its call."""
UNPACKED = ((8, 9, 32), (16, 72, 64), (32, 64, 128), (32, 144, 128), (64, 64, 192), (64, 96, 128))
PACKED = ((8, 512, 512), (16, 256, 512), (16, 576, 384), (32, 256, 256))
ACROSS = ((16, 512, 16), (27, 1024, 32))
"""(m, k, n) of products: small ones, those of few rows that BLAS packs, those of small results that lie across."""
KNEE = tuple(1 << k for k in range(13, 22))
"""Numbers of arrays among which those that still fit into a core's own cache are looked for."""


@dataclass(frozen=True)
class Probe:
    """One piece of work, done again and again.  count: of what the time of one is divided by."""

    key: str
    run: Callable[[], object]
    count: int = 1


def probes() -> list[Probe]:
    """All of them; those of packages that are not installed are left out."""
    rng = np.random.default_rng(0)

    def drawn(*shape: int) -> np.ndarray:
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)

    found: list[Probe] = []
    for m, k, n in (*UNPACKED, *PACKED):
        left, right, out = drawn(m, k), drawn(k, n), drawn(m, n)
        found.append(Probe(f"product {m} {k} {n}", _call(np.dot, left, right, out=out)))
    for m, k, n in ACROSS:
        left, right, out = drawn(m, k), drawn(n, k).T, drawn(m, n)
        found.append(Probe(f"across {m} {k} {n}", _call(np.dot, left, right, out=out)))
    for word, count in (("near", NEAR), ("far", FAR)):
        side = count // 1024
        padded, inner, plain = drawn(side + 2, 34, 32), drawn(side, 32, 32), drawn(side, 32, 32)
        found.append(Probe(f"copied {word}", _call(np.copyto, inner, padded[1:-1, 1:-1]), inner.size))
        found.append(Probe(f"added {word}", _call(np.add, inner, plain, out=inner), inner.size))
    square, turned = drawn(256, 256), drawn(256, 256)
    found.append(Probe("transposed", _call(np.copyto, turned, square.T), square.size))
    few, whole, out = drawn(CALLED), drawn(NEAR), drawn(NEAR)
    found.append(Probe("ufunc", _call(np.multiply, few, few, out=few.copy())))
    found.append(Probe("plain", _call(np.multiply, whole, whole, out=out), NEAR))
    found.append(Probe("function", _call(np.exp, whole, out=out), NEAR))
    places = rng.integers(0, 1024, 2048)
    found.append(Probe("scattered", _call(np.add.at, drawn(1024), places, np.float32(1)), places.size))
    for count in KNEE:
        first, second = drawn(count), drawn(count)
        found.append(Probe(f"knee {count}", _call(np.add, first, second, out=first), count))
    return [*found, *_numexpr(drawn(CALLED), whole)]


def _numexpr(few: np.ndarray, whole: np.ndarray) -> list[Probe]:
    if not installed("numexpr"):
        return []
    package = importlib.import_module("numexpr")

    def evaluated(text: str, array: np.ndarray) -> Callable[[], object]:
        return _call(package.evaluate, text, {"a": array}, {}, out=np.empty_like(array))

    return [
        Probe("numexpr", evaluated("a * a", few)),
        Probe("numexpr plain", evaluated("a * a + a * a + a * a", whole), 5 * whole.size),
        Probe("numexpr function", evaluated("exp(a)", whole), whole.size),
    ]


def _call(function: Callable[..., Any], *arguments: Any, **options: Any) -> Callable[[], object]:
    return lambda: function(*arguments, **options)


def timed(work: Sequence[Probe], seconds: float) -> dict[str, float]:
    """Nanoseconds of each, by key: the fastest of several short bursts, in which all take turns."""
    clock = time.perf_counter
    burst = seconds / (ROUNDS * len(work))
    fastest = dict.fromkeys((probe.key for probe in work), float("inf"))
    for _ in range(ROUNDS):
        for probe in work:
            probe.run()
            start = clock()
            probe.run()
            times = max(1, int(burst / 20 / max(clock() - start, 1e-8)))  # in a burst about 20 are timed together
            end = clock() + burst
            while True:
                start = clock()
                for _ in range(times):
                    probe.run()
                stop = clock()
                fastest[probe.key] = min(fastest[probe.key], (stop - start) / times)
                if stop >= end:
                    break
    return {probe.key: 1e9 * fastest[probe.key] / probe.count for probe in work}

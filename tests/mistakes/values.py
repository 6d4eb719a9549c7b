"""What is given in place of what is wanted: values of every kind, and near misses of legal ones."""

from __future__ import annotations

import datetime
import decimal
import fractions
import math
import random
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mistakes.executed import CODE


@dataclass(frozen=True)
class Value:
    """A value, and the text by which a person could make it."""

    text: str
    value: Any

    @classmethod
    def of(cls, value: object) -> Value:
        """A value that its repr makes."""
        return cls(_SHORT.repr(value), value)


class _Short(reprlib.Repr):
    """Reprs that are not long."""

    def repr_ndarray(self, value: np.ndarray, level: int) -> str:
        return f"np.array({value.dtype} {value.shape})"

    def repr_int(self, value: int, level: int) -> str:
        return "10**5000" if value.bit_length() > 999 else repr(value)


_SHORT = _Short()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxdict = _SHORT.maxlist = _SHORT.maxtuple = 20


class Plain:
    """An object of no use here."""

    def __repr__(self) -> str:
        return "Plain()"


def _later() -> Any:
    yield 1


MAKERS: Mapping[str, Callable[[], Any]] = {
    "Plain()": Plain,
    "Plain": lambda: Plain,
    "object()": object,
    "(k for k in [1])": _later,
    "lambda: None": lambda: lambda: None,
    "math": lambda: math,
    "np.float32": lambda: np.float32,
    "np.zeros(3)": lambda: np.zeros(3),
    "np.zeros((0, 3))": lambda: np.zeros((0, 3)),
    "np.zeros((2, 3, 4), int)": lambda: np.zeros((2, 3, 4), int),
    "np.array(5)": lambda: np.array(5),
    "np.array([None, 1])": lambda: np.array([None, 1], object),
    "np.array(['a', 'b'])": lambda: np.array(["a", "b"]),
    "np.array([np.nan, 1])": lambda: np.array([np.nan, 1]),
    "np.ma.masked_array([1, 2], [0, 1])": lambda: np.ma.masked_array([1, 2], [False, True]),
    "np.ma.masked": lambda: np.ma.masked,
    "np.zeros(2, 'f4,i4')": lambda: np.zeros(2, "f4,i4"),
    "np.array(['2020-01-01'], 'M8[D]')": lambda: np.array(["2020-01-01"], "M8[D]"),
    "np.ones((2, 3), complex)": lambda: np.ones((2, 3), complex),
    "np.int8(3)": lambda: np.int8(3),
    "np.float64('nan')": lambda: np.float64("nan"),
    "np.bool_(True)": lambda: np.bool_(True),
    "np.str_('x')": lambda: np.str_("x"),
    "memoryview(b'ab')": lambda: memoryview(b"ab"),
    "Path('nothing')": lambda: Path("nothing"),
    "Path('.')": lambda: Path("."),
    "Decimal('1.5')": lambda: decimal.Decimal("1.5"),
    "Fraction(1, 3)": lambda: fractions.Fraction(1, 3),
    "datetime.date(2020, 1, 1)": lambda: datetime.date(2020, 1, 1),
    "10**5000": lambda: 10**5000,
    "[[1, 2], [3]]": lambda: [[1, 2], [3]],
    "NotImplemented": lambda: NotImplemented,
    "ValueError('x')": lambda: ValueError("x"),
    "iter([])": lambda: iter([]),
}
"""By the text that makes it: values whose repr does not."""

LITERALS: tuple[object, ...] = (
    *(None, True, False, ..., 0, 1, -1, 2, 7, 10**6, 2**31, -(2**63), 2**64, 10**30),
    *(0.0, -0.0, 0.5, 1.0, 1.5, -2.5, 1e-320, 1e308, math.inf, -math.inf, math.nan, 3j),
    *("", " ", "x", "N", "0", "-1", "1e3", "None", "relu", "same", "weight", "a b", "é", "\x1b[31m", "a\0b", "a\nb"),
    *("x" * 5000, "../x", "/dev/null", "\u2211", "\ud800", "%s", "{}", "{0.__class__}", "class", "lambda", *CODE),
    *(b"", b"x", b"\xff\x00", bytearray(b"ab")),
    *((), [], {}, set(), (1,), [1, 2], [1, "a"], (0, 0), (2, 2, 2, 2, 2), [None], [[]], [-1], ["x"], (1.5, 2)),
    *({"x": 1}, {1: 2}, {"": None}, {"weight": "zeros"}, {1, 2}, frozenset({"a"}), range(3), slice(1, 2)),
)
"""Values whose repr makes them."""


def anything(rng: random.Random) -> Value:
    """Any value at all."""
    if rng.random() < len(MAKERS) / (len(MAKERS) + len(LITERALS)):
        text = rng.choice([*MAKERS])
        return Value(text, MAKERS[text]())
    return Value.of(rng.choice(LITERALS))


def misspelled(rng: random.Random, name: str) -> str:
    """A name with one mistake of a typist in it."""
    if not name:
        return rng.choice("abx_")
    k = rng.randrange(len(name))
    other = rng.choice("abcdefghijklmnopqrstuvwxyz_0123456789 -.")
    return rng.choice(
        (
            name[:k] + name[k + 1 :],
            name[:k] + other + name[k:],
            name[:k] + other + name[k + 1 :],
            name[:k] + name[k : k + 2][::-1] + name[k + 2 :],
            name.swapcase(),
            name + name,
        )
    )


def near(rng: random.Random, legal: Any) -> Value:
    """A value like a legal one, and mostly none."""
    if isinstance(legal, bool) or legal is None:
        return anything(rng)
    if isinstance(legal, np.ndarray):
        return _array(rng, legal)
    for kind, change in _CHANGES:
        if isinstance(legal, kind):
            return change(rng, legal)
    return anything(rng)


def _number(rng: random.Random, legal: float) -> Value:
    ways = (-legal, 0, legal + 0.5, float(legal), str(legal), [legal], (legal, legal), legal * 10**9, 10**12, True)
    return Value.of(rng.choice((*ways, math.nan, math.inf, -1, None, complex(legal), np.float32(legal))))


def _string(rng: random.Random, legal: str) -> Value:
    return Value.of(
        rng.choice(
            (
                misspelled(rng, legal),
                misspelled(rng, misspelled(rng, legal)),
                legal + rng.choice(CODE),
                legal.encode(),
                [legal],
                f" {legal}",
                legal + "\0",
                legal + "\n",
                legal * 100,
            )
        )
    )


def _sequence(rng: random.Random, legal: Any) -> Value:
    make = type(legal) if isinstance(legal, (list, tuple)) else list
    items = list(legal)
    ways: list[Any] = [[], items[::-1], items + items[:1], items[:-1], [items], [None, *items], dict.fromkeys(range(3))]
    if items:
        k = rng.randrange(len(items))
        wrong = near(rng, items[k]) if rng.random() < 0.7 else anything(rng)
        ways += [[*items[:k], wrong.value, *items[k + 1 :]]] * 6
    chosen = rng.choice(ways)
    return Value.of(make(chosen) if isinstance(chosen, list) else chosen)


def _mapping(rng: random.Random, legal: Mapping[Any, Any]) -> Value:
    given = dict(legal)
    if not given:
        return Value.of({"x": 1})
    key = rng.choice([*given])
    rest = {name: value for name, value in given.items() if name != key}
    wrong = near(rng, given[key]) if rng.random() < 0.7 else anything(rng)
    other: Any = misspelled(rng, key) if isinstance(key, str) else str(key)
    ways: list[Any] = [rest, {**rest, other: given[key]}, {**given, "more": given[key]}, [*given.items()], [*given]]
    ways += [given | {key: wrong.value}] * 6
    ways += [{**given, number: given[key]} for number in (3, None)] + [{}, next(iter(given.values()))]
    return Value.of(rng.choice(ways))


def _array(rng: random.Random, legal: np.ndarray) -> Value:
    ways: dict[str, Callable[[], Any]] = {
        "a[None]": lambda: legal[None],
        "a[:0]": lambda: np.atleast_1d(legal)[:0],
        "a[:1]": lambda: np.atleast_1d(legal)[:1],
        "a.T": lambda: legal.T,
        "a.ravel()": legal.ravel,
        "a.tolist()": legal.tolist,
        "a.astype(object)": lambda: legal.astype(object),
        "a.astype(str)": lambda: legal.astype(str),
        "a.astype(complex)": lambda: legal.astype(complex),
        "a.astype(bool)": lambda: legal.astype(bool),
        "a.astype(float) + 0.5": lambda: legal.astype(float) + 0.5,
        "a.astype(int) - 1": lambda: legal.astype(int) - 1,
        "a.astype(float)*np.nan": lambda: legal.astype(float) * np.nan,
        "a.astype(float)*1e300": lambda: legal.astype(float) * 1e300,
        "a.astype('uint64') + 2**63": lambda: legal.astype("uint64") + np.uint64(2**63),
        "np.ma.masked_greater(a, 0)": lambda: np.ma.masked_greater(legal, 0),
        "np.concatenate([a, a])": lambda: np.concatenate([legal, legal]) if legal.ndim else legal,
        "list(a) + [1]": lambda: [*legal, 1] if legal.ndim else [legal, 1],
        "{'x': a}": lambda: {"x": legal},
        "{0: a}": lambda: {0: legal},
        "(a, a)": lambda: (legal, legal),
        "memoryview(a)": lambda: memoryview(np.ascontiguousarray(legal).tobytes()),
        "str(a)": lambda: str(legal),
        "a[..., :-1]": lambda: legal[..., :-1] if legal.ndim else legal,
        "a.astype('V8')": lambda: np.zeros(legal.shape, "V8"),
    }
    text = rng.choice([*ways])
    about = f"a = np.{'zeros' if not legal.any() else 'array'} {legal.dtype} {legal.shape}"
    return Value(f"{text} [{about}]", ways[text]())


_CHANGES: tuple[tuple[Any, Callable[[random.Random, Any], Value]], ...] = (
    ((int, float, np.number), _number),
    (str, _string),
    (Mapping, _mapping),
    ((list, tuple, range), _sequence),
)


def wrong(rng: random.Random, legal: Any) -> Value:
    """What is given in the place of a legal value."""
    return near(rng, legal) if rng.random() < 0.6 else anything(rng)

"""Legal calls, and how one goes wrong: in a value, a name, an order, in what is missing or too much."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mistakes.judging import Mistake
from mistakes.values import Value, anything, misspelled, wrong


@dataclass(frozen=True)
class Call:
    """A callable with a legal value for each of its arguments.

    about: its name.  function: itself.  args: by position.  options: by name, of which `needed` are always given.
    after: what is done with the result, so that what was taken is used.  unbounded: arguments that have no greatest
    value: where they are large, legal work is long.  foreign, bare, modules: of `Mistake`.
    """

    about: str
    function: Callable[..., Any]
    args: Sequence[Any] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    after: Callable[[Any], object] | None = None
    unbounded: frozenset[str] = frozenset()
    modules: tuple[Any, ...] = ()
    foreign: bool = False
    bare: bool = False

    def mistake(self, rng: random.Random) -> Mistake:
        """The call with something wrong in it; one time in a hundred it is as it should be."""
        args = [Value.of(value) for value in self.args]
        options = {name: Value.of(self.options[name]) for name in self.options if name in self.needed}
        words = [*self.about.replace("()", "").split("."), *self.names]
        way = rng.choices(WAYS, WEIGHTS)[0]
        way(self, rng, args, options, words)
        if rng.random() < 0.15:
            rng.choices(WAYS, WEIGHTS)[0](self, rng, args, options, words)
        shown = [value.text for value in args] + [f"{name}={value.text}" for name, value in options.items()]

        def run() -> object:
            made = self.function(*(v.value for v in args), **{name: v.value for name, v in options.items()})
            return None if self.after is None else self.after(made)

        text = f"{self.about}({', '.join(shown)})"
        return Mistake(self.about, text, run, tuple(words), self.modules, self.foreign, self.bare)

    @cached_property
    def names(self) -> list[str]:
        """What messages may call the arguments: by their names, or by what they hold."""
        names = [*inspect.signature(self.function).parameters]
        held = [value for value in (*self.args, *self.options.values()) if isinstance(value, Mapping)]
        return [
            *names,
            "input",
            "node",
            "params",
            "path",
            "file",
            "folder",
            *(key for each in held for key in each if isinstance(key, str)),
        ]

    def wrong(self, rng: random.Random, name: str, legal: Any) -> Value:
        """What is given in the place of one argument."""
        while True:
            value = wrong(rng, legal)
            if name not in self.unbounded or not _large(value.value):
                return value


def _large(value: object) -> bool:
    try:
        return not float(value) < 3  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return isinstance(value, int)


Way = Callable[[Call, random.Random, list[Value], dict[str, Value], list[str]], None]


def _a_value(call: Call, rng: random.Random, args: list[Value], options: dict[str, Value], words: list[str]) -> None:
    names = [*range(min(len(args), len(call.args))), *call.options]
    if not names:
        return _too_much(call, rng, args, options, words)
    name = rng.choice(names)
    if isinstance(name, int):
        args[name] = call.wrong(rng, str(name), call.args[name])
        words += _said(args[name])
    else:
        options[name] = call.wrong(rng, name, call.options[name])
        words += [name, *_said(options[name])]
    return None


def _a_name(call: Call, rng: random.Random, args: list[Value], options: dict[str, Value], words: list[str]) -> None:
    known = [*call.options] or ["x"]
    name = rng.choice(known)
    other = rng.choice((misspelled(rng, name), name.upper(), "more", "__class__"))
    if other not in known and other not in ("self", "cls"):
        options[other] = options.pop(name) if name in options else Value.of(call.options.get(name, 1))
        words.append(other)


def _too_much(call: Call, rng: random.Random, args: list[Value], options: dict[str, Value], words: list[str]) -> None:
    args += [anything(rng) for _ in range(rng.choice((1, 1, 2, 9)))]


def _missing(call: Call, rng: random.Random, args: list[Value], options: dict[str, Value], words: list[str]) -> None:
    if args and rng.random() < 0.6:
        args.pop()
    elif options:
        options.pop(rng.choice([*options]))


def _an_order(call: Call, rng: random.Random, args: list[Value], options: dict[str, Value], words: list[str]) -> None:
    if len(args) > 1:
        rng.shuffle(args)
    elif len(options) > 1:
        one, other = rng.sample([*options], 2)
        options[one], options[other] = options[other], options[one]
        words += [one, other]
    else:
        _a_value(call, rng, args, options, words)


def _nothing(call: Call, rng: random.Random, args: list[Value], options: dict[str, Value], words: list[str]) -> None:
    pass


WAYS: Sequence[Way] = (_a_value, _a_name, _too_much, _missing, _an_order, _nothing)
WEIGHTS = (70, 10, 6, 6, 7, 1)


def _said(value: Value) -> list[str]:
    """How a message may show a value: itself, or what it is."""
    given = value.value
    words = [value.text[:15], value.text.strip("'")[:15], type(given).__name__]
    words += [str(given)[:15]] if isinstance(given, (str, float, Path)) else []
    if hasattr(given, "shape"):
        words += [str(given.shape), str(getattr(given, "dtype", ""))]
    return [word for word in words if word.strip()]

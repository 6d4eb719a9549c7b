"""The command line's own parser: one message for each mistake, with the nearest option or value."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from codegen.machine.target import TARGETS
from symnet.assembly.wanted import PARTS
from symnet.optim.optimizers import OPTIMIZERS, USUAL
from symnet.support.errors import SymnetError
from symnet.support.suggest import did_you_mean, listing

DTYPES = ("float32", "float64")


class UsageError(SymnetError):
    """A command line that does not parse."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError where argparse prints and exits."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)
        self.known = ["--help"]

    def option(self, *names: str, **settings: object) -> None:
        """Declare one option or positional argument; keeps its name for suggestions."""
        self.known += [name for name in names if name.startswith("--")]
        self.add_argument(*names, **settings)  # type: ignore[arg-type]

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """The arguments by name.  Raises UsageError."""
        # A mistyped option is the mistake to report, also where an option that must be there is therefore missing.
        for word in words:
            name = word.split("=")[0]
            if name.startswith("--") and name != "--" and name not in self.known:
                raise self._unknown(name)
        values, unread = self.parse_known_args(words)
        if unread:
            word = unread[0].split("=")[0]
            if not word.startswith("-"):
                hint = "put a pattern, such as 'part-*.npz', in quotes; " if os.path.exists(word) else ""
                raise UsageError(f"{self.prog}: unexpected argument '{word}'; {hint}see {self.prog} --help")
            raise self._unknown(word)
        return values

    def _unknown(self, option: str) -> UsageError:
        near = did_you_mean(option, self.known) or f"; see {self.prog} --help"
        return UsageError(f"{self.prog}: unknown option '{option}'{near}")

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{self.prog}: {message}; see {self.prog} --help")


def whole(low: int, high: int = 2**31 - 1) -> Callable[[str], int]:
    """A reader of whole numbers in low..high."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low} to {high}, got '{text}'")
        return value

    return read


def real(low: float, high: float = math.inf, *, closed: bool = False) -> Callable[[str], float]:
    """A reader of finite numbers above `low` (or at it, where `closed`) and below `high`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (low < value < high or (closed and value == low)):
            bound = f"{'from' if closed else 'above'} {low:g}"
            below = "" if math.isinf(high) else f" and below {high:g}"
            raise argparse.ArgumentTypeError(f"expected a finite number {bound}{below}, got '{text}'")
        return value

    return read


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """A reader of one of some words."""

    def read(text: str) -> str:
        if text not in names:
            near = did_you_mean(text, names)
            raise argparse.ArgumentTypeError(f"expected {listing(names)}, got '{text}'{near}")
        return text

    return read


def ending(command: str, path: str, known: Sequence[str]) -> str:
    """How a file to write ends, which says what is written into it.  Raises UsageError for another ending."""
    found = Path(path).suffix.lower()
    if found not in known:
        got = f"'{found}'" if found else "none"
        raise UsageError(f"{command}: '{path}': expected a file name that ends with {listing(known)}, got {got}")
    return found


def some_of(names: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """A reader of one or several of some words, with commas between."""

    def read(text: str) -> tuple[str, ...]:
        return tuple(one_of(names)(word.strip()) for word in text.split(","))

    return read


def needs(command: str, args: argparse.Namespace, option: str, *others: str) -> None:
    """Refuse other options where one is not given that they would go with: alone they would do nothing."""
    if getattr(args, option) is not None:
        return
    for other in others:
        if getattr(args, other) is not None:
            names = [f"--{name.replace('_', '-')}" for name in (other, option)]
            raise UsageError(f"{command}: {names[0]} goes with {names[1]}; give both, or neither")


def add_model(parser: Parser) -> None:
    """The model file, which every command takes."""
    parser.option("model", metavar="MODEL", help="a .toml or .py file that declares the network")


def add_target(parser: Parser) -> None:
    """What the generated module computes with."""
    parser.option(
        "--target",
        type=one_of(tuple(TARGETS)),
        default="auto",
        metavar="NAME",
        help="numpy, numexpr, numba (compiled kernels), or auto: the faster of the first two (default: %(default)s)",
    )


def add_optimizers(parser: Parser) -> None:
    """Which optimizers the generated module has."""
    parser.option(
        "--optimizers",
        type=some_of(tuple(OPTIMIZERS)),
        metavar="NAMES",
        help=f"those that the module has, with commas between, of {', '.join(OPTIMIZERS)} "
        f"(default: those that the model's file names, or {', '.join(USUAL)})",
    )


def add_parts(parser: Parser) -> None:
    """What the generated module has."""
    parser.option(
        "--parts",
        type=some_of(tuple(PARTS)),
        metavar="NAMES",
        help=f"what the module has, and with it what that needs, with commas between, of {', '.join(PARTS)} "
        "(default: what the model's file names, or everything)",
    )


def add_dtype(parser: Parser) -> None:
    """The floating-point type of parameters and intermediates."""
    parser.option(
        "--dtype", type=one_of(DTYPES), default="float32", metavar="NAME", help="float32 (default) or float64"
    )

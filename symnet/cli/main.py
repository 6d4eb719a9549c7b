"""The command line: `symnet COMMAND ...`, also as `python -m symnet`.

Exit status 0; 1 when `check` finds a wrong gradient; 2 for every mistake of the user, with one message
and no traceback (`--debug` shows it).
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from codegen.ir.errors import VARIABLE, CodegenError
from symnet.cli.arguments import Parser, UsageError
from symnet.runtime.terminal import _print_out, _reason, _unheard
from symnet.support.errors import SymnetError
from symnet.support.suggest import did_you_mean
from symnet.support.terminal import say


@dataclass(frozen=True)
class Command:
    """One command: what it says of itself, and the module with its functions, which is loaded when it is asked for."""

    help: str
    module: str
    ending: str = ""

    @property
    def declare(self) -> Callable[[Parser], None]:
        """Its options."""
        declare: Callable[[Parser], None] = self._function("declare")
        return declare

    @property
    def run(self) -> Callable[[argparse.Namespace], int]:
        """What it does; gives its exit status."""
        run: Callable[[argparse.Namespace], int] = self._function("run")
        return run

    def _function(self, name: str) -> Any:
        return getattr(importlib.import_module(f"symnet.cli.{self.module}"), name + self.ending)


COMMANDS = {
    "compile": Command("write a network as a Python module that stands alone", "build"),
    "summary": Command("show layers, shapes, parameters, FLOPs and receptive fields", "show", "_summary"),
    "latex": Command("write the derived gradients in index or matrix notation", "show", "_latex"),
    "report": Command("write one page with the graph, the equations, the gradients and the code", "explain", "_report"),
    "graph": Command("draw the computation graph, forward and backward", "explain", "_graph"),
    "audit": Command("bound and measure the error that reaches each layer", "audit"),
    "check": Command("compare the module with the declared equations, and its gradients with differences", "check"),
    "train": Command("train a network on data", "train"),
    "predict": Command("apply a trained network to data", "predict"),
    "bench": Command("time the steps of a network's training", "bench"),
    "tune": Command("measure this machine, for compile --machine", "tune"),
    "bundle": Command("write a trained network as one file that predicts with NumPy alone", "bundle"),
    "export": Command("write a network as ONNX, its parameters as safetensors", "export"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words or os.environ.get(VARIABLE, "0") not in ("", "0")
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # names of files that are no text, encodings that lack letters
    try:
        status = _dispatch([word for word in words if word != "--debug"])
        _print_out()
    except (SymnetError, CodegenError) as error:
        if debug:
            say(traceback.format_exc())
        say(f"symnet: error: {error}")
        return 2
    except MemoryError as error:
        say(f"symnet: error: not enough memory ({error}); use a smaller network or less data")
        return 2
    except KeyboardInterrupt as error:
        say(f"symnet: {str(error) or 'interrupted'}")
        return 130
    except OSError as error:
        if debug:
            say(traceback.format_exc())
        if not isinstance(error, BrokenPipeError):
            say(f"symnet: error: {_reason(error)}")
        return _unheard(error)
    return status


def _dispatch(words: list[str]) -> int:
    if not words:
        raise UsageError(f"expected a command: {', '.join(COMMANDS)}; see symnet --help")
    name, *rest = words
    if name in ("-h", "--help", "help"):
        print(_help())
        return 0
    if name == "--version":
        print(f"symnet {_version()}")
        return 0
    if name not in COMMANDS:
        what = "option" if name.startswith("-") else "command"
        near = did_you_mean(name, [*COMMANDS, "--help", "--version"]) or f"; known: {', '.join(COMMANDS)}"
        raise UsageError(f"unknown {what} '{name}'{near}")
    command = COMMANDS[name]
    parser = Parser(f"symnet {name}", command.help)
    command.declare(parser)
    try:
        args = parser.read(rest)
    except SystemExit:  # argparse has printed the help that was asked for
        return 0
    return command.run(args)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: symnet COMMAND MODEL ...",
            "",
            "MODEL is a file that declares a network: TOML (data only), or Python (executed) that defines `model`.",
            "",
            *lines,
            "",
            "symnet COMMAND --help shows a command's options; --debug shows the traceback of an error.",
        ]
    )


def _version() -> str:
    try:
        return version("symnet")
    except PackageNotFoundError:
        return "(not installed)"

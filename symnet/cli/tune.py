"""symnet tune --machine: measure this machine, and write what the compiler is to know of it into a file."""

from __future__ import annotations

import argparse
import platform
from pathlib import Path
from typing import Any

import numpy as np

from codegen.machine.model import MACHINE
from symnet.cli.arguments import Parser, UsageError, real
from symnet.cli.progress import working
from symnet.cli.table import show
from symnet.machine.file import digest, text_of
from symnet.machine.measure import MEASURED, measured
from symnet.network.tune import processor
from symnet.support.files import check_output, write_atomic

HEADER = ("measured", "here", "by default", "")


def declare(parser: Parser) -> None:
    """The command's options."""
    parser.option("--machine", action="store_true", help="measure this machine (symnet compile --tune: one network)")
    parser.option("-o", "--output", metavar="FILE.toml", help="the file to write (default: print it)")
    parser.option("--seconds", type=real(0, 3600), default=40.0, metavar="S", help="to measure for (default: 40)")


def run(args: argparse.Namespace) -> int:
    """Measure, show what was found, then write or print the file."""
    if not args.machine:
        raise UsageError("symnet tune: expected --machine; for one network there is symnet compile MODEL --tune")
    if args.output is not None:
        check_output(args.output)
    name = Path(args.output).stem if args.output is not None else platform.node() or "this machine"
    with working("measuring this machine"):
        machine, found = measured(name, args.seconds)
    text = text_of(machine, {"processor": processor(), "numpy": np.__version__, "blas": _blas()})
    rows = [(MEASURED[key], _shown(value), _shown(_default(key)), key) for key, value in found.items()]
    show(HEADER, rows, left=1, aside=args.output is None)
    if args.output is None:
        print(text, end="")
        return 0
    write_atomic(args.output, text)
    print(f"{args.output}: machine {machine.name} {digest(machine)}; symnet compile --machine {args.output} reads it")
    return 0


def _default(key: str) -> Any:
    part, _, name = key.partition(".")
    return getattr(getattr(MACHINE, part), name)


def _shown(value: Any) -> str:
    """`0.07 and 0.12 ns`, or a number of numbers."""
    if isinstance(value, tuple):
        return f"{' and '.join(f'{each:.3g}' for each in value)} ns"
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g} ns"


def _blas() -> str:
    """NumPy's library for products, as NumPy was built with it."""
    built: Any = np.show_config(mode="dicts")
    entry = built["Build Dependencies"]["blas"]
    return f"{entry.get('name', 'unknown')} {entry.get('version', '')}".strip()

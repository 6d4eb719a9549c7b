"""symnet summary and symnet latex: what a network is, and what was derived from it."""

from __future__ import annotations

import argparse

from symnet.commands.arguments import Parser, add_model
from symnet.commands.network import compiled, load_model
from symnet.files import check_output, write_atomic


def declare_summary(parser: Parser) -> None:
    """The options of `summary`."""
    add_model(parser)


def run_summary(args: argparse.Namespace) -> int:
    """Print the table of layers."""
    net = compiled(load_model(args.model), dtype="float32", target="numpy")
    print(net.summary().rstrip("\n"))
    return 0


def declare_latex(parser: Parser) -> None:
    """The options of `latex`."""
    add_model(parser)
    parser.option("-o", "--output", metavar="FILE.tex", help="the file to write (default: print the document)")


def run_latex(args: argparse.Namespace) -> int:
    """Write or print the derived gradients."""
    if args.output is not None:
        check_output(args.output, [args.model])
    net = compiled(load_model(args.model), dtype="float32", target="numpy")
    text = net.latex().rstrip("\n") + "\n"
    if args.output is None:
        print(text, end="")
        return 0
    write_atomic(args.output, text)
    print(f"{args.output}: the equations and derived gradients of {net.module.MODEL}")
    return 0

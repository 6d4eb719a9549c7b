"""symnet compile: a model file becomes a Python module that stands alone."""

from __future__ import annotations

import argparse
import math

from symnet.commands.arguments import Parser, add_dtype, add_model, add_target
from symnet.commands.network import compiled, load_model
from symnet.files import check_output, write_atomic


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option("-o", "--output", metavar="OUT.py", help="the file to write (default: print the module)")
    add_target(parser)
    add_dtype(parser)


def run(args: argparse.Namespace) -> int:
    """Compile, then write or print the module."""
    if args.output is not None:
        check_output(args.output, [args.model])
    net = compiled(load_model(args.model), dtype=args.dtype, target=args.target)
    if args.output is None:
        print(net.source, end="")
        return 0
    write_atomic(args.output, net.source)
    count = sum(math.prod(shape) for shape in net.module.PARAMETERS.values())
    lines = len(net.source.splitlines())
    print(f"{args.output}: {net.module.MODEL}, {count:,} parameters, {lines:,} lines ({args.target}, {args.dtype})")
    return 0

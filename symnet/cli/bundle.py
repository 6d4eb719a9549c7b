"""symnet bundle: a trained network as one file that runs with NumPy alone."""

from __future__ import annotations

import argparse

from symnet.cli.arguments import Parser, add_dtype, add_model
from symnet.cli.network import compiled, load_model, read_params
from symnet.export.bundle import write_bundle
from symnet.support.files import check_output


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option("--params", required=True, metavar="FILE", help="what symnet train wrote: .npz, or a checkpoint")
    parser.option("-o", "--output", required=True, metavar="OUT.pyz", help="the zip application to write")
    add_dtype(parser)


def run(args: argparse.Namespace) -> int:
    """Write the bundle and say how it is used."""
    check_output(args.output, [args.model, args.params])
    model = load_model(args.model)
    params = read_params(args.params, compiled(model, dtype=args.dtype, target="numpy"))
    size = write_bundle(args.output, model, params, args.dtype)
    print(f"{args.output}: {model.name} with its parameters, {size:,} bytes; needs Python and NumPy")
    print(f"    python {args.output} predict --data FILE.npz")
    return 0

"""symnet summary and symnet latex: what a network is, and what was derived from it."""

from __future__ import annotations

import argparse

from symnet.cli.arguments import Parser, UsageError, add_model, ending, one_of
from symnet.cli.network import compiled, load_model
from symnet.cli.progress import working
from symnet.explain.gradients import NOTATIONS, gradients
from symnet.explain.matrix.prepare import LAYOUTS
from symnet.optim.chosen import optimizers_of
from symnet.optim.optimizers import OPTIMIZERS
from symnet.support.files import check_output, write_atomic


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
    parser.option("-o", "--output", metavar="FILE", help="the file to write, .tex or .md (default: print Markdown)")
    parser.option(
        "--notation", type=one_of(NOTATIONS), default="index", metavar="NAME", help="index (default) or matrix"
    )
    parser.option(
        "--layout",
        type=one_of(LAYOUTS),
        metavar="NAME",
        help="denominator (default) or numerator: in matrix notation, how derivatives lie",
    )
    parser.option("--wrt", metavar="NAME", help="the tensor to differentiate by (default: every trainable parameter)")
    parser.option(
        "--optimizer",
        type=one_of(tuple(OPTIMIZERS)),
        metavar="NAME",
        help="add its update (default: those that the model's file names)",
    )
    parser.option("--steps", action="store_true", help="add the steps to each gradient, each checked numerically")


def run_latex(args: argparse.Namespace) -> int:
    """Write or print the derived gradients."""
    if args.layout is not None and args.notation != "matrix":
        raise UsageError("symnet latex: --layout goes with --notation matrix; index notation has no layouts")
    form = ".md"
    if args.output is not None:
        check_output(args.output, [args.model])
        form = ending("symnet latex", args.output, (".tex", ".md"))
    model = load_model(args.model)
    with working(f"deriving {model.name}"):
        shown = (args.optimizer,) if args.optimizer else optimizers_of(model) if model.optimizers else ()
        found = gradients(model, args.notation, args.layout or "denominator", args.wrt, args.steps, shown)
    if args.output is None:
        print(found.markdown(), end="")
        return 0
    write_atomic(args.output, found.tex() if form == ".tex" else found.markdown())
    print(f"{args.output}: the equations and derived gradients of {model.name}")
    return 0

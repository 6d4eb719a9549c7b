"""symnet check: the derived gradients against finite differences."""

from __future__ import annotations

import argparse

from codegen.arguments import bind_sizes
from symnet.commands.arguments import Parser, UsageError, add_model, add_target, ending, whole
from symnet.commands.network import compiled, load_model
from symnet.commands.progress import working
from symnet.derive.network import trainable
from symnet.errors import errors_of
from symnet.files import check_output, write_atomic
from symnet.graph import Model
from symnet.verify.arrays import points
from symnet.verify.draw import SAMPLES, drawn
from symnet.verify.plots import need_matplotlib, plot_ways
from symnet.verify.ways import compare
from symnet.verify.ways import table as ways_table

POINTS = 5_000_000
"""Points of an equation's box beyond which the ways are not compared: they are held in memory."""

LIMIT = 1e-6
"""The largest relative error of a gradient that is right, in float64."""


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option("--seed", type=whole(0), default=0, metavar="N", help="draws parameters and data (default: 0)")
    parser.option("--plot", metavar="FILE.png", help="plot the error of each way to differentiate against its step")
    add_target(parser)


def run(args: argparse.Namespace) -> int:
    """Print each parameter's error; the exit status is 1 if a gradient is wrong."""
    if args.plot is not None:
        ending("symnet check", args.plot, (".png",))
        need_matplotlib()
        check_output(args.plot, [args.model])
    model = load_model(args.model, needs_loss=True)
    net = compiled(model, dtype="float64", target=args.target)
    with working("checking gradients"), errors_of(net.module):
        errors: dict[str, float] = net.module.check(seed=args.seed)
    print(table(errors, {name: tuple(net.module.PARAMETERS[name]) for name in errors}))
    wrong = [name for name, error in errors.items() if not error < LIMIT]
    if wrong:
        print(f"{len(wrong)} of {len(errors)} gradients are wrong (error above {LIMIT:g}): {', '.join(wrong)}")
        return 1
    print(f"all {len(errors)} gradients agree with central differences (error below {LIMIT:g}, in float64)")
    _ways(model, args)
    return 0


def _ways(model: Model, args: argparse.Namespace) -> None:
    """Print, and plot where asked to, the derivative along a random direction in every way there is."""
    arrays = drawn(model, args.seed)
    size = points(model.program, bind_sizes(model.program, arrays))
    if size > POINTS:
        print(f"the ways to differentiate were not compared: an equation has {size:,} points for {SAMPLES} samples")
        if args.plot is not None:
            raise UsageError(f"symnet check: --plot needs a smaller network; at most {POINTS:,} points an equation")
        return
    with working("comparing ways to differentiate"):
        found = compare(model.program, arrays, trainable(model), args.seed)
    print(f"\nthe derivative of the loss along a random direction, {found.value:.12g}, and the error of each way:\n")
    print(ways_table(found))
    if args.plot is not None:
        write_atomic(args.plot, plot_ways(found))
        print(f"wrote {args.plot}")


def table(errors: dict[str, float], shapes: dict[str, tuple[int, ...]]) -> str:
    """A line per parameter: its name, shape and largest error relative to its largest gradient."""
    rows = [("parameter", "shape", "error", "")]
    for name, error in errors.items():
        shape = " x ".join(map(str, shapes[name])) or "scalar"
        rows.append((name, shape, f"{error:.1e}", "ok" if error < LIMIT else "WRONG"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
    return "\n".join(lines)

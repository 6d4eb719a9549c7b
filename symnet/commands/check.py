"""symnet check: the derived gradients against finite differences."""

from __future__ import annotations

import argparse

from symnet.commands.arguments import Parser, add_model, add_target, whole
from symnet.commands.network import compiled, errors_of, load_model
from symnet.commands.progress import working

LIMIT = 1e-6
"""The largest relative error of a gradient that is right, in float64."""


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option("--seed", type=whole(0), default=0, metavar="N", help="draws parameters and data (default: 0)")
    add_target(parser)


def run(args: argparse.Namespace) -> int:
    """Print each parameter's error; the exit status is 1 if a gradient is wrong."""
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
    return 0


def table(errors: dict[str, float], shapes: dict[str, tuple[int, ...]]) -> str:
    """A line per parameter: its name, shape and largest error relative to its largest gradient."""
    rows = [("parameter", "shape", "error", "")]
    for name, error in errors.items():
        shape = " x ".join(map(str, shapes[name])) or "scalar"
        rows.append((name, shape, f"{error:.1e}", "ok" if error < LIMIT else "WRONG"))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d}".rstrip() for a, b, c, d in rows]
    return "\n".join(lines)

"""symnet check: the module against the equations it was declared by, and its gradients against finite differences."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from types import ModuleType

from codegen.oracle.whole import points
from symnet.cli.arguments import Parser, UsageError, add_model, add_target, ending, whole
from symnet.cli.network import compiled, load_model
from symnet.cli.progress import working
from symnet.differentiate.programs import trainable
from symnet.model.graph import Model
from symnet.support.errors import errors_of
from symnet.support.files import check_output, write_atomic
from symnet.verify.declared import EXACT, Agreement, against_declared
from symnet.verify.draw import DRAWS, SAMPLES, arguments, draws, small_sizes
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
    """Print each parameter's error; the exit status is 1 if a gradient is wrong, or another way to differentiate."""
    if args.plot is not None:
        ending("symnet check", args.plot, (".png",))
        need_matplotlib()
        check_output(args.plot, [args.model])
    model = load_model(args.model, needs_loss=True)
    net = compiled(model, dtype="float64", target=args.target)
    with working("checking gradients"), errors_of(net.module):
        errors = _errors(net.module, model, args.seed)
    if all(map(math.isnan, errors.values())) and errors:
        print(f"the loss or its gradient is finite at none of {DRAWS + 1} random draws, so nothing was compared")
        print("give parameters and data of your own to the module: module.check(params, x, y)")
        return 1
    with working("reading the declared equations"), errors_of(net.module):
        found = against_declared(net.module, model, args.seed)
    print(table(errors, {name: tuple(net.module.PARAMETERS[name]) for name in errors}, found.gradients))
    if found.values:
        print(f"\n{values_table(found.values)}\n")
    return _verdict(errors, found) or _ways(model, args)


def _errors(module: ModuleType, model: Model, seed: int) -> dict[str, float]:
    """By parameter, what the module finds of itself; on other draws where its loss is not finite."""
    errors: dict[str, float] = module.check(seed=seed)
    for each, arrays in draws(model, seed):
        if all(map(math.isfinite, errors.values())):
            break
        errors = module.check(*arguments(model, arrays), seed=each)
    return errors


def _verdict(errors: dict[str, float], found: Agreement) -> int:
    """Say what agrees and what does not; 1 if anything does not."""
    outputs = [name for name, error in found.values.items() if not error < EXACT]
    wrong = [name for name, error in errors.items() if not error < LIMIT]
    foreign = [name for name, error in found.gradients.items() if not error < LIMIT]
    if outputs:
        print(f"{_are(outputs, found.values)} not what the declared equations give: {', '.join(outputs)}")
    if wrong:
        print(f"{len(wrong)} of {len(errors)} gradients are wrong (error above {LIMIT:g}): {', '.join(wrong)}")
    if foreign:
        print(
            f"{len(foreign)} of {len(errors)} gradients are not those of the declared equations "
            f"(error above {LIMIT:g}): {', '.join(foreign)}"
        )
    elif found.together is not None and not found.together < LIMIT:
        outputs.append("together")
        print(f"the slope along all parameters is not that of the declared equations (error {found.together:.1e})")
    if outputs or wrong or foreign:
        return 1
    limit = f"(error below {LIMIT:g}, in float64)"
    if found.skipped:
        print(f"all {len(errors)} gradients agree with central differences of the module's own loss {limit}")
        print(f"the declared equations were not compared: {found.skipped}")
        return 0
    print(f"outputs and loss are those of the declared equations, computed {found.reader} (error below {EXACT:g})")
    print(f"all {len(errors)} gradients agree with central differences of both losses {limit}")
    if len(found.gradients) < len(errors):
        print(
            f"to bound the time, the declared loss was moved along {len(found.gradients)} of {len(errors)} parameters "
            f"one by one, and along all of them together (error {found.together:.1e})"
        )
    return 0


def _are(names: list[str], among: dict[str, float]) -> str:
    return f"{len(names)} of {len(among)} values {'is' if len(names) == 1 else 'are'}"


def _ways(model: Model, args: argparse.Namespace) -> int:
    """Print, and plot where asked to, the slope along a random direction in every way there is; 1 if one is off."""
    size = points(model.program, small_sizes(model))
    if size > POINTS:
        print(f"the ways to differentiate were not compared: an equation has {size:,} points for {SAMPLES} samples")
        if args.plot is not None:
            raise UsageError(f"symnet check: --plot needs a smaller network; at most {POINTS:,} points an equation")
        return 0
    with working("comparing ways to differentiate"):
        for seed, arrays in draws(model, args.seed):
            found = compare(model.program, arrays, trainable(model), seed)
            if math.isfinite(found.value):
                break
    print(f"\nthe derivative of the loss along a random direction, {found.value:.12g}, and the error of each way:\n")
    print(ways_table(found))
    if args.plot is not None:
        write_atomic(args.plot, plot_ways(found))
        print(f"wrote {args.plot}")
    if wrong := found.wrong(LIMIT):
        print(f"{len(wrong)} of {len(found.rows())} ways {'is' if len(wrong) == 1 else 'are'} off: {', '.join(wrong)}")
        return 1
    return 0


def table(errors: dict[str, float], shapes: dict[str, tuple[int, ...]], declared: dict[str, float]) -> str:
    """A line per parameter: its name, shape, and the largest errors of its gradient.

    The first is against differences of the module's own loss, relative to the largest entry; the second against
    differences of the loss that the declared equations give, relative to a typical slope.
    """
    rows = [("parameter", "shape", "own loss", "declared", "")]
    for name, error in errors.items():
        other = declared.get(name)
        good = error < LIMIT and (other is None or other < LIMIT)
        shape = " x ".join(map(str, shapes[name])) or "scalar"
        rows.append((name, shape, f"{error:.1e}", "-" if other is None else f"{other:.1e}", _mark(good)))
    return _columns(rows, "<<>><")


def values_table(values: dict[str, float]) -> str:
    """A line for each output and the loss: the largest error against the declared equations."""
    rows = [("value", "declared", "")]
    return _columns([*rows, *((name, f"{error:.1e}", _mark(error < EXACT)) for name, error in values.items())], "<><")


def _mark(good: bool) -> str:
    return "ok" if good else "WRONG"


def _columns(rows: Sequence[tuple[str, ...]], sides: str) -> str:
    """Rows in columns that stand to the left or to the right."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(sides))]
    lines = ["  ".join(f"{cell:{side}{w}}" for cell, side, w in zip(row, sides, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)

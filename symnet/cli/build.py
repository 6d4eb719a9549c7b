"""symnet compile: a model file becomes a Python module that stands alone."""

from __future__ import annotations

import argparse
import math

from codegen.machine.model import MACHINE
from codegen.machine.target import TARGETS
from codegen.passes.table import OPTIONAL
from symnet.cli.arguments import (
    Parser,
    UsageError,
    add_dtype,
    add_model,
    add_optimizers,
    add_parts,
    add_target,
    ending,
    real,
    whole,
)
from symnet.cli.network import compiled, load_model
from symnet.cli.progress import working
from symnet.cli.table import show
from symnet.cli.trace import HEADER, page, rows
from symnet.machine.file import read_machine
from symnet.network.tune import FASTEST, SECONDS, Tuned, tune
from symnet.support.files import check_output, write_atomic
from symnet.support.options import choice


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option("-o", "--output", metavar="OUT.py", help="the file to write (default: print the module)")
    parser.option(
        "--tune", action="store_true", help="measure steps with each choice made otherwise, keep what is faster, say so"
    )
    parser.option("--machine", metavar="FILE", help="choose by a machine file, as symnet tune --machine writes it")
    parser.option("--batch-size", type=whole(1), metavar="N", help="of --tune (default: 32)")
    parser.option("--seconds", type=real(0, 3600), metavar="S", help=f"for --tune in all (default: {SECONDS:.0f})")
    parser.option("--trace", action="store_true", help="say what each pass of the compiler did, and how long it took")
    parser.option("--trace-page", metavar="FILE.html", help="write a page that steps through the passes")
    parser.option(
        "--without", action="append", metavar="PASS", help="leave a pass out, and what needs it; may be repeated"
    )
    add_optimizers(parser)
    add_parts(parser)
    add_target(parser)
    add_dtype(parser)


def run(args: argparse.Namespace) -> int:
    """Compile, then write or print the module."""
    _check(args)
    machine = read_machine(args.machine) if args.machine else MACHINE
    model = load_model(args.model)
    way = args.target
    if args.tune:
        with working(f"measuring the ways to compile {model.name}"):
            seconds = SECONDS if args.seconds is None else args.seconds
            tuned = tune(
                model,
                args.dtype,
                args.batch_size or 32,
                seconds=seconds,
                machine=machine,
                optimizers=args.optimizers,
                parts=args.parts,
            )
        _show(tuned, args.output is None)
        net, way = tuned.net, tuned.target
    else:
        without = tuple(args.without or ())
        more = {"without": without, "machine": machine, "optimizers": args.optimizers, "parts": args.parts}
        net = compiled(model, dtype=args.dtype, target=args.target, **more)
    if args.trace:
        show(HEADER, rows(net.trace), left=2, aside=args.output is None)
    if args.trace_page is not None:
        write_atomic(args.trace_page, page(model.name, net.trace))
    if args.output is None:
        print(net.source, end="")
        return 0
    write_atomic(args.output, net.source)
    count = sum(math.prod(shape) for shape in net.module.PARAMETERS.values())
    lines = len(net.source.splitlines())
    print(f"{args.output}: {net.module.MODEL}, {count:,} parameters, {lines:,} lines ({way}, {args.dtype})")
    print(net.bytes_text)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise UsageError for options that do not go together, and for what cannot be written."""
    for path in (args.output, args.trace_page):
        if path is not None:
            check_output(path, [args.model, *([args.machine] if args.machine else [])])
    if args.trace_page is not None:
        ending("symnet compile", args.trace_page, (".html",))
    for name in args.without or ():
        choice("symnet compile: --without", name, OPTIONAL)
    if args.tune and args.without:
        raise UsageError("symnet compile: --tune and --without do not go together; leave one out")
    if args.tune and not TARGETS[args.target].chooses:
        raise UsageError("symnet compile: --tune chooses the target itself; leave out --target")
    if args.batch_size is not None and not args.tune:
        raise UsageError("symnet compile: --batch-size is for --tune; give both, or neither (a module takes any batch)")
    if args.seconds is not None and not args.tune:
        raise UsageError("symnet compile: --seconds is for --tune; give both, or neither")


def _show(tuned: Tuned, printed: bool) -> None:
    """The table of what was measured; on stderr where the module itself is printed."""
    rows = [
        (
            each.what,
            f"{each.ways}",
            f"{1e3 * each.seconds:,.3f}",
            f"{1e3 * each.before:,.3f}",
            "taken" if each.taken else "",
        )
        for each in tuned.trials
    ]
    show((FASTEST, "ways", "ms a step", "before", ""), rows, left=1, aside=printed)

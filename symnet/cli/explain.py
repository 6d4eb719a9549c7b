"""symnet graph and symnet report: a network as a picture, and as a page to read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import TypeVar

from symnet.cli.arguments import Parser, UsageError, add_dtype, add_model, add_optimizers, add_target, ending
from symnet.cli.network import compiled, load_model
from symnet.differentiate.programs import derived, network
from symnet.explain.graph import Graph, dot, folded, mermaid, svg, unfolded
from symnet.explain.report import Report, html, markdown, report, tex
from symnet.support.files import check_output, write_atomic

Shown = TypeVar("Shown")

PICTURES: Mapping[str, Callable[[Graph], str]] = {".svg": svg, ".dot": dot, ".mmd": mermaid}
PAGES: Mapping[str, Callable[[Report], str]] = {".html": html, ".tex": tex, ".md": markdown}


def declare_graph(parser: Parser) -> None:
    """The options of `graph`."""
    add_model(parser)
    parser.option("-o", "--output", metavar="FILE", required=True, help="the file to write: .svg, .dot or .mmd")
    parser.option("--unfold", action="store_true", help="a node for each tensor and equation instead of each layer")
    parser.option("--derived", action="store_true", help="with --unfold: the equations before they are rewritten")


def run_graph(args: argparse.Namespace) -> int:
    """Write the computation graph."""
    draw = chosen("symnet graph", args.output, PICTURES)
    if args.derived and not args.unfold:
        raise UsageError("symnet graph: --derived chooses the equations of --unfold; give both, or neither")
    check_output(args.output, [args.model])
    model = load_model(args.model)
    if args.unfold:
        graph = unfolded(derived(model) if args.derived else network(model), model.name)
    else:
        graph = folded(model, derived(model))
    write_atomic(args.output, draw(graph))
    print(f"{args.output}: the graph of {model.name}, {len(graph.nodes)} nodes, {len(graph.edges)} edges")
    return 0


def declare_report(parser: Parser) -> None:
    """The options of `report`."""
    add_model(parser)
    parser.option("-o", "--output", metavar="FILE", required=True, help="the file to write: .html, .tex or .md")
    parser.option("--no-steps", action="store_true", help="leave the derivations step by step out")
    add_optimizers(parser)
    add_target(parser)
    add_dtype(parser)


def run_report(args: argparse.Namespace) -> int:
    """Write the report."""
    write = chosen("symnet report", args.output, PAGES)
    check_output(args.output, [args.model])
    net = compiled(load_model(args.model), dtype=args.dtype, target=args.target, optimizers=args.optimizers)
    text = write(report(net, steps=not args.no_steps))
    write_atomic(args.output, text)
    print(f"{args.output}: a report on {net.model.name}, {len(text.encode()) / 1000:,.0f} kB")
    return 0


def chosen(command: str, path: str, known: Mapping[str, Callable[[Shown], str]]) -> Callable[[Shown], str]:
    """What writes a file of this ending.  Raises UsageError for an ending that nothing writes."""
    return known[ending(command, path, tuple(known))]

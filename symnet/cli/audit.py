"""symnet audit: vanishing gradients, layer by layer."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from symnet.cli.arguments import Parser, add_model, ending, needs, whole
from symnet.cli.network import compiled, load_model, read_params, signature
from symnet.cli.progress import working
from symnet.cli.sources import add_columns, chunks, open_data
from symnet.explain.audit import audit, table
from symnet.model.graph import Model
from symnet.support.errors import DataError
from symnet.support.files import check_output, write_atomic
from symnet.verify.plots import need_matplotlib, plot_norms

SAMPLES = 64
"""Samples of the data that errors are measured on, unless --samples says otherwise."""

NOTES = (
    "bound: what the activations alone can make of an error of 1 at the loss on its way to the layer;",
    "       the weights multiply it by their norms.",
)


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option(
        "--data",
        metavar="DATA",
        help="measure the errors on data: FILE.npz, FILE.csv, MNIST's IDX files, or sklearn:NAME",
    )
    add_columns(parser)
    parser.option("--params", metavar="FILE.npz", help="trained parameters (default: fresh ones)")
    parser.option("--seed", type=whole(0), metavar="N", help="draws fresh parameters (default: 0)")
    parser.option("--samples", type=whole(1), metavar="N", help=f"samples to measure (default: {SAMPLES})")
    parser.option("-o", "--output", metavar="FILE.png", help="write the bounds and norms as a plot")


def run(args: argparse.Namespace) -> int:
    """Print the table; write the plot."""
    needs("symnet audit", args, "data", "params", "seed", "samples", "target_column", "feature_columns")
    inputs = [path for path in (args.model, args.data, args.params) if path is not None]
    if args.output is not None:
        ending("symnet audit", args.output, (".png",))
        need_matplotlib()
        check_output(args.output, inputs)
    model = load_model(args.model, needs_loss=True)
    arrays = _arrays(args, model) if args.data is not None else None
    with working("following the error"):
        rows = audit(model, arrays)
    print(table(rows))
    print("\n".join(("", *NOTES)))
    if arrays is not None:
        count = len(arrays[model.inputs[0].name])
        print(f"|delta|: norm of the error of one sample's loss, over {count:,} samples in float64.")
    if args.output is not None:
        names = [row.name for row in rows]
        write_atomic(args.output, plot_norms(names, [row.bound for row in rows], [row.norm for row in rows]))
        print(f"wrote {args.output}")
    return 0


def _arrays(args: argparse.Namespace, model: Model) -> dict[str, Any]:
    """Parameters and samples by the names of the program."""
    net = compiled(model, dtype="float64", target="numpy")
    module = net.module
    data = next(chunks(open_data(args, args.data, signature(module)), args.samples or SAMPLES))
    if data.y is None:
        raise DataError(f"'{args.data}' has no targets; expected arrays x and y to measure errors on")
    params = module.init_params(args.seed or 0) if args.params is None else read_params(args.params, net)
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in params.items()}
    samples = data.x if isinstance(data.x, dict) else {model.inputs[0].name: data.x}
    arrays |= {name: np.asarray(value) for name, value in samples.items()}
    arrays["target"] = _target(model, np.asarray(data.y))
    return arrays


def _target(model: Model, y: Any) -> Any:
    """Targets as the loss has them: one-hot rows for integer labels of a loss on numbers."""
    assert model.target is not None
    shape = tuple(extent.const for extent in model.target.shape[1:])
    if model.target.dtype == "float" and y.ndim == 1 and shape and shape[-1] > 1:
        return np.eye(shape[-1])[y.astype(np.int64)]
    return y.reshape(len(y), *shape) if shape and all(shape) else y

"""symnet predict: what a trained network says of data."""

from __future__ import annotations

import argparse
import io

import numpy as np

from symnet.cli.arguments import Parser, add_dtype, add_model, add_target, ending
from symnet.cli.measure import answers
from symnet.cli.network import compiled, load_model, read_params, signature
from symnet.cli.sources import add_columns, open_data
from symnet.support.errors import SymnetError, errors_of
from symnet.support.files import check_output, writing

FORMS = (".csv", ".npy")


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option(
        "--params", required=True, metavar="FILE", help="what symnet train wrote: an .npz file, or a checkpoint"
    )
    parser.option("--data", required=True, metavar="DATA", help="as for symnet train; targets are not needed")
    parser.option(
        "-o", "--output", metavar="FILE", help="a .csv or .npy file to write (default: print, a sample a line)"
    )
    add_columns(parser)
    parser.option("--raw", action="store_true", help="the network's outputs (logits) instead of labels")
    add_target(parser)
    add_dtype(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, then write or print."""
    suffix = ".csv"
    if args.output is not None:
        suffix = ending("symnet predict", args.output, FORMS)
        check_output(args.output, [args.model, args.params, args.data])
    net = compiled(load_model(args.model), dtype=args.dtype, target=args.target)
    params = read_params(args.params, net)
    data = open_data(args, args.data, signature(net.module), target=False)
    with errors_of(net.module):
        parts = answers(net.module, params, data, args.raw)
        if args.output is None:
            for part in parts:
                print(_table(part), end="")
            return 0
        with writing(args.output) as stream:
            for k, part in enumerate(parts):
                if suffix == ".npy":
                    stream.write(_npy_header(part, data.count) * (k == 0) + part.tobytes())
                else:
                    stream.write(_table(part).encode())
    print(f"{args.output}: {data.count:,} predictions")
    return 0


def _table(answers: np.ndarray) -> str:
    """A sample a line, its values separated by commas; floats with every digit that tells them apart."""
    if answers.ndim > 2:
        shape = " x ".join(map(str, answers.shape[1:]))
        raise SymnetError(f"a prediction of {shape} values does not fit on a line; write it with -o FILE.npy")
    digits = {4: "%.9g", 8: "%.17g"}.get(answers.dtype.itemsize, "%.17g")
    text = io.StringIO()
    np.savetxt(text, answers, delimiter=",", fmt=digits if answers.dtype.kind == "f" else "%d")
    return text.getvalue()


def _npy_header(answers: np.ndarray, samples: int) -> bytes:
    """The first bytes of an .npy file of the answers for all samples, of which these are the first."""
    buffer = io.BytesIO()
    about = {"descr": np.lib.format.dtype_to_descr(answers.dtype), "fortran_order": False}
    np.lib.format.write_array_header_1_0(buffer, {**about, "shape": (samples, *answers.shape[1:])})
    return buffer.getvalue()

"""symnet export: a trained network for other systems."""

from __future__ import annotations

import argparse

from symnet.cli.arguments import Parser, UsageError, add_model, ending
from symnet.cli.network import load_model, read_params
from symnet.export import onnx_bytes
from symnet.export.weights import save_weights
from symnet.network.compiler import compile as compile_model
from symnet.support.files import check_output, write_atomic
from symnet.training.checkpoints.checkpoint import SUFFIX


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    parser.option("--onnx", metavar="OUT.onnx", help="the network for inference, with its parameters, in ONNX")
    parser.option("--weights", metavar="OUT.safetensors", help="the parameters under the names of a PyTorch state dict")
    parser.option("--params", metavar="FILE", help="trained parameters (default: fresh ones, of seed 0)")


def run(args: argparse.Namespace) -> int:
    """Write each file that is asked for."""
    wanted = {".onnx": args.onnx, SUFFIX: args.weights}
    if set(wanted.values()) == {None}:
        raise UsageError("symnet export: expected --onnx OUT.onnx or --weights OUT.safetensors (or both)")
    for form, path in wanted.items():
        if path is not None:
            ending("symnet export", path, (form,))
            check_output(path, [p for p in (args.model, args.params) if p is not None])
    model = load_model(args.model)
    net = compile_model(model)
    params = net.module.init_params(0) if args.params is None else read_params(args.params, net)
    if args.params is None:
        print("no --params: the parameters are untrained")
    if args.onnx is not None:
        data = onnx_bytes(model, params)
        write_atomic(args.onnx, data)
        print(f"{args.onnx}: {model.name} for inference, {len(data):,} bytes")
    if args.weights is not None:
        save_weights(args.weights, params, torch_names=True)
        print(f"{args.weights}: {len(params)} tensors")
    return 0

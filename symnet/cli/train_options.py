"""The options of symnet train."""

from __future__ import annotations

import argparse

from symnet.cli.arguments import Parser, add_dtype, add_model, add_target, one_of, real, whole
from symnet.cli.sources import add_columns
from symnet.data.samples import HELD_OUT
from symnet.optim.optimizers import OPTIMIZERS
from symnet.training.checkpoints.start import KEEP


def declare(parser: Parser) -> None:
    """The command's options."""
    add_model(parser)
    for declare_part in (_data_options, _training_options, _watching_options, _checkpoint_options):
        declare_part(parser)
    parser.option("--quiet", action="store_true", help="no progress, only the results")
    add_target(parser)
    add_dtype(parser)


def _data_options(parser: Parser) -> None:
    parser.option(
        "--data",
        required=True,
        metavar="DATA",
        help="FILE.npz with arrays x and y, FILE.csv with the target last or in --target-column, MNIST's IDX files, "
        "sklearn:NAME; larger than memory: 'PART-*.npz' or a folder of shards, x.npy,y.npy, or TABLE.parquet with "
        "--target-column",
    )
    add_columns(parser)
    parser.option("--validation", metavar="DATA", help="data to validate on; without it a part of --data is held out")
    parser.option(
        "--holdout",
        type=real(0, 1, closed=True),
        metavar="SHARE",
        help=f"the share of --data to hold out, stratified by class (default: {HELD_OUT}; 0 for none)",
    )
    parser.option("--params", metavar="OUT.npz", help="where to write the trained parameters")
    parser.option("--start", metavar="FILE.npz", help="parameters to start from, instead of fresh ones")
    parser.option(
        "--augment",
        metavar="STEPS",
        help="change the pictures of each batch at random, such as shift=2,flip,rotate=10,noise=0.05",
    )
    parser.option(
        "--class-weight",
        type=_class_weight,
        metavar="WEIGHTS",
        help="balanced, or factors of the loss by label: 0=1,1=2.5",
    )
    parser.option("--sample-weight", metavar="NAME", help="the array (or column) of --data with the samples' weights")


def _training_options(parser: Parser) -> None:
    parser.option("--epochs", type=whole(1), default=10, metavar="N", help="default: 10")
    parser.option("--batch-size", type=whole(1), default=32, metavar="N", help="default: 32")
    names = tuple(OPTIMIZERS)
    parser.option("--optimizer", type=one_of(names), default="adam", metavar="NAME", help=", ".join(names))
    parser.option("--learning-rate", type=real(0), metavar="RATE", help="default: the optimizer's own")
    parser.option(
        "--schedule",
        default="constant",
        metavar="NAME",
        help="of the learning rate: constant (default), linear, cosine, exponential or step, "
        "with options as in 'step, factor=0.5, drops=3'",
    )
    parser.option(
        "--warmup",
        type=whole(0),
        default=0,
        metavar="STEPS",
        help="first steps in which the learning rate rises (default: 0)",
    )
    parser.option(
        "--rate",
        type=_rate,
        action="append",
        default=[],
        metavar="NAME=FACTOR",
        help="a factor of the learning rate of one parameter or layer, such as conv1=0.1; may be given several times",
    )
    parser.option(
        "--patience", type=whole(1), metavar="N", help="stop after N epochs without improvement, keep the best"
    )
    parser.option("--clip", type=real(0), metavar="LENGTH", help="the greatest length of the gradient")
    parser.option("--workers", type=_workers, default=1, metavar="N", help="processes to use, or auto (default: 1)")
    parser.option(
        "--seed", type=whole(0), default=0, metavar="N", help="first values, order and held-out part (default: 0)"
    )


def _watching_options(parser: Parser) -> None:
    parser.option(
        "--metrics",
        type=_words,
        default=[],
        metavar="NAMES",
        help="measured on the validation part after each epoch: precision, recall, f1, auc, top5; mae, rmse, r2",
    )
    parser.option("--tensorboard", metavar="DIR", help="a folder for TensorBoard's event files")
    parser.option("--histograms", action="store_true", help="with --tensorboard: the parameters' histograms, too")
    parser.option("--plot", metavar="DIR", help="a folder for pictures: curves, confusion matrix, filters, maps")


def _checkpoint_options(parser: Parser) -> None:
    parser.option("--checkpoint", metavar="DIR", help="a folder for checkpoints, which --resume goes on from")
    parser.option(
        "--checkpoint-every",
        type=_every,
        metavar="STEPS",
        help="how often to write one: a number of steps, or epoch (default)",
    )
    parser.option("--keep", type=whole(1), metavar="K", help=f"how many checkpoints to keep (default: {KEEP})")
    parser.option(
        "--resume",
        nargs="?",
        const=True,
        default=False,
        metavar="PATH",
        help="go on from --checkpoint's newest intact one, or from PATH (a checkpoint or a folder)",
    )


def _class_weight(text: str) -> dict[int, float] | str:
    if text == "balanced":
        return text
    try:
        pairs = [pair.split("=") for pair in text.split(",")]
        return {int(label): float(weight) for label, weight in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected balanced, or LABEL=WEIGHT,..., got '{text}'") from None


def _rate(text: str) -> tuple[str, float]:
    name, _, factor = text.rpartition("=")
    if not name:
        raise argparse.ArgumentTypeError(f"expected NAME=FACTOR, such as conv1=0.1, got '{text}'")
    return name.strip(), real(0, closed=True)(factor)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",")]


def _workers(text: str) -> int | str:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    return one_of(("auto", "a number of processes"))(text)


def _every(text: str) -> int | str:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    return one_of(("epoch", "a number of steps"))(text)

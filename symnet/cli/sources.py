"""What --data names: a data set in memory, or files that are larger than memory and read in pieces.

PATTERN.npz, FOLDER    shards (quote the pattern, or the shell takes it apart), each with the arrays of one .npz file
x.npy,y.npy            memory-mapped arrays; for predictions x.npy does
TABLE.parquet          also .arrow, .feather, a pattern or a folder of them, with --target-column
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from symnet.cli.arguments import Parser, UsageError, one_of
from symnet.data.columns import Columns
from symnet.data.samples import Data, Signature, load_data, split
from symnet.readers.idx import looks_like_idx
from symnet.stream import Arrow, Memmap, Shards
from symnet.stream.block import Block
from symnet.stream.npz import npz_headers
from symnet.stream.paths import files_of, is_pattern
from symnet.stream.tables import SUFFIXES, is_index, read_header
from symnet.support.errors import DataError
from symnet.support.suggest import listing

Source = Shards | Memmap | Arrow


@dataclass(frozen=True)
class Streamed:
    """A source, by the names that a data set in memory has."""

    x: Source
    y: None = None
    weight: None = None

    @property
    def count(self) -> int:
        """The number of samples."""
        return self.x.samples


def add_columns(parser: Parser) -> None:
    """Which columns of a table are meant."""
    parser.option(
        "--target-column",
        metavar="NAME",
        help="of a table (.csv, .parquet, .arrow, .feather): the targets; without names columns are 0, 1, ...",
    )
    parser.option(
        "--feature-columns",
        metavar="NAMES",
        help="of a table: the input, separated by commas (default: all but the targets; with several inputs, theirs)",
    )
    parser.option(
        "--header",
        type=one_of(("yes", "no")),
        metavar="yes|no",
        help="of a .csv file: whether its first line names the columns (default: yes where no number is in it)",
    )


def open_data(
    args: argparse.Namespace, spec: str, signature: Signature, *, target: bool = True, weight: str | None = None
) -> Data | Streamed:
    """The data that a command is given, for a network with this signature.

    target: whether targets must be there.  weight: the name of the samples' weights.
    Raises DataError, and UsageError for an option that is for another kind of data.
    """
    source = _source(args, spec, signature, target, weight)
    if source is None:
        return load_data(spec, signature, target=target, weight=weight, columns=_columns(args))
    if getattr(args, "class_weight", None) is not None:
        raise UsageError(
            "symnet train: --class-weight counts the labels of data in memory; "
            f"'{spec}' is read in pieces: give its samples weights (--sample-weight NAME)"
        )
    return Streamed(source)


def _columns(args: argparse.Namespace) -> Columns:
    """What is said of a table's columns."""
    target, features, header = (getattr(args, name, None) for name in ("target_column", "feature_columns", "header"))
    return Columns(target, _names(features), None if header is None else header == "yes")


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",")]


def hold_out(data: Data | Streamed, share: float, seed: int) -> tuple[Data | Streamed, Data | Streamed]:
    """Two parts of the data: the rest, and `share` of it; whole shards or row groups of a source.

    Raises DataError where that does not come out.
    """
    if isinstance(data, Data):
        return split(data, share, seed)
    rest, held = data.x.split(share, seed)
    return Streamed(rest), Streamed(held)


def given(data: Data | Streamed) -> Any:
    """The data as the training loop takes them to validate on."""
    return data.x if isinstance(data, Streamed) else (data.x, data.y, data.weight)


def chunks(data: Data | Streamed, size: int) -> Iterator[Data | Block]:
    """All samples in their order, `size` at a time, or fewer at the end."""
    if isinstance(data, Streamed):
        yield from data.x.chunks(size)
    else:
        yield from (data.take(slice(start, start + size)) for start in range(0, data.count, size))


def _source(
    args: argparse.Namespace, spec: str, signature: Signature, target: bool, weight: str | None
) -> Source | None:
    form, text = _form(spec), Path(spec).suffix.lower() == ".csv"
    if form or text or ":" in spec or os.path.exists(spec):
        for option in ("target_column", "feature_columns"):
            if getattr(args, option, None) is not None and not (form == "table" or text):
                name = "--" + option.replace("_", "-")
                raise UsageError(f"{name} names columns of a table ({listing(('.csv', *SUFFIXES))}); '{spec}' is none")
        if getattr(args, "header", None) is not None and not text:
            raise UsageError(f"--header is about the first line of a .csv file; '{spec}' is none")
    if form == "shards":
        return _shards(spec, signature, target, weight)
    if form == "maps":
        return _maps(spec, signature, target, weight)
    return _table(args, spec, signature, target, weight) if form == "table" else None


def _form(spec: str) -> str:
    """Which kind of source it is: "shards", "maps", "table", or "" for data in memory."""
    suffix = Path(spec).suffix.lower()
    if all(Path(word).suffix.lower() == ".npy" for word in spec.split(",")):
        return "maps"
    if suffix in SUFFIXES:
        return "table"
    if is_pattern(spec):
        if suffix != ".npz":
            raise DataError(f"'{spec}': a pattern stands for files that end in {listing(('.npz', *SUFFIXES))}")
        return "shards"
    if os.path.isdir(spec) and not any(looks_like_idx(file) for file in Path(spec).iterdir()):
        found = {file.suffix.lower() for file in Path(spec).rglob("*")}
        return "shards" if ".npz" in found else "table" if found & set(SUFFIXES) else ""
    return ""


def _shards(spec: str, signature: Signature, target: bool, weight: str | None) -> Shards:
    names = list(signature.inputs)
    inputs: str | list[str] = names
    if len(names) == 1:
        arrays = npz_headers(files_of(spec, (".npz",), "shards")[0])
        inputs = names[0] if "x" not in arrays and names[0] in arrays else "x"
    return Shards(spec, inputs=inputs, target="y" if target else None, weight=weight)


def _maps(spec: str, signature: Signature, target: bool, weight: str | None) -> Memmap:
    words = spec.split(",")
    if len(signature.inputs) > 1:
        raise DataError(
            f"'{spec}' is one array; the network has the inputs {', '.join(signature.inputs)}: give shards, .npz files "
            "with these arrays"
        )
    if weight is not None:
        raise DataError(f"'{spec}': weights of samples come from .npz files or tables; save x, y and '{weight}' in one")
    if len(words) > 2 or (target and len(words) != 2):
        raise DataError(f"'{spec}': expected the input and the targets, as in x.npy,y.npy; got {len(words)} files")
    return Memmap(words[0], words[1] if target else None)


def _table(args: argparse.Namespace, spec: str, signature: Signature, target: bool, weight: str | None) -> Arrow:
    column = getattr(args, "target_column", None)
    features = _names(getattr(args, "feature_columns", None))
    if features is not None and column in features:
        raise UsageError(
            f"column '{column}' is both in --feature-columns and --target-column; leave it out of the first"
        )
    if target and column is None:
        names = read_header(files_of(spec, SUFFIXES, "tables")[0]).schema.names
        shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
        raise DataError(f"'{spec}': which column has the targets? name it with --target-column; there are {shown}")
    shapes = {
        name: None if any(isinstance(extent, str) for extent in shape) else tuple(map(int, shape))
        for name, (shape, _) in signature.inputs.items()
    }
    if len(shapes) == 1:
        if column is not None and not target and features is None:
            names = read_header(files_of(spec, SUFFIXES, "tables")[0]).schema.names
            features = [name for name in names if name != column and not is_index(name)]
        return Arrow(spec, features, column if target else None, shape=next(iter(shapes.values())), weight=weight)
    if features is not None:
        raise UsageError(
            f"--feature-columns: the network has the inputs {', '.join(shapes)}, which take the columns of these names"
        )
    known = {name: shape for name, shape in shapes.items() if shape is not None}
    return Arrow(spec, {name: name for name in shapes}, column if target else None, shape=known, weight=weight)

"""Tables of figures: with rich on a terminal, plainly elsewhere."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from symnet.support.extras import installed


def show(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0, aside: bool = False) -> None:
    """Print a table.

    left: how many of the first columns hold words, which begin on the left; figures end on the right.
    aside: on stderr, where what is printed on stdout is for another program.
    """
    out = sys.stderr if aside else sys.stdout
    if out is None or out.closed:
        return
    if out.isatty() and installed("rich"):
        table = importlib.import_module("rich.table").Table(*header)
        for column in table.columns[left:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        importlib.import_module("rich.console").Console(file=out).print(table)
        return
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, *rows):
        cells = [
            text.ljust(width) if k < left else text.rjust(width)
            for k, (text, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip(), file=out)

"""A sign on a terminal that something is being done."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from symnet.training.callbacks.progress import fancy


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on a terminal that something is being done."""
    if not fancy():
        yield
        return
    console = importlib.import_module("rich.console").Console(stderr=True)
    with console.status(f"{what} ..."):
        yield

"""A line that shows how far training is."""

from __future__ import annotations

import time
from typing import Any

from symnet.runtime.checks import _require_flag
from symnet.runtime.terminal import _is_terminal, _tell


class _Progress:
    """One line an epoch on stderr; on a terminal, the line moves with the steps."""

    def __init__(self, verbose: bool | None) -> None:
        if verbose is not None:
            _require_flag("verbose", verbose)
        terminal = _is_terminal()
        shown = terminal if verbose is None else verbose
        self.step = self._step if shown and terminal else None
        self.epoch = self._epoch if shown else lambda record: None
        self._clear = "\r\x1b[K" if terminal else ""
        self._next = 0.0

    def _step(self, record: dict[str, Any]) -> None:
        now = time.monotonic()
        if now >= self._next:  # ten times a second is enough
            self._next = now + 0.1
            bar = f"step {record['step']:,}"
            if record["steps"] is not None:
                done = min(20 * record["step"] // record["steps"], 20)
                bar = f"[{'#' * done}{'.' * (20 - done)}]"
            _tell(f"{self._clear}{_place(record)} {bar} loss {record['loss']:.4f}")

    def _epoch(self, record: dict[str, Any]) -> None:
        text = f"{self._clear}{_place(record)}  loss {record['loss']:.4f}"
        if "val_loss" in record:
            text += f"  val_loss {record['val_loss']:.4f}"
        if "val_accuracy" in record:
            text += f"  val_accuracy {record['val_accuracy']:.2%}"
        _tell(text + "\n")


def _place(record: dict[str, Any]) -> str:
    return f"epoch {record['epoch']:>{len(str(record['epochs']))}}/{record['epochs']}"

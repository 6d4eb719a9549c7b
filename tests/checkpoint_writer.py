"""What the processes do that test_checkpoint_kill.py kills: they write checkpoints as fast as they can."""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from symnet.training.checkpoints.folder import open_folder, write_checkpoint

TEXTS, TABLES, LISTS = ("name", "fingerprint", "dtype"), ("parameters", "inputs"), ("use", "training", "frozen")
MODEL = dict.fromkeys(TEXTS, "") | {name: {} for name in TABLES} | {name: [] for name in LISTS}


def numbered(number: int) -> dict[str, Any]:
    """A state of which every part tells the number."""
    rng = np.random.default_rng(number)
    arrays = {f"params/{k}": rng.random((50 + 10 * k, 100), np.float32) for k in range(5)}
    meta = {"epoch": number, "step": 1, "history": {"loss": rng.random(50).tolist()}}
    return {"arrays": arrays | {"optimizer/t": np.array(number)}, "meta": meta}


def write(folder: str, first: int, announced: Connection) -> None:
    """Write numbered checkpoints, and keep two, until killed; send the number of each once that is written."""
    place = open_folder(folder)
    number = first
    while True:
        write_checkpoint(place, numbered(number), MODEL, 2)
        announced.send(number)
        number += 1

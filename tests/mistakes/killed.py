"""What the processes do that are killed: a command that writes, again and again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from multiprocessing.connection import Connection

from mistakes.commands import in_process
from symnet.cli.main import main


def write(folder: str, lines: Sequence[list[str]], ready: Connection) -> None:
    """Run one command line after the other, over and over, until killed; say when each has run once."""
    os.chdir(folder)
    while True:
        for line in lines:
            status, _, err = in_process(main, line)
            if status:
                ready.send(err)
                return
        ready.send("")

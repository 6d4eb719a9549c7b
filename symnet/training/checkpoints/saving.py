"""What the hooks of a training write: checkpoints, every so often, at its end, and when it is interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from symnet.model.graph import Model
from symnet.training.checkpoints.checkpoint import State, require
from symnet.training.checkpoints.folder import opened, write_checkpoint
from symnet.training.checkpoints.identity import Identity, identity
from symnet.training.checkpoints.interrupts import interrupts
from symnet.training.checkpoints.start import KEEP, Plan, place, start_of

Hook = Callable[[dict[str, Any]], object]


@contextmanager
def saving(plan: Plan, model: Model, dtype: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The options of the training loop, with a state to resume from and with hooks that write checkpoints.

    options: those of the loop; its own hooks are called first.  What is resumed from, or that the training starts
    afresh, is said on stderr.
    Where the body ends well, the last checkpoint is that of the end.  Where Ctrl-C is pressed, one is written as soon
    as the step under way is done, and KeyboardInterrupt says which; a second Ctrl-C ends the step, too.
    Raises CheckpointError for a checkpoint that cannot be used, and for a folder with another run's checkpoints.
    """
    settings = dict(options)
    if plan.folder is None and plan.resume is False:
        yield settings
        return
    require()
    described = identity(model, dtype)
    start, damaged = start_of(plan, described)
    if start is not None:
        settings["resume"] = start.state
    if plan.folder is None:
        yield settings
        return
    with opened(plan.folder) as folder, interrupts() as interrupted:
        saver = _Saver(plan, folder, described, damaged, interrupted)
        saver.taken = 0 if start is None else _taken(start.arrays)
        settings["on_step"] = saver.on_step(options.get("on_step"))
        settings["on_epoch"] = saver.on_epoch(options.get("on_epoch"))
        yield settings
        saver.save()
        if interrupted():
            raise KeyboardInterrupt(saver.farewell)


def _taken(arrays: Mapping[str, Any]) -> int:
    """The steps of the run so far; 0 where the array is none, which the loop refuses."""
    taken = arrays.get("optimizer/t")
    return int(taken) if taken is not None and taken.shape == () and taken.dtype.kind in "iu" else 0


@dataclass
class _Saver:
    """The hooks.  taken: the steps of the whole run.  last: the state of the last event, unless it is written.
    written: the last checkpoint, in words."""

    plan: Plan
    folder: Path
    model: Identity
    damaged: Mapping[Path, object]
    interrupted: Callable[[], bool]
    taken: int = 0
    last: Callable[[], State] | None = None
    written: str = "where it began"

    @property
    def every(self) -> int | str:
        """How often to write one: "epoch", or a number of steps."""
        return "epoch" if self.plan.every is None else self.plan.every

    def on_step(self, own: Hook | None) -> Hook:
        """The hook of a step, after the caller's own."""

        def hook(event: dict[str, Any]) -> None:
            self.taken += 1
            self._call(own, event)
            if self.every != "epoch" and self.taken % int(self.every) == 0:
                self.save()
            if self.interrupted():
                self.interrupt()

        return hook

    def on_epoch(self, own: Hook | None) -> Hook:
        """The hook of an epoch, after the caller's own, whose answer it gives."""

        def hook(event: dict[str, Any]) -> object:
            answer = self._call(own, event)
            if self.every == "epoch":
                self.save()
            if self.interrupted():
                self.interrupt()
            return answer

        return hook

    def _call(self, own: Hook | None, event: dict[str, Any]) -> object:
        self.last = event["state"]
        try:
            return None if own is None else own(event)
        except KeyboardInterrupt:
            self.interrupt()

    def save(self) -> None:
        """Write the state of the last event, unless that is done."""
        if self.last is None:
            return
        state = self.last()
        path = write_checkpoint(self.folder, state, self.model, self.plan.keep or KEEP, self.damaged)
        self.last, self.written = None, f"'{path}', {place(state['meta'])}"

    def interrupt(self) -> NoReturn:
        """Write the state of the last event and end.  Raises KeyboardInterrupt."""
        self.save()
        raise KeyboardInterrupt(self.farewell)

    @property
    def farewell(self) -> str:
        """What an interruption says."""
        return f"training interrupted; with resume=True (--resume) it goes on from {self.written}"

"""Where a training starts: afresh, or from a checkpoint of the same model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np

from symnet.model.graph import Model
from symnet.support.errors import CheckpointError, DefinitionError
from symnet.support.files import path_of, path_shown
from symnet.support.options import integer, shown
from symnet.support.terminal import say
from symnet.training.checkpoints.checkpoint import Checkpoint, load_checkpoint
from symnet.training.checkpoints.folder import checkpoints_in, newest
from symnet.training.checkpoints.identity import Identity, difference, identity, named

KEEP = 3
"""Checkpoints of a run that are kept, unless it is said otherwise."""


@dataclass(frozen=True)
class Plan:
    """Where checkpoints go and where a training starts.

    folder: of the checkpoints, or None for none.  every: a number of steps, or "epoch", which is the default.
    keep: how many of them, by default KEEP.
    resume: True for the newest intact one of the folder (or a fresh start where there is none), the path of a
    checkpoint or of a folder of them, or False.
    """

    folder: str | Path | None = None
    every: int | str | None = None
    keep: int | None = None
    resume: bool | str | Path = False

    def __post_init__(self) -> None:
        if not isinstance(self.folder, (str, Path, type(None))) or self.folder == "":
            raise DefinitionError(f"fit(checkpoint=): expected a folder's path, got {shown(self.folder)}")
        if isinstance(self.every, bool) or not isinstance(self.every, Integral):
            if self.every is not None and (not isinstance(self.every, str) or self.every != "epoch"):
                raise DefinitionError(
                    f"fit(checkpoint_every=): expected 'epoch' or a number of steps, got {shown(self.every)}"
                )
        else:
            integer("fit(checkpoint_every=)", self.every)
        if self.keep is not None:
            integer("fit(keep=)", self.keep)
        if not isinstance(self.resume, (bool, str, Path)):
            raise DefinitionError(
                f"fit(resume=): expected True, False or the path of a checkpoint, got {shown(self.resume)}"
            )
        if self.resume is True and self.folder is None:
            raise DefinitionError("fit(resume=True): resume from where? give checkpoint='FOLDER', or resume='PATH'")
        for option, value in (("checkpoint_every", self.every), ("keep", self.keep)):
            if value is not None and self.folder is None:
                raise DefinitionError(
                    f"fit({option}=): it is for checkpoints, and none are written; give checkpoint='FOLDER' "
                    f"(--checkpoint DIR), too, or leave {option} out"
                )


def start_of(plan: Plan, model: Identity) -> tuple[Checkpoint | None, Mapping[Path, object]]:
    """What to resume from, if anything, and the damaged checkpoints of the folder."""
    if plan.resume is True:
        return _newest(str(plan.folder), model)
    start = None if plan.resume is False else _chosen(plan.resume, model, use_only=False)
    others = [] if plan.folder is None else checkpoints_in(plan.folder)
    if others and (start is None or not start.path or start.path.resolve().parent != others[0].resolve().parent):
        raise CheckpointError(
            f"the folder '{plan.folder}' holds checkpoints of another run, the newest '{others[-1].name}'; "
            "resume=True (--resume) goes on with that one, a new run needs another folder"
        )
    if start is not None:
        _say(f"resuming from '{start.path}', {place(start.meta)}")
    return start, {}


def load_params(path: str | Path, model: Model, dtype: str) -> dict[str, np.ndarray]:
    """Parameters and buffers to predict with, from a checkpoint, or from the newest intact one of a folder, as `dtype`.

    Raises CheckpointError where there is none, or where it belongs to a model with other parameters or predictions.
    """
    params = _chosen(path, identity(model, dtype), use_only=True).params
    return {name: array.astype(dtype) for name, array in params.items()}


def _chosen(path: str | Path, model: Identity, *, use_only: bool) -> Checkpoint:
    path = path_of(path, CheckpointError)
    if not os.path.exists(path):
        raise CheckpointError(
            f"no such file: {path_shown(path)}; expected a checkpoint, *.safetensors, or a folder of them"
        )
    if not os.path.isdir(path):
        return _of_model(load_checkpoint(path), model, use_only=use_only)
    found = newest(path)
    _warn(found.damaged)
    if found.checkpoint is None:
        raise CheckpointError(
            f"the folder '{path}' holds no intact checkpoint; expected files checkpoint-*.safetensors"
        )
    return _of_model(found.checkpoint, model, use_only=use_only)


def _newest(folder: str, model: Identity) -> tuple[Checkpoint | None, Mapping[Path, object]]:
    """The same for resume=True."""
    found = newest(folder)
    _warn(found.damaged)
    if found.checkpoint is None:
        _say(f"'{folder}' holds no {'intact ' if found.damaged else ''}checkpoint: starting afresh")
        return None, found.damaged
    start = _of_model(found.checkpoint, model, use_only=False)
    _say(f"resuming from '{start.path}', {place(start.meta)}")
    return start, found.damaged


def _of_model(checkpoint: Checkpoint, model: Identity, *, use_only: bool) -> Checkpoint:
    if other := difference(model, checkpoint.model, use_only=use_only):
        raise CheckpointError(
            f"'{checkpoint.path}' is a checkpoint of another model, {named(checkpoint.model)}; "
            f"expected {named(model)}: {other}"
        )
    return checkpoint


def place(meta: Mapping[str, Any]) -> str:
    """Where in the training a checkpoint stands."""
    if meta["step"]:
        return f"after step {meta['step']:,} of epoch {meta['epoch']}"
    return f"after epoch {meta['epoch'] - 1}"


def _warn(damaged: Mapping[Path, object]) -> None:
    for error in damaged.values():
        _say(f"{error}; trying the one before")


def _say(text: str) -> None:
    say(f"symnet: {text}")

"""The pictures of one training as PNG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from symnet.support.errors import DataError
from symnet.support.files import write_atomic
from symnet.training.callbacks.answers import CHUNK, answers
from symnet.training.plots.curves import curves
from symnet.training.plots.kernels import Network, feature_maps, filters, first_kernels
from symnet.training.plots.matrix import confusion
from symnet.training.plots.style import png

MOST_CLASSES = 200
"""A matrix of more classes is no picture that anybody reads."""


def write_pictures(
    folder: str | Path,
    net: Network,
    params: dict[str, np.ndarray],
    history: Mapping[str, Sequence[float]],
    validation: Any = None,
    class_names: Sequence[str] | None = None,
) -> list[Path]:
    """Write what there is to see of a training into a folder, made where it is missing; returns the files.

    loss.png: curves.  Of a classifier with validation data, confusion.png (one for each such output).  Of a network
    with convolutions of pictures, filters.png, and with validation data features.png, of its first picture.
    Raises DataError where the folder cannot be made, SymnetError where a file cannot be written.
    """
    figures = {"loss": curves(history)}
    if validation is not None:
        for output, said in answers(net.module, params, validation).items():
            if said.classes is not None and said.classes <= MOST_CLASSES:
                names = list(class_names) if class_names is not None and len(class_names) == said.classes else None
                shown = confusion(said.truth, said.said, names or [str(k) for k in range(said.classes)])
                figures["confusion" + (f"_{output}" if output else "")] = shown
    if first_kernels(net) is not None:
        figures["filters"] = filters(net, params)
        picture = None if validation is None else _first(validation)
        if picture is not None and not isinstance(picture, dict):
            figures["features"] = feature_maps(net, params, picture)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder '{folder}': {error.strerror or error}") from error
    paths = [Path(folder) / f"{name}.png" for name in figures]
    for path, drawn in zip(paths, figures.values(), strict=True):
        write_atomic(path, png(drawn))
    return paths


def _first(validation: Any) -> Any:
    """The first sample of (x, y) or of a source, with its batch axis."""
    if callable(getattr(validation, "batches", None)):
        x = next(iter(validation.batches(CHUNK, np.random.default_rng(0))))[0]
    else:
        x = validation[0]
    return x if isinstance(x, dict) else np.asarray(x[:1])

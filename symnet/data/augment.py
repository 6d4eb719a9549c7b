"""Augmentation: functions `(x, rng) -> x` of a batch of pictures, for `augment=` of a training.

    net.fit(x, y, augment=augment.chain(augment.shift(2), augment.flip(), augment.noise(0.05)))

x: floats (N, C, H, W), or (N, H, W, C) with layout="HWC", or (N, H, W).  The result has its shape and dtype, and its
values lie between the lowest and the highest of the batch and of `fill`.  The same state of `rng`, a NumPy generator,
gives the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from symnet.support.errors import DefinitionError
from symnet.support.options import choice, flag, function_of, generator_of, integer, number, shown, strict, string
from symnet.support.suggest import did_you_mean, listing

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]


@strict
def shift(pixels: int, *, fill: float | str = 0.0, layout: str = "CHW") -> Augment:
    """Move each picture by a whole number of pixels, up to `pixels` along each axis, drawn uniformly.

    fill: the value of what comes in from outside, or "edge" for that of the nearest pixel.
    Raises DefinitionError for values out of range.
    """
    reach = integer("shift(pixels=)", pixels, 0)
    _check("shift", fill, layout)

    def shifted(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        planes = _planes(x, layout)
        rng = generator_of("augment", rng, "integers")
        down, right = rng.integers(-reach, reach + 1, (2, len(x), 1, 1))
        rows, columns = _grid(planes)
        return _back(_read(planes, rows - down, columns - right, fill), x, layout)

    return shifted


@strict
def flip(*, vertical: bool = False, layout: str = "CHW") -> Augment:
    """Mirror each picture with probability 1/2: left to right, or `vertical`, top to bottom."""
    flag("flip(vertical=)", vertical)
    _check("flip", 0.0, layout)

    def flipped(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        planes = _planes(x, layout)
        rng = generator_of("augment", rng, "random")
        chosen = rng.random(len(x)) < 0.5
        mirrored = planes[:, :, ::-1] if vertical else planes[..., ::-1]
        return _back(np.where(chosen[:, None, None, None], mirrored, planes), x, layout)

    return flipped


@strict
def rotate(degrees: float, *, fill: float | str = 0.0, layout: str = "CHW") -> Augment:
    """Turn each picture about its middle by an angle drawn uniformly from -degrees to degrees.

    A pixel is the bilinear mean of the four that it falls between; fill: as of `shift`.
    """
    most = np.deg2rad(number("rotate(degrees=)", degrees, 0.0))
    _check("rotate", fill, layout)

    def rotated(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        planes = _planes(x, layout)
        rng = generator_of("augment", rng, "uniform")
        angle = rng.uniform(-most, most, (len(x), 1, 1))
        rows, columns = _grid(planes)
        middle = (rows.max() / 2, columns.max() / 2)
        y, x0 = rows - middle[0], columns - middle[1]
        up = middle[0] + np.cos(angle) * y - np.sin(angle) * x0
        along = middle[1] + np.sin(angle) * y + np.cos(angle) * x0
        return _back(_between(planes, up, along, fill), x, layout)

    return rotated


@strict
def noise(std: float) -> Augment:
    """Add normal noise of this standard deviation; what leaves the batch's own range is cut off at its ends."""
    width = number("noise(std=)", std, 0.0)

    def noisy(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
            raise DefinitionError(f"augment: noise: expected an array of floats, got {shown(x)}")
        if not x.size:
            return x
        drawn = generator_of("augment", rng, "standard_normal").standard_normal(x.shape, np.float32).astype(x.dtype)
        result: np.ndarray = np.clip(x + x.dtype.type(width) * drawn, x.min(), x.max())
        return result

    return noisy


@strict
def chain(*functions: Augment) -> Augment:
    """One after the other, the first one first."""
    for function in functions:
        function_of("chain", function, "x", "rng")

    def chained(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        for function in functions:
            x = function(x, rng)
        return x

    return chained


NAMES: Mapping[str, str | None] = {"shift": "pixels", "flip": None, "rotate": "degrees", "noise": "std"}
"""What text can name, and what its number is."""


@strict
def named(text: str, layout: str = "CHW") -> Augment:
    """The functions of a text such as "shift=2,flip,rotate=10,noise=0.05", chained.

    Raises DefinitionError for an unknown name, with the nearest, and for a number that is missing or none.
    """
    choice("augment(layout=)", layout, ("CHW", "HWC"))
    found = []
    for part in string("augment", text).split(","):
        name, given, value = (piece.strip() for piece in part.partition("="))
        if name not in NAMES:
            near = did_you_mean(name, NAMES)
            raise DefinitionError(f"augment: unknown '{name}' in '{text}'{near}; expected {listing(NAMES)}")
        what = NAMES[name]
        if (what is None) != (not given):
            expected = f"'{name}' alone" if what is None else f"'{name}=' and a number ({what})"
            raise DefinitionError(f"augment: expected {expected}, got '{part.strip()}'")
        found.append(_made(name, value, layout))
    return chain(*found)


def _made(name: str, value: str, layout: str) -> Augment:
    if name == "flip":
        return flip(layout=layout)
    try:
        amount = int(value) if name == "shift" else float(value)
    except ValueError:
        kind = "a whole number" if name == "shift" else "a number"
        raise DefinitionError(f"augment: {name}: expected {kind}, got '{value}'") from None
    if name == "shift":
        return shift(int(amount), layout=layout)
    return rotate(amount, layout=layout) if name == "rotate" else noise(amount)


def _check(name: str, fill: float | str, layout: str) -> None:
    choice(f"{name}(layout=)", layout, ("CHW", "HWC"))
    if not isinstance(fill, str) or fill != "edge":
        if isinstance(fill, str):
            raise DefinitionError(f"{name}(fill=): expected a number or 'edge', got {shown(fill)}")
        number(f"{name}(fill=)", fill)


def _planes(x: np.ndarray, layout: str) -> np.ndarray:
    """The batch as (N, C, H, W), a view.  Raises DefinitionError for what is no batch of pictures."""
    if not isinstance(x, np.ndarray) or x.ndim not in (3, 4) or x.dtype.kind != "f":
        got = f"{x.dtype} of shape {x.shape}" if isinstance(x, np.ndarray) else type(x).__name__
        raise DefinitionError(f"augment: expected a batch of pictures, floats of 3 or 4 axes, got {got}")
    if x.ndim == 3:
        return x[:, None]
    return x if layout == "CHW" else x.transpose(0, 3, 1, 2)


def _back(planes: np.ndarray, x: np.ndarray, layout: str) -> np.ndarray:
    """The reverse of `_planes`, in the dtype of `x`."""
    moved = planes[:, 0] if x.ndim == 3 else planes if layout == "CHW" else planes.transpose(0, 2, 3, 1)
    return np.ascontiguousarray(moved, x.dtype)


def _grid(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The row and the column of each pixel: (1, H, 1) and (1, 1, W)."""
    return np.arange(planes.shape[2])[None, :, None], np.arange(planes.shape[3])[None, None, :]


def _read(planes: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: float | str) -> np.ndarray:
    """The pixels at whole rows and columns, (N, H, W) each."""
    height, width = planes.shape[2:]
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    samples = np.arange(len(planes))[:, None, None]
    found = planes[samples, :, rows.clip(0, height - 1), columns.clip(0, width - 1)].transpose(0, 3, 1, 2)
    return found if fill == "edge" else np.where(inside[:, None], found, planes.dtype.type(fill))


def _between(planes: np.ndarray, rows: np.ndarray, columns: np.ndarray, fill: float | str) -> np.ndarray:
    """The bilinear means at places between pixels, within the range of what they are means of."""
    if not planes.size:
        return planes
    top, left = np.floor(rows).astype(np.int64), np.floor(columns).astype(np.int64)
    down, right = ((rows - top)[:, None], (columns - left)[:, None])
    down, right = down.astype(planes.dtype), right.astype(planes.dtype)
    corners: list[Any] = [_read(planes, top + i, left + j, fill) for i in (0, 1) for j in (0, 1)]
    upper = corners[0] + right * (corners[1] - corners[0])
    lower = corners[2] + right * (corners[3] - corners[2])
    ends = np.array([planes.min(), planes.max()] + ([] if fill == "edge" else [fill]), planes.dtype)
    means: np.ndarray = np.clip(upper + down * (lower - upper), ends.min(), ends.max())
    return means

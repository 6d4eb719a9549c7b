"""What a convolutional network looks for, its kernels, and what it finds in one picture, its feature maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from symnet.model.graph import Model
from symnet.support.errors import DataError
from symnet.training.plots.style import FAINT, bare, figure

MOST = 64
"""Kernels or maps of one layer that are shown."""

LAYERS = 4
"""Layers whose feature maps are shown."""

SIDE, SMALL = 2.9, 0.62
"""The width of a field of maps in inches, and that of the picture beside them as a share of it."""


class Network(Protocol):
    """What is needed of a compiled network."""

    @property
    def model(self) -> Model:
        """Its declaration."""

    @property
    def module(self) -> Any:
        """The generated module."""

    def activations(self, params: Mapping[str, Any], x: Any, layers: Any = None) -> dict[str, np.ndarray]:
        """The outputs of layers."""


def first_kernels(net: Network) -> str | None:
    """The name of the first parameter that holds the kernels of a convolution of pictures, if there is one."""
    for placed in net.model.layers:
        for parameter in placed.parameters:
            if "Conv2D" in placed.kind and "Transpose" not in placed.kind and len(parameter.tensor.shape) == 4:
                return str(parameter.name)
    return None


def filters(net: Network, params: Mapping[str, Any]) -> Any:
    """The kernels of the network's first convolution of pictures, as a figure.

    Kernels of one channel are red where they are positive and blue where they are negative, on one scale; of three
    channels, they are in colour, grey for 0; of more, each is shown by its strongest channel.
    Raises DataError where there is no such convolution.
    """
    name = first_kernels(net)
    if name is None:
        raise DataError(f"filters: '{net.model.name}' has no convolution of pictures (Conv2D)")
    kernels = np.asarray(params[name], np.float64)
    count, channels, height, width = kernels.shape
    shown = kernels[:MOST]
    largest = float(np.abs(shown).max()) or 1.0
    title = f"{name}: {count} kernels, {height} × {width}" + (f", {channels} channels" if channels > 1 else "")
    if channels == 3:
        tiles = 0.5 + shown.transpose(0, 2, 3, 1) / (2 * largest)
        how: dict[str, Any] = {}
    else:
        strongest = np.abs(shown).sum(axis=(2, 3)).argmax(axis=1)
        tiles = shown[np.arange(len(shown)), strongest]
        how = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
        title += " (of each the strongest)" if channels > 1 else ""
    columns = _columns(len(tiles), wide=2.0)
    rows = -(-len(tiles) // columns)
    tile = min(0.75, 9.0 / columns)
    drawn = figure(max(columns * tile + (0.9 if how else 0.2), 4.2), rows * tile + 0.5)
    axes = bare(drawn.subplots(), title)
    image = axes.imshow(_mosaic(tiles, columns), interpolation="nearest", **how)
    if how:
        bar = drawn.colorbar(image, ax=axes, shrink=0.85, pad=0.02, aspect=14)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=0, labelsize=8, labelcolor=FAINT)
    return drawn


def feature_maps(net: Network, params: Mapping[str, Any], picture: Any) -> Any:
    """What the first layers make of one picture, as a figure: the picture, then a field of maps for each layer.

    picture: one sample of the network's input, such as (1, 28, 28), with or without a batch axis of 1.
    Each field has its own scale: black is its lowest value, bright its highest.
    Raises DataError for a network without layers of pictures, or whose input is none.
    """
    layers = _picture_layers(net)
    if not layers:
        raise DataError(f"feature_maps: '{net.model.name}' has no layers of maps after an only input of pictures")
    source = net.model.inputs[0]
    x = np.asarray(picture)
    x = x[None] if x.ndim == len(source.shape) - 1 else x
    if x.ndim != len(source.shape) or len(x) != 1:
        raise DataError(f"feature_maps: expected one picture of {len(source.shape) - 1} axes, got shape {x.shape}")
    first = net.model.layouts[source.name] != "HWC"
    found = net.activations(params, x, layers)
    fields = {name: (maps[0] if first else np.moveaxis(maps[0], -1, 0))[:MOST] for name, maps in found.items()}
    mosaics = {name: _mosaic(maps, _columns(len(maps), wide=1.0)) for name, maps in fields.items()}
    own = x[0] if first else np.moveaxis(x[0], -1, 0)
    heights = [SMALL * own.shape[1] / own.shape[2], *(field.shape[0] / field.shape[1] for field in mosaics.values())]
    drawn = figure(SIDE * (len(fields) + SMALL), SIDE * min(max(heights), 2.0) + 0.35)
    axes = drawn.subplots(1, len(fields) + 1, width_ratios=[SMALL, *[1.0] * len(fields)])
    _input(axes[0], own)
    for place, (name, maps) in zip(axes[1:], fields.items(), strict=True):
        size = " × ".join(map(str, (len(found[name][0]) if first else found[name].shape[-1], *maps.shape[1:])))
        low, high = float(maps.min()), float(np.quantile(maps, 0.995))
        bare(place, f"{name}  {size}")
        place.imshow(
            mosaics[name], cmap="magma", vmin=low, vmax=high if high > low else low + 1, interpolation="nearest"
        )
    return drawn


def _picture_layers(net: Network) -> list[str]:
    """The first layers, after the only input, whose outputs are maps of several pixels."""
    model = net.model
    if len(model.inputs) != 1 or model.layouts[model.inputs[0].name] is None:
        return []
    first = model.layouts[model.inputs[0].name] != "HWC"
    found = []
    for placed in model.layers:
        extents = placed.output.shape
        if len(extents) == 4 and placed.output.dtype == "float":
            area = extents[2:] if first else extents[1:3]
            if not all(extent.is_constant and extent.const == 1 for extent in area):
                found.append(placed.name)
    return found[:LAYERS]


def _input(axes: Any, picture: np.ndarray) -> None:
    """The picture itself, channels first."""
    bare(axes, "picture  " + " × ".join(map(str, picture.shape)))
    values = np.asarray(picture, np.float64)
    low, high = float(values.min()), float(values.max())
    values = (values - low) / ((high - low) or 1.0)
    if len(values) == 3:
        axes.imshow(values.transpose(1, 2, 0), interpolation="nearest")
    else:
        axes.imshow(values.mean(axis=0), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def _columns(count: int, wide: float) -> int:
    """How many columns a mosaic of so many tiles has, about `wide` times as wide as it is high; full rows if near."""
    ideal = max(1, round(math.sqrt(count * wide)))
    near = [k for k in range(ideal, min(2 * ideal, count) + 1) if count % k == 0]
    return near[0] if near else ideal


def _mosaic(tiles: np.ndarray, columns: int) -> Any:
    """Tiles (n, h, w) or (n, h, w, 3) side by side, with gaps that stay white."""
    count, height, width = tiles.shape[:3]
    gap = max(1, round(max(height, width) / 12)) if max(height, width) > 6 else 0.25
    scale = 1 if gap >= 1 else 4  # small tiles: four dots a number, so that a gap may be thinner than a number
    gap = round(gap * scale)
    tiles = tiles.repeat(scale, axis=1).repeat(scale, axis=2)
    height, width = height * scale, width * scale
    rows = -(-count // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, *tiles.shape[3:])
    mosaic = np.full(shape, 1.0 if tiles.ndim == 4 else np.nan)
    for k, tile in enumerate(tiles):
        top, left = (k // columns) * (height + gap), (k % columns) * (width + gap)
        mosaic[top : top + height, left : left + width] = tile
    return mosaic

"""Mean, Gaussian, edge and difference filters on a photograph, as networks with fixed kernels.

    python examples/filters.py                          # writes build/filters/*.png
    python examples/filters.py --picture flower.jpg --to somewhere

A filter is a convolution whose kernel nobody trains. Each one here is declared with
symnet, compiled, and run through its generated module; the kernels are handed to it as
its parameters. Needs scikit-learn (for its two sample photographs) and Pillow.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import symnet as sn

MEAN = np.full((9, 9), 1 / 81)
_bell = np.exp(-(np.arange(-4, 5) ** 2) / (2 * 2.0**2))
GAUSSIAN = np.outer(_bell, _bell) / _bell.sum() ** 2
SOBEL = np.array([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])  # brightness from left to right
FIRST = np.array([0.5, 0.0, -0.5])
SECOND = np.array([1.0, -2.0, 1.0])


def smoothing(shape: tuple[int, ...]) -> sn.Model:
    """Every colour by itself, as a group of its own; the zeros read around the picture give a dark rim."""
    picture = sn.Input(shape, name="picture")
    colours = shape[0]
    kernel = sn.Conv2D(colours, 9, padding="same", groups=colours, use_bias=False, trainable=False, name="filter")
    return sn.Model(picture, kernel(picture), name="smoothing")


def edges(shape: tuple[int, ...]) -> sn.Model:
    """The length of the brightness gradient: two 3 x 3 kernels, over all colours, then a root of squares."""
    picture = sn.Input(shape, name="picture")
    slopes = sn.Conv2D(2, 3, use_bias=False, trainable=False, name="filter")(picture)
    length = sn.Formula("y[n,i,j] = sqrt(s[n,0,i,j]**2 + s[n,1,i,j]**2)", name="length")(slopes)
    return sn.Model(picture, length, name="edges")


def differences(shape: tuple[int, ...]) -> sn.Model:
    """A kernel of three numbers along each row: `y[t] = sum_k w[k] * x[t - k + 1]`, with k from 0."""
    picture = sn.Input(shape, name="picture")
    along = sn.Formula(
        "y[n,c,i,j] = sum[k](w[k] * x[n,c,i,j+2-k])",  # no pixel outside the picture is read: two columns fewer
        params={"w": "k"},
        sizes={"k": 3},
        trainable=False,
        name="filter",
    )
    return sn.Model(picture, along(picture), name="differences")


@dataclass(frozen=True)
class Filter:
    """A network, the parameter that holds its kernel, the kernel, and how its values become brightness 0..1."""

    network: Callable[[tuple[int, ...]], sn.Model]
    parameter: str
    kernel: np.ndarray
    brightness: Callable[[np.ndarray], np.ndarray]


FILTERS = {
    "mean": Filter(smoothing, "filter.weight", np.stack([MEAN[None]] * 3), lambda y: y),
    "gaussian": Filter(smoothing, "filter.weight", np.stack([GAUSSIAN[None]] * 3), lambda y: y),
    "edges": Filter(edges, "filter.weight", np.stack([[SOBEL / 3] * 3, [SOBEL.T / 3] * 3]), lambda y: y / y.max()),
    # A difference may be negative: grey stands for none, brighter and darker for either sign.
    "first_difference": Filter(differences, "filter.w", FIRST, lambda y: 0.5 + 1.5 * y),
    "second_difference": Filter(differences, "filter.w", SECOND, lambda y: 0.5 + 1.0 * y),
}


def apply(name: str, picture: np.ndarray) -> np.ndarray:
    """Run one filter over `picture`, floats (3, H, W) in 0..1; returns floats (3, H', W') or (H', W')."""
    chosen = FILTERS[name]
    module = sn.compile(chosen.network(picture.shape)).module
    params = module.init_params()
    params[chosen.parameter][...] = chosen.kernel
    filtered: np.ndarray = module.forward(params, picture[None].astype(np.float32))[0]
    return filtered


def save(path: Path, brightness: np.ndarray) -> None:
    """Write values in 0..1, of shape (3, H, W) or (H, W), as a PNG; what lies outside is clipped."""
    pixels = np.rint(np.clip(brightness, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(pixels if pixels.ndim == 2 else pixels.transpose(1, 2, 0)).save(path)


def main() -> None:
    """Filter one sample photograph in every way and write the results."""
    parser = argparse.ArgumentParser(description="Filter a photograph with networks whose kernels are fixed.")
    parser.add_argument("--picture", choices=("china.jpg", "flower.jpg"), default="china.jpg")
    parser.add_argument("--to", type=Path, default=Path("build/filters"), metavar="FOLDER")
    options = parser.parse_args()

    picture = load_sample_image(options.picture).transpose(2, 0, 1) / 255
    options.to.mkdir(parents=True, exist_ok=True)
    save(options.to / "original.png", picture)
    for name, chosen in FILTERS.items():
        filtered = apply(name, picture)
        path = options.to / f"{name}.png"
        save(path, chosen.brightness(filtered))
        print(f"{name:18} {picture.shape} -> {filtered.shape}  {path}")


if __name__ == "__main__":
    main()

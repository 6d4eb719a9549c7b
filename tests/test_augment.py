"""Augmentation: shapes, dtypes, ranges, what moves where, and the same pictures for the same generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import symnet as sn
from symnet.data import augment

PICTURES = np.random.default_rng(0).uniform(0.2, 0.9, (40, 3, 7, 6)).astype(np.float32)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def turned(x: np.ndarray) -> np.ndarray:
    """Channels last."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


MAKERS: dict[str, Any] = {
    "shift": lambda **more: augment.shift(2, **more),
    "shift edge": lambda **more: augment.shift(3, fill="edge", **more),
    "flip": augment.flip,
    "flip vertical": lambda **more: augment.flip(vertical=True, **more),
    "rotate": lambda **more: augment.rotate(30, **more),
    "rotate edge": lambda **more: augment.rotate(170, fill="edge", **more),
    "noise": lambda **more: augment.noise(0.3),
    "chain": lambda **more: augment.named("shift=2, flip, rotate=10, noise=0.05", more.get("layout", "CHW")),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shape_dtype_range_and_the_same_generator(name: str, dtype: Any) -> None:
    x = PICTURES.astype(dtype)
    before = x.copy()
    for layout, given in (("CHW", x), ("HWC", turned(x)), ("CHW", x[:, 0])):
        function = MAKERS[name](layout=layout)
        made = function(given, rng())
        assert made.shape == given.shape and made.dtype == dtype and made.flags.c_contiguous
        low = 0.0 if "edge" not in name and name not in ("flip", "flip vertical", "noise") else given.min()
        assert made.min() >= low and made.max() <= given.max()
        np.testing.assert_array_equal(made, function(given, rng()))
        assert (made != given).any() and (function(given, rng(2)) != made).any()
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in ("noise", "chain")])
def test_the_layouts_agree(name: str) -> None:
    first = MAKERS[name](layout="CHW")(PICTURES, rng())
    last = MAKERS[name](layout="HWC")(turned(PICTURES), rng())
    np.testing.assert_array_equal(turned(first), last)


def test_a_shift_moves_whole_pictures() -> None:
    made = augment.shift(2)(PICTURES, rng())
    offsets = []
    for before, after in zip(PICTURES, made, strict=True):
        wide = np.pad(before, [(0, 0), (2, 2), (2, 2)])
        windows = {(i, j): wide[:, i : i + 7, j : j + 6] for i in range(5) for j in range(5)}
        (found,) = (offset for offset, window in windows.items() if np.array_equal(after, window))
        offsets.append(found)
    assert [set(each) for each in zip(*offsets, strict=True)] == [set(range(5))] * 2
    np.testing.assert_array_equal(augment.shift(0)(PICTURES, rng()), PICTURES)


@pytest.mark.parametrize("vertical", [False, True])
def test_a_flip_mirrors_about_half(vertical: bool) -> None:
    made = augment.flip(vertical=vertical)(PICTURES, rng())
    mirrored = PICTURES[:, :, ::-1] if vertical else PICTURES[..., ::-1]
    same = [np.array_equal(a, b) for a, b in zip(PICTURES, made, strict=True)]
    other = [np.array_equal(a, b) for a, b in zip(mirrored, made, strict=True)]
    assert all(a != b for a, b in zip(same, other, strict=True)) and 8 < sum(same) < 32


class Fixed:
    """A generator that draws one angle."""

    def __init__(self, degrees: float) -> None:
        self.angle = np.deg2rad(degrees)

    def uniform(self, low: float, high: float, shape: tuple[int, ...]) -> np.ndarray:
        assert low == -high
        return np.full(shape, self.angle)


def test_a_quarter_and_a_half_turn() -> None:
    square = PICTURES[..., :6, :]
    quarter = augment.rotate(180)(square, Fixed(90))  # type: ignore[arg-type]
    either = [np.rot90(square, k, axes=(2, 3)) for k in (1, 3)]
    assert any(np.allclose(quarter, expected, atol=1e-5) for expected in either)
    half = augment.rotate(180)(PICTURES, Fixed(180))  # type: ignore[arg-type]
    np.testing.assert_allclose(half, PICTURES[:, :, ::-1, ::-1], atol=1e-5)
    np.testing.assert_array_equal(augment.rotate(0)(PICTURES, rng()), PICTURES)


def test_noise_has_its_width() -> None:
    x = np.zeros((20, 1, 30, 30), np.float32)
    x[0], x[1] = -5, 5
    made = augment.noise(0.1)(x, rng())
    assert made[2:].std() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: augment.named("shft=2"), "unknown 'shft' in 'shft=2'; did you mean 'shift'?"),
        (lambda: augment.named("flip,,noise=1"), "unknown '' in"),
        (lambda: augment.named("shift"), "expected 'shift=' and a number (pixels), got 'shift'"),
        (lambda: augment.named("flip=1"), "expected 'flip' alone, got 'flip=1'"),
        (lambda: augment.named("shift=1.5"), "shift: expected a whole number, got '1.5'"),
        (lambda: augment.named("rotate=many"), "rotate: expected a number, got 'many'"),
        (lambda: augment.named("noise=nan"), "noise(std=): expected a finite number of at least 0"),
        (lambda: augment.shift(-1), "shift(pixels=): expected an integer from 0"),
        (lambda: augment.rotate(-3), "rotate(degrees=): expected a finite number of at least 0"),
        (lambda: augment.shift(1, fill="egde"), "shift(fill=): expected a number or 'edge', got 'egde'"),
        (lambda: augment.flip(layout="WHC"), "flip(layout=): unknown 'WHC'"),
        (lambda: augment.chain("flip"), "chain: expected a function of x, rng"),  # type: ignore[arg-type]
        (lambda: augment.flip()(np.zeros((3, 4)), rng()), "expected a batch of pictures, floats of 3 or 4 axes"),
        (lambda: augment.flip()(np.zeros((3, 4, 4), int), rng()), "got int64 of shape (3, 4, 4)"),
    ],
)
def test_mistakes(make: Any, message: str) -> None:
    with pytest.raises(sn.DefinitionError) as caught:
        make()
    assert message in str(caught.value)

"""Window products as compiled loops: their numbers, where they are chosen, and blocks of rows around them."""

from __future__ import annotations

import itertools
import re
import runpy
from typing import Any

import numpy as np
import pytest

import symnet as sn
from building import A, program, tensor
from codegen.emit import native_direct, native_direct_tiles, native_functions
from codegen.emit.code import Assign, Name, called, number
from codegen.ir.equation import slot
from codegen.ir.plan import Buffer, Compute, Direct, Plan
from codegen.ir.view import FULL, Slice, Take, View
from codegen.lower.windows.direct_costs import Sizes, tile_of
from codegen.machine.model import MACHINE, Machine
from codegen.plan.cuts import Arrays, Rows, fit

numba = pytest.importorskip("numba")
torch = pytest.importorskip("torch")

N = A("N")
SHAPES = (
    # batch, height, width, taps, stride, apart: rows shorter and longer than the vectors of a tile, and none whole
    *((1, 3, 2, (2, 2), (1, 1), (1, 1)), (5, 4, 3, (3, 1), (1, 1), (2, 1)), (33, 3, 5, (1, 3), (2, 1), (1, 2))),
    *((16, 2, 4, (3, 3), (1, 2), (1, 1)), (24, 3, 2, (2, 3), (2, 2), (1, 2)), (3, 2, 3, (3, 3), (3, 3), (1, 1))),
)


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The kernels of a generated module that is a file, for tiles of a few sums."""
    steps = [Direct(*(None,) * 3, (4, 2), (1, 1), (1, 1), False, False)]  # type: ignore[arg-type]
    steps += [Direct(*(None,) * 3, (1, 2), (1, 1), (1, 1), True, False)]  # type: ignore[arg-type]
    tiles = {native_direct.name_of(step): native_direct.definition(step) for step in steps}
    for name, channels in (("gradient", 2), ("gradient_deep", 1)):
        for k in (1, 2, 3):
            made = called("kernel_gradient", *map(number, (1, k, channels, channels)))
            tiles[f"{name}_{k}"] = Assign(Name(f"{name}_{k}"), made)
    imports = ["import math", "from pathlib import Path", "import numpy as np", *native_direct_tiles.IMPORTS]
    path = tmp_path_factory.mktemp("kernels") / "direct_kernels.py"
    path.write_text("\n".join([*imports, native_functions.HELPERS, *native_direct.helpers(tiles, MACHINE).values()]))
    return runpy.run_path(str(path))


def _drawn(case: tuple[Any, ...], channels: int) -> tuple[np.ndarray, Any, tuple[int, int]]:
    """A picture (row, channel, column, batch), the same for PyTorch, and the rows and columns of the result."""
    batch, height, width, taps, stride, apart = case
    rows, columns = (
        (n - 1) * s + (k - 1) * a + 1 for n, k, s, a in zip((height, width), taps, stride, apart, strict=True)
    )
    x = np.random.default_rng(0).standard_normal((rows, channels, columns, batch))
    return x, torch.from_numpy(x.transpose(3, 1, 0, 2).copy()), (height, width)


@pytest.mark.parametrize("case", SHAPES)
def test_a_convolution(kernels: dict[str, Any], case: tuple[Any, ...]) -> None:
    """In a frame whose other numbers stay as they are."""
    batch, _, _, taps, stride, apart = case
    for deep, channels, outputs in ((False, 3, 8), (True, 5, 5)):
        x, picture, (height, width) = _drawn(case, channels)
        w = np.random.default_rng(1).standard_normal((outputs, 1 if deep else channels, *taps))
        rows = 1 if deep else 4
        packed = np.ascontiguousarray(w.reshape(-1, rows, *w.shape[1:]).transpose(0, 2, 3, 4, 1))
        frame = np.full((height + 2, outputs, width + 2, batch), 7.0)
        name = "convolve_1x2" if deep else "convolve_4x2"
        kernels[name](frame[1:-1, :, 1:-1], packed, x, stride, apart, int(deep))
        groups = outputs if deep else 1
        z = torch.nn.functional.conv2d(picture, torch.from_numpy(w), stride=stride, dilation=apart, groups=groups)
        expected = np.full_like(frame, 7.0)
        expected[1:-1, :, 1:-1] = z.numpy().transpose(2, 1, 3, 0)
        np.testing.assert_allclose(frame, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", SHAPES)
def test_the_gradient_of_its_kernel(kernels: dict[str, Any], case: tuple[Any, ...]) -> None:
    batch, _, _, taps, stride, apart = case
    for deep, channels, outputs in ((False, 4, 6), (True, 3, 3)):
        x, picture, (height, width) = _drawn(case, channels)
        w = torch.zeros((outputs, 1 if deep else channels, *taps), dtype=torch.float64, requires_grad=True)
        groups = outputs if deep else 1
        z = torch.nn.functional.conv2d(picture, w, stride=stride, dilation=apart, groups=groups)
        error = np.random.default_rng(2).standard_normal((height, outputs, width, batch))
        z.backward(torch.from_numpy(error.transpose(3, 1, 0, 2).copy()))
        g = np.full(tuple(w.shape), np.nan)
        name = f"gradient_deep_{taps[1]}" if deep else f"gradient_{taps[1]}"
        kernels[name](g, error, x, stride, apart, int(deep))
        np.testing.assert_allclose(g, w.grad.numpy(), rtol=1e-12, atol=1e-12)


def _plain() -> sn.Model:
    x = sn.Input((3, 9, 8), name="x")
    h = sn.Conv2D(8, 3, padding=1, activation="relu", name="first")(x)
    h = sn.Conv2D(4, 3, stride=2, padding=1, name="second")(h)
    return sn.Model(x, sn.Dense(3, name="out")(sn.Flatten(name="flat")(h)), loss=sn.CrossEntropy())


def _deep() -> sn.Model:
    x = sn.Input((4, 7, 6), name="x")
    h = sn.DepthwiseConv2D(3, padding=1, activation="relu", name="first")(x)
    h = sn.DepthwiseConv2D(3, stride=2, padding=1, name="second")(sn.Conv2D(8, 1, name="mixed")(h))
    return sn.Model(x, sn.Dense(3, name="out")(sn.Flatten(name="flat")(h)), loss=sn.CrossEntropy())


def _agree(model: sn.Model, shape: tuple[int, ...], machine: Machine = MACHINE) -> str:
    """The source for numba, after comparing its numbers with those of NumPy's for two batches."""
    plain, native = (
        sn.compile(model, dtype="float64", target=target, machine=machine) for target in ("numpy", "numba")
    )
    params = plain.module.init_params(3)
    rng = np.random.default_rng(0)
    for batch in (5, 18):
        x, y = rng.standard_normal((batch, *shape)), rng.integers(0, 3, batch)
        loss, grads = plain.module.loss_and_grads(params, x, y)
        for _ in range(2):  # the second one finds what the first one left
            compiled_loss, compiled = native.module.loss_and_grads(params, x, y)
        assert compiled_loss == pytest.approx(loss, rel=1e-12)
        for key, expected in grads.items():
            np.testing.assert_allclose(compiled[key], expected, rtol=1e-9, atol=1e-11, err_msg=key)
    return native.source


def test_the_same_numbers_in_blocks_of_rows() -> None:
    """As many blocks as there may be; what goes to the activation alone is no larger than one."""
    machine = MACHINE.changed(caches={"second": 1}, calls={"compiled": 0.0})
    source = _agree(_plain(), (3, 9, 8), machine)
    assert source.count("    convolve_") >= 2 and "gradient_1x3" in source
    assert "for block in range(9)" in source  # the first layer's rows
    assert re.search(r"first_z = .*\(1, 8, 8, N\)", source)


@pytest.mark.parametrize(
    ("start", "step", "length", "together"),
    ((0, 1, 8, True), (0, 2, 4, True), (1, 2, 4, True), (1, 1, 7, False), (2, 2, 3, False), (0, 1, 4, False)),
)
def test_blocks_read_what_they_have_written(start: int, step: int, length: int, together: bool) -> None:
    """A step that reads rows of another block of what is being written runs after all of them."""
    made = program([tensor("x", 8, 2, 3, N), tensor("z", 8, 2, 3, N), tensor("y", length, 2, 3, N)])
    known = Arrays(Plan([Buffer(t.name, t.shape) for t in made.tensors]), made, MACHINE)
    names = ("i", "c", "j", "n")
    rows = Take((Slice(A(start), step, A(length)), FULL, FULL, FULL))

    def doubled(out: str, source: View, count: int) -> Rows:
        box = tuple(zip(names, (A(count), A(2), A(3), N), strict=True))
        return Rows(Compute(View(out, (), names), 2 * slot(0), (source,), box), 0, count)

    first = doubled("z", View("x", (), names), 8)
    second = doubled("y", View("z", (rows,), names), length)
    assert fit([first, second], known) == together


def test_depthwise() -> None:
    source = _agree(_deep(), (4, 7, 6))
    assert "convolve_1x" in source and "gradient_3x3x1x1" in source


def test_other_targets_have_none() -> None:
    assert "convolve_" not in sn.compile(_plain(), target="numpy").source


def test_tiles_fit_the_registers() -> None:
    """The sums, what is added to them, and no channel left over."""
    for outputs, inputs, along in itertools.product((1, 3, 5, 8, 13, 20), (1, 3, 16), (1, 3, 5)):
        for across, gradient in itertools.product((1, 2), (False, True)):
            sizes = Sizes(9, 9, outputs, inputs, 3, along, across, False, gradient)
            tile = tile_of(sizes, MACHINE)
            assert tile is not None
            if gradient:
                high, wide, own, other = tile
                assert wide == along and 3 % high == 0 and inputs % own == 0 and outputs % other == 0
                assert high * wide * own * other + other < MACHINE.registers.sums + 1
            else:
                assert outputs % tile[0] == 0 and tile[0] * tile[1] + tile[1] <= 31


def test_too_many_taps_have_no_tile() -> None:
    assert tile_of(Sizes(9, 9, 4, 4, 3, 40, 1, False, True), MACHINE) is None

"""Direct window products: compiled loops over the image itself, without im2col and without BLAS.

    convolve_8 = convolution(8, 3)
    ...
    convolve_8(w.conv2d_1_z, w.conv2d_1_weight_by_8, w.x_rows_padded, (1, 1), (1, 1), 0)

The kernels are the same for every network; they are made for the tiles that a module needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from codegen.emit.code import Assign, Code, Name, Statement, called, names, number, row
from codegen.emit.layout import printed
from codegen.emit.native_direct_tiles import TILES
from codegen.ir.plan import Direct
from codegen.ir.view import View
from codegen.machine.model import Machine

CONVOLUTION = '''\
def convolution(rows, vectors):
    """z[i,p,j,n] = sum[d,u,v](weight[p,d,u,v]*x[i+u,d,j+v,n]) as a kernel.

    The sums of `rows` channels p and of `vectors` vectors of a row stay in registers while all taps are added to them.
    weight: those of `rows` channels side by side, (blocks, d, u, v, rows).
    x: in its frame; the rows and columns of z are `stride` apart in it, the taps `apart`.  deep: 1 where block p of z
    is made of channel p alone.
    """

    @kernel
    def convolve(z, weight, x, stride, apart, deep):
        lanes = 64 // z.itemsize
        down, beyond = x.strides[0] // z.itemsize, x.strides[1] // z.itemsize
        right = x.shape[3]
        z_down, z_beyond = z.strides[0] // z.itemsize, z.strides[1] // z.itemsize
        # Where columns are not skipped, a row is one run of numbers.
        runs, run = (1, z.shape[2] * right) if stride[1] == 1 else (z.shape[2], right)
        whole = run - run % (lanes * vectors)
        taps = (beyond, apart[0] * down, apart[1] * right)
        for i in range(z.shape[0]):
            for p in range(weight.shape[0]):
                top = stride[0] * i * down + deep * p * beyond
                goal = i * z_down + p * rows * z_beyond
                for j in range(runs):
                    for at in range(0, whole, lanes * vectors):
                        tile, spot = zeros(z, rows, vectors, 1, 1), top + at
                        tile = add_taps(tile, weight, p, x, spot, taps, None)
                        put(tile, z, goal + at, z_beyond, None)
                    for at in range(whole, run, lanes):
                        tile, rest = zeros(z, rows, 1, 1, 1), run - at
                        tile = add_taps(tile, weight, p, x, top + at, taps, rest)
                        put(tile, z, goal + at, z_beyond, rest)
                    top += stride[1] * right
                    goal += right

    return convolve


@register_jitable
def add_taps(tile, weight, p, x, place, steps, lanes):
    """The tile with all taps of the channels of block p added."""
    at = p * weight[0].size
    for d in range(weight.shape[1]):
        for u in range(weight.shape[2]):
            spot = place + d * steps[0] + u * steps[1]
            for _ in range(weight.shape[3]):
                tile = add_tap(tile, weight, at, x, spot, lanes)
                at += weight.shape[4]
                spot += steps[2]
    return tile
'''

GRADIENT = '''\
def kernel_gradient(high, wide, inputs, outputs):
    """g[p,d,u,v] = sum[n,i,j](d_z[i,p,j,n]*x[i+u,d,j+v,n]) as a kernel.

    The sums of `high` times `wide` taps (u,v), of `inputs` channels d and of `outputs` channels p stay in registers
    while a few rows are added to them.  x, stride, apart, deep: as for `convolution`.
    """

    @kernel
    def gradient(g, z, x, stride, apart, deep):
        down, beyond = x.strides[0] // z.itemsize, x.strides[1] // z.itemsize
        right = x.shape[3]
        z_down, z_beyond = z.strides[0] // z.itemsize, z.strides[1] // z.itemsize
        runs, run = (1, z.shape[2] * right) if stride[1] == 1 else (z.shape[2], right)
        steps = (apart[0] * down, apart[1] * right, beyond)
        numbers = (z.shape[1] + stride[0] * x.shape[1]) * z.shape[2] * right
        rows = max(1, NEAR // (numbers * z.itemsize))
        out_p, out_d, out_u, out_v = [s // z.itemsize for s in g.strides]
        g[...] = 0
        for first in range(0, z.shape[0], rows):
            for p in range(0, g.shape[0], outputs):
                for u in range(0, g.shape[2], high):
                    for d in range(0, g.shape[1], inputs):
                        tile = zeros(z, high, wide, inputs, outputs)
                        for i in range(first, min(first + rows, z.shape[0])):
                            top = (stride[0] * i + apart[0] * u) * down
                            top += (d + deep * p) * beyond
                            error = i * z_down + p * z_beyond
                            for _ in range(runs):
                                tile = add_run(
                                    tile, x, top, steps, z, error, z_beyond, run
                                )
                                top += stride[1] * right
                                error += right
                        place = p * out_p + d * out_d + u * out_u
                        add_totals(tile, g, place, (out_u, out_v, out_d), out_p)

    return gradient


@register_jitable
def add_run(tile, x, place, steps, z, at, step, run):
    """The tile with the products of a run of numbers added."""
    lanes = 64 // z.itemsize
    rest = run % lanes
    for k in range(0, run - rest, lanes):
        tile = add_products(tile, x, place + k, steps, z, at + k, step, None)
    if rest:
        place, at = place + run - rest, at + run - rest
        tile = add_products(tile, x, place, steps, z, at, step, rest)
    return tile
'''
FLOAT = 4
"""Bytes of a number."""


def name_of(step: Direct) -> str:
    """The kernel that a step calls."""
    return f"{'gradient' if step.gradient else 'convolve'}_{'x'.join(map(str, step.tile))}"


def definition(step: Direct) -> Assign:
    """What makes it."""
    maker = "kernel_gradient" if step.gradient else "convolution"
    return Assign(Name(name_of(step)), called(maker, *map(number, step.tile)))


def statement(step: Direct, code: Callable[[View], Code]) -> Statement:
    """The call of a step's kernel.  code: of an array."""
    arrays = [code(step.out), code(step.factor), code(step.image)]
    pairs = (row(map(number, pair)) for pair in (step.stride, step.apart))
    return called(name_of(step), *arrays, *pairs, number(int(step.deep)))


def near(machine: Machine) -> str:
    """The line that says how many rows of an image are added up at a time."""
    size = FLOAT * machine.caches.second
    text = f"1 << {size.bit_length() - 1}" if size & (size - 1) == 0 else f"{size:_}"
    return f"NEAR = {text}  # bytes that may stay in a core's own cache\n"


def helpers(tiles: Mapping[str, Assign], machine: Machine) -> dict[str, str]:
    """What a module defines for these kernels, and the line of each, by name."""
    makers = {"convolution": CONVOLUTION, "kernel_gradient": f"{GRADIENT}\n\n{near(machine)}"}
    used = {name: text for name, text in makers.items() if name in names(*tiles.values())}
    lines = {name: "\n".join(printed([tile], 0)) + "\n" for name, tile in tiles.items()}
    return {**({"tiles": TILES} if tiles else {}), **used, **lines}

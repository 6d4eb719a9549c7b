"""Windows that move over an image: one rule for convolutions, pools, their gradients and upsampling, of any rank.

Take the left side and the one or two reads that the body multiplies.  An axis of one of them, with the indices
a and b, belongs to a window if of the others one holds a and not b, and another (none, where there is only one
other) holds b and not a.  That access is the image.  Indices that the same accesses hold are digits: groups, parts,
a flattened image.

    z[i,p,j,n] = sum[d,u,v](W[p,d,u,v]*x[i+u-1,d,j+v-1,n])        way map: x the image, z the map, W the kernel
    d_W[p,d,u,v] = sum[n,i,j](d_z[i,p,j,n]*x[i+u-1,d,j+v-1,n])    way kernel: the same window
    d_x[i+u-1,d,j+v-1,n] = sum[p](d_z[i,p,j,n]*W[p,d,u,v])        way image; a transposed convolution is this line
    m[n,t,c] = max[u](x[n,2*t+u,c])                               way map, no kernel: a pool
    d_x[n,2*t+u,c] = sum[| a[n,t,c] == u](d_m[n,t,c])             way image, no kernel, by the recorded arg max
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from codegen.ir.affine import Affine
from codegen.ir.edit import points
from codegen.ir.equation import Read

if TYPE_CHECKING:
    from codegen.analysis.access import Access, Axis
    from codegen.analysis.structure import Structure

Way = Literal["map", "kernel", "image"]


@dataclass(frozen=True)
class Span:
    """One axis along which a window moves: `stride*place + dilation*tap + offset`.

    axis: of the image.  dilation: below 0 where it is read backwards (a flipped kernel).
    exact: windows side by side, so that they are a tile as well.
    """

    axis: int
    place: str
    tap: str
    stride: int
    dilation: int
    offset: Affine
    exact: bool


@dataclass(frozen=True)
class Window:
    """A window over an image.

    way: which of the three the left side is.  image, map, kernel: accesses; no kernel: a pool, its arg max, its
    gradient, an upsampling.  spans: one for each axis along which it moves.
    batch: indices of image and map that are no places.  groups: of all three.  inputs: of image and kernel (of the
    image alone, where there is no kernel) that are no taps.  outputs: of map and kernel (of the map alone).
    choice: the recorded arg max that the only guard compares with the taps.
    order: the image's axes as stored: b batch, c inputs, g groups, s a span, 1 a point.
    """

    way: Way
    image: int
    map: int
    kernel: int | None
    spans: tuple[Span, ...]
    batch: tuple[str, ...]
    groups: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    choice: Read | None
    order: str

    @property
    def places(self) -> tuple[str, ...]:
        """The indices of the positions, span by span."""
        return tuple(span.place for span in self.spans)

    @property
    def taps(self) -> tuple[str, ...]:
        """The indices within the window, span by span."""
        return tuple(span.tap for span in self.spans)


def window(s: Structure) -> Window | None:
    """The window of an equation; None where none moves, or not over a single image."""
    slots = s.slots()
    numbers = (0, *dict.fromkeys(slots)) if slots is not None else ()
    if len(numbers) < 2 or not all(s.accesses[k].affine for k in numbers):
        return None
    parts = {k: [_parts(s, a, _partners(numbers, k)) for a in s.accesses[k].axes] for k in numbers}
    images = [k for k in numbers if any(parts[k])]
    if len(images) > 1:  # where one of the two indices is a point, nothing moves
        images = [k for k in images if any(pair and not points(s.equation, pair) for pair in parts[k])]
    if len(images) != 1:
        return None
    image, partners = images[0], _partners(numbers, images[0])
    kernel = min(partners, key=lambda k: _as_kernel(s, k)) if len(partners) == 2 else None
    mapped = next(k for k in partners if k != kernel)
    return window_of(s, image, mapped, kernel)


def _partners(numbers: tuple[int, ...], image: int) -> tuple[int, ...]:
    return tuple(k for k in numbers if k != image)


def _parts(s: Structure, axis: Axis, partners: tuple[int, ...]) -> tuple[str, str] | None:
    """The two indices of an axis that different partners hold, or one and none; None for digits and anything else."""
    if len(axis.terms) != 2:
        return None
    a, b = axis.indices
    held = [tuple(name in s.accesses[k].order for k in partners) for name in (a, b)]
    if len(partners) == 1:
        return (a, b) if held[0] != held[1] else None
    return (a, b) if set(held) == {(True, False), (False, True)} else None


def _as_kernel(s: Structure, k: int) -> tuple[bool, bool, bool, int]:
    """The least of these is the kernel: a parameter, then what has no symbolic extent, a result, the fewest points."""
    access = s.accesses[k]
    tensor = s.tensors[access.tensor]
    extents = [s.equation.extents[n] for n in access.order]
    points = 1
    for extent in extents:
        points *= extent.const + sum(c for _, c in extent.terms)
    symbolic = any(not extent.is_constant for extent in extents)
    return tensor.kind != "parameter", symbolic, not (k == 0 and tensor.kind == "result"), points


def window_of(s: Structure, image: int, mapped: int, kernel: int | None) -> Window:
    """The window of these accesses, whichever of them `window` takes for which; of one point it has no spans."""
    x, z, w = (s.accesses[k] if k is not None else None for k in (image, mapped, kernel))
    assert x is not None and z is not None
    inside, placed, tapped = (_held(a) for a in (x, z, w))
    spans = tuple(_span(k, axis, placed) for k, axis in enumerate(x.axes) if _parts(s, axis, _others(mapped, kernel)))
    moving = {n for span in spans for n in (span.place, span.tap)}
    rest = [n for n in s.equation.extents if n not in moving]
    both = placed & tapped
    batch = tuple(n for n in rest if n in inside and n in placed and n not in tapped)
    groups = tuple(n for n in rest if n in inside and n in both)
    inputs = tuple(n for n in rest if n in inside and n not in placed and (n in tapped or w is None))
    outputs = tuple(n for n in rest if n not in inside and n in placed and (n in tapped or w is None))
    letters = dict.fromkeys(batch, "b") | dict.fromkeys(groups, "g") | dict.fromkeys(inputs, "c")
    at = {span.axis for span in spans}
    order = "".join("s" if k in at else letters.get((*a.indices, "")[0], "1") for k, a in enumerate(x.axes))
    ways: dict[int | None, Way] = {image: "image", mapped: "map", kernel: "kernel"}
    return Window(ways[0], image, mapped, kernel, spans, batch, groups, inputs, outputs, _choice(s, spans), order)


def _others(mapped: int, kernel: int | None) -> tuple[int, ...]:
    return (mapped,) if kernel is None else (mapped, kernel)


def _held(access: Access | None) -> frozenset[str]:
    return frozenset(access.order) if access is not None else frozenset()


def _span(k: int, axis: Axis, placed: frozenset[str]) -> Span:
    place, tap = sorted(axis.indices, key=lambda n: n not in placed)
    stride, dilation = axis.coefficient(place), axis.coefficient(tap)
    return Span(k, place, tap, stride, dilation, axis.offset, axis.form == "tile")


def _choice(s: Structure, spans: tuple[Span, ...]) -> Read | None:
    """What the only guard compares with the taps: `a[n,t] == u`, `a[n,i,j] == 2*u + v`."""
    if len(s.equation.guards) != 1:
        return None
    guard = s.equation.guards[0]
    taps = {span.tap for span in spans}
    if guard.op != "==" or len(guard.reads) != 1 or guard.affine.const or set(guard.affine.names) != taps:
        return None
    times, read = guard.reads[0]
    return read if times == 1 else None


def moving(s: Structure) -> frozenset[str]:
    """The indices of windows, also where the body is no product: what `window` asks, put to every other access.

    An axis with the indices a and b belongs to a window if one of the others holds a and not b, and another holds b
    and not a, or none holds both.
    """
    found: set[str] = set()
    for access in s.accesses:
        others = [x.order for x in s.accesses if (x.tensor, x.axes) != (access.tensor, access.axes)]
        for axis in (axis for axis in access.axes if axis.affine and len(axis.terms) == 2):
            a, b = (frozenset(k for k, order in enumerate(others) if name in order) for name in axis.indices)
            if (a - b and b - a) or (a ^ b and not a & b):
                found |= {*axis.indices}
    return frozenset(found)

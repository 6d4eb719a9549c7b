"""The geometry of windows that slide over pictures and signals: lengths, padding and subscripts."""

from __future__ import annotations

from dataclasses import dataclass

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor
from symnet.model.layers.spelling import Layout, described
from symnet.support.errors import ShapeError

POSITIONS = ("i", "j", "k")
TAPS = ("u", "v", "w")
SPATIAL = (("length",), ("height", "width"), ("depth", "height", "width"))
"""What the spatial axes of an input are called: of a signal, a picture, a volume."""


@dataclass(frozen=True)
class Window:
    """A window along one axis: `size` taps `dilation` apart, moved by `stride`."""

    size: int
    stride: int = 1
    dilation: int = 1

    @property
    def reach(self) -> int:
        """How many elements the window spans."""
        return (self.size - 1) * self.dilation + 1

    def subscript(self, position: str, tap: str, padding: int, flip: bool = False) -> str:
        """The text `position*stride + tap*dilation - padding`; with `flip` the taps run from the far end."""
        moved = position if self.stride == 1 else f"{position}*{self.stride}"
        spread = tap if self.dilation == 1 else f"{tap}*{self.dilation}"
        shift = (self.reach - 1 if flip else 0) - padding
        return f"{moved}{'-' if flip else '+'}{spread}{f'{shift:+d}' if shift else ''}"

    def length(self, where: str, extent: Affine, padding: int) -> Affine:
        """How many positions the window has with `padding` zeros at each end.

        Raises ShapeError when the window does not fit, or when a symbolic extent and a
        stride leave no affine length.
        """
        room = extent + (2 * padding - self.reach)
        if room.is_constant and room.const < 0:
            dilated = f" (dilated to {self.reach})" if self.dilation > 1 else ""
            raise ShapeError(
                f"{where}: a window of {self.size}{dilated} does not fit an axis of {extent} with padding {padding}; "
                f"use a window of at most {extent + 2 * padding}, more padding, or a larger input"
            )
        return self._steps(where, room, 0) + 1

    def spread(self, where: str, extent: Affine, padding: int, extra: int) -> Affine:
        """The length that a transposed convolution makes of `extent`: that from which `length` would give it back."""
        length = (extent - 1) * self.stride + (self.reach + extra - 2 * padding)
        if length.is_constant and length.const < 1:
            raise ShapeError(f"{where}: an axis of {extent} with padding {padding} leaves nothing; use less padding")
        return length

    def same(self, where: str, extent: Affine) -> tuple[Affine, int]:
        """Length ceil(extent/stride), and the zeros at the start; an odd total has the extra zero at the end."""
        length = self._steps(where, extent, self.stride - 1)
        total = (length - 1) * self.stride + self.reach - extent
        return length, max(total.const, 0) // 2

    def _steps(self, where: str, room: Affine, extra: int) -> Affine:
        """(room + extra) // stride."""
        if any(c % self.stride for _, c in room.terms):
            raise ShapeError(
                f"{where}: a stride of {self.stride} along an axis of symbolic length {room} leaves no fixed shape; "
                "use stride 1, or declare the input with a number there"
            )
        terms = {name: c // self.stride for name, c in room.terms}
        return Affine.total(terms, (room.const + extra) // self.stride)


@dataclass(frozen=True)
class Grid:
    """The axes by role of a signal, picture or volume, for one of the two layouts: channels first ("CHW") or last."""

    layout: Layout
    rank: int

    def arranged(self, channel: str, spatial: tuple[str, ...]) -> str:
        """The subscripts n, channel and spatial in the order of the layout."""
        return ",".join(("n", channel, *spatial) if self.layout == "CHW" else ("n", *spatial, channel))

    def channels(self, tensor: Tensor) -> Affine:
        """The extent of the channel axis."""
        return tensor.shape[1] if self.layout == "CHW" else tensor.shape[-1]

    def spatial(self, tensor: Tensor) -> tuple[Affine, ...]:
        """The extents of the spatial axes."""
        return tensor.shape[2:] if self.layout == "CHW" else tensor.shape[1:-1]


def grid(where: str, tensor: Tensor, layout: Layout | None, rank: int) -> Grid:
    """The axes of an input with `rank` spatial axes; ShapeError when it has another number of axes."""
    if len(tensor.shape) != rank + 2:
        spatial = SPATIAL[rank - 1]
        order = ("channels", *spatial) if layout != "HWC" else (*spatial, "channels")
        raise ShapeError(
            f"{where}: expected an input of {rank + 2} axes (N, {', '.join(order)}), got {described(tensor)}"
        )
    return Grid(layout or "CHW", rank)

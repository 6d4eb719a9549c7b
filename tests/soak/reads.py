"""Drawing reads: subscripts of every form, and the tensors that they need."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from soak.tree import Affine, Declared, Extent, Group, Product, Quotient, Read, Reduce, Remainder

LETTERS = "ijkcdoqrsuvabelfz"
RARE = "wpg"
"""Letters that the generated code uses for its own purposes."""
AXIS = ("flip", "quotient", "remainder", "lookup", "group", "diagonal", "constant at", "outside")


class Reads:
    """Tensors and indices of a draw.

    targets: what earlier equations define, (name, extents, dtype); unread: those that nobody has read.
    extents: of each index; inferred: those that `sizes=` does not give.  batch: the index of the samples in force.
    left: indices of left sides, which are divided evenly or not at all; whole: those that are not divided.
    """

    def __init__(self, rng: random.Random, wanted: Sequence[str]) -> None:
        self.rng = rng
        self.wanted = sorted(wanted)
        self.declared: list[Declared] = []
        self.targets: list[tuple[str, tuple[Extent, ...], str]] = []
        self.unread: list[str] = []
        self.extents: dict[str, Extent] = {"n": Extent(0, "N")}
        self.inferred: set[str] = {"n", "m"}
        self.batch = "n"
        self.symbolic = False
        self.divisors: dict[str, int] = {}
        self.pool = rng.sample(LETTERS, len(LETTERS))
        if self.chance(0.05):
            self.pool += RARE
        self.last_taken = ""
        self.left: set[str] = set()
        self.whole: set[str] = set()

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def take(self, name: str) -> bool:
        """Whether a feature is wanted; it is not any more."""
        if name not in self.wanted:
            return False
        self.wanted.remove(name)
        self.last_taken = name
        return True

    # indices

    def extent(self) -> Extent:
        """A small extent."""
        if self.chance(0.5) and self.take("extent 1"):
            return Extent(1)
        return Extent(self.rng.choice((1, 2, 2, 2, 3, 3, 3, 4)))

    def letter(self, scope: Sequence[str], extent: Extent | None = None) -> str:
        """An index that is not in scope, new or met before."""
        if extent is None:
            met = [x for x in self.extents if x not in scope and x not in ("n", "m") and not self.extents[x].size]
            if met and self.chance(0.3):
                return self.rng.choice(met)
        name = self.pool.pop() if self.pool else ""
        if not name:
            raise OverflowError("no letters left")
        self.extents[name] = extent or self.extent()
        return name

    def fixed(self, name: str) -> bool:
        """Whether the extent of an index is a number."""
        return not self.extents[name].size

    # reads

    def read(self, scope: list[str], skip: bool) -> Any:
        """A read with indices of `scope`, of what nobody has read yet if there is such a tensor."""
        if self.unread and self.batch == "n":
            return self.target_read(self.unread.pop(0), scope, skip)
        if self.targets and self.batch == "n" and self.chance(0.3):
            return self.target_read(self.rng.choice(self.targets)[0], scope, skip)
        if self.batch not in scope or self.chance(0.12):
            return self.parameter([name for name in scope if self.fixed(name)], skip)
        return self.input_read(scope, skip)

    def target_read(self, name: str, scope: list[str], skip: bool) -> Any:
        """A read of what an earlier equation defines; axes that no index in scope fits are summed."""
        shape = next(s for n, s, _ in self.targets if n == name)
        at: list[Any] = []
        over: list[str] = []
        free = [x for x in scope if x != self.batch]
        self.rng.shuffle(free)
        for extent in shape:
            if extent.size == "N":
                at.append(Affine(((self.batch, 1),)))
                continue
            fits = [x for x in free if self.extents[x] == extent]
            less = [x for x in free if not extent.size and self.fixed(x) and self.extents[x].const <= extent.const]
            if fits or (less and self.chance(0.5)):
                chosen = (fits or less)[0]
                at.append(self.moved(chosen, extent, skip))
                if not self.chance(0.15):
                    free.remove(chosen)
            elif (not extent.size and self.chance(0.3)) or (not extent.size and self.take("constant at")):
                at.append(Affine((), self.rng.randrange(extent.const)))
            else:
                same = [x for x in self.extents if self.extents[x] == extent and x not in (*scope, *over)]
                own = same[0] if same else self.letter([*scope, *over], extent)
                if same and extent.size and extent.const:
                    self.inferred.add(own)
                over.append(own)
                at.append(Affine(((own, 1),)))
        read: Any = Read(name, tuple(at))
        if not over:
            return read
        return Reduce(self.rng.choice(("sum", "mean", "mean", "max", "logsumexp")), tuple(over), read)

    def moved(self, name: str, extent: Extent, skip: bool) -> Affine:
        """An index as a subscript: alone, turned round, or moved so that it leaves the axis."""
        size = extent.size
        if extent == self.extents[name] and name not in self.inferred:
            if self.chance(0.4) and self.take("flip"):
                return Affine(((name, -1),), extent.const - 1, size)
            if not skip and (size == "T" or extent.const > 1) and self.chance(0.4) and self.take("outside"):
                return Affine(((name, 1),), self.rng.choice((-1, 1)))
        return Affine(((name, 1),))

    def input_read(self, scope: list[str], skip: bool, whole: bool = False) -> Any:
        """A read of an input at the batch and some more indices of `scope`; of all of them, if `whole`."""
        names = [name for name in scope if name not in ("n", "m")]
        names = [name for name in names if not (self.extents[name].size and self.extents[name].const)]
        if not whole and len(names) > 1:
            keep = self.rng.choice((len(names), len(names), len(names) - 1))
            names = sorted(self.rng.sample(names, min(keep, 3)))
            self.rng.shuffle(names)
        subscripts, shape = self.axes(names, skip, batched=True)
        return self.made_read([self.batch], subscripts, shape, scope)

    def made_read(self, first: list[str], subscripts: list[Any], shape: list[Extent], scope: list[str]) -> Read:
        """A read of an input with these subscripts after the first ones, of one that is there if its shape fits."""
        full = (Extent(0, "N"), *shape)
        known = [d for d in self.declared if d.letters is None and d.dtype == "float" and d.shape == full]
        if known and self.chance(0.6):
            found = self.rng.choice(known)
        else:
            count = sum(d.letters is None and d.dtype == "float" for d in self.declared)
            found = Declared(f"x{count}", full)
            self.declared.append(found)
        self.symbolic |= any(e.size == "T" for e in shape)
        return Read(found.name, (*(Affine(((name, 1),)) for name in first), *subscripts))

    def parameter(self, names: list[str], skip: bool, whole: bool = False) -> Any:
        """A read of a parameter at some of `names`, which have extents that are numbers."""
        if not whole and len(names) > 1:
            names = self.rng.sample(names, self.rng.choice((1, 2, min(3, len(names)))))
        subscripts, shape = self.axes(names, skip, batched=False)
        if not subscripts:
            subscripts, shape = [Affine((), 0)], [Extent(self.rng.choice((1, 2)))]
        # Declared by letters where that gives the same extents.
        plain = [s.plain if isinstance(s, Affine) else None for s in subscripts]
        declared = [p if p and self.extents[p] == e else str(e) for p, e in zip(plain, shape, strict=True)]
        if len(set(declared)) < len(declared):
            declared = [str(e) for e in shape]
        known = [d for d in self.declared if d.letters is not None and d.shape == tuple(shape)]
        if known and self.chance(0.2):
            return Read(self.rng.choice(known).name, tuple(subscripts))
        name = f"W{sum(d.letters is not None for d in self.declared)}"
        self.declared.append(Declared(name, tuple(shape), letters=",".join(declared)))
        return Read(name, tuple(subscripts))

    def axes(self, names: list[str], skip: bool, batched: bool) -> tuple[list[Any], list[Extent]]:
        """A subscript for each name, some for two or for none, and the extents that they need."""
        subscripts: list[Any] = []
        shape: list[Extent] = []
        waiting = list(names)
        while waiting:
            name = waiting.pop(0)
            if len(waiting) and self.fixed(name) and self.fixed(waiting[0]) and self.take("group"):
                other = waiting.pop(0)
                subscripts.append(Group((name, other)))
                shape.append(Extent(self.extents[name].const * self.extents[other].const))
                continue
            s, extent = self.axis(name, skip)
            subscripts.append(s)
            shape.append(extent)
            if self.fixed(name) and isinstance(s, Affine) and self.chance(0.85) and self.take("diagonal"):
                subscripts.append(Affine(((name, 1),)))
                shape.append(self.extents[name])
        if self.take("constant at"):
            extent = self.extent()
            place = self.rng.randrange(len(subscripts) + 1)
            subscripts.insert(place, Affine((), self.rng.randrange(extent.const)))
            shape.insert(place, extent)
        return subscripts, shape

    def axis(self, name: str, skip: bool) -> tuple[Any, Extent]:
        """A subscript that mentions an index, and the extent of the axis that it needs."""
        extent = self.extents[name]
        if name in self.inferred:
            return Affine(((name, 1),)), extent
        if not self.fixed(name):
            return self.moved(name, extent, skip), extent
        divisible = name not in self.whole and (name not in self.left or extent.const % 2 == 0)
        if divisible and self.chance(0.8):
            if self.take("quotient"):
                self.divisors[name] = 2
                return Quotient(name, 2), Extent(-(-extent.const // 2))
            if self.take("remainder"):
                self.divisors[name] = 2
                return Remainder(name, 2), Extent(2)
        if self.chance(0.85) and self.take("lookup"):
            return self.lookup(name)
        if self.chance(0.85) and self.take("flip"):
            return Affine(((name, -1),), extent.const - 1), extent
        if not skip and self.chance(0.85) and extent.const > 1 and self.take("outside"):
            step = self.rng.choice((-1, 1))
            return Affine(((name, 1),), step), extent
        if self.chance(0.1):
            move = self.rng.choice((0, 1))
            return Affine(((name, 1),), move), Extent(extent.const + move + self.rng.choice((0, 1)))
        return Affine(((name, 1),)), extent

    def lookup(self, name: str) -> tuple[Any, Extent]:
        """A subscript that is a read of an integer tensor."""
        values = self.rng.choice((2, 3))
        positions = [t for t in self.targets if t[2] == "int"]
        if positions and self.chance(0.6):
            found, shape, _ = self.rng.choice(positions)
            if len(shape) == 1 and shape[0].size == "N":
                return Read(found, (Affine(((self.batch, 1),)),)), Extent(4)
        at = [self.batch, name] if self.batch in self.extents else [name]
        return self.integer_read(at, values), Extent(values)

    def integer_read(self, names: list[str], values: int, dtype: str = "int") -> Read:
        """A read of an integer or boolean input."""
        names = [name for name in names if not (self.extents[name].size == "T" and self.extents[name].const)]
        names = [self.batch, *(name for name in names if name not in ("n", "m"))]  # an input has one axis of samples
        shape = tuple(self.extents[name] for name in names)
        known = [d for d in self.declared if d.dtype == dtype and d.shape == shape and d.values == values]
        if known and self.chance(0.5):
            found = self.rng.choice(known)
        else:
            count = sum(d.dtype == dtype for d in self.declared)
            found = Declared(f"{'tok' if dtype == 'int' else 'mask'}{count}", shape, dtype, None, values)
            self.declared.append(found)
        self.symbolic |= any(e.size == "T" for e in shape)
        return Read(found.name, tuple(Affine(((name, 1),)) for name in names))

    def shifted(self, inner: list[str], name: str, step: int) -> Any:
        """A read that leaves its tensor at one end of the reduced index `name`; all other indices stay inside."""
        extent = self.extents[name]
        fitting = [
            t for t in self.targets if t[2] == "float" and extent in t[1] and self.batch == "n" and t[1][0].size == "N"
        ]
        if fitting and self.chance(0.7):
            found, shape, _ = self.rng.choice(fitting)
            axis = shape.index(extent)
            at: list[Any] = []
            for k, own in enumerate(shape):
                alone = [x for x in inner if x != name and self.extents[x] == own]
                if k == axis:
                    at.append(Affine(((name, 1),), step))
                elif own.size == "N":
                    at.append(Affine((("n", 1),)))
                elif alone:
                    at.append(Affine(((alone[0], 1),)))
                elif not own.size:
                    at.append(Affine((), 0))
                else:
                    break
            else:
                self.unread = [x for x in self.unread if x != found]
                return Read(found, tuple(at))
        others = [x for x in inner if x not in ("n", "m", name)]
        # An input's own axes have no length of T minus something.
        others = [x for x in others if not (self.extents[x].size and self.extents[x].const)]
        extent = Extent(0, extent.size) if extent.size else extent
        others = self.rng.sample(others, min(len(others), self.rng.choice((0, 1, 2))))
        subscripts: list[Any] = [Affine(((name, 1),), step), *(Affine(((x, 1),)) for x in others)]
        return self.made_read([self.batch], subscripts, [extent, *(self.extents[x] for x in others)], inner)

    def tapped(self, place: str, tap: str, skip: bool) -> tuple[Affine, Extent]:
        """`place*S + tap*D - P`, and the extent of its axis."""
        taps, extent = self.extents[tap].const, self.extents[place]
        stride = 2 if self.take("stride") and not (extent.size and skip) else 1
        dilation = 2 if self.take("dilation") else 1
        reach = dilation * (taps - 1)
        if self.chance(0.4) and self.take("flip"):
            terms, least = ((place, stride), (tap, -dilation)), -reach
        else:
            terms, least = ((place, stride), (tap, dilation)), 0
        if extent.size:
            # An axis of the same symbolic length, left at the ends; under a maximum each window keeps a point.
            padding = self.rng.choice((0, 1)) if dilation == 1 else dilation * (taps // 2)
            padding = min(padding, reach)
            self.take("outside")
            return Affine(terms, -least - padding), extent
        most = stride * (extent.const - 1) + reach
        if not (self.take("outside") or self.chance(0.2)):
            return Affine(terms, -least), Extent(most + 1 + self.rng.choice((0, 0, 1)))
        padding = dilation * self.rng.randint(1, max(1, taps - 1))
        # The last window keeps a point, too.
        after = self.rng.randint(0, min(dilation * (taps - 1), most - padding))
        return Affine(terms, -least - padding), Extent(max(1, most + 1 - padding - after))


def product(*factors: Any) -> Product:
    """A product of expressions."""
    return Product(tuple((False, factor) for factor in factors))

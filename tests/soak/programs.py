"""Drawing whole formulas: the left sides, the recurrences, the order of the equations, and the sizes."""

from __future__ import annotations

import random
from typing import Any

from soak.drawing import Drawing
from soak.features import FEATURES, features_of
from soak.inference import derivable, names_of, reads
from soak.numbers import ordinary
from soak.tree import (
    Affine,
    Bracket,
    Call,
    Condition,
    Count,
    Equation,
    Extent,
    Formula,
    Group,
    Number,
    Product,
    Read,
    Reduce,
    Sum,
    letters,
)

STEPS = ("step t-1", "step t-2", "step t+1", "two states")
LEFT = ("scatter", "lookup left", "group left", "+=")
SELDOM = (
    *("diagonal", "flip", "group", "remainder", "quotient", "lookup", "dilation", "stride", "T-k"),
    *("guard int", "mask", "bool", "step t+1", "size number", "over batch"),
)
"""What fits into few places, so that two of them seldom meet by chance."""
SELDOM_WITH = {"scatter": "2-D", "where": "step t-2"}
TRIES = 40


def draw(rng: random.Random) -> Formula:
    """A formula whose value and gradient are ordinary numbers."""
    for _ in range(TRIES):
        wanted = rng.sample(FEATURES, rng.choice((2, 3, 3, 4, 4)))
        if wanted[0] in SELDOM_WITH:
            wanted = list(dict.fromkeys([*wanted, SELDOM_WITH[wanted[0]]]))
        if rng.random() < 0.25:
            wanted = list(dict.fromkeys([*wanted, *rng.sample(SELDOM, 2)]))
        try:
            case = Program(rng, wanted).formula()
        except OverflowError:
            continue
        if ordinary(case):
            return case
    raise RuntimeError("no ordinary formula was drawn")


class Program(Drawing):
    """Draws equations."""

    def __init__(self, rng: random.Random, wanted: list[str]) -> None:
        super().__init__(rng, wanted)
        self.equations: list[Equation] = []
        self.shortest = 1

    def formula(self) -> Formula:
        """The whole case."""
        if any(name in self.wanted for name in ("symbolic", "T-k")) or self.chance(0.08):
            self.take("symbolic")
            self.extents["t"] = Extent(0, "T")
        self.before()
        self.last()
        used = {name for e in self.equations for name in names_of(e)}
        extents = tuple((name, extent) for name, extent in self.extents.items() if name in used)
        given = tuple(name for name, _ in extents if name not in self.inferred)
        sizes = [("N", self.rng.choice((1, 2, 2, 3)))]
        if any(extent.size == "T" for _, extent in extents):
            sizes.append(("T", self.shortest + self.rng.choice((0, 1, 2, 3))))
        case = Formula(
            tuple(self.equations),
            tuple(d for d in self.declared if any(d.name == r.tensor for e in self.equations for r in reads(e))),
            extents,
            given,
            self.loss(),
            tuple(sizes),
            self.rng.randrange(10**6),
            ("hvp",) if self.chance(0.1) else (),
            self.shuffled(),
        )
        if self.chance(0.5):
            given = tuple(name for name in given if not derivable(name, case))
        # By its seed, so that a quarter of the cases is judged in single precision, too, and none is another one.
        options = (*case.options, *(("float32",) if case.seed % 4 == 0 else ()))
        made = Formula(**{**vars(case), "given": given, "options": options})
        return Formula(**{**vars(made), "features": features_of(made)})

    def loss(self) -> str:
        first = next(e for e in self.equations if e.target == self.equations[-1].target)
        ends = first.at[-1]
        classes = len(first.at) == 2 and isinstance(ends, Affine) and not self.extents[ends.plain or ""].size
        if classes and self.chance(0.2):
            return "CrossEntropy"
        return self.rng.choice(("MeanSquaredError", "MeanSquaredError", "SquaredError"))

    def shuffled(self) -> tuple[int, ...]:
        """Sometimes another order of the equations, in which one is read before it is there."""
        targets = [e.target for e in self.equations]
        if len(set(targets)) < 2 or len(set(targets)) < len(targets) or not self.chance(0.05):
            return ()
        order = self.rng.sample(range(len(targets)), len(targets))
        early = {k: order[:k] for k in range(len(order))}
        late = any(
            r.tensor in targets and targets.index(r.tensor) != number and targets.index(r.tensor) not in early[place]
            for place, number in enumerate(order)
            for r in reads(self.equations[number])
        )
        return tuple(order) if late else ()

    # equations before the last

    def before(self) -> None:
        """Equations that the last one will read."""
        kinds: list[Any] = []
        if any(name in self.wanted for name in STEPS):
            kinds.append(self.recurrence)
        if "step t+1" in self.wanted and {"step t-1", "step t-2"} & set(self.wanted):
            kinds.append(self.recurrence)
        if "group left" in self.wanted and {"scatter", "lookup left"} & set(self.wanted):
            kinds.append(self.grouped)
        if self.take("T-k"):
            kinds.append(self.shorter)
        if "over batch" in self.wanted and self.chance(0.4):
            kinds.append(self.statistic)
        if "argmax" in self.wanted and self.chance(0.5):
            kinds.append(self.position)
        if self.take("several") or self.chance(0.15):
            kinds.append(self.plain)
        if self.chance(0.03):
            kinds.append(self.total)
        for make in kinds:
            hidden = [name for name in self.wanted if self.chance(0.4) and name not in STEPS]
            self.wanted = [name for name in self.wanted if name not in hidden]
            make(f"h{len(self.targets)}")
            self.wanted = sorted([*self.wanted, *hidden])

    def free(self, most: int = 2) -> list[str]:
        """Indices for a left side after n."""
        names = ["t"] if "t" in self.extents and self.chance(0.6) else []
        names += [x for x, extent in self.extents.items() if extent.size == "T" and extent.const and self.chance(0.5)]
        while len(names) < self.rng.choice(range(most + 1)):
            names.append(self.letter(names))
        self.rng.shuffle(names)
        return names

    def define(self, name: str, at: list[str], body: Any) -> None:
        """Add an equation with plain indices on the left."""
        body = self.with_batch(body) if "n" in at else body
        self.equations.append(Equation(name, tuple(Affine(((x, 1),)) for x in at), body))
        if all(name != known for known, _, _ in self.targets):
            self.targets.append((name, tuple(self.extents[x] for x in at), "float"))
            self.unread.append(name)

    def with_batch(self, body: Any) -> Any:
        """The body, with a read that gives n its extent."""
        known = {d.name for d in self.declared} | {name for name, _, _ in self.targets}
        if any(isinstance(s, Affine) and s.plain == "n" for r in reads(body) if r.tensor in known for s in r.at):
            return body
        return self.joined(body, self.input_read(["n"], True))

    def plain(self, name: str) -> None:
        at = ["n", *self.free()]
        body = self.body(self.scope(at))
        shown = letters(body)
        at = [x for x in at if x in shown or not (self.extents[x].size == "T" and self.extents[x].const)]
        self.define(name, at, body)

    def scope(self, at: list[str]) -> list[str]:
        """The indices that a body may read."""
        self.left.update(at)
        if len(at) > 1 and (self.take("spare") or self.chance(0.05)):
            left = [x for x in at if x in ("n",) or x in self.inferred]
            others = [x for x in at if x not in left]
            return [*left, *others[1:]] if others else at
        return list(at)

    def position(self, name: str) -> None:
        """An integer tensor: where something is greatest."""
        self.take("argmax")
        over = self.letter(["n"])
        body = Reduce(
            "argmax", (over,), self.input_read(["n", over], True, whole=True), self.guards(["n", over], [over])
        )
        self.equations.append(Equation(name, (Affine((("n", 1),)),), body))
        self.targets.append((name, (Extent(0, "N"),), "int"))
        self.positions = (name, over)

    def total(self, name: str) -> None:
        """A log-sum-exp, and its scores less the total of the same place or of the one beside it."""
        place, own = self.letter([]), ""
        own = self.letter([place])
        self.left.update((place, own))
        subscripts = [Affine(((place, 1),)), Affine(((own, 1),))]
        scores = self.made_read(["n"], subscripts, [self.extents[place], self.extents[own]], [])
        self.define(name, ["n", place], Reduce("logsumexp", (own,), scores))
        self.unread.remove(name)
        away = 0 if self.extents[place] == Extent(1) else self.rng.choice((-1, -1, 0, 1))
        beside = Read(name, (Affine((("n", 1),)), Affine(((place, 1),), away)))
        difference = Sum(((1, scores), (-1, beside)))
        body = Call("exp", (difference,)) if self.chance(0.5) else difference
        self.define(f"{name}b", ["n", place, own], body)

    def statistic(self, name: str) -> None:
        """A tensor without the batch: a mean over all samples."""
        self.take("over batch")
        names = [self.letter([])]
        self.left.update(names)
        self.define(name, names, self.over_batch(names, 1, False))

    def shorter(self, name: str) -> None:
        """A window that stays inside an axis of symbolic length: its own length is T minus something."""
        tap = self.letter([], Extent(self.rng.choice((2, 3))))
        dilation = 2 if self.take("dilation") else 1
        less = dilation * (self.extents[tap].const - 1)
        self.shortest = max(self.shortest, less + 1)
        place = self.letter([tap], Extent(-less, "T"))
        self.inferred.add(place)
        self.take("window")
        s = Affine(((place, 1), (tap, dilation)))
        if self.chance(0.4) and self.take("flip"):
            s = Affine(((place, 1), (tap, -dilation)), less)
        more = [self.letter([tap, place])] if self.chance(0.5) else []
        subscripts, shape = [s, *(Affine(((x, 1),)) for x in more)], [Extent(0, "T"), *(self.extents[x] for x in more)]
        read = self.made_read(["n"], subscripts, shape, [])
        pending = [op for op in self.wanted if op in ("sum", "mean", "max", "logsumexp", "prod")]
        op = self.rng.choice(pending or ["sum", "sum", "mean", "max"])
        self.take(op)
        over, at = [tap], ["n", place]
        if more and op == "sum" and self.chance(0.6):
            over += more
        else:
            at += more
        body = (
            self.window_body(read, [*at, *over], over, op, False)
            if op != "sum"
            else Product(((False, self.parameter(over, False, whole=True)), (False, read)))
        )
        node: Any = Reduce(op, tuple(over), body)
        self.define(name, at, Call("tanh", (node,)) if self.chance(0.3) else node)

    def recurrence(self, name: str) -> None:
        """States that read themselves at other steps."""
        time = "t" if "t" in self.extents else self.letter([], Extent(self.rng.choice((2, 3, 4))))
        units = [self.letter([time])] if self.chance(0.6) else []
        at = ["n", time, *units]
        self.whole.update(at)
        both = "step t+1" in self.wanted and {"step t-1", "step t-2"} & set(self.wanted)
        chosen = [s for s in STEPS if (s == "step t+1" or not both) and self.take(s)]
        steps = [-1] if "step t-1" in chosen or "step t+1" not in chosen else []
        steps += [-2] if "step t-2" in chosen else []
        steps = [1] if "step t+1" in chosen and (not steps or self.chance(0.7)) else steps
        steps = [-2] if steps == [-1, -2] and self.chance(0.3) else steps
        two = "two states" in chosen or self.chance(0.1)
        other = f"{name}b" if two else name
        inner = self.body(at)
        state = self.state(other, at, steps)
        self.define(name, at, self.stepped(inner, state, at, steps))
        if two:
            now = Read(name, tuple(Affine(((x, 1),)) for x in at))
            second = Product(((False, Number("0.5")), (False, self.rng.choice((now, Call("tanh", (now,)))))))
            self.define(other, at, Sum(((1, second), (1, self.state(other, at, steps[:1])))))

    def state(self, name: str, at: list[str], steps: list[int]) -> Any:
        """What is kept of the state at other steps."""
        terms = []
        for step in steps:
            time = Affine(((at[1], 1),), step)
            place = (Affine((("n", 1),)), time, *(Affine(((x, 1),)) for x in at[2:]))
            if len(at) == 3 and self.fixed(at[2]) and self.chance(0.4):
                own = self.letter(at, self.extents[at[2]])
                mixed = Read(name, (*place[:2], Affine(((own, 1),))))
                weight = self.parameter([at[2], own], True, whole=True)
                terms.append((1, Reduce("sum", (own,), Product(((False, weight), (False, mixed))))))
            else:
                terms.append(
                    (1, Product(((False, Number(self.rng.choice(("0.5", "0.3")))), (False, Read(name, place)))))
                )
        return terms[0][1] if len(terms) == 1 else Sum(tuple(terms))

    def stepped(self, inner: Any, state: Any, at: list[str], steps: list[int]) -> Any:
        """The right side of a recurrence."""
        terms = [(1, inner), (1, state)]
        if self.chance(0.2) and steps == [-1]:
            first = Bracket((Condition(Count(Affine(((at[1], 1),))), "=", Number("0")),))
            begin = self.input_read(["n", *at[2:]], True, whole=True)
            terms.append((1, Product(((False, first), (False, begin)))))
        total = Sum(tuple(terms))
        return Call(self.rng.choice(("tanh", "sigmoid", "sin")), (total,)) if self.chance(0.6) else total

    # the last

    def last(self) -> None:
        """The equation, or two, that give the output."""
        left = [name for name in LEFT if name in self.wanted]
        chosen = self.rng.choice(left) if left else self.rng.choice((*LEFT[2:], *["plain"] * 12))
        self.take(chosen)
        if chosen == "group left":
            self.grouped("y")
        elif chosen in ("scatter", "lookup left"):
            self.scattered([chosen, *(name for name in ("scatter", "lookup left") if self.take(name))])
        else:
            self.several_terms(chosen == "+=" or self.take("+="))
        if chosen in ("scatter", "lookup left", "group left") and self.take("+="):
            self.added(next(e for e in self.equations if e.target == "y"))

    def grouped(self, name: str) -> None:
        """A tensor whose one axis is two indices, row by row."""
        self.take("group left")
        names = [self.letter([]), ""]
        names[1] = self.letter(names[:1])
        self.left.update(names)
        body = self.with_batch(self.body(["n", *names]))
        self.equations.append(Equation(name, (Affine((("n", 1),)), Group(tuple(names))), body))
        if name != "y":
            extent = Extent(self.extents[names[0]].const * self.extents[names[1]].const)
            self.targets.append((name, (Extent(0, "N"), extent), "float"))
            self.unread.append(name)

    def several_terms(self, added: bool) -> None:
        at = ["n", *self.free(3)]
        scope = self.scope(at)
        pending = [op for op in self.wanted if op in ("max", "logsumexp", "prod", "mean", "sum")]
        if added and pending and self.chance(0.7):
            # A reduction is the whole of an equation, and something is added to it.
            self.take(pending[0])
            body = self.reduction(scope, 0, False, pending[0])
            body = self.with_batch(body)
        else:
            body = self.with_batch(self.body(scope))
        # What follows from a read alone has no extent where nothing reads it.
        shown = letters(body)
        at = [x for x in at if x in shown or not (self.extents[x].size == "T" and self.extents[x].const)]
        self.equations.append(Equation("y", tuple(Affine(((x, 1),)) for x in at), body))
        if added or self.unread:
            self.added(self.equations[-1])

    def added(self, first: Equation) -> None:
        """Add to what an equation defines."""
        names = [name for s in first.at for name in letters(s)]
        self.equations.append(Equation("y", first.at, self.with_batch(self.body(names)), adds=True))

    def scattered(self, chosen: list[str]) -> None:
        """A tensor, and what is added to it where the right side or a tensor says."""
        writes = [self.affine_write() if kind == "scatter" else self.data_write() for kind in chosen]
        length = max(least for _, _, least in writes) + self.rng.choice((0, 1))
        whole = self.letter([name for names, _, _ in writes for name in names], Extent(length))
        more = [self.letter([*(name for names, _, _ in writes for name in names), whole])] if self.chance(0.4) else []
        tail = tuple(Affine(((x, 1),)) for x in more)
        self.left.update([*(name for names, _, _ in writes for name in names), whole, *more])
        n = Affine((("n", 1),))
        first = self.with_batch(self.body(["n", whole, *more]))
        self.equations.append(Equation("y", (n, Affine(((whole, 1),)), *tail), first))
        for names, left, _ in writes:
            body = self.body(["n", *names, *more])
            shown = {s.plain for r in reads(body) for s in r.at if isinstance(s, Affine)}
            if not {"n", *names, *more} <= shown:
                # An index of such a left side is one because the right side shows it alone.
                shape = [self.extents[x] for x in (*names, *more)]
                plain = self.made_read(["n"], [Affine(((x, 1),)) for x in (*names, *more)], shape, [])
                body = Sum(((1, body), (1, plain)))
            self.equations.append(Equation("y", (n, left, *tail), body, adds=True))

    def affine_write(self) -> tuple[list[str], Any, int]:
        """Indices, an affine subscript in them, and how long its axis is at least."""
        names = [self.letter([])]
        terms = [(names[0], self.rng.choice((1, 2, 2)))]
        if self.chance(0.6):
            names.append(self.letter(names, Extent(self.rng.choice((1, 2, 3)))))
            terms.append((names[1], 1))
        move = self.rng.choice((0, 0, 1))
        reach = move + sum(c * (self.extents[x].const - 1) for x, c in terms)
        return names, Affine(tuple(terms), move), reach + 1

    def data_write(self) -> tuple[list[str], Any, int]:
        """An index, a subscript that is a read of integers, and how many values these have."""
        names = [self.letter([])]
        values = self.rng.choice((2, 3))
        return names, self.integer_read(["n", *names], values), values

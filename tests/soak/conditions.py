"""Drawing conditions: of reductions, brackets and `where`."""

from __future__ import annotations

from typing import Any

from soak.reads import Reads
from soak.tree import Affine, Condition, Count, Modulo, Number, Read

GUARDS = ("guard", "guard %", "guard int", "mask")


class Conditions(Reads):
    """Draws conditions with the indices in scope."""

    def guards(self, inner: list[str], over: list[str]) -> tuple[Condition, ...]:
        """The guards that are wanted of the next reduction."""
        kinds = [kind for kind in GUARDS if kind in self.wanted and self.chance(0.8) and self.take(kind)]
        found = [self.guard(kind, inner, over) for kind in kinds]
        if not found and self.chance(0.06):
            found.append(self.guard(self.rng.choice(GUARDS[:2]), inner, over))
        return tuple(found)

    def guard(self, kind: str, inner: list[str], over: list[str]) -> Condition:
        """A condition on a reduced index."""
        name = self.rng.choice(over)
        extent = self.extents[name]
        if kind == "guard %":
            others = [x for x in inner if x != name and x != self.batch and x not in self.divisors]
            terms = ((name, 1),) + (((self.rng.choice(others), 1),) if others and self.chance(0.5) else ())
            if any(x in self.divisors for x, _ in terms):
                return self.comparison(name, inner)
            left: Any = Modulo(Affine(terms, self.rng.choice((0, 0, 1))), 2)
            return Condition(left, self.rng.choice(("=", "==")), Number(self.rng.choice(("0", "1"))))
        if kind == "guard":
            return self.comparison(name, inner)
        names = [self.batch, name] if self.chance(0.8) or extent.size else [name]
        if kind == "mask":
            return Condition(self.data(names, "bool"))
        read = self.data(names, "int")
        if self.chance(0.7):
            return Condition(read, self.rng.choice(("!=", "<=", ">=", "=")), Number(str(self.rng.choice((0, 1, 1)))))
        return Condition(read, self.rng.choice(("!=", "<=", ">=")), Count(Affine(((name, 1),))))

    def data(self, names: list[str], dtype: str) -> Read:
        """A read of an integer or boolean input at `names`."""
        names = names if names[0] in ("n", "m") else [self.batch, *names]
        return self.integer_read(names, 3 if dtype == "int" else 2, dtype)

    def comparison(self, name: str, inner: list[str]) -> Condition:
        """A comparison of an index with a number or with another index."""
        extent = self.extents[name]
        others = [x for x in inner if x not in (name, "n", "m")]
        if others and self.chance(0.6):
            other = Affine(((self.rng.choice(others), 1),), self.rng.choice((0, 0, 1, -1)))
            return Condition(Count(Affine(((name, 1),))), self.rng.choice(("<=", ">=", "!=", "<")), Count(other))
        number = self.rng.randrange(max(1, extent.const)) if not extent.size else self.rng.choice((0, 1))
        return Condition(Count(Affine(((name, 1),))), self.rng.choice(("!=", "!=", "<=", ">=")), Number(str(number)))

    def test(self, scope: list[str], float_too: bool = False) -> Condition:
        """A condition of a bracket or of `where`."""
        names = [x for x in scope if x not in ("n", "m")] or [scope[0]]
        name = self.rng.choice(names)
        kinds = ["index", "index", "index %"] + ["float", "float"] * float_too
        kinds += [kind for kind in ("int", "bool") if kind in self.wanted] * 3 + ["int"] * self.chance(0.2)
        match self.rng.choice(kinds):
            case "float":
                return Condition(self.read(scope, True), self.rng.choice((">", "<")), Number("0.15"))
            case "index %":
                return Condition(Modulo(Affine(((name, 1),)), 2), "=", Number(self.rng.choice(("0", "1"))))
            case "int":
                self.take("int")
                return Condition(self.data([self.batch, *names[:1]], "int"), "=", Number("1"))
            case "bool":
                self.take("bool")
                return Condition(self.data([self.batch, *names[:1]], "bool"))
            case _:
                return (
                    self.comparison(name, scope)
                    if len(scope) > 1
                    else Condition(Count(Affine(((name, 1),))), ">", Number("0"))
                )

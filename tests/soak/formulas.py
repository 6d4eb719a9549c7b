"""The kind of case that is one drawn formula: what the driver asks for."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from soak import programs
from soak.features import FEATURES, ILLEGAL
from soak.judging import judge
from soak.kinds import Verdict
from soak.smaller import smaller
from soak.tree import Formula


class Formulas:
    """Drawn formulas."""

    name = "formulas"
    features: tuple[str, ...] = FEATURES
    illegal: Mapping[frozenset[str], str] = ILLEGAL

    def draw(self, rng: random.Random) -> Formula:
        return programs.draw(rng)

    def judge(self, case: Formula, target: str) -> Verdict:
        return judge(case, target)

    def smaller(self, case: Formula) -> Iterator[Formula]:
        return smaller(case)


KIND = Formulas()

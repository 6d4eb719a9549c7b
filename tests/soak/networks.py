"""The kind "networks" of the soak: whole networks of all layers with all their options."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from soak.kinds import Verdict
from soak.network_case import Case
from soak.network_draw import draw
from soak.network_features import FEATURES
from soak.network_judge import judge
from soak.network_smaller import smaller


class Networks:
    """Drawn networks."""

    name = "networks"
    features: tuple[str, ...] = FEATURES
    illegal: Mapping[frozenset[str], str] = {}

    def draw(self, rng: random.Random) -> Case:
        """A network; nothing but `rng` decides which."""
        return draw(rng)

    def judge(self, case: Case, target: str) -> Verdict:
        """The generated module against the equations, differences and itself."""
        return judge(case, target)

    def smaller(self, case: Case) -> Iterator[Case]:
        """Fewer outputs, places, options, numbers."""
        yield from smaller(case)


KIND = Networks()

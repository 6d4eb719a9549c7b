"""A model that shows itself in a notebook."""

from __future__ import annotations

from symnet.explain import notebook
from symnet.model import graph


class Model(graph.Model):
    __doc__ = graph.Model.__doc__

    def _repr_svg_(self) -> str:
        return notebook.picture(self, self.program)

    def _repr_latex_(self) -> str:
        return notebook.formulas(self, self.program, "forward")

    def _repr_html_(self) -> str:
        return notebook.card(self, self.program, "forward")

"""Layers whose inputs have names, some of which may be left out: an initial state, a mask."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from codegen.ir.equation import Dtype, Tensor
from symnet.model.layers.base import Layer, Node
from symnet.model.layers.spelling import Site
from symnet.support.errors import DefinitionError, ShapeError
from symnet.support.suggest import did_you_mean, listing


class Slotted(Layer, abstract=True):
    """Inputs by position in the order of `slots`, or by name; the first `required` must be given."""

    required: ClassVar[int] = 1
    dtypes: ClassVar[Mapping[str, Dtype]] = {}
    """The dtype of each input that is not float."""

    @property
    def slots(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return ("x",)

    def arguments(self, nodes: tuple[Node, ...], named: Mapping[str, Node]) -> tuple[Node, ...]:
        """The inputs in the order of `roles`."""
        given = self._given(nodes, named)
        return tuple(given[name] for name in self.slots if name in given)

    def roles(self, nodes: tuple[Node, ...], named: Mapping[str, Node]) -> tuple[str, ...]:
        """The names of the inputs that are given."""
        given = self._given(nodes, named)
        return tuple(name for name in self.slots if name in given)

    def check_inputs(self, where: str, inputs: tuple[Tensor, ...], site: Site) -> None:
        """Refuse an input of another dtype than its slot's."""
        for role, tensor in zip(site.roles, inputs, strict=True):
            expected = self.dtypes.get(role, "float")
            if tensor.dtype != expected:
                raise ShapeError(f"{where}: expected {role} of dtype {expected}, got {tensor.dtype}")

    def _given(self, nodes: tuple[Node, ...], named: Mapping[str, Node]) -> dict[str, Node]:
        slots = self.slots
        if len(nodes) > len(slots):
            raise DefinitionError(f"{self.where}: expected at most the inputs {listing(slots)}, got {len(nodes)}")
        given = dict(zip(slots, nodes, strict=False))
        for name, node in named.items():
            if name not in slots:
                raise DefinitionError(
                    f"{self.where}: no input '{name}'{did_you_mean(name, slots)}; expected {listing(slots)}"
                )
            if name in given:
                raise DefinitionError(f"{self.where}: the input '{name}' is given twice, by position and by name")
            given[name] = node
        for name in slots[: self.required]:
            if name not in given:
                raise DefinitionError(f"{self.where}: the input '{name}' is missing; it takes {listing(slots)}")
        return given

"""Smaller cases of a drawn network, by which one that fails is taken apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import symnet as sn
from soak.network_case import Case, Place, Source, Spec, alive


def smaller(case: Case) -> Iterator[Case]:
    """Cases that are a little less than this one, the boldest first; some of them may be refused."""
    for part in (_fewer_outputs, _fewer_places, _fewer_checks, _cut, _smaller_data, _plainer):
        yield from (alive(less) for less in part(case))


def _fewer_checks(case: Case) -> Iterator[Case]:
    for name in sorted(case.checks):
        yield replace(case, checks=case.checks - {name})
    for k, (name, _) in enumerate(case.compiled):
        if name not in ("dtype", "target"):
            yield replace(case, compiled=case.compiled[:k] + case.compiled[k + 1 :])
    if case.optimizer != "sgd":
        yield replace(case, optimizer="sgd")
    if case.l2:
        yield replace(case, l2=0.0)
    if case.loss_weights:
        yield replace(case, loss_weights=None)


def _fewer_outputs(case: Case) -> Iterator[Case]:
    if len(case.outputs) > 1:
        for k in range(len(case.outputs)):
            losses = case.losses[:k] + case.losses[k + 1 :]
            if any(losses):
                yield replace(case, outputs=case.outputs[:k] + case.outputs[k + 1 :], losses=losses, loss_weights=None)


def _fewer_places(case: Case) -> Iterator[Case]:
    """An earlier node as the output, or what reads a place reads its input instead."""
    if len(case.outputs) == 1:
        for place in case.places[:-1]:
            for loss in dict.fromkeys((case.losses[0], Spec("MeanSquaredError"))):
                yield replace(case, outputs=(place.name,), losses=(loss,))
    for k, place in enumerate(case.places):
        for node in dict.fromkeys(place.inputs):
            rest = tuple(p.renamed(place.name, node) for p in case.places[:k] + case.places[k + 1 :])
            outputs = tuple(node if o == place.name else o for o in case.outputs)
            if len(set(outputs)) == len(outputs) and not any(
                place.name in (p.shares, p.tied) or set(place.further) & set(p.reads) for p in rest
            ):
                yield replace(case, places=rest, outputs=outputs)


def _cut(case: Case) -> Iterator[Case]:
    """An input in the place of a node."""
    try:
        nodes = case.nodes()
    except sn.SymnetError:
        return
    for k, place in enumerate(case.places):
        node = nodes[place.name]
        shape = tuple(node.shape[1:])
        if all(isinstance(e, int) or e.isidentifier() for e in shape) and place.name not in case.outputs:
            source = Source(place.name, shape, node.tensor.dtype, node.layout)
            rest = case.places[:k] + case.places[k + 1 :]
            if not any(place.name in (p.shares, p.tied) or set(place.further) & set(p.reads) for p in rest):
                yield replace(case, places=rest, sources=(*case.sources, source))


def _smaller_data(case: Case) -> Iterator[Case]:
    for k, (name, size) in enumerate(case.sizes):
        for less in {1, size - 1} - {0, size}:
            yield replace(case, sizes=(*case.sizes[:k], (name, less), *case.sizes[k + 1 :]))
    for k, source in enumerate(case.sources):
        for axis, extent in enumerate(source.shape):
            fixed = dict(case.sizes)[extent] if isinstance(extent, str) else extent - 1
            if fixed:
                shape = (*source.shape[:axis], fixed, *source.shape[axis + 1 :])
                changed = replace(source, shape=shape)
                yield replace(case, sources=(*case.sources[:k], changed, *case.sources[k + 1 :]))


def _plainer(case: Case) -> Iterator[Case]:
    """Options left out, numbers made less, calls without their keywords."""
    for k, place in enumerate(case.places):

        def changed(new: Place, k: int = k) -> Case:
            return replace(case, places=(*case.places[:k], new, *case.places[k + 1 :]))

        for option, value in place.spec.options:
            if place.how == "layer" and not place.shares and option not in ("formula", "params"):
                yield changed(replace(place, spec=place.spec.without(option)))
            if isinstance(value, int) and not isinstance(value, bool) and value > 1:
                less = tuple((o, v - 1 if o == option else v) for o, v in place.spec.options)
                yield changed(replace(place, spec=replace(place.spec, options=less)))
        for role, _ in place.roles:
            yield changed(replace(place, roles=tuple(pair for pair in place.roles if pair[0] != role)))
        if place.shares:
            yield changed(replace(place, shares=""))
        if place.tied:
            yield changed(replace(place, tied=""))
    for k, loss in enumerate(case.losses):
        if loss and loss.kind != "MeanSquaredError":
            plain = Spec("MeanSquaredError")
            yield replace(case, losses=(*case.losses[:k], plain, *case.losses[k + 1 :]))
            for option, _ in loss.options:
                yield replace(case, losses=(*case.losses[:k], loss.without(option), *case.losses[k + 1 :]))

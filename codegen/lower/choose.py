"""The choice of a recipe for each equation: made once, and read by all that follows.

The equations are looked at in the order in which they run, with the copies that exist by then.  A halo of zeros costs
nothing on a tensor that the program computes, since what computes it writes there.  A tensor has one halo, that of the
first reader whose recipe wants one.

Equations outside of loops are decided before anything is lowered.  The steps of a loop, and what a recipe makes of an
equation, are decided by the same table where they arise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from codegen.ir.edit import redirected, renamed
from codegen.ir.equation import Equation, Program, all_reads
from codegen.ir.plan import Step
from codegen.lower.copies import Halo
from codegen.lower.elementwise import reshaped
from codegen.lower.recipe import Choice, Recipe, Site
from codegen.lower.recipes import GROUPS, RECIPES
from codegen.lower.storage import Storage
from codegen.notation import show

VIEW = "view"
"""The choice of what is no step at all: a copy or a reshape in storage order."""

Choices = Mapping[int, Choice]
"""By the place of an equation in its program."""


def choose(legal: Program, order: Iterable[int], storage: Storage) -> dict[int, Choice]:
    """The recipes of the equations at these places, which are those outside of loops, as they run.

    legal: the program with nothing implicit in its equations.  storage: with no tensor in a halo; the copies that
    recipes want are noted in it, and nothing else.
    """
    chosen: dict[int, Choice] = {}
    for place in order:
        equation = legal.equations[place]
        view = reshaped(equation, storage) is not None
        choice = chosen[place] = Choice(VIEW) if view else decided(Site(equation, storage))[1]
        storage.without_halo -= {equation.target} if view else {c.tensor for c in choice.copies if isinstance(c, Halo)}
        storage.prepared |= dict.fromkeys(choice.copies, "")
    return chosen


def wanted(choices: Choices, may: frozenset[str]) -> dict[str, Halo]:
    """By tensor the halo that it is stored in: the first that a recipe wants of a tensor that may have one."""
    found: dict[str, Halo] = {}
    for choice in choices.values():
        for copied in choice.copies:
            if isinstance(copied, Halo) and copied.tensor in may:
                found.setdefault(copied.tensor, copied)
    return found


def decided(site: Site) -> tuple[Recipe[Any], Choice]:
    """The recipe of an equation: of the first group with one that applies, a preferred one or the cheapest."""
    for group in GROUPS:
        found = [(row, match) for row in group if (match := row.when(site)) is not None]
        if found:
            return _best(found, site)
    raise AssertionError("the last recipe takes everything")


def built(site: Site, choice: Choice) -> list[Step]:
    """The steps of an equation by the recipe that was chosen for it."""
    row = RECIPES[choice.recipe]
    found = row.when(site)
    assert found is not None, f"{site.equation.target}: chosen was '{row.name}', which does not apply"
    site.storage.remark = row.remark(site, found) or site.storage.remark
    return row.build(site.equation, site.storage, found, choice.variant)


def _best(found: list[tuple[Recipe[Any], Any]], site: Site) -> tuple[Recipe[Any], Choice]:
    preferred = next(_preferred(found, site), None)
    if preferred is not None:
        return preferred
    options = [
        (row, _option(row, match, variant, site)) for row, match in found for variant in row.variants(site, match)
    ]
    compared = [each for each in options if each[1].cost is not None]
    if len(compared) < 2:
        return (compared or options)[0]
    between = nameless(site.equation, site.storage) + " by " + ", ".join(sorted({row.name for row, _ in compared}))
    wanted = site.storage.prefer.get(between)
    row, choice = min(compared, key=lambda each: (each[1].way != wanted, *_rank(each[1])))
    rivals = sorted((choice for _, choice in compared), key=_rank)
    return row, replace(choice, between=between, rivals=tuple(rivals))


def _rank(choice: Choice) -> tuple[float, str, int]:
    return choice.cost or 0.0, choice.recipe, choice.variant


def nameless(equation: Equation, storage: Storage) -> str:
    """An equation and its tensors without the names of either, nor of indices: `#0[i0] = 2*#1[i0] over i0<N, ...`."""
    named = dict.fromkeys((equation.target, *(read.tensor for read in all_reads(equation))))
    tensors = {name: f"#{k}" for k, name in enumerate(named)}
    plain = renamed(redirected(equation, tensors), {name: f"i{k}" for k, (name, _) in enumerate(equation.box)})
    extents = (f"{name}<{extent}" for name, extent in plain.box)
    known = (f"{number} {_kind(name, storage)}" for name, number in tensors.items())
    return f"{show(plain.with_(target=tensors[equation.target]))} over {', '.join(extents)} of {', '.join(known)}"


def _kind(name: str, storage: Storage) -> str:
    """What kind of a tensor it is, with its dtype and shape: of a value that is computed the halo is free."""
    tensor = storage.program.table.get(name)
    shape = ", ".join(map(str, storage.shapes[name]))
    return f"{tensor.kind if tensor else 'value'} {storage.dtypes[name]}({shape})"


def _option(row: Recipe[Any], match: Any, variant: int, site: Site) -> Choice:
    copies = row.copies(site, match, variant)
    ready = not copies or site.storage.has(copies[0])
    return Choice(row.name, variant, row.cost(site, match, variant, ready), copies)


def _preferred(found: list[tuple[Recipe[Any], Any]], site: Site) -> Iterator[tuple[Recipe[Any], Choice]]:
    """What a caller has asked for: `shifts`; `shifts/4`, of 4 columns; `kernel:shifts`, for kernels' gradients only."""
    for text in site.storage.recipes:
        name, _, block = text.partition("/")
        for row, match in found:
            if name in (row.name, row.name.rpartition(":")[2]):
                variants = tuple(row.variants(site, match))
                wanted = int(block or 0)
                cut = wanted in variants or "stacks" in row.name
                yield row, _option(row, match, wanted if cut else 0, site)

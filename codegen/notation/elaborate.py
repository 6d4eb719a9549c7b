"""Formulas to equations in normal form: what a text means.

1. names: the left side and the reductions bind indices; `sizes` gives extents
   and constants; what is left is a symbolic size or a tensor (`scope.py`);
2. extents, of indices, parameters and new tensors together (`collect.py`, `extents.py`);
3. equations: sums split, other nested reductions named (`normalise.py`, `body.py`,
   `conditions.py`); what would be ambiguous is refused (`refusals.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Equation, Tensor
from codegen.ir.errors import FormulaError, ShapeError
from codegen.ir.names import allocate
from codegen.notation.collect import divisions, left_scope, system
from codegen.notation.extents import System
from codegen.notation.normalise import Normaliser
from codegen.notation.order import check_order
from codegen.notation.parser import parse, parse_expression, parse_subscripts
from codegen.notation.scope import Context, Local, Split
from codegen.notation.source import Source, listed, nearest
from codegen.notation.syntax import Access, Definition, Group, Name, Node, Number, Reduce, walk
from codegen.notation.words import reserved

Extent = int | str | Affine


@dataclass(frozen=True)
class Elaborated:
    """What a text means.

    tensors: the new targets in order of definition, each after those invented for it;
    params: the parameters by local name, their shapes inferred; output: the last target.
    """

    tensors: tuple[Tensor, ...]
    params: Mapping[str, Tensor]
    equations: tuple[Equation, ...]
    output: Tensor


def free_names(text: str) -> tuple[str, ...]:
    """The tensors that a text reads with subscripts but does not define, in order of first use."""
    definitions = parse(text)
    defined = {definition.target for definition in definitions}
    reads = [node.name for d in definitions for node in _nodes(d) if isinstance(node, Access)]
    return tuple(name for name in dict.fromkeys(reads) if name not in defined)


def variables(text: str) -> tuple[str, ...]:
    """The bare names of a text that is one expression, such as ("x",) for `x/(1+exp(-x))`."""
    names = [node.name for node in walk(parse_expression(text)) if isinstance(node, Name)]
    return tuple(name for name in dict.fromkeys(names) if name != "pi")


def elaborate(
    text: str,
    tensors: Mapping[str, Tensor],
    *,
    params: Mapping[str, str] | None = None,
    sizes: Mapping[str, Extent] | None = None,
    shapes: Mapping[str, Sequence[Extent]] | None = None,
    names: Mapping[str, str] | None = None,
    indices: Iterable[str] = (),
    origin: str = "",
    stage: str = "",
    whole: bool = False,
) -> Elaborated:
    """The equations that a text means, in normal form.

    tensors: the given tensors by local name.  params: subscripts by local name, such as "o,i" or
    "(g,q),d,u,v"; a grouped axis is the product.  sizes: extents of indices, and constants.
    shapes: explicit shapes of targets.  names: program-wide names of targets and parameters, by
    default `origin.local`.  indices: names that are indices, where a left side such as y[2*i+u]
    and a size for u would leave it open.  whole: the output is all that the text is for; a line that
    it does not need is refused.

    A tensor's bare name reads it at the subscripts of the left side.  Raises FormulaError for text
    that does not parse or whose names, ranks or dtypes are inconsistent, ShapeError for extents that
    disagree or cannot be told.
    """
    source = Source(text, origin)
    definitions = parse(text, origin)
    letters = {name: parse_subscripts(subscripts, origin) for name, subscripts in (params or {}).items()}
    given = {name: Affine.of(extent) for name, extent in (sizes or {}).items()}
    explicit = {name: tuple(map(Affine.of, shape)) for name, shape in (shapes or {}).items()}
    _check_names(source, definitions, tensors, letters)
    rename = {**{name: tensor.name for name, tensor in tensors.items()}, **(names or {})}
    for name in [*letters, *(d.target for d in definitions)]:
        rename.setdefault(name, f"{origin}.{name}" if origin else name)
    context = _context(source, definitions, tensors, letters, given, explicit, rename, indices)
    check_order(context, definitions, whole)
    found = system(context, definitions, letters)
    _check_used(source, definitions, (*letters, *explicit))
    found.solve()
    normaliser = Normaliser(context, found.values, stage, origin)
    new: list[Tensor] = []
    _fill_shapes(normaliser, found)
    normaliser.summed |= {rename[definition.target] for definition in definitions if definition.accumulate}
    for number, definition in enumerate(definitions):
        normaliser.definition(definition, left_scope(context, number, definition))
        new += normaliser.invented
        normaliser.invented.clear()
        local = context.locals[definition.target]
        if local.fresh and not definition.accumulate:
            new.append(Tensor(local.program_name, normaliser.shapes[local.program_name], local.dtype))
    parameters = {n: Tensor(rename[n], normaliser.shapes[rename[n]], "float", "parameter") for n in letters}
    last = definitions[-1].target
    output = tensors[last] if last in tensors else next(t for t in new if t.name == rename[last])
    return Elaborated(tuple(new), parameters, tuple(normaliser.equations), output)


def _fill_shapes(normaliser: Normaliser, found: System) -> None:
    for name, local in normaliser.context.locals.items():
        try:
            shape = tuple(found.values[(name, k)] for k in range(local.rank))
        except KeyError as missing:
            _, axis = missing.args[0]
            raise normaliser.context.source.fault(
                0,
                f"the extent of axis {axis} of '{name}' cannot be told",
                expected="a size for its letter, or a read whose subscript there is one index",
                kind=ShapeError,
            ) from None
        normaliser.shapes[local.program_name] = shape
        if not local.fresh and not local.parameter:
            normaliser.defined.add(local.program_name)


def _context(
    source: Source,
    definitions: tuple[Definition, ...],
    tensors: Mapping[str, Tensor],
    letters: Mapping[str, tuple[Node, ...]],
    sizes: Mapping[str, Affine],
    shapes: Mapping[str, tuple[Affine, ...]],
    rename: Mapping[str, str],
    indices: Iterable[str],
) -> Context:
    locals_ = {name: Local(t.name, len(t.shape), t.dtype, t.shape) for name, t in tensors.items()}
    for name, subscripts in letters.items():
        locals_[name] = Local(rename[name], len(subscripts), "float", None, parameter=True)
    lines = Counter(definition.target for definition in definitions)
    for definition in definitions:
        if definition.target not in locals_:
            dtype = _dtype(definition, lines[definition.target], locals_)
            rank = len(definition.subscripts)
            locals_[definition.target] = Local(
                rename[definition.target], rank, dtype, shapes.get(definition.target), fresh=True
            )
    extents = [e for local in locals_.values() for e in local.shape or ()]
    symbols = frozenset(name for extent in (*extents, *sizes.values()) for name in extent.names)
    bound = {*indices} | {name for found in letters.values() for node in found for name in _plain(node)}
    for definition in definitions:
        for node in _nodes(definition):
            if isinstance(node, Reduce):
                bound |= {index.name for index in node.indices}
        bound |= {name for node in definition.subscripts for name in _plain(node)}
        # On the left side of a scatter an index stands in an affine subscript; the right side shows it alone.
        alone = {
            n for a in walk(definition.expression) if isinstance(a, Access) for s in a.subscripts for n in _plain(s)
        }
        bound |= alone & {n.name for s in definition.subscripts for n in walk(s) if isinstance(n, Name)}
    bound -= symbols
    splits: dict[tuple[int, str], Split] = {}
    taken = {node.name for d in definitions for node in _nodes(d) if isinstance(node, Name)} | {*sizes, *symbols}
    for number, definition in enumerate(definitions):
        for name, divisor in divisions(source, definition, sizes).items():
            splits[number, name] = Split(divisor, allocate(f"{name}q", taken), allocate(f"{name}r", taken))
    return Context(source, locals_, sizes, symbols, frozenset(bound), splits)


def _plain(node: Node) -> tuple[str, ...]:
    """The names of a subscript that is one name or a group."""
    if isinstance(node, Name):
        return (node.name,)
    return tuple(member.name for member in node.members) if isinstance(node, Group) else ()


def _nodes(definition: Definition) -> list[object]:
    return [*(n for s in definition.subscripts for n in walk(s)), *walk(definition.expression)]


def _dtype(definition: Definition, lines: int, known: Mapping[str, Local]) -> Dtype:
    """Positions are integers, a copy keeps its dtype, all else is float.  lines: how many have this target."""
    node = definition.expression
    if lines == 1:
        if isinstance(node, Reduce) and node.op == "argmax":
            return "int"
        if isinstance(node, Access) and node.name in known:
            return known[node.name].dtype
    return "float"


def _check_names(
    source: Source,
    definitions: tuple[Definition, ...],
    tensors: Mapping[str, Tensor],
    letters: Mapping[str, tuple[Node, ...]],
) -> None:
    """Refuse clashing names, double definitions and wrong ranks of targets."""
    for name, subscripts in letters.items():
        if name in tensors:
            raise source.fault(0, f"'{name}' is both a given tensor and a parameter", mend="rename one of them")
        if reserved(name):
            raise source.fault(0, f"the parameter '{name}' has the name of a function", mend="choose another name")
        for node in subscripts:
            if not isinstance(node, Name | Group) and not (isinstance(node, Number) and node.value.is_Integer):
                raise FormulaError(
                    f"the subscripts of the parameter '{name}' hold more than indices\n"
                    "  expected: indices and groups such as 'o,i' or '(g,q),d'"
                )
    defined: dict[str, int] = {}
    first: dict[str, int] = {}
    for definition in definitions:
        target = definition.target
        if target in letters:
            raise source.fault(definition.at, f"'{target}' is a parameter and cannot be defined", mend="rename it")
        ranks = defined.setdefault(target, len(definition.subscripts))
        known = target in tensors or first.setdefault(target, definition.at) < definition.at
        if known != definition.accumulate:
            raise source.fault(
                definition.at,
                f"'{target}' is defined twice" if known else f"'{target}' is added to before it is defined",
                mend=f"write {target}[...] += ... to add to it" if known else f"write {target}[...] = ... first",
            )
        rank = len(tensors[target].shape) if target in tensors else ranks
        if rank != len(definition.subscripts):
            raise source.fault(
                definition.at,
                f"'{target}' has the wrong number of subscripts",
                expected=str(rank),
                got=str(len(definition.subscripts)),
            )


def _check_used(source: Source, definitions: tuple[Definition, ...], declared: Iterable[str]) -> None:
    """Refuse parameters and explicit shapes of which the text says nothing."""
    mentioned = {node.name for d in definitions for node in _nodes(d) if isinstance(node, Access | Name)}
    mentioned |= {definition.target for definition in definitions}
    for name in declared:
        if name not in mentioned:
            raise source.fault(
                0,
                f"'{name}' is declared but does not occur in the formula",
                expected=f"one of {listed(sorted(mentioned))}",
                mend=nearest(name, mentioned),
            )

"""Equations to text that parses back."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import sympy
from sympy.logic.boolalg import BooleanFalse, BooleanTrue

from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Guard, Program, Quotient, Read, Subscript
from codegen.ir.functions import SCALARS

ADDED, MULTIPLIED, NEGATED, RAISED, ATOM = range(5)
"""How tightly a piece of text holds together, loosest first."""

Text = tuple[str, int]
RELATIONS = {
    sympy.Eq: "=",
    sympy.Ne: "!=",
    sympy.Lt: "<",
    sympy.Le: "<=",
    sympy.Gt: ">",
    sympy.Ge: ">=",
}


def show(shown: Equation | Program) -> str:
    """`z[n,o] += sum[i](W[o,i]*x[n,i])`; a program as one equation a line."""
    if isinstance(shown, Program):
        return "\n".join(show(equation) for equation in shown.equations)
    sign = "+=" if shown.accumulate else "="
    return f"{shown.target}[{show_subscripts(shown.at)}] {sign} {show_right(shown)}"


def show_right(equation: Equation) -> str:
    """The right side of an equation, its reduction included."""
    body = show_body(equation.body, equation.reads)
    if equation.reduce == "sum" and not equation.over and not equation.guards:
        return body
    return f"{equation.reduce}[{show_range(equation)}]({body})"


def show_range(equation: Equation) -> str:
    """What stands in the brackets of a reduction: `i,j | i <= t`."""
    over, guards = ",".join(equation.over), ", ".join(map(show_guard, equation.guards))
    return f"{over} | {guards}".strip() if guards else over


def show_read(read: Read) -> str:
    """`x[n,i*2+u]`."""
    return f"{read.tensor}[{show_subscripts(read.at)}]"


def show_subscripts(at: tuple[Subscript, ...]) -> str:
    """`n,2*i + u,label[n]`."""
    return ",".join(map(show_subscript, at))


def show_subscript(subscript: Subscript) -> str:
    """One subscript, without spaces."""
    if isinstance(subscript, Affine):
        return str(subscript).replace(" ", "")
    if isinstance(subscript, Quotient):
        upper = show_subscript(subscript.numerator)
        return f"{upper if subscript.numerator.plain else f'({upper})'}//{subscript.divisor}"
    return show_read(subscript)


def show_guard(guard: Guard) -> str:
    """A guard with positive terms on both sides: `r <= t`, `(m+1-u) % 2 == 0`."""
    if guard.op == "divides":
        inner = show_subscript(guard.affine)
        return f"{inner if guard.affine.plain else f'({inner})'} % {guard.modulus} == 0"
    left = [(c, name) for name, c in guard.affine.terms] + [(c, show_read(read)) for c, read in guard.reads]
    sides = [[(abs(c), t) for c, t in left if c * sign > 0] for sign in (1, -1)]
    const = guard.affine.const
    texts = [_side(sides[0], max(const, 0)), _side(sides[1], max(-const, 0))]
    if guard.op != ">=":
        return f"{texts[0]} {guard.op} {texts[1]}"
    if const == -1 and sides[1]:
        return f"{_side(sides[1], 0)} < {texts[0]}"
    return f"{texts[1]} <= {texts[0]}" if sides[1] else f"{texts[0]} >= {texts[1]}"


def _side(terms: list[tuple[int, str]], const: int) -> str:
    pieces = [t if c == 1 else f"{c}*{t}" for c, t in terms] + ([str(const)] if const else [])
    return "+".join(pieces) or "0"


def show_body(body: sympy.Expr, reads: tuple[Read, ...]) -> str:
    """A body with its reads in place of the slots."""
    return _text(body, {f"_{k}": show_read(read) for k, read in enumerate(reads)})[0]


def _text(node: sympy.Basic, reads: Mapping[str, str]) -> Text:
    for kind, printer in _PRINTERS.items():
        if isinstance(node, kind):
            return printer(node, reads)
    name = SCALARS[type(node)].name if type(node) in SCALARS else type(node).__name__
    return f"{name}({', '.join(_text(arg, reads)[0] for arg in node.args)})", ATOM


def _wrapped(node: sympy.Basic, reads: Mapping[str, str], least: int) -> str:
    text, bond = _text(node, reads)
    return text if bond >= least else f"({text})"


def _symbol(node: sympy.Symbol, reads: Mapping[str, str]) -> Text:
    return reads.get(node.name, node.name), ATOM


def _rational(node: sympy.Rational, reads: Mapping[str, str]) -> Text:
    bond = ATOM if node.q == 1 else MULTIPLIED
    text = str(abs(node.p)) if node.q == 1 else f"{abs(node.p)}/{node.q}"
    return (text, bond) if node.p >= 0 else (f"-{text}", min(bond, NEGATED))


def _float(node: sympy.Float, reads: Mapping[str, str]) -> Text:
    text = repr(float(node))
    return text, NEGATED if text.startswith("-") else ATOM


def _order(node: sympy.Basic) -> tuple[int, int, int, str]:
    """By the first slot, which follows the text, a read alone before what is made of it; numbers last."""
    slots = [int(s.name[1:]) for s in node.free_symbols if s.name.startswith("_")]
    return (1, 0, 0, "") if node.is_number else (0, min(slots, default=-1), int(not node.is_Symbol), str(node))


def _sum(node: sympy.Add, reads: Mapping[str, str]) -> Text:
    terms = sorted(node.args, key=_order)
    positive = [t for t in terms if not _is_negative(t)]
    first = sympy.S.One if sympy.S.One in terms and node.free_symbols else (positive or terms)[0]
    terms = [first, *(t for t in terms if t is not first)]
    text = _wrapped(terms[0], reads, MULTIPLIED)
    for term in terms[1:]:
        if _is_negative(term):
            text += f" - {_wrapped(-term, reads, MULTIPLIED)}"
        else:
            text += f" + {_wrapped(term, reads, MULTIPLIED)}"
    return text, ADDED


def _is_negative(term: sympy.Expr) -> bool:
    number = term.args[0] if term.is_Mul else term
    return bool(number.is_Number and number < 0)


def _product(node: sympy.Mul, reads: Mapping[str, str]) -> Text:
    if _is_negative(node):
        return f"-{_wrapped(-node, reads, MULTIPLIED)}", NEGATED
    upper: list[str] = []
    lower: list[str] = []
    factors = sorted(node.args, key=lambda factor: (not factor.is_number, *_order(factor)[1:]))
    for factor in factors:
        if factor.is_Rational and factor.q != 1:
            upper += [str(factor.p)] if factor.p != 1 else []
            lower.append(str(factor.q))
        elif factor.is_Pow and _is_negative(factor.exp):
            lower.append(_wrapped(sympy.Pow(factor.base, -factor.exp), reads, RAISED))
        else:
            upper.append(_wrapped(factor, reads, RAISED))
    text = "*".join(upper) or "1"
    for divisor in lower:
        text += f"/{divisor}"
    return text, MULTIPLIED


def _power(node: sympy.Pow, reads: Mapping[str, str]) -> Text:
    if node.exp == sympy.Rational(1, 2):
        return f"sqrt({_text(node.base, reads)[0]})", ATOM
    if _is_negative(node.exp):
        return f"1/{_wrapped(sympy.Pow(node.base, -node.exp), reads, RAISED)}", MULTIPLIED
    return f"{_wrapped(node.base, reads, ATOM)}**{_wrapped(node.exp, reads, ATOM)}", RAISED


def _piecewise(node: sympy.Piecewise, reads: Mapping[str, str]) -> Text:
    branches = [(value, condition) for value, condition in node.args]
    if len(branches) == 2 and branches[0][0] == 1 and branches[1] == (0, sympy.true):
        return f"[{_condition(branches[0][1], reads)}]", ATOM
    text = _text(branches[-1][0], reads)[0]
    for value, condition in reversed(branches[:-1]):
        text = f"where({_condition(condition, reads)}, {_text(value, reads)[0]}, {text})"
    return text, ATOM


def _condition(node: sympy.Basic, reads: Mapping[str, str]) -> str:
    if isinstance(node, sympy.And):
        return " and ".join(sorted(_conjunct(arg, reads) for arg in node.args))
    if isinstance(node, sympy.Or):
        return " or ".join(sorted(_condition(arg, reads) for arg in node.args))
    if isinstance(node, sympy.ITE):
        test, yes, no = node.args
        return _condition(sympy.Or(sympy.And(test, yes), sympy.And(sympy.Not(test), no)), reads)
    if isinstance(node, sympy.Not):
        return _condition(node.to_nnf(), reads)
    if isinstance(node, BooleanTrue | BooleanFalse):
        return "0 = 0" if node else "0 = 1"
    return f"{_text(node.args[0], reads)[0]} {RELATIONS[type(node)]} {_text(node.args[1], reads)[0]}"


def _conjunct(node: sympy.Basic, reads: Mapping[str, str]) -> str:
    text = _condition(node, reads)
    return f"({text})" if isinstance(node, sympy.Or | sympy.ITE) else text


def _modulo(node: sympy.Mod, reads: Mapping[str, str]) -> Text:
    return f"{_wrapped(node.args[0], reads, ATOM)} % {_wrapped(node.args[1], reads, ATOM)}", MULTIPLIED


_PRINTERS: Mapping[type, Callable[..., Text]] = {
    sympy.Symbol: _symbol,
    sympy.Rational: _rational,
    sympy.Float: _float,
    sympy.Add: _sum,
    sympy.Mul: _product,
    sympy.Pow: _power,
    sympy.Piecewise: _piecewise,
    sympy.Mod: _modulo,
    type(sympy.E): lambda node, reads: ("exp(1)", ATOM),
    type(-sympy.oo): lambda node, reads: ("-oo", ADDED),
    type(sympy.pi): lambda node, reads: ("pi", ATOM),
}
"""How each kind of SymPy node is written; functions by the name in `SCALARS`."""

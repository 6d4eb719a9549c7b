"""Names to mathematical symbols: `dense_1.weight` becomes W with the layer's name as superscript.

A tensor's name has an owner (the layer that declared it) and a local part.  The
local part gives the letter, the owner a superscript in upright text:

    dense_1.weight          W^{dense_1}
    dense_1.z               z^{dense_1}         a pre-activation
    dense_1                 a^{dense_1}         an output (z where the layer is linear)
    d_dense_1.z             \\delta^{dense_1}    the cotangent of a pre-activation
    d_dense_1               \\bar a^{dense_1}    any other cotangent
    d_dense_1.weight        \\partial L / \\partial W^{dense_1}
    loss.lse.softmax        \\hat y

No two tensors of a program share a symbol.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from codegen.ir.equation import Equation, Program, Tensor

COTANGENT = "d_"
"""The prefix of a cotangent's name: `d_x` belongs to `x`."""

LOSS = "loss"
"""The owner whose tensors carry no superscript."""

GIVEN = ("target", "sample_weight")
"""What a loss takes besides the output."""

_GREEK = """alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu
xi pi rho sigma tau phi chi psi omega"""
GREEK = frozenset(_GREEK.split())

LETTERS: Mapping[str, str] = {
    "weight": "W",
    "bias": "b",
    "lse": r"\mathrm{lse}",
    "logsumexp": r"\mathrm{lse}",
    "softmax": r"\hat{y}",
    "argmax": "m",
    "sum": "s",
    "sample": r"\ell",
    "target": "y",
    "sample_weight": "w",
    "noise": "u",
    "var": "v",
    "running_mean": r"\hat{\mu}",
    "running_var": r"\hat{v}",
    "loss": "L",
}
"""Letters of local names that are words."""

TEX_ESCAPES: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: "\\" + c for c in "_#$%&{}"},
}


def upright(text: str) -> str:
    """`text` as upright LaTeX text, special characters escaped."""
    return r"\text{" + escape(text) + "}"


def escape(text: str) -> str:
    """`text` with LaTeX's special characters escaped."""
    return "".join(TEX_ESCAPES.get(c, c) for c in text)


@dataclass(frozen=True)
class Glyph:
    """A tensor's symbol: a letter, superscript words, and whether it is a derivative of the loss."""

    base: str
    tags: tuple[str, ...] = ()
    partial: bool = False

    def at(self, subscripts: Sequence[str] = ()) -> str:
        """LaTeX of the symbol with these subscripts (LaTeX, one an axis)."""
        upper = "^{" + upright(", ".join(self.tags)) + "}" if self.tags else ""
        lower = "_{" + ",".join(subscripts) + "}" if subscripts else ""
        text = f"{self.base}{upper}{lower}"
        return rf"\frac{{\partial L}}{{\partial {text}}}" if self.partial else text


def glyphs(program: Program) -> dict[str, Glyph]:
    """The symbol of every tensor of `program`, no two alike."""
    table, owners = program.table, {e.origin for e in program.equations if e.origin}
    floats = [t.name for t in program.tensors if t.kind == "input" and t.name not in GIVEN and "." not in t.name]
    values = [name for name in table if primal(name, table) == name]
    found = _distinct({name: _glyph(name, program, owners, lone_input=len(floats) == 1) for name in values})

    def drawn(name: str) -> Glyph:
        source = primal(name, table)
        return found[name] if source == name else _cotangent(drawn(source), table[source])

    return _distinct({name: drawn(name) for name in table})


def _distinct(drawn: Mapping[str, Glyph]) -> dict[str, Glyph]:
    """The same symbols; those of several tensors with the tensor's whole name."""
    uses = Counter(drawn.values())
    return {n: g if uses[g] == 1 else replace(g, tags=(n,)) for n, g in drawn.items()}


def owner(name: str, owners: Iterable[str]) -> str:
    """The layer that a tensor belongs to: the longest of `owners` that begins its name, else its first part.

    An input or parameter without a dot in its name has the owner "".
    """
    fitting = [o for o in owners if name == o or name.startswith(o + ".")]
    return max(fitting, key=len) if fitting else name.rpartition(".")[0].partition(".")[0]


def primal(name: str, table: Mapping[str, Tensor]) -> str:
    """The tensor whose cotangent `name` is, or `name` itself when it is none."""
    inner = name.removeprefix(COTANGENT)
    return inner if inner != name and inner in table and table[name].kind in ("value", "result") else name


def _glyph(name: str, program: Program, owners: set[str], lone_input: bool) -> Glyph:
    tensor = program.table[name]
    if tensor.kind == "input" and "." not in name:
        return Glyph("x" if lone_input and name not in GIVEN else letter(name))
    mine = owner(name, owners)
    local = name[len(mine) :].lstrip(".") if mine else name
    tags = (mine,) if mine and mine != LOSS else ()
    if not local:
        return Glyph("L" if mine == LOSS else "z" if _is_linear(program, name, mine) else "a", tags)
    *context, last = local.split(".")
    if last == "next" and context:
        return Glyph(letter(context[-1]), (*tags, *context[:-1], last))
    if last == "softmax":
        context = [part for part in context if part not in ("lse", "logsumexp")]
    if last == "z" and context:
        return Glyph("z", (*tags, *context))
    word, _, suffix = last.partition("_")
    if suffix and (word in LETTERS or len(word) == 1):
        return Glyph(letter(word), (*tags, *context, suffix))
    return Glyph(letter(last), (*tags, *context))


def letter(word: str) -> str:
    """A letter for a word: itself, a Greek letter, a known letter, or the word upright."""
    if re.fullmatch("[A-Za-z]", word):
        return word
    return LETTERS.get(word) or (f"\\{word}" if word in GREEK else upright(word))


def _cotangent(glyph: Glyph, tensor: Tensor) -> Glyph:
    if tensor.kind == "parameter" and not glyph.partial:
        return replace(glyph, partial=True)
    if glyph.base == "z":
        return replace(glyph, base=r"\delta")
    return replace(glyph, base=rf"\bar{{{glyph.base}}}")


def _is_linear(program: Program, name: str, mine: str) -> bool:
    """True where every equation of `name` is a sum, linear in what it reads, and one has a parameter of the layer."""
    equations = program.defining(name)
    own = {t.name for t in program.tensors if t.kind == "parameter" and t.name.startswith(mine + ".")}
    reads = {read.tensor for e in equations for read in e.reads}
    return bool(reads & own) and all(e.reduce == "sum" and _multilinear(e) for e in equations)


def _multilinear(equation: Equation) -> bool:
    symbols = sorted(equation.body.free_symbols, key=str)
    return bool(equation.body.is_polynomial(*symbols)) and all(
        not equation.body.diff(symbol, 2) for symbol in symbols if symbol.name.startswith("_")
    )

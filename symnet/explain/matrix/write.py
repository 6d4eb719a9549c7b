r"""LaTeX of matrix notation, for KaTeX in strict mode and amsmath.

Layer names and maps stand above a symbol, the sample and the time below it:
`\delta^{\text{conv2d\_1},p}_{n}`.  Matrices and maps are capital letters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import sympy

from codegen.ir.affine import Affine
from codegen.ir.equation import Tensor, slot
from symnet.explain.matrix.nodes import (
    WHOLE,
    Array,
    Call,
    Correlation,
    Diagonal,
    Elementwise,
    Entries,
    Hadamard,
    LogSumExp,
    Node,
    Norm,
    OneHot,
    Ones,
    Plus,
    Pool,
    Product,
    Rotated,
    Scaled,
    Softmax,
    Total,
    Transpose,
    Unvec,
    Upsample,
    Vec,
    Wide,
    Window,
)
from symnet.explain.scalar import BodyPrinter, Bracket, scalar, with_brackets, with_sigmoids
from symnet.explain.subscripts import Glyphs, affine, name
from symnet.explain.symbols import Glyph, upright

TIME = frozenset("tsr")
"""Labels that stand below a symbol, as those of symbolic extent do."""

SUM, PRODUCT, ATOM = 0, 1, 2
"""How tightly a text holds together."""


@dataclass(frozen=True)
class Writer:
    """Writes nodes over the symbols of a program."""

    tensors: Mapping[str, Tensor]
    glyphs: Glyphs

    def text(self, node: Node, least: int = SUM) -> str:
        """LaTeX of `node`, in parentheses where it holds together less tightly than `least`."""
        strength, text = _WRITERS[type(node)](self, node)
        return text if strength >= least else rf"\left({text}\right)"

    def symbol(self, node: Array, entries: tuple[str, ...] = (), transposed: bool = False) -> str:
        """LaTeX of an array; `entries` name the indices of a single element."""
        glyph = self.glyphs[node.tensor]
        fixed = [(s, e) for s, e in zip(node.at, self.tensors[node.tensor].shape, strict=True) if s is not None]
        above = [affine(s) for s, extent in fixed if extent.is_constant and not TIME.issuperset(s.names or "-")]
        below = [affine(s) for s, extent in fixed if affine(s) not in above]
        rank = sum(1 for s in node.at if s is None)
        if not entries and rank >= 2 and len(glyph.base) == 1:
            glyph = replace(glyph, base=glyph.base.upper())
        if not entries and rank >= 2 and glyph.base.startswith(r"\bar{") and len(glyph.base) == len(r"\bar{x}"):
            glyph = replace(glyph, base=glyph.base.upper().replace("BAR", "bar"))
        return dressed(glyph, above, [*below, *entries])

    def shape(self, node: Array) -> str:
        r"""The rows and columns of an array, such as `16 \times 64`; "" for a number."""
        shape = self.tensors[node.tensor].shape
        return r" \times ".join(affine(e) for s, e in zip(node.at, shape, strict=True) if s is None)


def dressed(glyph: Glyph, above: list[str], below: list[str]) -> str:
    """LaTeX of a symbol with its layer and maps above and the rest below."""
    upper = [*([upright(", ".join(glyph.tags))] if glyph.tags else []), *above]
    text = glyph.base + (f"^{{{','.join(upper)}}}" if upper else "") + (f"_{{{','.join(below)}}}" if below else "")
    return rf"\frac{{\partial L}}{{\partial {text}}}" if glyph.partial else text


Written = tuple[int, str]


def _array(w: Writer, node: Array) -> Written:
    return ATOM, w.symbol(node)


def _one_hot(w: Writer, node: OneHot) -> Written:
    return ATOM, w.symbol(node.label)


def _hadamard(w: Writer, node: Hadamard) -> Written:
    last = len(node.factors) - 1
    # A sum over labels reaches to the end of its term, so at the end it needs no parentheses.
    parts = [w.text(f, PRODUCT if k == last else ATOM) for k, f in enumerate(node.factors)]
    parts = [
        rf"\left({w.text(f)}\right)" if k < last and isinstance(f, Product | Correlation | Wide) else parts[k]
        for k, f in enumerate(node.factors)
    ]
    return PRODUCT, r" \odot ".join(parts)


def _scaled(w: Writer, node: Scaled) -> Written:
    if node.factor == -1:
        return PRODUCT, f"-{w.text(node.body, PRODUCT)}"
    return PRODUCT, rf"{scalar(node.factor, {})} \, {w.text(node.body, PRODUCT)}"


def _plus(w: Writer, node: Plus) -> Written:
    first, *others = sorted(node.terms, key=lambda t: isinstance(t, Scaled) and t.factor.could_extract_minus_sign())
    text = w.text(first, SUM)
    for term in others:
        piece = w.text(term, PRODUCT)
        text += f" - {piece[1:]}" if piece.startswith("-") else f" + {piece}"
    return SUM, text


def _total(w: Writer, node: Total) -> Written:
    below = ",".join(name(n) for n, _ in node.indices)
    return PRODUCT, rf"\sum_{{{below}}} {w.text(node.body, PRODUCT)}"


def _entries(w: Writer, node: Entries) -> Written:
    names = tuple(name(n) for n in node.names)
    if isinstance(node.body, Array):
        inner = w.symbol(node.body, entries=names)
    else:
        inner = rf"\left({w.text(node.body)}\right)_{{{','.join(names)}}}"
    return PRODUCT, rf"\sum_{{{','.join(names)}}} {inner}"


def _norm(w: Writer, node: Norm) -> Written:
    return ATOM, rf"\left\lVert {w.symbol(node.body)} \right\rVert_F^2"


def _product(w: Writer, node: Product) -> Written:
    return PRODUCT, r" \, ".join(w.text(f, ATOM) for f in node.factors)


def _transpose(w: Writer, node: Transpose) -> Written:
    inner = w.text(node.body, ATOM)
    return ATOM, f"{{{inner}}}^{{\\top}}"


def _call(w: Writer, node: Call) -> Written:
    return ATOM, rf"{node.name}{chr(39) * node.order}\left({w.text(node.argument)}\right)"


def _correlation(w: Writer, node: Correlation) -> Written:
    sign = _operator(r"\otimes", node.windows, node.extents)
    return PRODUCT, f"{w.text(node.kernel, ATOM)} {sign} {w.text(node.picture, ATOM)}"


def _wide(w: Writer, node: Wide) -> Written:
    sign = _operator(r"\tilde{\otimes}", node.windows, node.extents)
    return PRODUCT, f"{w.text(node.kernel, ATOM)} {sign} {w.text(node.error, ATOM)}"


def _operator(sign: str, windows: tuple[Window, ...], extents: tuple[Affine, ...]) -> str:
    notes = parameters(windows, extents)
    return rf"\mathbin{{{sign}_{{{notes}}}}}" if notes else rf"\mathbin{{{sign}}}" if "{" in sign else sign


def parameters(windows: tuple[Window, ...], extents: tuple[Affine, ...]) -> str:
    """Stride, dilation and padding where they are not 1, 1 and 0: `S=2,\\,P=1`; pairs where axes differ."""
    notes = []
    used = [windows[k] for k in _axes(windows, extents)]
    for letter, k in (("S", 0), ("D", 1), ("P", 2)):
        values = [w[k] for w in used]
        if set(values) != {WHOLE[k]}:
            same = len(set(values)) == 1
            notes.append(f"{letter}={values[0] if same else '(' + ','.join(map(str, values)) + ')'}")
    return r",\,".join(notes)


def _axes(windows: tuple[Window, ...], extents: tuple[Affine, ...]) -> list[int]:
    """The axes that are there: a column has rows alone, a row columns alone."""
    shown = [k for k in range(len(windows)) if windows[k] != WHOLE or extents[k] != Affine.of(1)]
    return shown or [0]


def _rotated(w: Writer, node: Rotated) -> Written:
    return ATOM, rf"\operatorname{{rot180}}\left({w.text(node.body)}\right)"


def _pool(w: Writer, node: Pool) -> Written:
    return ATOM, rf"\operatorname{{{node.kind}pool}}{_windowed(node)}\left({w.text(node.body)}\right)"


def _windowed(node: Pool | Upsample) -> str:
    axes = _axes(node.windows, node.extents)
    spans = [node.spans[k] for k in axes]
    apart = all(node.windows[k][0] == node.spans[k] for k in axes)
    window = r" \times ".join(map(str, spans))
    notes = parameters(tuple((1 if apart else s, d, p) for s, d, p in node.windows), node.extents)
    return f"_{{{window}{r',' + notes if notes else ''}}}"


def _upsample(w: Writer, node: Upsample) -> Written:
    record = f",{w.text(node.record)}" if node.record is not None else ""
    below = _windowed(node)[:-1] + record + "}"
    return ATOM, rf"\operatorname{{upsample}}{below}\left({w.text(node.body)}\right)"


def _function(head: str) -> Callable[[Writer, Softmax | LogSumExp | Vec | Diagonal], Written]:
    return lambda w, node: (ATOM, rf"{head}\left({w.text(node.body)}\right)")


def _unvec(w: Writer, node: Unvec) -> Written:
    return ATOM, rf"\operatorname{{vec}}^{{-1}}\left({w.text(node.body)}\right)"


class ElementPrinter(BodyPrinter):
    r"""Scalar bodies over arrays: `\odot` between arrays, numbers in front."""

    def __init__(self, symbols: Mapping[str, str], arrays: frozenset[str]) -> None:
        super().__init__(symbols)
        self._arrays = arrays

    def _print_Mul(self, expr: sympy.Mul) -> str:
        numerator, denominator = sympy.fraction(expr)
        if denominator != 1 and self._is_array(denominator):
            return rf"\frac{{{self._print(numerator)}}}{{{self._print(denominator)}}}"
        factors = [f for f in expr.args if self._is_array(f) or isinstance(f, Bracket)]
        if len(factors) < 2:
            return str(super()._print_Mul(expr))
        factors.sort(key=lambda f: (isinstance(f, sympy.Add), str(f)))
        front = sympy.Mul(*(f for f in expr.args if f not in factors))
        text = r" \odot ".join(self.parenthesize(f, sympy.printing.precedence.PRECEDENCE["Mul"]) for f in factors)
        if front == 1:
            return text
        return f"-{text}" if front == -1 else rf"{self._print(front)} \, {text}"

    def _is_array(self, expr: sympy.Expr) -> bool:
        return any(s.name in self._arrays for s in expr.free_symbols)


def _elementwise(w: Writer, node: Elementwise) -> Written:
    ranks = [sum(1 for s in a.at if s is None) if isinstance(a, Array) else 1 for a in node.args]
    order = sorted(range(len(node.args)), key=lambda k: w.text(node.args[k]))
    table = {slot(k): sympy.Symbol(f"_{place:03d}", real=True) for place, k in enumerate(order)}
    texts = {table[slot(k)].name: w.text(arg, ATOM) for k, arg in enumerate(node.args)}
    arrays = frozenset(table[slot(k)].name for k, rank in enumerate(ranks) if rank)
    body = with_sigmoids(with_brackets(node.body.xreplace(table)))
    for symbol in body.free_symbols:
        if symbol.name not in texts:
            texts[symbol.name] = name(symbol.name)
    strength = SUM if isinstance(body, sympy.Add) else PRODUCT if body.is_Mul or body.is_Pow else ATOM
    return strength, str(ElementPrinter(texts, arrays).doprint(body))


_WRITERS: Mapping[type, Callable[..., Written]] = {
    Array: _array,
    OneHot: _one_hot,
    Ones: lambda w, node: (ATOM, r"\mathbf{1}"),
    Elementwise: _elementwise,
    Hadamard: _hadamard,
    Scaled: _scaled,
    Plus: _plus,
    Total: _total,
    Entries: _entries,
    Norm: _norm,
    Product: _product,
    Transpose: _transpose,
    Diagonal: _function(r"\operatorname{diag}"),
    Call: _call,
    Correlation: _correlation,
    Wide: _wide,
    Rotated: _rotated,
    Pool: _pool,
    Upsample: _upsample,
    Vec: _function(r"\operatorname{vec}"),
    Unvec: _unvec,
    Softmax: _function(r"\operatorname{softmax}"),
    LogSumExp: _function(r"\operatorname{logsumexp}"),
}

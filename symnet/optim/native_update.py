"""From an update formula to a compiled loop of the generated module: all its equations, number by number.

@kernel
def sgd_kernel(w, g, lr): ...

def _sgd(w, g, state, lr, t):
    sgd_kernel(w, g, lr)
"""

from __future__ import annotations

import inspect
from functools import partial

import sympy

from codegen.analysis.elements import Arrays
from codegen.emit.native import Kernels
from codegen.ir.affine import Affine
from codegen.ir.equation import Dtype, Tensor, slot
from codegen.ir.plan import Compute, Kernel
from codegen.ir.view import View
from codegen.notation import elaborate
from symnet.optim.optimizers import Optimizer
from symnet.optim.update import number_text

SCALARS = ("lr", "t")
INDEX = "k"


def emit_native_update(optimizer: Optimizer) -> str:
    """The source of one update function and of its kernel; it needs no scratch vectors."""
    count = Affine.of("K")
    names = ("w", "g", *optimizer.state)
    tensors = {name: Tensor(name, (count,), "float", "input") for name in names}
    tensors |= {name: Tensor(name, (), "float", "input") for name in SCALARS}
    formula = inspect.cleandoc(optimizer.formula)
    steps, numbers = [], dict[sympy.Expr, sympy.Symbol]()
    for equation in elaborate(formula, tensors).equations:
        body, operands = equation.body, list[View]()
        for k, read in enumerate(equation.reads):
            name = read.tensor.removesuffix("_next")
            if name in SCALARS:
                body = body.xreplace({slot(k): sympy.Symbol(name, positive=True)})
                continue
            body = body.xreplace({slot(k): sympy.Dummy(f"_{len(operands)}", real=True)})
            operands.append(View(name, (), (INDEX,)))
        body = body.replace(_is_number, partial(_named, numbers))
        order = {s: slot(int(s.name[1:])) for s in body.free_symbols if isinstance(s, sympy.Dummy)}
        out = View(equation.target.removesuffix("_next"), (), (INDEX,))
        steps.append(Compute(out, body.xreplace(order), tuple(operands), ((INDEX, count),)))
    kernels = Kernels(arrays=Arrays(dict.fromkeys(names, ((count,),))))
    dtypes: dict[str, Dtype] = dict.fromkeys(names, "float")
    step = Kernel(tuple(steps), (True,) * len(steps))
    kernels.prefix = f"{optimizer.name}_"
    scalars = (*SCALARS, *(symbol.name for symbol in numbers.values()))
    call = kernels.call_of(step, lambda view: view.base, dtypes, scalars, 4)
    (text,) = kernels.functions.values()
    quoted = f'    """\n{_indented(formula)}\n    """' if "\n" in formula else f'    """{formula}"""'
    state = optimizer.state
    unpack = [f"    {', '.join(state)} = state" if len(state) > 1 else f"    ({state[0]},) = state"] if state else []
    unpack += [f"    {symbol} = {number_text(expr)}" for expr, symbol in numbers.items()]
    return "\n".join([text, "", f"def _{optimizer.name}(w, g, state, lr, t):", quoted, *unpack, *call])


def _is_number(expr: sympy.Basic) -> bool:
    """True for a sum that is the same for all weights, such as `1 - 0.9**t`: it is computed once."""
    return isinstance(expr, sympy.Add) and {s.name for s in expr.free_symbols} <= {*SCALARS}


def _named(numbers: dict[sympy.Expr, sympy.Symbol], expr: sympy.Expr) -> sympy.Symbol:
    return numbers.setdefault(expr, sympy.Symbol(f"rest_{len(numbers) + 1}", real=True))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())

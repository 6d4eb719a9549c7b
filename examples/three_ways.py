"""Three ways to differentiate one function, worked from start to end: numerical, symbolic, automatic.

    f(x; w, b) = 1 / (exp(-(w x + b)) + 1)

The function is six equations, one operation each; they are its static graph. From them come the differences and
the complex step, the derivative as a formula, and the two modes of automatic differentiation, value by value.

    python examples/three_ways.py              prints it all
    python examples/three_ways.py --folder DIR also writes DIR/graph.svg and DIR/errors.png
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import sympy

from codegen.ir.equation import Program, Tensor
from codegen.notation import elaborate, show
from codegen.oracle.whole import evaluate
from symnet.differentiate.forward import jvp
from symnet.differentiate.reverse import gradient
from symnet.explain.graph import svg, unfolded
from symnet.verify.plots import plot_ways
from symnet.verify.ways import Ways, compare, table

TEXT = """
v1[] = w[]*x[]
v2[] = v1[] + b[]
v3[] = -v2[]
v4[] = exp(v3[])
v5[] = v4[] + 1
loss[] = 1/v5[]
"""
"""One operation an equation. The last one is called loss: it is what gets differentiated."""

AT = {"x": 2.0, "w": 0.5, "b": -0.3}
NAMES = ("x", "w", "b")
STEP = 1e-6


def program() -> Program:
    """f as equations over the scalars x, w and b."""
    given = {name: Tensor(name, (), "float", "input" if name == "x" else "parameter") for name in NAMES}
    names = {name: name for name in ("v1", "v2", "v3", "v4", "v5", "loss")}
    done = elaborate(TEXT, given, names=names, origin="f", stage="forward")
    return Program((*given.values(), *done.tensors), done.equations, ())


def f(x: float, w: float, b: float) -> float:
    """The function as a programmer writes it."""
    return float(1 / (np.exp(-(w * x + b)) + 1))


def numerical() -> dict[str, tuple[float, float]]:
    """One-sided and central differences: one more evaluation of f, or two, for each of the N arguments."""
    found = {}
    for name in NAMES:
        above, below = ({**AT, name: AT[name] + sign * STEP} for sign in (1, -1))
        found[name] = (f(**above) - f(**AT)) / STEP, (f(**above) - f(**below)) / (2 * STEP)
    return found


def symbolic() -> dict[str, sympy.Expr]:
    """The derivative as a formula, before any number is known: SymPy on the whole expression."""
    x, w, b = sympy.symbols(NAMES)
    body = 1 / (sympy.exp(-(w * x + b)) + 1)
    return {name: sympy.diff(body, symbol) for name, symbol in zip(NAMES, (x, w, b), strict=True)}


def forward(name: str) -> dict[str, float]:
    """Forward mode: the tangent of every value along one argument; one pass for each of N arguments."""
    made = jvp(program(), NAMES)
    along = {f"t_{other}": float(other == name) for other in NAMES}
    return {key: float(value) for key, value in evaluate(made, {**AT, **along}).items()}


def reverse() -> dict[str, float]:
    """Reverse mode: the cotangent of every value; one pass for all arguments together."""
    return {key: float(value) for key, value in evaluate(gradient(program(), NAMES), AT).items()}


def ways() -> Ways:
    """The error of each way along a random direction, against the step."""
    return compare(program(), AT, NAMES)


def main(argv: list[str] | None = None) -> None:
    """Print the three ways, and write the graph and the errors where a folder is given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="where to write graph.svg and errors.png")
    folder = parser.parse_args(argv).folder
    f_at = f(**AT)
    print(f"f(x; w, b) = 1/(exp(-(w x + b)) + 1) at x = {AT['x']}, w = {AT['w']}, b = {AT['b']}: {f_at:.12f}")

    print("\n1. Numerical: differences\n")
    for name, (one, two) in numerical().items():
        print(f"   df/d{name}   one-sided {one:.12f}   central {two:.12f}")

    print("\n2. Symbolic: a formula at compile time\n")
    for name, formula in symbolic().items():
        value = float(formula.subs(AT))
        print(f"   df/d{name} = {formula} = {value:.12f}")
    print("   in terms of the value f itself, as symnet derives it: df/d(w x + b) = f (1 - f)")

    print("\n3. Automatic: the graph, forward and backward\n")
    values, tangents = reverse(), forward("w")
    print("   equation             value           tangent along w   cotangent (error)")
    for equation in program().equations:
        name = equation.target
        row = f"{values[name]:>15.12f} {tangents[f't_{name}']:>17.12f} {values[f'd_{name}']:>17.12f}"
        print(f"   {show(equation).replace('[]', ''):<18}{row}")
    print("\n   forward mode, a pass for each argument: ", end="")
    print(", ".join(f"df/d{name} = {forward(name)['t_loss']:.12f}" for name in NAMES))
    print("   reverse mode, one pass for all:         ", end="")
    print(", ".join(f"df/d{name} = {values[f'd_{name}']:.12f}" for name in NAMES))

    print("\nThe error of each way along a random direction, by the step of the differences\n")
    errors = ways()
    print("\n".join(f"   {line}".rstrip() for line in table(errors).splitlines()))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "graph.svg").write_text(svg(unfolded(gradient(program(), NAMES), "f")), encoding="utf-8")
        (folder / "errors.png").write_bytes(plot_ways(errors))
        print(f"\nwrote {folder / 'graph.svg'} and {folder / 'errors.png'}")


if __name__ == "__main__":
    sys.exit(main())

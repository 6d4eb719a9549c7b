"""Training by SciPy's optimizers, over all data at once: L-BFGS and Newton-CG.

Both see the loss as a function of one vector, all trainable parameters end to end, in
float64.  L-BFGS takes the loss and its gradient; Newton-CG solves for each step with the
Hessian, of which it takes the products with vectors that `hvp` gives.  Needs SciPy: the
extra `symnet[scipy]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

from symnet.assembly.built import Built
from symnet.support.errors import DefinitionError, border, errors_of
from symnet.support.extras import extra
from symnet.support.options import choice, function_of, integer, number, seed_of, strict, table_of

METHODS = {"newton-cg": "Newton-CG", "l-bfgs": "L-BFGS-B"}
"""What SciPy calls each method."""

NO_STEP = "no further step changes the parameters"

Params = dict[str, np.ndarray]


@dataclass(frozen=True)
class Fit:
    """What a training by SciPy came to.

    params: the best parameters and the buffers, in the network's dtype.  iterations, evaluations (of loss and
    gradient), products (of the Hessian with a vector): how many it took.  converged: whether the gradient's norm
    came down to the tolerance; message: how it ended.
    history: {"loss": [...], "gradient_norm": [...]}, at the start and after each iteration.
    """

    params: Params
    loss: float
    gradient_norm: float
    iterations: int
    evaluations: int
    products: int
    converged: bool
    message: str
    history: dict[str, list[float]] = field(repr=False)


@strict
@border
def fit_scipy(
    net: Built,
    x: Any,
    y: Any,
    method: str = "newton-cg",
    params: Mapping[str, Any] | None = None,
    max_iterations: int = 200,
    tolerance: float = 1e-6,
    seed: int = 0,
    on_iteration: Callable[[int, float, float], object] | None = None,
    sample_weight: Any = None,
) -> Fit:
    """Minimise the loss of a compiled network on all of (`x`, `y`), without batches.

    method: "newton-cg", for a network compiled with hvp=True, or "l-bfgs".
    params: where to start; by default `init_params(seed)`.  They are not changed.
    tolerance: stop when the Euclidean norm of the gradient is at most this.  SciPy's Newton-CG takes no direction
    whose curvature p . Hp is below 7e-16 (p is as long as the gradient), so it ends near 1e-8 at the latest.
    seed: of the first parameters and of the noise, where the network has any: it stays the same throughout.
    on_iteration: called with (iteration, loss, norm of the gradient) after each.
    sample_weight: a factor for each sample's loss, for a network compiled with weighted=True.
    Best with sn.compile(dtype="float64"): in float32 the loss is too coarse for the last steps.
    Raises DefinitionError for a network without a loss, without hvp where it needs it, or without trainable
    parameters, or where SciPy is missing; DataError for data or parameters that do not fit.
    """
    if not isinstance(net, Built):
        raise DefinitionError(f"fit_scipy: expected what sn.compile returns, got {type(net).__name__}")
    choice("fit_scipy(method=)", method, tuple(METHODS))
    integer("fit_scipy(max_iterations=)", max_iterations)
    number("fit_scipy(tolerance=)", tolerance, 0.0)
    seed_of("fit_scipy(seed=)", seed)
    if params is not None:
        table_of("fit_scipy(params=)", params)
    if on_iteration is not None:
        function_of("fit_scipy(on_iteration=)", on_iteration, "iteration", "loss", "norm")
    if not net.model.loss:
        raise DefinitionError("fit_scipy: the network has no loss; give sn.Model(..., loss=...)")
    if method == "newton-cg" and not hasattr(net.complete.module, "hvp"):
        raise DefinitionError('fit_scipy(method="newton-cg"): expected a network compiled with sn.compile(hvp=True)')
    optimize = extra("scipy.optimize", "fit_scipy", "scipy", DefinitionError)
    module = net.complete.module
    with errors_of(module):
        start = module.init_params(seed) if params is None else params
        problem = _Problem(module, x, y, start, {"seed": seed, "sample_weight": sample_weight})
        return _minimised(optimize, problem, METHODS[method], max_iterations, tolerance, on_iteration)


class _Problem:
    """The loss of a module on fixed data, as a function of one vector."""

    def __init__(
        self, module: ModuleType, x: Any, y: Any, start: Mapping[str, Any], options: Mapping[str, Any]
    ) -> None:
        self.module, self.x, self.y, self.options = module, x, y, options
        # A first call refuses whatever does not fit, before a vector is made of it.
        module.loss(dict(start), x, y, **options)
        self.others = {name: np.array(array) for name, array in start.items()}
        self.shapes = {n: s for n, s in module.PARAMETERS.items() if n not in module.FROZEN}
        if not self.shapes:
            raise DefinitionError("fit_scipy: the network has no trainable parameters")
        self.start = self.flat(start)
        self.loss, self.gradient, self.at = math.nan, np.zeros(0), np.zeros(0)
        self.evaluations = self.products = 0

    def flat(self, arrays: Mapping[str, Any]) -> np.ndarray:
        """The trainable ones of `arrays` end to end, a float64 vector."""
        return np.concatenate([np.asarray(arrays[name], np.float64).reshape(-1) for name in self.shapes])

    def named(self, vector: np.ndarray) -> Params:
        """The parts of a vector by the names of the parameters."""
        parts, first = {}, 0
        for name, shape in self.shapes.items():
            last = first + math.prod(shape)
            parts[name] = vector[first:last].reshape(shape)
            first = last
        return parts

    def params(self, vector: np.ndarray) -> Params:
        """All parameters, the trainable ones from `vector`; copies, in the network's dtype."""
        arrays = self.others | self.named(vector)
        return {name: np.array(array, self.module.DTYPE) for name, array in arrays.items()}

    def value(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """The loss and its gradient; those of the last vector are kept."""
        if not np.array_equal(vector, self.at):
            self.loss, grads = self.module.loss_and_grads(self.params(vector), self.x, self.y, **self.options)
            self.gradient, self.at = self.flat(grads), vector.copy()
            self.evaluations += 1
        return self.loss, self.gradient.copy()

    def product(self, vector: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """The Hessian at `vector` times `direction`."""
        self.products += 1
        along = self.named(np.asarray(direction, np.float64))
        return self.flat(self.module.hvp(self.params(vector), self.x, self.y, along, **self.options))


class _Finished(Exception):
    """The gradient is short enough."""


def _minimised(
    optimize: Any,
    problem: _Problem,
    method: str,
    max_iterations: int,
    tolerance: float,
    on_iteration: Callable[[int, float, float], object] | None,
) -> Fit:
    history: dict[str, list[float]] = {"loss": [], "gradient_norm": []}
    best = problem.start

    def noted(vector: np.ndarray) -> None:
        nonlocal best
        loss, gradient = problem.value(vector)
        best = vector.copy()
        norm = float(np.linalg.norm(gradient))
        history["loss"].append(loss)
        history["gradient_norm"].append(norm)
        if on_iteration is not None and len(history["loss"]) > 1:
            on_iteration(len(history["loss"]) - 1, loss, norm)
        if norm <= tolerance:
            raise _Finished

    # The criterion of both methods is the one above: their own ones differ from each other.
    options: dict[str, Any] = {"maxiter": max_iterations}
    options |= {"xtol": 0.0} if method == "Newton-CG" else {"gtol": 0.0, "ftol": 0.0, "maxfun": 20 * max_iterations}
    hessian = {"hessp": problem.product} if method == "Newton-CG" else {}
    try:
        noted(problem.start)
        found = optimize.minimize(
            problem.value, problem.start, method=method, jac=True, callback=noted, options=options, **hessian
        )
        message = NO_STEP if found.success else str(found.message)
        converged = False
    except _Finished:
        message, converged = f"the norm of the gradient is at most {tolerance:g}", True
    return Fit(
        params=problem.params(best),
        loss=history["loss"][-1],
        gradient_norm=history["gradient_norm"][-1],
        iterations=len(history["loss"]) - 1,
        evaluations=problem.evaluations,
        products=problem.products,
        converged=converged,
        message=message,
        history=history,
    )

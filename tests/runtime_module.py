"""Generated modules in miniature: a hand-written head, the optimizers and the fragments.

The head is one dense layer with one of three losses, its derivatives written by hand *here only*, so
that the fragments can be tested without the compiler.
"""

from __future__ import annotations

import textwrap
from importlib.abc import InspectLoader
from importlib.util import module_from_spec, spec_from_loader
from types import ModuleType

from codegen.machine.target import TARGETS
from symnet.optim.optimizers import OPTIMIZERS, USUAL
from symnet.optim.update import table, update
from symnet.runtime import fragments, import_block

HEAD = """
MODEL = "linear"
DTYPE = np.{dtype}
PARAMETERS = {{"dense_1.weight": ({outputs}, 64), "dense_1.bias": ({outputs},)}}
BUFFERS = {{}}
FROZEN = {frozen}
TURNED = ()
INITIALIZERS = {{"dense_1.weight": ("glorot_uniform", 64, {outputs}), "dense_1.bias": ("zeros", 64, {outputs})}}
INPUTS = {{"image": ((64,), "float")}}
NOISE = ()
BUFFERED = False
WEIGHTED = False
INPUT_GRADIENTS = {{}}
TARGET = {target}
DECISION = {decision!r}
CLASS_AXIS = -1
OUTPUTS = {{}}
RANGES = {{}}
EXACT = {{}}
LIMITS = {{}}
TARGETS = {{}}
ROWS = "independent"


def _flops(N):
    return 6 * 64 * {outputs} * N


def _bytes(N):
    return 8 * (64 + 3 * {outputs}) * N


class Workspace:
    def __init__(self, N, dtype=DTYPE):
        self.image = np.empty((N, 64), dtype)
        self.target = np.empty({target_shape}, {target_dtype})
        self.output = np.empty((N, {outputs}), dtype)
        self.d_output = np.empty((N, {outputs}), dtype)
        self.peak = np.empty((N, 1), dtype)
        self.total = np.empty((N, 1), dtype)
        self.row = np.arange(N)
        self.loss = np.zeros((), dtype)


def _forward(p, w):
    np.matmul(w.image, p["dense_1.weight"].T, out=w.output)
    np.add(w.output, p["dense_1.bias"], out=w.output)


{loss}


def _backward(p, w, g):
{backward}
    np.matmul(w.d_output.T, w.image, out=g["dense_1.weight"])
    if "dense_1.bias" in g:
        np.add.reduce(w.d_output, axis=0, out=g["dense_1.bias"])


Evaluation, _evaluate_forward, _evaluate_loss = Workspace, _forward, _loss
_state = None
"""

SOFTMAX = """
def _loss(p, w):
    np.maximum.reduce(w.output, axis=1, keepdims=True, out=w.peak)
    np.subtract(w.output, w.peak, out=w.d_output)
    picked = w.d_output[w.row, w.target]
    np.exp(w.d_output, out=w.d_output)
    np.add.reduce(w.d_output, axis=1, keepdims=True, out=w.total)
    w.loss[...] = np.mean(np.log(w.total[:, 0]) - picked)
"""
SOFTMAX_BACKWARD = """
np.divide(w.d_output, w.total, out=w.d_output)
w.d_output[w.row, w.target] -= 1
np.divide(w.d_output, len(w.row), out=w.d_output)
"""
SQUARES = """
def _loss(p, w):
    np.subtract(w.output, w.target, out=w.d_output)
    w.loss[...] = np.vdot(w.d_output, w.d_output) / len(w.output)
"""
SQUARES_BACKWARD = "np.multiply(w.d_output, 2 / len(w.row), out=w.d_output)"
LOGISTIC = """
def _loss(p, w):
    w.loss[...] = np.mean(np.logaddexp(0, w.output) - w.target * w.output)
"""
LOGISTIC_BACKWARD = "w.d_output[...] = (1 / (1 + np.exp(-w.output)) - w.target) / len(w.row)"

LOSSES = {
    "softmax": (SOFTMAX, SOFTMAX_BACKWARD, 10, ((), "int", 10), "argmax"),
    "squares": (SQUARES, SQUARES_BACKWARD, 10, ((10,), "float", 10), None),
    "squares_1": (SQUARES, SQUARES_BACKWARD, 1, ((1,), "float", None), None),
    "logistic": (LOGISTIC, LOGISTIC_BACKWARD, 1, ((1,), "float", None), "threshold"),
    "none": ("", "", 10, None, None),
}


def source(kind: str = "softmax", *, dtype: str = "float32", frozen: tuple[str, ...] = ()) -> str:
    """The text of one of the modules."""
    loss, backward, outputs, target, decision = LOSSES[kind]
    head = HEAD.format(
        dtype=dtype,
        outputs=outputs,
        target=target,
        decision=decision,
        frozen=frozen,
        target_shape="(N,)" if kind == "softmax" else f"(N, {outputs})",
        target_dtype="np.int64" if kind == "softmax" else "dtype",
        loss=loss.strip() or "def _loss(p, w): ...",
        backward=textwrap.indent(backward.strip() or "pass", "    "),
    )
    optimizers = table([update(OPTIMIZERS[name], TARGETS["numpy"]) for name in USUAL])
    return "\n\n".join([import_block() + head.rstrip() + "\n", optimizers, fragments()])


def module(kind: str = "softmax", **options: object) -> ModuleType:
    """One of the modules, loaded."""
    return loaded(source(kind, **options))  # type: ignore[arg-type]


def loaded(text: str) -> ModuleType:
    """The module of this text."""
    spec = spec_from_loader("linear", _Text(text))
    assert spec is not None
    made = module_from_spec(spec)
    _Text(text).exec_module(made)
    return made


class _Text(InspectLoader):
    """Loads a module from its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def get_source(self, fullname: str) -> str:
        return self.text

"""Whatever a user calls things, generated modules compute the same: words of Python, of NumPy, of the module itself.

Each word is an index, a size, an input, a parameter, a tensor of a formula and a layer, many of them in one network.
The right numbers are those of the same network with names that mean nothing.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import symnet as sn
from codegen.emit.native_direct import CONVOLUTION, GRADIENT
from codegen.emit.native_direct_tiles import TILES
from codegen.emit.numexpr import WORDS as OF_NUMEXPR
from codegen.functions import FUNCTIONS
from codegen.names import BUILTINS, KEYWORDS, SOFT_KEYWORDS, allocate, defined
from codegen.notation.words import REDUCTIONS, reserved
from symnet.assemble import module_names
from symnet.graph import WORKSPACE
from symnet.options import RESERVED, identifier
from uncompiled import plain, uncompiled

OF_TILES = frozenset[str]().union(*map(defined, (TILES, CONVOLUTION, GRADIENT)))
"""Functions that call nothing of a network's."""
TARGETS = ("numpy", "numexpr", "numba")
TOGETHER = 40
"""Names in one network."""
Build = Callable[[Sequence[str]], sn.Model]


def test_the_allocator_changes_no_more_than_it_must() -> None:
    words = KEYWORDS | BUILTINS
    assert [allocate("z", taken) for taken in ((), {"z"}, {"z", "z_2"})] == ["z", "z_2", "z_3"]
    assert [allocate("len", taken, words) for taken in ((), {"len_"}, {"len_", "len_2"})] == ["len_", "len_2", "len_3"]


def test_the_allocator_knows_this_python() -> None:
    assert set(keyword.kwlist) <= KEYWORDS
    assert set(keyword.softkwlist) <= SOFT_KEYWORDS
    assert set(dir(builtins)) <= KEYWORDS | BUILTINS


def test_the_allocator_knows_numexpr() -> None:
    assert set(pytest.importorskip("numexpr.expressions").functions) <= OF_NUMEXPR


def _small() -> sn.Model:
    """A network whose module has kernels, blocks of rows, loops over steps, and a convolution."""
    x, image = sn.Input(("T", 3), name="xx"), sn.Input((2, 6, 6), name="yy")
    h = sn.Activation("gelu", name="zz")(sn.SimpleRNN(3, name="hh")(x))
    c = sn.Flatten(name="rr")(sn.MaxPool2D(2, name="pp")(sn.Conv2D(3, 3, activation="relu", name="cc")(image)))
    outputs = [sn.Dense(3, name="oo")(h), sn.Dense(2, activation="tanh", name="qq")(c)]
    return sn.Model([x, image], outputs, loss=[sn.CrossEntropy(), sn.SquaredError()], name="small")


def _of_module(source: str) -> set[str]:
    """What a module defines or imports, and arguments, variables and attributes in its numeric part and in helpers."""
    known = set(defined(source))
    for part in ast.parse(source[: source.index("# --- The optimizers")]).body:
        if getattr(part, "name", "") not in OF_TILES:
            for node in ast.walk(part):
                match node:
                    case ast.Name(id=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                        known.add(name)
                    case ast.Attribute(value=ast.Name(id="w" | "self"), attr=name):
                        known.add(name)
    return known


@cache
def _words() -> tuple[str, ...]:
    """Everything with a meaning of its own somewhere, as far as it may name a layer, an input or a size."""
    known = {*keyword.softkwlist, *BUILTINS, *FUNCTIONS, *REDUCTIONS, *OF_NUMEXPR, *runtime_names(), "where", "pi"}
    for target in TARGETS:
        known |= _of_module(sn.compile(_small(), target=target, wrt_inputs=True).source)
    own = re.compile(
        "(d_|output_|target_|loss_)?(xx|yy|zz|hh|pp|cc|rr|oo|qq)|[A-Z].*(Error|Exit|Group|Iteration|Interrupt|Warning)$"
    )
    known |= {
        "output",
        "scalar",
        "class_",
        "range_",
        "range_2",
        "part_N_6",
        "part2_N",
        "ones_6",
        "place_1",
        "number_2",
        "scalar_1",
    }
    return tuple(sorted(word for word in known if _is_accepted(word) and not own.match(word)))


def runtime_names() -> frozenset[str]:
    """What every module defines."""
    return frozenset(module_names(True, True))


def _is_accepted(word: str) -> bool:
    try:
        return bool(identifier("", word))
    except sn.DefinitionError:
        return False


def test_there_are_words_of_every_kind() -> None:
    assert len(_words()) > 300
    assert {"np", "range", "self", "output", "p", "w", "g", "s", "len", "blocks", "multiply", "kernel"} <= {*_words()}


def test_keywords_are_refused_with_a_word_of_why() -> None:
    for word in (*keyword.kwlist, *RESERVED):
        assert word not in _words()
        with pytest.raises(sn.DefinitionError, match=word):
            sn.Dense(2, name=word)


def _chunks(found: Sequence[str], length: int) -> list[Sequence[str]]:
    return [found[k : k + length] for k in range(0, len(found), length)]


def _module(model: sn.Model, target: str) -> Any:
    with uncompiled(target):
        module = sn.compile(model, dtype="float64", target=target, wrt_inputs=True).module
    plain(vars(module), target)
    return module


@cache
def _usual(build: Build, count: int) -> Any:
    """The network with names that mean nothing, for NumPy."""
    return _module(build([f"u{k:03d}u" for k in range(count)]), "numpy")


def _same(build: Build, words: Sequence[str], target: str) -> None:
    """Networks with these names have the output, the loss and the gradients of one with other names."""
    if target != "numpy":
        pytest.importorskip(target)
    filled = [*words, *(f"v{k}v" for k in range(-len(words) % TOGETHER))]
    for k in range(0, len(filled), TOGETHER):
        _same_as_usual(build, filled[k : k + TOGETHER], target)


@cache
def _built(build: Build, words: tuple[str, ...]) -> sn.Model:
    return build(words)


@pytest.fixture(autouse=True)
def _differentiated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The equations of a model are the same for every target."""
    monkeypatch.setattr(sys.modules["symnet.compile"], "network", _network)


_network = cache(sys.modules["symnet.compile"].network)


def _same_as_usual(build: Build, words: Sequence[str], target: str) -> None:
    rng = np.random.default_rng(5)
    ours, theirs = _module(_built(build, tuple(words)), target), _usual(build, len(words))
    params = {name: rng.normal(size=shape) / 3 for name, shape in theirs.PARAMETERS.items()}
    renamed = dict(zip(ours.PARAMETERS, params.values(), strict=True))
    sizes: dict[object, int] = {}
    x = {name: rng.normal(size=(2, *(_length(e, sizes) for e in shape))) for name, (shape, _) in theirs.INPUTS.items()}
    own = dict(zip(ours.INPUTS, x.values(), strict=True))
    y = theirs.forward(params, x)
    _near(ours.forward(renamed, own), y)
    (loss, grads), (expected, right) = ours.loss_and_grads(renamed, own, y + 1), theirs.loss_and_grads(params, x, y + 1)
    assert loss == pytest.approx(expected, rel=1e-12)
    for (name, gradient), true in zip(grads.items(), right.values(), strict=True):
        assert np.abs(true).max() > 0, name
        _near(gradient, true)


def _length(extent: int | str, sizes: dict[object, int]) -> int:
    return extent if isinstance(extent, int) else sizes.setdefault(extent, 2 + len(sizes) % 3)


def _near(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def _formulas(names: Sequence[str]) -> sn.Model:
    """Each name is a layer, and in a formula an index of a loop or a recurrence, a tensor and a parameter."""
    x = sn.Input((6,), name="xx")
    found = []
    free = [name if not reserved(name) else f"v{k}v" for k, name in enumerate(names)]
    for k, name in enumerate(names):
        i, t, p = free[k], free[k - 1], free[k - 2]
        if k % 2:
            text = f"{t}[nn,{i}] = xx[nn,{i}]*{p}[{i}] + {t}[nn,{i}-1]/({i} + 2)"
            found.append(sn.Formula(text, params={p: i}, sizes={i: 4}, name=name)(x))
        else:
            text = f"{t}[nn,qq] = tanh(max[{i}]({p}[{i}] + xx[nn,qq+{i}]))"
            found.append(sn.Formula(text, params={p: i}, sizes={i: 3, "qq": 4}, name=name)(x))
    return sn.Model(x, _sum(found), loss=sn.SquaredError(), name="m")


def _sum(found: Sequence[Any]) -> Any:
    """All of them added, a few at a time."""
    while len(found) > 1:
        found = [sn.Add()(*found[k : k + 8]) if len(found) > k + 1 else found[k] for k in range(0, len(found), 8)]
    return found[0]


@pytest.mark.parametrize("target", TARGETS)
def test_layers_indices_tensors_and_parameters(target: str) -> None:
    words = [w for w in _words() if w != "N"]
    _same(_formulas, words, target)


def _inputs(names: Sequence[str]) -> sn.Model:
    """Each name is an input, whose gradient and whose key in dicts have it, too."""
    found = [sn.Activation("tanh")(sn.Input((3,), name=name)) for name in names]
    return sn.Model([node.inputs[0] for node in found], _sum(found), loss=sn.SquaredError(), name="m")


@pytest.mark.parametrize("target", TARGETS)
def test_inputs(target: str) -> None:
    words = [w for w in _words() if w != "N" and w not in WORKSPACE]
    _same(_inputs, words, target)
    assert list(_module(_inputs(words[:9]), target).INPUTS) == words[:9]


def _sizes(names: Sequence[str]) -> sn.Model:
    """Each name is a size: of an input, in a sum over steps that is divided by it, and in a recurrence over them."""
    inputs, found = [], []
    for k, name in enumerate(names):
        inputs.append(sn.Input((name, 2), name=f"in{k}"))
        text = f"h[n,t,i] = tanh(x[n,t,i]*q[i] + h[n,t-1,i]/(t + 2)); y[n,i] = sum[t](h[n,t,i])/{name}"
        text = text if k % 4 == 0 else f"y[n,i] = sum[t](q[i]*x[n,t,i])/{name}"
        found.append(sn.Formula(text, params={"q": "i"})(inputs[-1]))
    return sn.Model(inputs, _sum(found), loss=sn.SquaredError(), name="m")


@pytest.mark.parametrize("target", TARGETS)
def test_sizes(target: str) -> None:
    words = [w for w in _words() if w != "N" and not (len(w) == 1 and w.islower()) and not reserved(w) and w != "pi"]
    _same(_sizes, words, target)

"""Whatever a user calls things, generated modules compute the same: words of Python, of NumPy, of the module itself.

Each word is an index, a size, an input, a parameter, a tensor of a formula and a layer, many of them in one network.
The right numbers are those of the same network with names that mean nothing.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest

import symnet as sn
import symnet.assembly.built as built
from codegen.emit.native_direct import CONVOLUTION, GRADIENT
from codegen.emit.native_direct_tiles import TILES
from codegen.emit.numexpr import WORDS as OF_NUMEXPR
from codegen.ir.equation import Program
from codegen.ir.functions import FUNCTIONS
from codegen.ir.names import BUILTINS, KEYWORDS, SOFT_KEYWORDS, allocate, defined
from codegen.notation.words import REDUCTIONS, reserved
from codegen.passes.state import Given
from symnet.assembly.assemble import module_names
from symnet.model.graph import WORKSPACE
from symnet.model.placing import automatic_name
from symnet.support.options import RESERVED, identifier
from uncompiled import plain, uncompiled

OF_TILES = frozenset[str]().union(*map(defined, (TILES, CONVOLUTION, GRADIENT)))
"""Functions that call nothing of a network's."""
TARGETS = ("numpy", "numexpr", "numba")
TOGETHER = 58
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
    filled = [*words, *(f"fill{k}" for k in range(-len(words) % TOGETHER))]
    for k in range(0, len(filled), TOGETHER):
        _same_as_usual(build, filled[k : k + TOGETHER], target)


@cache
def _built(build: Build, words: tuple[str, ...]) -> sn.Model:
    return build(words)


@pytest.fixture(autouse=True)
def _differentiated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The equations of a model are the same for every target."""
    monkeypatch.setattr(built, "network", _network)


_differentiated = built.network
_programs: dict[tuple[sn.Model, bool], Program] = {}


def _network(model: sn.Model, wrt_inputs: bool, given: Given) -> Program:
    key = (model, wrt_inputs)
    if key not in _programs:
        _programs[key] = _differentiated(model, wrt_inputs, given)
    return _programs[key]


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


def _like_its_own(names: Sequence[str]) -> sn.Model:
    """Layers with these names beside a recurrence, whose arrays and kernels have them already."""
    h = sn.Input(("T", 3), name="xx")
    r = sn.SimpleRNN(3, name="hh")(h)
    found = [sn.Dense(3, activation="tanh", name=name)(r) for name in names]
    y = sn.Activation("gelu", name="zz")(sn.Add(name="ss")(*found))
    return sn.Model(h, sn.Dense(3, name="oo")(y), loss=sn.SquaredError(), name="m")


@pytest.mark.parametrize("target", TARGETS)
def test_layers_called_like_arrays_and_kernels_beside_them(target: str) -> None:
    if target != "numpy":
        pytest.importorskip(target)
    source = sn.compile(_like_its_own([f"v{k}v" for k in range(3)]), target=target, wrt_inputs=True).source
    source = source[: source.index("# --- The optimizers")]
    known = {*re.findall(r"self\.(\w+) =|^def (\w+_(?:kernel|loops)\w*)", source, re.MULTILINE)}
    names = sorted(
        {name for pair in known for name in pair if _is_accepted(name)} - {"N", "T", "xx", "hh", "zz", "oo", "ss"}
    )
    assert len(names) > 20
    _same(_like_its_own, names, target)


@pytest.mark.parametrize("name", ["part_N_2", "part2_N_2", "part_1_2", "mask_N_2", "ones_2", "value_N", "count_N"])
def test_a_layer_called_like_scratch_of_its_shape(name: str) -> None:
    """Loss and gradient by hand, of two dense layers with softplus between them."""
    x = sn.Input((2,), name="x")
    h = sn.Dense(2, activation="softplus", use_bias=False, name=name)(x)
    model = sn.Model(x, sn.Dense(2, use_bias=False, name="o")(h), loss=sn.SquaredError(), name="m")
    module = sn.compile(model, dtype="float64").module
    rng = np.random.default_rng(3)
    w, v, a, t = (rng.normal(size=(2, 2)) for _ in range(4))
    hidden = np.log1p(np.exp(a @ w.T))
    error = hidden @ v.T - t
    loss, grads = module.loss_and_grads({f"{name}.weight": w, "o.weight": v}, a, t)
    assert loss == pytest.approx((error**2).sum() / 2, rel=1e-12)
    _near(grads["o.weight"], error.T @ hidden)
    _near(grads[f"{name}.weight"], (error @ v * (1 - np.exp(-hidden))).T @ a)


@pytest.mark.parametrize(
    ("text", "params", "sizes"),
    [
        ("y[n] = logsumexp[c](sum[i](W[c,i]*x[n,i]))", {"W": "c,i"}, {"c": 3}),
        ("y[n] = max[c](V[c]*x[n,c] + argmax[i](x[n,i]))", {"V": "c"}, {}),
        ("y[n,i_] = prod[i](1 + x[n,i]*W[i_,i]/9)", {"W": "i_,i"}, {"i_": 2}),
        ("hot[n,i] = tanh(x[n,i]); rows[n,i] = hot[n,i]*x[n,i]; y[n] = logsumexp[i](rows[n,i])", {}, {}),
    ],
)
def test_tensors_called_like_what_gradients_and_rewriting_add(
    text: str, params: dict[str, str], sizes: dict[str, int]
) -> None:
    """Against central differences of the forward pass, whose value the interpreter confirms elsewhere."""
    x = sn.Input((3,), name="x")
    model = sn.Model(x, sn.Formula(text, params=params, sizes=sizes, name="f")(x), loss=sn.SquaredError(), name="m")
    module = sn.compile(model, dtype="float64", wrt_inputs=True).module
    rng = np.random.default_rng(2)
    p = {name: rng.normal(size=shape) for name, shape in module.PARAMETERS.items()}
    a = rng.normal(size=(2, 3))
    y = module.forward(p, a) + 1
    _, grads = module.loss_and_grads(p, a, y)
    step = 1e-5
    for name, array in {**p, "x": a}.items():
        for at in np.ndindex(array.shape):
            kept, sides = array[at], []
            for side in (step, -step):
                array[at] = kept + side
                sides.append(module.loss(p, a, y))
            array[at] = kept
            assert grads[name][at] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-6, abs=1e-8)


def test_outputs_targets_and_gradients_beside_inputs_of_their_names() -> None:
    names = ("xx", "output_aa", "target_aa", "xx_gradient", "tangent_aa")
    inputs = [sn.Input((2,), name=name) for name in names]
    total = sn.Add(name="ss")(*inputs)
    outputs = [sn.Dense(2, name=name)(total) for name in ("aa", "bb")]
    model = sn.Model(inputs, outputs, loss=[sn.SquaredError(), sn.MeanSquaredError()], name="m")
    module = sn.compile(model, dtype="float64", wrt_inputs=True, hvp=True).module
    assert set(module.check()) >= {*names, "aa.weight", "bb.bias"}
    assert max(module.check().values()) < 1e-6
    params = module.init_params(1)
    x = {name: np.full((3, 2), k + 1.0) for k, name in enumerate(names)}
    along = {name: np.ones_like(array) for name, array in params.items()}
    outputs_, tangents = module.jvp(params, x, along)
    assert {*outputs_} == {*tangents} == {"aa", "bb"}
    np.testing.assert_allclose(tangents["aa"], np.full((3, 2), 2 * 15.0 + 1))  # the sum of the inputs, and the bias
    module.hvp(params, x, outputs_, along)


def test_two_layers_of_one_name() -> None:
    x = sn.Input((2, 6, 6), name="x")
    with pytest.raises(sn.DefinitionError, match=r"'pool' names a layer \(MaxPool2D\) and a layer \(Flatten\)"):
        sn.Model(x, sn.Flatten(name="pool")(sn.MaxPool2D(2, name="pool")(x)))
    with pytest.raises(sn.DefinitionError, match=r"'x' names an input and a layer \(Flatten\)"):
        sn.Model(x, sn.Flatten(name="x")(x))
    steps = sn.Input(("T", 2), name="steps")
    with pytest.raises(sn.DefinitionError, match=r"'T' names a size and a layer \(Dense\)"):
        sn.Model(steps, sn.Dense(2, name="T")(steps))


def test_automatic_names_go_round_given_ones() -> None:
    x = sn.Input((3,))
    shared = sn.Dense(3)
    y = sn.Dense(3, name="dense_2_2")(shared(shared(sn.Dense(3, name="dense_1")(x))))
    model = sn.Model(x, sn.Dense(1, name="input_1")(y), loss=sn.SquaredError())
    assert [t.name for t in model.inputs] == ["input_2"]
    assert [p.name for p in model.layers] == ["dense_1", "dense_2", "dense_2_2_2", "dense_2_2", "input_1"]
    assert len(model.parameters) == 8
    assert [automatic_name(kind, {}) for kind in ("Dense", "D_x", "_Own", "3", "Größe")] == [
        *("dense_1", "layer_d_x_1", "own_1", "layer_1", "gre_1")
    ]


def test_words_of_the_language_name_no_index() -> None:
    x = sn.Input((3,), name="x")
    for word in (*FUNCTIONS, *REDUCTIONS, "where", "and"):
        with pytest.raises(sn.FormulaError, match=f"'{word}' is a word of the language"):
            sn.Formula(f"y[n] = max[{word}](x[n,{word}])")(x)
        with pytest.raises(sn.FormulaError, match=f"'{word}' is a word of the language"):
            sn.Formula(f"y[n,{word}] = x[n,{word}]")(x)


def test_names_of_models_and_classes() -> None:
    x = sn.Input((2,), name="x")
    for word in ("np", "self", "numba", "Workspace", "main", "model", "type"):
        net = sn.compile(sn.Model(x, sn.Dense(2, name="o")(x), loss=sn.CrossEntropy(), name=word))
        assert (net.module.MODEL, net.module.__name__) == (word, word)
        assert max(net.module.check().values()) < 1e-5
    for word in ("class", "1st", "a b", "", "d_x", "loss"):
        with pytest.raises(sn.DefinitionError, match="name="):
            sn.Model(x, sn.Dense(2)(x), name=word)


def test_second_order_in_kernels() -> None:
    """All parts of a module have kernels of their own: gradients and products with the Hessian are those of NumPy."""
    pytest.importorskip("numba")
    x = sn.Input((3, 2), name="x")
    y = sn.Dense(2, name="o")(sn.Attention(causal=True)(sn.Dense(2, activation="tanh", name="d")(x)))
    model = sn.Model(x, y, loss=sn.MeanSquaredError(), name="m")
    plain_, native = (sn.compile(model, dtype="float64", target=t, hvp=True) for t in ("numpy", "numba"))
    defined_ = re.findall(r"^def (\w+)|^class (\w+)", native.source, re.MULTILINE)
    assert len(defined_) == len(set(defined_))
    rng = np.random.default_rng(4)
    a, b, params = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 3, 2)), plain_.module.init_params(3)
    with uncompiled():
        module = native.module
    plain(vars(module))
    for name, gradient in plain_.module.loss_and_grads(params, a, b)[1].items():
        _near(module.loss_and_grads(params, a, b)[1][name], gradient)
    for name, product in plain_.module.hvp(params, a, b, params).items():
        _near(module.hvp(params, a, b, params)[name], product)

"""Text to equations and back: normal form, extents, refusals, limits, messages."""

from collections.abc import Mapping

import numpy as np
import pytest
import sympy
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from building import Case, tensor
from codegen.ir.affine import Affine
from codegen.ir.equation import Equation, Guard, Program, Read, Tensor, index_symbol, size_symbol, slot
from codegen.ir.errors import CodegenError, FormulaError, ShapeError
from codegen.notation import Elaborated, elaborate, free_names, parse, show, show_body, variables
from codegen.oracle.check import check
from codegen.oracle.interpret import interpret
from effort import calls
from equations import cases

X = tensor("x", "N", 64)
IMAGE = tensor("x", "N", 3, 8, 8)
SERIES = tensor("x", "N", "T", 5)
LABEL = tensor("label", "N", dtype="int")
LOGITS = tensor("z", "N", 10)


def shown(text: str, *tensors: Tensor, **options: object) -> list[str]:
    """The equations that a text means, as text."""
    return [show(e) for e in build(text, *tensors, **options).equations]


def build(text: str, *tensors: Tensor, **options: object) -> Elaborated:
    """Elaborate, and hold the result against the checker."""
    found = elaborate(text, {t.name: t for t in tensors}, **options)  # type: ignore[arg-type]
    check(program(found, tensors))
    return found


def program(found: Elaborated, tensors: tuple[Tensor, ...]) -> Program:
    every = (*tensors, *found.params.values(), *found.tensors)
    extents = [e for t in every for e in t.shape] + [e for q in found.equations for _, e in q.box]
    sizes = dict.fromkeys(name for extent in extents for name in extent.names)
    given_before = {t.name for t in tensors}
    opened = tuple(e for e in found.equations if e.target not in given_before)
    return Program(every, opened, tuple(sizes))


def shape(found: Elaborated, name: str) -> str:
    table = {t.name: t for t in (*found.tensors, *found.params.values())}
    return ",".join(map(str, table[name].shape))


NORMAL_FORMS = {
    "dense": (
        "z[n,o] = b[o] + sum[i](W[o,i]*x[n,i])",
        (X,),
        {"params": {"W": "o,i", "b": "o"}, "sizes": {"o": 10}},
        ["z[n,o] = sum[i](W[o,i]*x[n,i])", "z[n,o] += b[o]"],
    ),
    "convolution": (
        "y[n,p,i,j] = b[p] + sum[d,u,v](W[p,d,u,v]*x[n,d,i*S+u*D-P,j*S+v*D-P])",
        (IMAGE,),
        {
            "params": {"W": "p,d,u,v", "b": "p"},
            "sizes": {"p": 4, "u": 3, "v": 3, "i": 4, "j": 4, "S": 2, "D": 1, "P": 1},
        },
        ["y[n,p,i,j] = sum[d,u,v](W[p,d,u,v]*x[n,d,2*i+u-1,2*j+v-1])", "y[n,p,i,j] += b[p]"],
    ),
    "groups": (
        "y[n,(g,q),i] = sum[d,u](W[(g,q),d,u]*x[n,(g,d),i+u])",
        (tensor("x", "N", 6, 9),),
        {"params": {"W": "(g,q),d,u"}, "sizes": {"g": 2, "q": 4, "u": 3}},
        ["y[n,4*g+q,i] = sum[d,u](W[4*g+q,d,u]*x[n,d+3*g,i+u])"],
    ),
    "pool": (
        "y[n,c,i,j] = max[u,v](x[n,c,i*2+u,j*2+v])",
        (IMAGE,),
        {"sizes": {"u": 2, "v": 2}},
        ["y[n,c,i,j] = max[u,v](x[n,c,2*i+u,2*j+v])"],
    ),
    "mean": ("y[n] = mean[i](x[n,i])", (X,), {}, ["y[n] = sum[i](x[n,i]/64)"]),
    "mean over the batch": ("y[] = -mean[n,i](x[n,i])", (X,), {}, ["y[] = sum[n,i](-x[n,i]/64/N)"]),
    "flatten": ("y[n,(c,i,j)] = x[n,c,i,j]", (IMAGE,), {}, ["y[n,64*c+8*i+j] = x[n,c,i,j]"]),
    "concatenation": (
        "y[n,c] = a[n,c] + b[n,c-C]",
        (tensor("a", "N", 3), tensor("b", "N", 4)),
        {"sizes": {"c": 7, "C": 3}},
        ["y[n,c] = a[n,c] + b[n,c-3]"],
    ),
    "cross-entropy": (
        "L[n] = logsumexp[c](z[n,c]) - z[n,label[n]]\nloss[] = sum[n](L[n]/N)",
        (LOGITS, LABEL),
        {},
        [
            "L.logsumexp[n] = logsumexp[c](z[n,c])",
            "L[n] = L.logsumexp[n] - z[n,label[n]]",
            "loss[] = sum[n](L[n]/N)",
        ],
    ),
    "recurrence": (
        "h[n,t,k] = tanh(b[k] + sum[i](U[k,i]*x[n,t,i]) + sum[j](W[k,j]*h[n,t-1,j]) + [t = 0]*h0[n,k])",
        (SERIES, tensor("h0", "N", 4)),
        {"params": {"b": "k", "U": "k,i", "W": "k,j"}, "sizes": {"k": 4}},
        [
            "h.z[n,t,k] = sum[i](U[k,i]*x[n,t,i])",
            "h.z[n,t,k] += sum[j](W[k,j]*h[n,t-1,j])",
            "h.z[n,t,k] += b[k] + [t = 0]*h0[n,k]",
            "h[n,t,k] = tanh(h.z[n,t,k])",
        ],
    ),
    "radial basis": (
        "y[n,k] = exp(-g[k]*sum[i]((x[n,i]-c[k,i])**2))",
        (X,),
        {"params": {"c": "k,i", "g": "k"}, "sizes": {"k": 16}},
        ["y.sum[n,k] = sum[i]((x[n,i] - c[k,i])**2)", "y[n,k] = exp(-g[k]*y.sum[n,k])"],
    ),
    "causal attention": (
        "a[n,t,s] = exp(e[n,t,s] - logsumexp[r | r <= t](e[n,t,r]))",
        (tensor("e", "N", "T", "T"),),
        {},
        ["a.logsumexp[n,t] = logsumexp[r | r <= t](e[n,t,r])", "a[n,t,s] = exp(e[n,t,s] - a.logsumexp[n,t])"],
    ),
    "a sum that does not depend on every index is not repeated": (
        "y[n,i] = x[n,i] - mean[j](x[n,j])",
        (X,),
        {},
        ["y.mean[n] = sum[j](x[n,j]/64)", "y[n,i] = x[n,i] - y.mean[n]"],
    ),
    "constants move into sums": (
        "y[n] = -2*(w[n] + sum[i](x[n,i])/3) - sum[i](sum[j](x[n,i]*x[n,j]))",
        (X, tensor("w", "N")),
        {},
        ["y[n] = sum[i](-2*x[n,i]/3)", "y[n] += sum[i,j](-x[n,i]*x[n,j])", "y[n] += -2*w[n]"],
    ),
    "numbered names": (
        "y[n] = max[i](x[n,i])*max[j](-x[n,j])*prod[i](x[n,i])",
        (X,),
        {},
        [
            "y.max[n] = max[i](x[n,i])",
            "y.max_2[n] = max[j](-x[n,j])",
            "y.prod[n] = prod[i](x[n,i])",
            "y[n] = y.max[n]*y.max_2[n]*y.prod[n]",
        ],
    ),
    "upsampling": ("y[n,i] = x[n,i//2]", (X,), {}, ["y[n,2*iq+ir] = x[n,iq]"]),
    "odd upsampling": (
        "y[n] = sum[i](w[i]*x[n,i//2])",
        (tensor("x", "N", 3), tensor("w", 5)),
        {},
        ["y[n] = sum[iq,ir | 2*iq+ir <= 4](w[2*iq+ir]*x[n,iq])"],
    ),
    "upsampled windows": (
        "y[n,i] = max[u](x[n,i//2+u])",
        (X,),
        {"sizes": {"u": 3}},
        ["y.max[n,iq] = max[u](x[n,iq+u])", "y[n,2*iq+ir] = y.max[n,iq]"],
    ),
    "transposed convolution": (
        "y[n,p,i*S+u-P] = sum[d](W[d,p,u]*x[n,d,i]); y[n,p,j] += b[p]",
        (tensor("x", "N", 6, 9),),
        {
            "params": {"W": "d,p,u", "b": "p"},
            "sizes": {"p": 3, "u": 4, "S": 2, "P": 1},
            "shapes": {"y": ("N", 3, 18)},
        },
        ["y[n,p,2*i+u-1] = sum[d](W[d,p,u]*x[n,d,i])", "y[n,p,j] += b[p]"],
    ),
    "masks": (
        "y[n,t] = sum[s | m[n,s], 0 <= s < t and tok[n,s] != 0, (s+1) % 2 = 0](x[n,s])",
        (tensor("x", "N", "T"), tensor("m", "N", "T", dtype="bool"), tensor("tok", "N", "T", dtype="int")),
        {"sizes": {"t": "T"}},
        ["y[n,t] = sum[s | m[n,s] != 0, s >= 0, s < t, tok[n,s] != 0, (s+1) % 2 == 0](x[n,s])"],
    ),
    "boolean tensors as conditions": (
        "y[n,t] = where(m[n,t] and t > 0, x[n,t], 0) + [m[n,t]]",
        (tensor("x", "N", "T"), tensor("m", "N", "T", dtype="bool")),
        {},
        ["y[n,t] = [m[n,t] != 0] + where(m[n,t] != 0 and t > 0, x[n,t], 0)"],
    ),
    "a bare name": ("y[n,i] = x/(1+exp(-x))", (X,), {}, ["y[n,i] = x[n,i]/(1 + exp(-x[n,i]))"]),
    "where and one-hot": (
        "y[n,c] = where(z[n,c] > 0 and c < 3, z[n,c], 0) - [c == label[n]]*n/N",
        (LOGITS, LABEL),
        {},
        ["y[n,c] = where(c < 3 and z[n,c] > 0, z[n,c], 0) - n*[label[n] = c]/N"],
    ),
    "scatter by data": (
        "y[label[n],c] = z[n,c]",
        (LOGITS, LABEL),
        {"shapes": {"y": (4, 10)}},
        ["y[label[n],c] = z[n,c]"],
    ),
}


@pytest.mark.parametrize("case", NORMAL_FORMS)
def test_normal_form(case: str) -> None:
    text, tensors, options, expected = NORMAL_FORMS[case]
    assert shown(text, *tensors, **options) == expected


@pytest.mark.parametrize("case", NORMAL_FORMS)
def test_what_is_shown_parses_back(case: str) -> None:
    text, tensors, options, _ = NORMAL_FORMS[case]
    found = build(text, *tensors, **options)
    table = {t.name: t for t in (*tensors, *found.params.values(), *found.tensors)}
    for equation in found.equations:
        again = reread(equation, table).equations
        assert len(again) == 1
        assert again[0] == equation.with_(stage="", origin="")


def reread(equation: Equation, table: Mapping[str, Tensor]) -> Elaborated:
    """What an equation's text means, given its box."""
    target = table[equation.target]
    known = dict(table) if equation.accumulate else {k: t for k, t in table.items() if k != target.name}
    shapes = {} if equation.accumulate else {target.name: target.shape}
    extents = dict(equation.box)
    return elaborate(show(equation), known, sizes=extents, shapes=shapes, indices=tuple(extents))


def test_shapes_are_inferred() -> None:
    text, tensors, options, _ = NORMAL_FORMS["recurrence"]
    found = build(text, *tensors, **options, origin="rnn_1", stage="forward", names={"h": "rnn_1"})
    assert [t.name for t in found.tensors] == ["rnn_1.z", "rnn_1"]
    assert found.params["U"] == Tensor("rnn_1.U", (Affine.of(4), Affine.of(5)), "float", "parameter")
    assert shape(found, "rnn_1.z") == "N,T,4"
    assert found.output.name == "rnn_1"
    assert {e.stage for e in found.equations} == {"forward"}
    assert {e.origin for e in found.equations} == {"rnn_1"}


def test_a_group_is_split_by_what_is_known_of_it() -> None:
    found = build("y[n,c,i,j] = x[n,(c,i,j)]", X, sizes={"c": 4, "j": 4})
    assert shape(found, "y") == "N,4,4,4"


def test_the_batch_may_lead_a_group() -> None:
    assert shape(build("y[(n,i)] = x[n,i]", X), "y") == "64*N"


def test_extents_without_sizes_are_the_largest_inside() -> None:
    found = build("y[n,i] = sum[u](w[u]*x[n,i*3+u*2])", X, params={"w": "u"}, sizes={"u": 4})
    assert shape(found, "y") == "N,20"
    assert shape(build("y[n,i] = x[n,9-i]", X), "y") == "N,10"
    assert shape(build("y[n,t] = x[n,t+1,0] - x[n,t,0]", SERIES, sizes={"t": "T"}), "y") == "N,T"


def test_box_order_and_slots() -> None:
    equation = build(
        "y[n,p,i] = sum[u,d](x[n,d,i+u]*W[p,d,u] + x[n,d,i+u])",
        tensor("x", "N", 6, 9),
        params={"W": "p,d,u"},
        sizes={"p": 2, "u": 3},
    ).equations[0]
    assert [name for name, _ in equation.box] == ["n", "p", "i", "u", "d"]
    assert equation.over == ("u", "d")
    assert [read.tensor for read in equation.reads] == ["x", "W"]
    assert equation.body == slot(0) * slot(1) + slot(0)


def test_indices_and_sizes_are_numbers() -> None:
    equation = build("y[n,t] = x[n,t,0]*sin(t/10000**(2/T)) + D", SERIES, sizes={"D": 3}).equations[0]
    assert {index_symbol("t"), size_symbol("T")} <= equation.body.free_symbols
    assert equation.body.has(sympy.Integer(3))


def test_argmax_gives_integers_and_copies_keep_their_dtype() -> None:
    found = build("y[n] = argmax[c](z[n,c]); m[n] = label[n]; w[n] = label[n] + 1", LOGITS, LABEL)
    assert [t.dtype for t in found.tensors] == ["int", "int", "float"]


def test_guards_are_integer_comparisons() -> None:
    text = "y[n] = sum[i | i > 2, i != label[n], 2*i = 6](x[n,i])"
    guards = build(text, X, LABEL).equations[0].guards
    label = Read("label", (Affine.of("n"),))
    assert guards == (
        Guard(">=", Affine.of("i") - 3),
        Guard("!=", Affine.of("i"), ((-1, label),)),
        Guard("==", Affine.of("i") * 2 - 6),
    )


def test_free_names_and_variables() -> None:
    assert free_names("h[n,t] = x[n,t] + h[n,t-1]*w[lab[n]]; y[n] = sum[t](h[n,t])") == ("x", "w", "lab")
    assert variables("x/(1+exp(-x)) + pi") == ("x",)


def test_a_given_target_is_added_to() -> None:
    found = elaborate("loss[] += sum[o,i](0.5*W[o,i]**2)", {"loss": tensor("loss"), "W": tensor("W", 3, 4)})
    assert found.tensors == ()
    assert [show(e) for e in found.equations] == ["loss[] += sum[o,i](W[o,i]**2/2)"]
    assert found.output.name == "loss"


def test_values() -> None:
    """Numbers of a text with most of the language in it."""
    rng = np.random.default_rng(0)
    x, label = rng.normal(size=(2, 6)), np.array([1, 4])
    tensors = (tensor("x", "N", 6), LABEL)
    text = """
        y[n,i] = x[n,i] - mean[j](x[n,j])          # centred
        u[n,i] = y[n,i//2]*[i % 2 = 0] ; s[n] = sum[i | i <= label[n]](x[n,i])
        w[n] = tanh(s[n] + 2*sum[i](x[n,i]**2)) - max[k](x[n,2*k+1])
    """
    found = build(text, *tensors)
    values = interpret(program(found, tensors), {"x": x, "label": label})
    y = x - x.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(values["y"], y)
    np.testing.assert_allclose(values["u"], np.stack([y, 0 * y], axis=2).reshape(2, 12))
    s = np.array([x[0, :2].sum(), x[1, :5].sum()])
    np.testing.assert_allclose(values["s"], s)
    np.testing.assert_allclose(values["w"], np.tanh(s + 2 * (x**2).sum(axis=1)) - x[:, 1::2].max(axis=1))


def test_bodies_read_as_written() -> None:
    a = slot(0)
    reads = (Read("a", (Affine.of("n"),)),)
    for body, text in (
        (a * (1 - a), "a[n]*(1 - a[n])"),
        (1 - a**2, "1 - a[n]**2"),
        (1 / (1 + sympy.exp(-a)), "1/(1 + exp(-a[n]))"),
        (sympy.Piecewise((1, a > 0), (0, True)) / 2, "[a[n] > 0]/2"),
        (-a / sympy.sqrt(a), "-sqrt(a[n])"),
        ((-a) ** 3 / (2 * a + 1) ** 2, "-a[n]**3/(1 + 2*a[n])**2"),
        (sympy.exp(1) * sympy.sqrt(2), "exp(1)*sqrt(2)"),
        (sympy.Rational(-3, 4), "-3/4"),
        (a ** sympy.Rational(2, 3), "a[n]**(2/3)"),
        (sympy.Integer(2) ** a, "2**a[n]"),
    ):
        assert show_body(body, reads) == text


REFUSED: dict[str, tuple[str, tuple[Tensor, ...], dict[str, object], type[CodegenError], str]] = {
    "typo": (
        "z[n,o] = sum[i](wieght[o,i]*x[n,i])",
        (X,),
        {"params": {"weight": "o,i"}},
        FormulaError,
        "did you mean 'weight'?",
    ),
    "65 against 64": ("z[n,i] = x[n,i] + w[n,i]", (X, tensor("w", "N", 65)), {}, ShapeError, "axis 1 of w"),
    "unbound": ("z[n,o] = sum[i](W[o,i]*x[n,k])", (X,), {"params": {"W": "o,i"}}, FormulaError, "'k' is not bound"),
    "unbound with a size": (
        "z[n] = w[k]*x[n,k]",
        (X,),
        {"params": {"w": "k"}, "sizes": {"k": 64}},
        FormulaError,
        "sum[k](...)",
    ),
    "no size": ("z[n,o] = sum[i](W[o,i]*x[n,i])", (X,), {"params": {"W": "o,i"}}, ShapeError, "sizes={'o': ...}"),
    "window in the padding": (
        "y[n,c,i,j] = max[u,v](x[n,c,i*2+u-3,j*2+v-3])",
        (IMAGE,),
        {"sizes": {"u": 2, "v": 2, "i": 4, "j": 4}},
        ShapeError,
        "wholly outside",
    ),
    "dilated window in the padding": (
        "y[n,i] = max[u](x[n,i+4*u-3])",
        (tensor("x", "N", 2),),
        {"sizes": {"u": 2, "i": 3}},
        ShapeError,
        "wholly outside",
    ),
    "window too large": (
        "y[n,c,i] = max[u](x[n,c,i+u,0])",
        (IMAGE,),
        {"sizes": {"u": 9}},
        ShapeError,
        "got: a window of 9",
    ),
    "padding without a size": ("y[n,i] = sum[u](x[n,i+u-1])", (X,), {"sizes": {"u": 3}}, ShapeError, "give sizes"),
    "ambiguous product": (
        "y[n,i] = max[u](x[n,i+u-1]*w[u])",
        (X,),
        {"sizes": {"u": 3, "i": 64}, "params": {"w": "u"}},
        FormulaError,
        "ambiguous",
    ),
    "group": (
        "y[n,(g,q)] = sum[d](x[n,(g,d)]*W[g,q,d])",
        (X,),
        {"params": {"W": "g,q,d"}, "sizes": {"g": 3, "q": 2}},
        ShapeError,
        "does not divide axis 1 of x",
    ),
    "always outside": ("y[n,c] = x[n,c] + x[n,c-64]", (X,), {}, ShapeError, "always read outside"),
    "rank": ("y[n,c,i] = x[n,c,i]", (IMAGE,), {}, FormulaError, "expected: 4 subscripts"),
    "rank of a target": ("y[n,i] = x[n,i]; y[n] += 1", (X,), {}, FormulaError, "wrong number of subscripts"),
    "defined twice": ("y[n,i] = x[n,i]; y[n,i] = x[n,i]", (X,), {}, FormulaError, "y[...] += ..."),
    "added to first": ("y[n,i] += x[n,i]", (X,), {}, FormulaError, "before it is defined"),
    "shadowed": ("y[n,i] = sum[n](x[n,i])", (X,), {}, FormulaError, "already in use"),
    "size as index": ("y[n,i] = x[n,i] + sum[N](x[N,i])", (X,), {}, FormulaError, "symbolic size"),
    "not affine": ("y[n,i] = x[n,i*i]", (X,), {}, FormulaError, "not linear"),
    "float subscript": ("y[n,i] = x[n,x[n,i]]", (X,), {}, FormulaError, "an integer tensor"),
    "float guard": ("y[n] = sum[r | x[n,r] > 0](x[n,r])", (X,), {}, FormulaError, "an integer tensor"),
    "float condition": ("y[n,i] = where(x[n,i], 1, 2)", (X,), {}, FormulaError, "a boolean tensor or a comparison"),
    "no shape": ("y[n,2*i] = x[n,i]", (X,), {}, ShapeError, "shapes={'y': (...)}"),
    "write outside": ("y[n,i] = x[n,i]; y[n,i+1] += x[n,i]", (X,), {}, ShapeError, "may leave 'y'"),
    "two divisors": ("y[n,i] = x[n,i//2] + x[n,i//3]", (X,), {}, FormulaError, "divided by different numbers"),
    "divided sum": ("y[n,i] = x[n,(i+1)//2]", (X,), {}, FormulaError, "such as i//2"),
    "masked mean": ("y[n] = mean[i | i < 3](x[n,i])", (X,), {}, FormulaError, "a mean cannot have a guard"),
    "unused parameter": ("y[n,i] = x[n,i]", (X,), {"params": {"g": "i"}}, FormulaError, "does not occur"),
    "odd parameter": ("y[n,i] = g[i]", (X,), {"params": {"g": "i+1"}}, FormulaError, "more than indices"),
    "parameter and input": ("y[n,i] = x[n,i]", (X,), {"params": {"x": "n,i"}}, FormulaError, "both a given tensor"),
    "thirteen indices": (
        "y[n] = sum[a,b,c,d,e,f,g,h,k,l,m,o](x[n,a])",
        (X,),
        {"sizes": dict.fromkeys("bcdefghklmo", 2)},
        FormulaError,
        "at most 12",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    text, tensors, options, kind, said = REFUSED[case]
    with pytest.raises(kind) as error:
        elaborate(text, {t.name: t for t in tensors}, origin="layer_1", **options)  # type: ignore[arg-type]
    assert said in str(error.value)
    if case != "odd parameter":
        assert "in layer_1, line 1:\n" in str(error.value)


MALFORMED = {
    "": "empty",
    "y[n,c": "'[' is never closed",
    "y[n,c = x[n,c]": "expected: ']'",
    "y[n,c] = x[n,c] +": "the end of the text",
    "y[n,c] = (x[n,c]": "'(' is never closed",
    "y[n,c] = 2x[n,c]": "write a product as 2*",
    "y[n,c] = sinn(x[n,c])": "did you mean 'sin'?",
    "y[n,c] = sin(x[n,c], 2)": "sin expects 1 argument, got 2",
    "y[n,c] = __import__('os')": "begins with '_'",
    "y[n,c] = x[n,c].real()": "unexpected character '.'",
    "y[n,c] = lambda(x[n,c])": "a word of Python",
    "y[n,c] = x[n,c] ^ 2": "a power is written **",
    "y[n,c] = x[n,1:3]": "no slices",
    "y[n,c] = sum(x[n,c])": "sum[i](...)",
    "y[n,c] = sum[c]x[n,c]": "sum[i](...)",
    "y[n,c] = exp[c](x[n,c])": "'exp' is a function",
    "y = x": "y[indices] = expression",
    "y[n,c] x[n,c]": "expected: '=' or '+='",
    "sum[n] = x[n,0]": "a word of the language",
    "y[n,c] = x[n,c] and 2": "got: 'and'",
    "y[n,c] = (n,c)": "stands as a subscript",
    "y[n,c] = x[n,c]**9**9**9": "a power is out of range",
    "y[n,c] = x[n,c]*1e999999": "a number is out of range",
    "y[n,c] = x[n,c]*" + "9" * 400: "a number is out of range",
    "y[n,c] = ((((1e300*x[n,c])**100)**100)**100)**100": "a number is out of range",
    "y[n,c] = max(exp(exp(exp(9))), x[n,c])": "a number is out of range",
    "y[n,c] = x[n,c]/0": "a division by zero",
    "y[n,c] = x[n,c]*0**-1": "zero to a power",
    "y[n,c] = log(-1)*x[n,c]": "not a finite real number",
    "y[n,c] = (-1)**0.5*x[n,c]": "a number is out of range",
    "y[n,c] = " + "(" * 80 + "x[n,c]" + ")" * 80: "nested too deeply",
    "y[n,c] = " + "-" * 200 + "x[n,c]": "nested too deeply",
    "y[n,c] = x[n,c]" + "**x[n,c]" * 200: "nested too deeply",
    "y[n,c] = x[n,c" + "//2" * 200 + "]": "nested too deeply",
    "y[n,c] = x[n,c] + " + " " * 20_000 + "1": "too long",
}


@pytest.mark.parametrize("text", MALFORMED, ids=[text[:30] for text in MALFORMED])
def test_malformed(text: str) -> None:
    with pytest.raises(FormulaError) as error:
        elaborate(text, {"x": X})
    assert MALFORMED[text] in str(error.value)


def test_the_caret_points_at_the_place() -> None:
    with pytest.raises(FormulaError) as error:
        elaborate("y[n,i] = x[n,i]\n  z[n,i] = y[n,i] + wieght[i]", {"x": X}, params={"weight": "i"}, origin="dense_1")
    assert str(error.value).splitlines()[:4] == [
        "unknown tensor 'wieght'",
        "  in dense_1, line 2:",
        "      z[n,i] = y[n,i] + wieght[i]",
        "                        ^",
    ]


def test_long_lines_are_quoted_in_part() -> None:
    with pytest.raises(FormulaError) as error:
        parse("y[n] = " + "x[n] + " * 1000 + "$ + x[n]")
    line, caret = str(error.value).splitlines()[2:4]
    assert len(line) <= 104
    assert line[caret.index("^")] == "$"


def test_long_formulas_take_no_time() -> None:
    factors, terms = "*".join(["x[n,i]+1"] * 1800), "+".join(["sum[j](x[n,j])"] * 400)
    assert calls(lambda: elaborate(f"y[n,i] = {factors}", {"x": X})) < 4_000_000
    assert calls(lambda: elaborate(f"y[n,i] = x[n,i] + {terms}", {"x": X})) < 1_000_000


def test_one_layer_takes_few_calls() -> None:
    text, tensors, options, _ = NORMAL_FORMS["convolution"]
    given_tensors = {t.name: t for t in tensors}
    elaborate(text, given_tensors, **options)
    assert calls(lambda: elaborate(text, given_tensors, **options)) < 15_000


WORDS = """x y w label n i j k c 2 0.5 3 1e9 + - * / ** // % ( ) [ ] , | = == < <= != ; sum max argmax logsumexp mean
    prod exp log where and max( x[n,i] x[n,j] label[n] sum[j]( exp( [i= y[n,i]= (n,i) pi N"""
PIECES = st.sampled_from(WORDS.split())


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(PIECES, max_size=25), st.booleans())
def test_any_text_is_read_or_refused(pieces: list[str], complete: bool) -> None:
    text = ("y[n,i] = " if complete else "") + " ".join(pieces)
    try:
        found = elaborate(text, {"x": X, "label": LABEL, "w": tensor("w", 64)}, sizes={"k": 3, "i": 64})
    except CodegenError as error:
        assert "_" not in str(error).split("\n")[0]
        return
    for equation in found.equations:
        assert parse(show(equation))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_characters_are_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except CodegenError:
        return


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cases())
def test_random_programs_parse_back_to_the_same_values(case: Case) -> None:
    """Each equation of a random program, shown and read again, computes what it did."""
    tensors, equations = dict(case.program.table), []
    for equation in case.program.equations:
        try:
            found = reread(equation, tensors)
        except CodegenError as error:
            assume("ambiguous" not in str(error) and "outside" not in str(error))
            raise
        equations += found.equations
        tensors = {t.name: t for t in found.tensors} | tensors
    again = Program(tuple(tensors.values()), tuple(equations), case.program.sizes)
    wanted, got = (interpret(p, case.arrays, case.sizes) for p in (case.program, again))
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-9, atol=1e-9)


def test_a_point_outside_is_left_out_beside_a_sum() -> None:
    """max and logsumexp of a read that leaves its tensor and a sum in all indices: only the points inside count."""
    x, z, w = np.full((1, 3), -5.0), np.ones((1, 2)), np.full((3, 3, 2), -0.5)
    inputs = {"x": tensor("x", "N", 3), "z": tensor("z", "N", 2), "W": tensor("W", 3, 3, 2)}
    bodies = {
        "max[u](x[n,t+u-1] + sum[j](W[t,u,j]*z[n,j]))": [[-6.0, -6, -6]],
        "max[u](exp(x[n,t+u-1] + sum[j](W[t,u,j]*z[n,j])))": np.exp([[-6.0, -6, -6]]),
        "logsumexp[u](sum[j](W[t,u,j]*z[n,j]) - x[n,1-t-u+1])": 4 + np.log([[3.0, 2, 1]]),
    }
    for body, expected in bodies.items():
        made = elaborate(f"y[n,t] = {body}", inputs, sizes={"u": 3, "t": 3})
        program = Program((*inputs.values(), *made.tensors), made.equations, ("N",))
        np.testing.assert_allclose(interpret(program, {"x": x, "z": z, "W": w})["y"], expected)

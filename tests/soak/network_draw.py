"""Networks drawn at random: all layers with all their options, branches, several inputs and outputs, all losses."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import symnet as sn
from soak.network_case import Case, Node, Place, Source, Spec, alive, placed, spec
from soak.network_formulas import OWN, VECTOR_OF_SEQUENCE
from soak.network_optimizers import RATES
from soak.network_torch import has_twin

SMOOTH = ("sigmoid", "tanh", "softplus", "silu", "gelu", "gelu_tanh")
NAMED = (*SMOOTH, "relu", "leaky_relu", "elu", "linear")
NAMES = """class_ lambda_ blocks self sum np w p g range loss_ target_ part_1_2 x_gradient ones_2 len result max exp
tanh_ main forward train count_N number_2 Workspace N_ h_states t n i y x1 weight_ result_0 view math numba Path kernel
multiply d a_b dtype_ scalar_ noise_1 terms_1 output_1 backward_ s v T_2 masks_T_2""".split()
"""Names of layers that generated code may want for itself."""
SIZES = ("len", "list", "zip", "np", "self", "W", "G", "range", "S", "seq", "size_1", "count")
FORMULAS = (
    *("x/(1+exp(-x))", "1/(1+exp(-2*x))", "max(x, 0.1*x)", "min(max(x, -1), 1)", "where(x > 0, x**2, 0)"),
    *("exp(-x**2)", "sqrt(1+x**2)", "x/(1+abs(x))", "sin(x)*cos(2*x)", "x*tanh(log(1+exp(x)))", "log(2 + sin(x))"),
    *("where(x > 0.2, x, x**2)", "log(1+x**2)", "atan(x)", "2*x - 1", "exp(-z**2)"),
)
"""Activations by formula; most have a twin in `tests/corpus_formulas.py`."""
RULES = ("glorot_uniform", "glorot_normal", "he_uniform", "he_normal", "zeros", "ones")
LARGEST = 150
"""Numbers of a sample at a node, so that the interpreter is done soon."""


class Drawer:
    """A network that grows: its nodes exist, so that shapes are known."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.sources: list[Source] = []
        self.places: list[Place] = []
        self.nodes: dict[str, Node] = {}
        self.objects: dict[str, Any] = {}
        self.sizes: dict[str, int] = {"N": rng.choice([1, 2, 2, 2, 3])}
        self.notes: set[str] = set()
        self.names = rng.sample(NAMES, len(NAMES)) if rng.random() < 0.12 else []
        self.sized = dict(zip("THWL", rng.sample(SIZES, 4), strict=True)) if self.names and rng.random() < 0.5 else {}

    # --- choices ---

    def some(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, values: Sequence[Any]) -> Any:
        return self.rng.choice(values)

    def options(self, **drawn: tuple[float, Callable[[], Any]]) -> dict[str, Any]:
        """Each option with its probability."""
        return {name: value() for name, (share, value) in drawn.items() if self.some(share)}

    def divisor(self, *numbers: int) -> int:
        return int(self.pick([g for g in range(1, min(numbers) + 1) if all(n % g == 0 for n in numbers)]))

    def activation(self) -> Any:
        return self.pick([self.pick(SMOOTH), self.pick(NAMED), self.pick(FORMULAS)])

    def weighted(self, biased: bool = True) -> dict[str, Any]:
        """The options that layers with weights share."""
        return self.options(
            activation=(0.5, self.activation),
            use_bias=(0.25, lambda: self.some(0.3)),
            init=(0.15, lambda: self.pick(RULES[:4])),
            trainable=(0.12, lambda: self.some(0.2)),
        )

    # --- growing ---

    def source(self, *shape: int | str, dtype: str = "float", layout: str | None = None, below: int = 2) -> str:
        name = f"x{len(self.sources)}" if self.sources else "x"
        shape = tuple(self.sized.get(e, e) if isinstance(e, str) else e for e in shape)
        self.sizes |= {new: self.sizes[old] for old, new in self.sized.items() if old in self.sizes}
        self.sources.append(Source(name, shape, dtype, layout, below))
        self.nodes[name] = sn.Input(shape, name=name, dtype=dtype, layout=layout)
        return name

    def put(self, layer: Spec, *inputs: str, **more: Any) -> str | None:
        """The name of what a call makes; None where the layer refuses its input or it becomes too large."""
        name = f"h{len(self.places)}"
        if self.names and more.get("how", "layer") == "layer" and not more.get("shares") and self.some(0.7):
            layer = Spec(layer.kind, (*layer.options, ("name", self.names.pop())))
        place = Place(name, layer, inputs, **more)
        if layer.get("return_state"):
            states = ("h", "c") if layer.kind == "LSTM" else ("h",)
            ways = ("", "_r") if layer.get("bidirectional") else ("",)
            place = Place(name, layer, inputs, further=tuple(f"{name}_{s}{w}" for w in ways for s in states), **more)
        try:
            made = placed(place, self.nodes, self.objects)
        except sn.SymnetError as error:
            self.notes.add(f"drawn again: {type(error).__name__} of {layer.kind}")
            return None
        if not 1 <= self.numbers(made[name]) <= LARGEST:
            return None
        self.places.append(place)
        self.nodes |= made
        return name

    def numbers(self, node: Node) -> int:
        count = 1
        for extent in node.tensor.shape[1:]:
            count *= extent.evaluate(self.sizes)
        return count

    def kind(self, name: str) -> str:
        node = self.nodes[name]
        rank = len(node.shape)
        if rank == 3:
            return "sequence" if node.layout is None else "signal"
        return {2: "vector", 4: "picture"}.get(rank, "other")

    def fixed(self, name: str) -> bool:
        return all(isinstance(e, int) for e in self.nodes[name].shape[1:])

    def channels(self, name: str) -> int:
        node = self.nodes[name]
        return node.shape[-1] if node.layout == "HWC" else node.shape[1]

    def spatial(self, name: str) -> tuple[Any, ...]:
        node = self.nodes[name]
        return tuple(node.shape[1:-1] if node.layout == "HWC" else node.shape[2:])

    def steps(self, name: str) -> Any:
        return self.nodes[name].shape[1]


def draw(rng: random.Random) -> Case:
    """A case; a fifth of them, one that PyTorch can compute."""
    if rng.random() >= 0.2:
        return _drawn(rng)
    for _ in range(12):
        case = _drawn(rng)
        if has_twin(case):
            return replace(case, checks=case.checks | {"PyTorch"})
    return case


def _drawn(rng: random.Random) -> Case:
    while True:
        d = Drawer(rng)
        first = rng.choice([_vector, _sequence, _sequence, _tokens, _picture, _picture, _signal])
        nodes = [first(d)]
        if d.some(0.2):
            nodes.append(rng.choice([_vector, _sequence, _tokens, _picture, _signal])(d))
        for _ in range(rng.choice([1, 2, 3, 3, 4, 5])):
            at = nodes[-1] if d.some(0.8) else rng.choice(nodes)
            made = _block(d, at)
            nodes += [made] if made else []
        case = _finished(d, nodes)
        if case is not None:
            return case


# --- inputs -----------------------------------------------------------------------------------------


def _length(d: Drawer, size: str = "T") -> int | str:
    """A symbolic length, or a number."""
    if d.some(0.45):
        d.sizes.setdefault(size, d.rng.choice([1, 2, 3, 3, 4]))
        return size
    return int(d.rng.choice([1, 2, 3, 3, 4]))


def _vector(d: Drawer) -> str:
    return d.source(d.rng.randint(1, 5))


def _sequence(d: Drawer) -> str:
    return d.source(_length(d), d.rng.randint(1, 4))


def _tokens(d: Drawer) -> str:
    below = d.rng.randint(2, 5)
    shape = (_length(d),) if d.some(0.85) else ()
    source = d.source(*shape, dtype="int", below=below)
    more = d.options(init=(0.2, lambda: d.pick(RULES)), trainable=(0.15, lambda: d.some(0.2)))
    return d.put(spec("Embedding", vocabulary=below, units=d.rng.randint(1, 4), **more), source) or source


def _signal(d: Drawer) -> str:
    layout = d.pick(["CHW", "HWC"])
    channels, length = d.rng.randint(1, 3), (_length(d, "L") if d.some(0.3) else d.rng.randint(1, 7))
    if isinstance(length, str):
        d.sizes[length] = d.rng.randint(2, 5)
    return d.source(*((channels, length) if layout == "CHW" else (length, channels)), layout=layout)


def _picture(d: Drawer) -> str:
    layout = d.pick(["CHW", "CHW", "HWC"])
    height: int | str = d.rng.randint(2, 6)
    width: int | str = d.rng.randint(2, 6)
    if d.some(0.3):
        d.sizes |= {"H": d.rng.randint(3, 5), "W": d.rng.randint(3, 5)}
        height, width = d.pick([("H", "W"), ("H", width), (height, "W"), ("H", "H")])
    channels = d.rng.randint(1, 3)
    shape = (channels, height, width) if layout == "CHW" else (height, width, channels)
    return d.source(*shape, layout=layout)


# --- blocks -----------------------------------------------------------------------------------------


def _block(d: Drawer, at: str) -> str | None:
    if d.nodes[at].tensor.dtype != "float":
        return None
    if d.some(0.2):
        return _joined(d, at)
    kind = d.kind(at)
    rules: list[Callable[[Drawer, str], str | None]] = [_elementwise, _norm, _own]
    rules += {
        "vector": [_dense, _dense, _dense],
        "sequence": [_recurrent] * 4 + [_attention] * 2 + [_dense, _positions, _narrowed, _convolved],
        "signal": [_convolved] * 3 + [_transposed, _dense, _narrowed],
        "picture": [_convolved] * 3 + [_pooled] * 2 + [_transposed, _upsampled, _composed, _channelwise, _narrowed],
        "other": [_dense],
    }[kind]
    made = d.pick(rules)(d, at)
    if made and d.some(0.12) and d.places[-1].name == made and d.places[-1].how == "layer":
        made = _again(d, d.places[-1]) or made
    return made


def _again(d: Drawer, place: Place) -> str | None:
    """The same layer object called on another node that it fits."""
    first = d.nodes[place.inputs[0]]
    fitting = [
        n
        for n, node in d.nodes.items()
        if node.tensor.dtype == first.tensor.dtype
        and node.tensor.shape == first.tensor.shape
        and node.layout == first.layout
    ]
    return d.put(place.spec, d.pick(fitting), *place.inputs[1:], shares=place.name, roles=place.roles, tied=place.tied)


def _elementwise(d: Drawer, at: str) -> str | None:
    match d.rng.randint(0, 5):
        case 0:
            return d.put(spec("Activation", activation=d.activation()), at)
        case 1:
            return d.put(spec("Dropout", rate=d.pick([0.0, 0.25, 0.5, 0.9])), at)
        case 2:
            function = d.pick(["relu", "leaky_relu", "elu", "sigmoid", "tanh", "softplus", "silu", "gelu", "gelu_tanh"])
            return d.put(spec(function), at, how="function")
        case 3:
            text = d.pick(["{0} + 0.5", "1.5 - {0}", "{0} * -2.0", "{0} / 4", "-{0}", "{0} ** 2"])
            return d.put(spec(text), at, how="operator")
        case 4:
            rank = len(d.nodes[at].shape)
            return d.put(spec("Softmax", **d.options(axis=(0.5, lambda: d.pick([-1, *range(1, rank)])))), at)
    return d.put(spec("Activation", activation=d.pick(NAMED)), at)


def _dense(d: Drawer, at: str) -> str | None:
    width = d.nodes[at].shape[-1]
    if not isinstance(width, int):
        return None
    tables = [p for p in d.places if p.spec.kind == "Embedding" and p.spec.get("units") == width and not p.shares]
    if tables and d.some(0.4):
        more = d.options(use_bias=(0.4, lambda: d.some(0.5)), activation=(0.3, d.activation))
        return d.put(spec("Dense", units=tables[0].spec.get("vocabulary"), **more), at, tied=tables[0].name)
    return d.put(spec("Dense", units=d.pick([width, d.rng.randint(1, 4)]), **d.weighted()), at)


def _norm(d: Drawer, at: str) -> str | None:
    node, kind = d.nodes[at], d.kind(at)
    common = d.options(
        eps=(0.3, lambda: d.pick([1e-3, 0.1])),
        use_bias=(0.3, lambda: d.some(0.3)),
        trainable=(0.12, lambda: d.some(0.2)),
    )
    kinds = ["LayerNorm", "RMSNorm", "BatchNorm", "BatchNorm", "GroupNorm"]
    which = d.pick(kinds)
    if which in ("BatchNorm", "GroupNorm") and not isinstance(d.channels(at), int):
        which = "LayerNorm"
    if which == "BatchNorm":
        more = common | d.options(momentum=(0.4, lambda: d.pick([0.0, 0.3, 1.0])))
        return d.put(spec("BatchNorm2D" if kind == "picture" else "BatchNorm1D", **more), at)
    if which == "GroupNorm":
        return d.put(spec("GroupNorm", groups=d.divisor(d.channels(at)), **common), at)
    if not isinstance(node.shape[-1], int):
        return None
    if which == "RMSNorm":
        common.pop("use_bias", None)
        return d.put(spec("RMSNorm", **common), at)
    axes = [k for k in range(1, len(node.shape)) if all(isinstance(e, int) for e in node.shape[-k:])]
    return d.put(spec("LayerNorm", **common, **d.options(axes=(0.4, lambda: d.pick(axes)))), at)


def _own(d: Drawer, at: str) -> str | None:
    """A formula of one's own for nodes of this kind; some read two nodes."""
    kind = d.kind(at)
    fitting = [f for f in OWN if kind in f.kinds and (f.fits is None or f.fits(d.nodes[at]))]
    if not fitting:
        return None
    formula = d.pick(fitting)
    inputs = [at]
    for wanted in formula.besides:
        others = [n for n in d.nodes if wanted(d.nodes[at], d.nodes[n])]
        if not others:
            return None
        inputs.append(d.pick(others))
    more = {"params": formula.params} if formula.params else {}
    more |= {"sizes": formula.sizes} if formula.sizes else {}
    more |= {"init": dict.fromkeys(formula.params, d.pick(RULES))} if formula.params and d.some(0.2) else {}
    more |= {"trainable": False} if d.some(0.08) else {}
    return d.put(spec("Formula", formula=formula.text, **more), *inputs)


def _joined(d: Drawer, at: str) -> str | None:
    """Two or three nodes of one shape joined, or several side by side."""
    node = d.nodes[at]
    alike = [n for n, o in d.nodes.items() if o.tensor.dtype == "float" and len(o.shape) == len(node.shape)]
    same = [n for n in alike if d.nodes[n].tensor.shape == node.tensor.shape]
    if d.some(0.3):
        axes = [
            axis
            for axis in range(1, len(node.shape))
            if any(n != at and _differs_only(d.nodes[n], node, axis) for n in alike)
        ] or list(range(1, len(node.shape)))
        axis = d.pick(axes)
        others = [n for n in alike if _differs_only(d.nodes[n], node, axis)]
        inputs = [at, *(d.pick(others) for _ in range(d.pick([1, 1, 2])))]
        if d.some(0.3):
            return d.put(spec("concat", axis=axis), *inputs, how="function")
        return d.put(spec("Concat", axis=axis - len(node.shape) if d.some(0.2) else axis), *inputs)
    other = d.pick([n for n in same if n != at] or [at])
    join = d.pick(["Add", "Add", "Subtract", "Multiply", "Multiply", "Divide"])
    if join == "Divide":
        made = d.put(spec("Activation", activation=d.pick(["1 + x**2", "exp(0.3*x)", "0.5 + sigmoid(x)"])), other)
        if made is None:
            return None
        other = made
    if d.some(0.4):
        sign = {"Add": "+", "Subtract": "-", "Multiply": "*", "Divide": "/"}[join]
        return d.put(spec(f"{{0}} {sign} {{1}}"), at, other, how="operator")
    third = [d.pick(same)] if join in ("Add", "Multiply") and d.some(0.3) else []
    return d.put(spec(join), at, other, *third)


def _differs_only(a: Node, b: Node, axis: int) -> bool:
    return len(a.shape) == len(b.shape) and all(
        x == y for k, (x, y) in enumerate(zip(a.tensor.shape, b.tensor.shape, strict=True)) if k != axis
    )


# --- sequences --------------------------------------------------------------------------------------


def _recurrent(d: Drawer, at: str) -> str | None:
    if not isinstance(d.nodes[at].shape[-1], int):
        return None
    kind, units = d.pick(["SimpleRNN", "GRU", "LSTM"]), d.rng.randint(1, 3)
    options = {"units": units} | d.options(
        return_sequences=(0.3, lambda: d.some(0.3)),
        return_state=(0.2, lambda: True),
        bidirectional=(0.3, lambda: True),
        use_bias=(0.25, lambda: d.some(0.3)),
        init=(0.1, lambda: d.pick(RULES[:4])),
        trainable=(0.1, lambda: d.some(0.2)),
    )
    if kind == "SimpleRNN":
        options |= d.options(activation=(0.5, lambda: d.pick(["relu", "sigmoid", "sin(x)", "x/(1+abs(x))"])))
    roles = {}
    if d.some(0.35) and _nameable(d.steps(at)):
        roles["mask"] = _mask(d, (d.steps(at),))
    states = ("h", "c") if kind == "LSTM" else ("h",)
    for suffix in ("", "_reverse") if options.get("bidirectional") else ("",):
        for state in states:
            if d.some(0.3):
                roles[f"{state}_0{suffix}"] = _state(d, units)
    return d.put(spec(kind, **options), at, roles=tuple(roles.items()))


def _mask(d: Drawer, shape: tuple[Any, ...]) -> str:
    known = [s.name for s in d.sources if s.dtype == "bool" and s.shape == shape]
    return d.pick(known) if known and d.some(0.7) else d.source(*shape, dtype="bool")


def _state(d: Drawer, units: int) -> str:
    """A node (N, units): one that there is, one computed of such a node, or an input."""
    fitting = [
        n
        for n in d.nodes
        if d.kind(n) == "vector" and d.nodes[n].shape[1] == units and d.nodes[n].tensor.dtype == "float"
    ]
    if fitting and d.some(0.6):
        return str(d.pick(fitting))
    vectors = [n for n in d.nodes if d.kind(n) == "vector" and d.nodes[n].tensor.dtype == "float"]
    if vectors and d.some(0.5):
        made = d.put(spec("Dense", units=units, **d.weighted()), d.pick(vectors))
        if made:
            return made
    return d.source(units)


def _attention(d: Drawer, at: str) -> str | None:
    node = d.nodes[at]
    if not isinstance(node.shape[-1], int):
        return None
    width = node.shape[-1]
    roles: dict[str, str] = {}
    sequences = [n for n in d.nodes if d.kind(n) == "sequence" and d.nodes[n].tensor.dtype == "float"]
    heads = d.some(0.6)
    keys = [n for n in sequences if isinstance(d.nodes[n].shape[-1], int) and (heads or d.nodes[n].shape[-1] == width)]
    key = at
    if d.some(0.35):
        key = roles["key"] = d.pick(keys)
    values = [
        n
        for n in sequences
        if d.nodes[n].tensor.shape[1] == d.nodes[key].tensor.shape[1] and isinstance(d.nodes[n].shape[-1], int)
    ]
    if d.some(0.25):
        roles["value"] = d.pick(values)
    t, s = d.steps(at), d.steps(key)
    if d.some(0.35) and _nameable(t) and _nameable(s):
        roles["mask"] = _mask(d, (s,) if d.some(0.5) else (t, s))
    options = d.options(causal=(0.4, lambda: True))
    if not heads:
        return d.put(spec("Attention", **options), at, roles=tuple(roles.items()))
    options |= d.options(
        use_bias=(0.3, lambda: d.some(0.3)),
        init=(0.1, lambda: d.pick(RULES[:4])),
        trainable=(0.1, lambda: d.some(0.2)),
        num_heads=(0.7, lambda: d.divisor(width)),
    )
    return d.put(spec("MultiHeadAttention", **options), at, roles=tuple(roles.items()))


def _nameable(extent: int | str) -> bool:
    return isinstance(extent, int) or extent.isidentifier()


def _positions(d: Drawer, at: str) -> str | None:
    if d.some(0.5):
        base = d.options(base=(0.4, lambda: d.pick([2.0, 100.0])))
        return d.put(spec("SinusoidalEmbedding", **base), at)
    return d.put(
        spec(
            "PositionalEmbedding",
            length=d.rng.randint(5, 8),
            **d.options(init=(0.2, lambda: d.pick(RULES)), trainable=(0.1, lambda: False)),
        ),
        at,
    )


def _narrowed(d: Drawer, at: str) -> str | None:
    """A vector of each sample."""
    kind = d.kind(at)
    if kind == "picture" and d.some(0.6):
        return d.put(spec(d.pick(["GlobalAvgPool2D", "GlobalMaxPool2D"])), at)
    if kind == "sequence" and d.some(0.6):
        return d.put(spec("Formula", formula=d.pick(VECTOR_OF_SEQUENCE)), at)
    return d.put(spec("Flatten"), at) if d.fixed(at) else None


# --- windows ----------------------------------------------------------------------------------------


def _window(d: Drawer, at: str, transposed: bool = False) -> dict[str, Any]:
    """Kernel, stride, padding and dilation that fit."""
    spatial = d.spatial(at)
    style = "zeros" if transposed else d.pick(["valid", "same", "zeros", "zeros"])
    sizes, strides, zeros, dilations = [], [], [], []
    for extent in spatial:
        symbolic = not isinstance(extent, int)
        least = 2 if symbolic else extent  # sizes of the data are at least 2 along a symbolic axis of pictures
        zeros.append(d.rng.randint(0, 2) if style == "zeros" and not transposed else 0)
        dilations.append(d.pick([1, 1, 2]))
        room = 99 if style == "same" or transposed else least + 2 * zeros[-1]
        sizes.append(d.rng.randint(1, max(min(3, (room - 1) // dilations[-1] + 1), 1)))
        strides.append(1 if symbolic and not transposed else d.pick([1, 1, 2, 3]))
    if transposed:
        zeros = [
            d.pick([z for z in (0, 0, 1) if 2 * z < (s - 1) * w + 1]) for s, w in zip(sizes, dilations, strict=True)
        ]
    options: dict[str, Any] = {"kernel_size": _tuple_or_one(d, sizes)}
    options |= {"stride": _tuple_or_one(d, strides)} if any(s > 1 for s in strides) or d.some(0.1) else {}
    options |= {"dilation": _tuple_or_one(d, dilations)} if any(w > 1 for w in dilations) else {}
    if style != "valid":
        options["padding"] = "same" if style == "same" else _tuple_or_one(d, zeros)
    if transposed and d.some(0.4):
        extra = [d.rng.randint(0, max(s, w) - 1) for s, w in zip(strides, dilations, strict=True)]
        options["output_padding"] = _tuple_or_one(d, extra)
    return options


def _tuple_or_one(d: Drawer, values: Sequence[int]) -> Any:
    """A pair where they differ; where not, either."""
    if len(set(values)) == 1 and d.some(0.7):
        return values[0]
    return tuple(values)


def _convolved(d: Drawer, at: str) -> str | None:
    channels = d.channels(at)
    if not isinstance(channels, int) or (d.kind(at) == "sequence" and not d.fixed(at)):
        return None
    groups = d.divisor(channels)
    options = _window(d, at) | d.weighted()
    options |= {"groups": groups} if groups > 1 else {}
    options |= {"flip_kernel": True} if d.some(0.15) else {}
    kind = "Conv2D" if d.kind(at) == "picture" else "Conv1D"
    return d.put(spec(kind, filters=groups * d.rng.randint(1, 2), **options), at)


def _transposed(d: Drawer, at: str) -> str | None:
    groups = d.divisor(d.channels(at))
    options = _window(d, at, transposed=True) | d.weighted()
    options |= {"groups": groups} if groups > 1 else {}
    kind = "ConvTranspose2D" if d.kind(at) == "picture" else "ConvTranspose1D"
    return d.put(spec(kind, filters=groups * d.rng.randint(1, 2), **options), at)


def _channelwise(d: Drawer, at: str) -> str | None:
    options = _window(d, at) | d.weighted() | d.options(multiplier=(0.5, lambda: d.rng.randint(1, 2)))
    if d.some(0.5):
        return d.put(spec("DepthwiseConv2D", **options), at)
    return d.put(spec("SeparableConv2D", filters=d.rng.randint(1, 3), **options), at)


def _pooled(d: Drawer, at: str) -> str | None:
    sizes, strides, zeros = [], [], []
    for extent in d.spatial(at):
        symbolic = not isinstance(extent, int)
        sizes.append(d.rng.randint(1, 2 if symbolic else min(3, extent)))
        strides.append(1 if symbolic else d.rng.randint(1, 3))
        zeros.append(d.rng.randint(0, sizes[-1] // 2))
    options: dict[str, Any] = {"pool_size": _tuple_or_one(d, sizes)}
    if any(s != w for s, w in zip(strides, sizes, strict=True)) and (d.some(0.7) or not d.fixed(at)):
        options["stride"] = _tuple_or_one(d, strides)
    options |= {"padding": _tuple_or_one(d, zeros)} if any(zeros) else {}
    kind = d.pick(["MaxPool2D", "MaxPool2D", "AvgPool2D", "TrainablePool2D"])
    if kind == "TrainablePool2D":
        options |= d.options(activation=(0.5, d.activation), trainable=(0.1, lambda: False))
    return d.put(spec(kind, **options), at)


def _upsampled(d: Drawer, at: str) -> str | None:
    return d.put(spec("UpSampling2D", **d.options(size=(0.7, lambda: d.pick([1, 2, 3, (1, 2), (2, 1)])))), at)


def _composed(d: Drawer, at: str) -> str | None:
    """Blocks made of layers: residual, inception."""
    if d.some(0.3):
        more = d.options(activation=(0.5, lambda: d.pick(["tanh", "relu"])))
        return d.put(spec("inception", filters=[1, 1, 1, 1, 1, 1], **more), at, how="function")
    layers = [spec("Conv2D", filters=d.channels(at), kernel_size=3, padding="same", **d.weighted())]
    if d.some(0.5):
        layers.insert(0, spec("BatchNorm2D"))
    more = d.options(activation=(0.5, lambda: d.pick(["tanh", "relu", "x/(1+abs(x))"])))
    return d.put(spec("residual", layers=tuple(layers), **more), at, how="function")


# --- the end ----------------------------------------------------------------------------------------


def _finished(d: Drawer, nodes: list[str]) -> Case | None:
    """Outputs, losses, options of compilation; None where the drawing led nowhere."""
    made = {p.name for p in d.places} | {n for p in d.places for n in p.further}
    ends = [n for n in made if d.nodes[n].tensor.dtype == "float"]
    ends = [n for n in d.nodes if n in ends]  # in the order of their calls
    read = {r for p in d.places for r in p.reads}
    loose = [n for n in ends if n not in read and not any(n in p.further for p in d.places)]
    if not ends:
        return None
    last = nodes[-1] if nodes[-1] in ends else ends[-1]
    if d.some(0.25) and isinstance(d.nodes[last].shape[-1], int):
        last = (
            d.put(
                spec(
                    "Dense",
                    units=d.rng.randint(1, 3),
                    **d.options(use_bias=(0.2, lambda: False), activation=(0.1, d.activation)),
                ),
                last,
            )
            or last
        )
    outputs = [last]
    if len(ends) > 1 and d.some(0.3):
        more = [n for n in (loose if loose and d.some(0.7) else ends) if n not in outputs]
        d.rng.shuffle(more)
        outputs += more[: d.pick([1, 1, 2])]
    losses: list[Spec | None] = [_loss(d, d.nodes[n]) for n in outputs]
    if len(outputs) > 1 and d.some(0.2):
        losses[d.rng.randrange(len(losses))] = None
    weights = None
    if d.some(0.3 if len(outputs) > 1 else 0.05):
        weights = tuple(d.pick([0.5, 2.0, 1.0]) if loss else None for loss in losses)
    compiled = _compiled(d)
    case = Case(
        seed=d.rng.randrange(10**6),
        sources=tuple(d.sources),
        places=tuple(d.places),
        outputs=tuple(outputs),
        losses=tuple(losses),
        loss_weights=weights,
        l2=d.pick([0.0, 0.0, 0.1]),
        sizes=tuple(d.sizes.items()),
        compiled=compiled,
        checks=_checks(d, compiled),
        optimizer=d.pick(tuple(RATES)),
        notes=frozenset(d.notes),
    )
    return alive(case)


def _loss(d: Drawer, node: Node) -> Spec:
    kinds = ["CrossEntropy", "BinaryCrossEntropy", "MeanSquaredError", "SquaredError", "Huber", "Hinge"]
    kinds += ["PerceptronLoss", "KLDivergence", "CrossEntropy", "LogCosh"]
    kind = d.pick(kinds)
    options: dict[str, Any] = {}
    if kind == "Huber" and d.some(0.5):
        options["delta"] = d.pick([0.3, 2.0])
    if len(node.shape) == 3 and node.layout is None and d.some(0.35):
        options["reduction"] = d.pick(["sum_over_time", "sum_over_time", "mean"])
    return spec(kind, **options)


def _compiled(d: Drawer) -> tuple[tuple[str, Any], ...]:
    options: dict[str, Any] = {"dtype": "float32" if d.some(0.08) else "float64"}
    options |= {"wrt_inputs": True} if d.some(0.5) else {}
    options |= {"hvp": True} if d.some(0.12) else {}
    options |= {"weighted": True} if d.some(0.2) else {}
    options |= {"recipes": (d.pick(["columns", "shifts", "stacks"]),)} if d.some(0.15) else {}
    return tuple(options.items())


def _checks(d: Drawer, compiled: tuple[tuple[str, Any], ...]) -> frozenset[str]:
    weighted = 0.5 if dict(compiled).get("weighted") else 0.0
    names = {"step": 0.25, "workers": 0.01, "repeated": weighted, "class_weight": weighted}
    return frozenset(name for name, share in names.items() if d.some(share))

"""Model files: TOML, which is data only, or Python, which is executed and as trusted as any script."""

from __future__ import annotations

import runpy
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from symnet.assembly.wanted import chosen as chosen_parts
from symnet.model.graph import Input
from symnet.model.layers.base import Layer, Node
from symnet.model.losses import LOSSES, Loss
from symnet.model.placing import automatic_name
from symnet.network.model import Model
from symnet.optim.chosen import chosen
from symnet.support.errors import DefinitionError, SymnetError
from symnet.support.files import existing, path_of, read_small
from symnet.support.options import identifier, shown, strict, string
from symnet.support.suggest import did_you_mean, listing, nearest

SUFFIXES = (".toml", ".py")
LARGEST_FILE = 10_000_000
"""Bytes of a model file."""

_MODEL_KEYS = ("name", "input", "inputs", "layers", "outputs", "loss", "loss_weights", "l2", "compile")
_COMPILE_KEYS = ("optimizers", "parts")
_INPUT_KEYS = ("name", "shape", "dtype", "layout")

_SCRIPT_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    SystemExit,
    TypeError,
    ValueError,
)
"""What a user's script may raise; an error of this package passes as it is."""


@strict
def load(path: str | Path) -> Model:
    """The model that a file declares.

    `.toml`: the tables of `from_table`.  `.py`: a script that defines `model`.
    Raises DefinitionError, FormulaError or ShapeError with the file's name in front.
    """
    path = path_of(path, DefinitionError)
    if path.suffix not in SUFFIXES:
        beside = {file.stem: file.name for file in path.parent.glob("*") if file.suffix in SUFFIXES}
        near = nearest(path.stem, beside)
        hint = f"; did you mean '{beside[near]}'?" if near else ""
        raise DefinitionError(f"{path!s:.300}: expected a model file that ends in {listing(SUFFIXES)}{hint}")
    data = read_small(existing(path, DefinitionError), "a model file", LARGEST_FILE)
    try:
        return _from_toml(data) if path.suffix == ".toml" else _from_script(path)
    except SymnetError as error:
        raise type(error)(f"{path}: {error}") from error


def from_table(table: Mapping[str, object]) -> Model:
    """The model that the tables of a TOML file declare; nothing in them is executed.

    Raises DefinitionError for unknown keys, kinds and names (with the nearest one).
    """
    _check_keys("model", table, _MODEL_KEYS)
    given = _given(table.get("layers"))
    nodes = _inputs(table, given)
    sources = list(nodes.values())
    layers = _tables("layers", table.get("layers"))
    counts: dict[str, int] = {}
    used: set[str] = set()
    for number, entry in enumerate(layers, start=1):
        layer, names = _layer(number, entry, nodes)
        name = layer.name or automatic_name(layer.kind, counts, nodes.keys() | given)
        if name in nodes:
            raise DefinitionError(f"layer {number}: the name '{name}' is taken; names must differ: give it another")
        chosen, by_name = _chosen(name, names, nodes, len(sources) if number == 1 else 1)
        used.update((*chosen, *by_name.values()))
        first, *further = layer.outputs(tuple(nodes[n] for n in chosen), {k: nodes[n] for k, n in by_name.items()})
        last = name
        nodes[name] = first
        for node in further:  # such as lstm_1.h_n, which may be left unused
            nodes[f"{name}.{node.tensor.name.partition('.')[2]}"] = node
    outputs = _outputs(table.get("outputs"), nodes, last)
    for name, node in nodes.items():
        if name not in used and name not in outputs and not node.port:
            raise DefinitionError(
                f"'{name}' is not used by any later layer; the output is {listing(outputs)}: remove '{name}', "
                "name it in inputs = [...] of a later layer, or in outputs = [...]"
            )
    model = Model(
        sources,
        [nodes[name] for name in outputs],
        loss=_losses(table.get("loss")),  # type: ignore[arg-type]
        name=_name(table),
        l2=table.get("l2", 0.0),  # type: ignore[arg-type]
        loss_weights=table.get("loss_weights"),  # type: ignore[arg-type]
    )
    _choose(model, table.get("compile", {}))
    return model


def _choose(model: Model, options: object) -> None:
    """Say which optimizers and which parts its module is to have, where the file does."""
    if not isinstance(options, dict):
        raise DefinitionError(f"compile: expected a [compile] table with optimizers = [...], got {shown(options)}")
    _check_keys("compile", options, _COMPILE_KEYS)
    if "optimizers" in options:
        model.optimizers = chosen("compile: optimizers", options["optimizers"])
    if "parts" in options:
        model.parts = chosen_parts("compile: parts", options["parts"])


def _outputs(names: object, nodes: Mapping[str, Node], last: str) -> list[str]:
    """The names of the outputs: those given, or that of the last layer."""
    if names is None:
        return [last]
    if not isinstance(names, list) or not names:
        raise DefinitionError(f"outputs: expected names of layers, got {shown(names)}")
    for name in names:
        if not isinstance(name, str) or name not in nodes:
            hint = did_you_mean(str(name), nodes)
            raise DefinitionError(f"outputs: no layer {shown(name)}{hint}; there are {listing(nodes)}")
    return names


def _from_toml(data: bytes) -> Model:
    try:
        table = tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DefinitionError(f"not UTF-8 text (byte {error.start}); save the file as UTF-8") from error
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise DefinitionError(f"not valid TOML: {error}") from error
    except RecursionError as error:
        raise DefinitionError("not valid TOML: nested too deeply") from error
    return from_table(table)


def _from_script(path: Path) -> Model:
    try:
        defined = runpy.run_path(str(path), run_name="symnet_model")
    except SymnetError:
        raise
    except _SCRIPT_ERRORS as error:
        raise DefinitionError(f"the script raised {type(error).__name__}: {error}{_line(error, path)}") from error
    model = defined.get("model")
    if not isinstance(model, Model):
        near = did_you_mean("model", (n for n, v in defined.items() if isinstance(v, Model)))
        got = f"got {type(model).__name__}" if "model" in defined else f"it defines none{near}"
        raise DefinitionError(f"expected the script to define `model = sn.Model(...)`; {got}")
    return model


def _line(error: BaseException, path: Path) -> str:
    """The last line of the script that took part in the error."""
    if isinstance(error, SyntaxError):
        return ""
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f" (line {line})" if line else ""


def _name(table: Mapping[str, object]) -> str:
    return identifier("name", table.get("name", "model"))


def _check_keys(where: str, table: Mapping[str, object], known: Sequence[str]) -> None:
    for key in table:
        if key not in known:
            raise DefinitionError(
                f"{where}: unknown key {shown(key)}{did_you_mean(key, known)}; expected {listing(known)}"
            )


def _tables(where: str, value: object) -> list[Mapping[str, object]]:
    """A list of tables with at least one entry."""
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise DefinitionError(f"{where}: expected one [[{where}]] table or more, got {shown(value)}")
    return value


def _given(tables: object) -> frozenset[str]:
    """The names that tables give to what they declare."""
    entries = [entry for entry in tables if isinstance(entry, dict)] if isinstance(tables, list) else []
    return frozenset(name for entry in entries if isinstance(name := entry.get("name"), str))


def _inputs(table: Mapping[str, object], given: Collection[str]) -> dict[str, Node]:
    """The inputs by name; one without a name gets none of those given to layers."""
    if ("input" in table) == ("inputs" in table):
        raise DefinitionError("expected either input = { name = ..., shape = [...] } or [[inputs]] tables")
    entries = [table["input"]] if "input" in table else _tables("inputs", table["inputs"])
    nodes: dict[str, Node] = {}
    counts: dict[str, int] = {}
    taken = _given(entries).union(given)
    for entry in entries:
        if not isinstance(entry, dict):
            raise DefinitionError(f"input: expected a table such as {{ name = 'x', shape = [64] }}, got {shown(entry)}")
        _check_keys("input", entry, _INPUT_KEYS)
        if "shape" not in entry:
            raise DefinitionError("input: expected a shape, such as shape = [64]")
        given_name = string("input name", entry.get("name", ""))
        name = identifier("input name", given_name or automatic_name("input", counts, taken))
        if name in nodes:
            raise DefinitionError(f"input: the name '{name}' is taken; names must differ")
        nodes[name] = Input(**(entry | {"name": name}))
    return nodes


def _layer(
    number: int, entry: Mapping[str, object], nodes: Mapping[str, Node]
) -> tuple[Layer, list[str] | dict[str, str] | None]:
    """One layer and the names of its inputs, where given: a list, or by what they are to the layer."""
    where = f"layer {number}"
    kind = entry.get("kind")
    kinds = [*Layer.kinds]
    if not isinstance(kind, str) or kind not in kinds:
        hint = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
        raise DefinitionError(f"{where}: unknown kind {shown(kind)}{hint}; expected {listing(sorted(kinds))}")
    options = [f.name for f in fields(Layer.kinds[kind])]
    _check_keys(f"{where} ({kind})", entry, ("kind", "inputs", *options))
    names = entry.get("inputs")
    given = list(names.values()) if isinstance(names, dict) else names
    if names is not None and (not isinstance(given, list) or not given or not all(isinstance(n, str) for n in given)):
        raise DefinitionError(f"{where} ({kind}): inputs: expected names of earlier layers, got {shown(names)}")
    chosen = {k: v for k, v in entry.items() if k not in ("kind", "inputs")}
    if "tied" in chosen:
        tied = chosen["tied"]
        node = nodes.get(tied) if isinstance(tied, str) else None
        if node is None or node.layer is None:
            hint = did_you_mean(str(tied), nodes)
            raise DefinitionError(f"{where} ({kind}): tied: no earlier layer {shown(tied)}{hint}")
        chosen["tied"] = node.layer
    return Layer.kinds[kind](**chosen), names  # type: ignore[arg-type, return-value]


def _chosen(
    name: str, names: list[str] | dict[str, str] | None, nodes: dict[str, Node], before: int
) -> tuple[list[str], dict[str, str]]:
    """The names of a layer's inputs, by position and by name: those given, or the one before."""
    if names is None:
        if before != 1:
            raise DefinitionError(f"layer '{name}': there are {before} inputs; say which: inputs = [...]")
        return [next(n for n in reversed(nodes) if not nodes[n].port)], {}
    for given in names.values() if isinstance(names, dict) else names:
        if given not in nodes:
            raise DefinitionError(
                f"layer '{name}': no earlier layer or input '{given}'{did_you_mean(given, nodes)}; "
                f"there are {listing(nodes)}"
            )
    return ([], names) if isinstance(names, dict) else (names, {})


def _losses(value: object) -> object:
    """The loss: a name, a table with its `kind` and options, or a table of losses by output."""
    if isinstance(value, dict) and "kind" not in value:
        return {name: _loss(each) for name, each in value.items()}
    return None if value is None else _loss(value)


def _loss(value: object) -> Loss:
    options = dict(value) if isinstance(value, dict) else {"kind": value}
    name = string("loss", options.pop("kind", None))
    classes = LOSSES | {cls.__name__: cls for cls in LOSSES.values()}
    if name not in classes:
        raise DefinitionError(
            f"loss: unknown loss {shown(name)}{did_you_mean(name, classes)}; expected {listing(LOSSES)}"
        )
    _check_keys(f"loss {name}", options, [f.name for f in fields(classes[name])])
    return classes[name](**options)  # type: ignore[arg-type]

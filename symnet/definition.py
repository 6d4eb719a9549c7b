"""Model files: TOML, which is data only, or Python, which is executed and as trusted as any script."""

from __future__ import annotations

import runpy
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path

from symnet.errors import DefinitionError, SymnetError
from symnet.graph import Input, Model, automatic_name
from symnet.layers.base import Layer, Node
from symnet.losses import LOSSES, Loss
from symnet.options import identifier, shown, string
from symnet.suggest import did_you_mean, listing

LARGEST_FILE = 10_000_000
"""Bytes of a model file."""

_MODEL_KEYS = ("name", "input", "inputs", "layers", "loss", "l2")
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


def load(path: str | Path) -> Model:
    """The model that a file declares.

    `.toml`: the tables of `from_table`.  `.py`: a script that defines `model`.
    Raises DefinitionError, FormulaError or ShapeError with the file's name in front.
    """
    path = Path(path)
    if path.suffix not in (".toml", ".py"):
        raise DefinitionError(f"{path}: expected a model file that ends in .toml or .py")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DefinitionError(f"{path}: cannot read the model file: {error.strerror}") from error
    if len(data) > LARGEST_FILE:
        raise DefinitionError(f"{path}: a model file of {len(data)} bytes; at most {LARGEST_FILE} are possible")
    try:
        return _from_toml(data) if path.suffix == ".toml" else _from_script(path)
    except SymnetError as error:
        raise type(error)(f"{path}: {error}") from error


def from_table(table: Mapping[str, object]) -> Model:
    """The model that the tables of a TOML file declare; nothing in them is executed.

    Raises DefinitionError for unknown keys, kinds and names (with the nearest one).
    """
    _check_keys("model", table, _MODEL_KEYS)
    nodes = _inputs(table)
    sources = list(nodes.values())
    layers = _tables("layers", table.get("layers"))
    counts: dict[str, int] = {}
    used: set[str] = set()
    for number, entry in enumerate(layers, start=1):
        layer, names = _layer(number, entry)
        name = layer.name or automatic_name(layer.kind, counts)
        if name in nodes:
            raise DefinitionError(f"layer {number}: the name '{name}' is taken; names must differ: give it another")
        chosen = _chosen(name, names, nodes, len(sources) if number == 1 else 1)
        used.update(chosen)
        nodes[name] = layer(*(nodes[n] for n in chosen))
    last = next(reversed(nodes))
    for name in nodes:
        if name not in used and name != last:
            raise DefinitionError(
                f"'{name}' is not used by any later layer; the output is the last layer, '{last}': "
                f"remove '{name}' or name it in inputs = [...] of a later layer"
            )
    l2 = table.get("l2", 0.0)
    return Model(sources, nodes[last], loss=_loss(table.get("loss")), name=_name(table), l2=l2)  # type: ignore[arg-type]


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
            raise DefinitionError(f"{where}: unknown key '{key}'{did_you_mean(key, known)}; expected {listing(known)}")


def _tables(where: str, value: object) -> list[Mapping[str, object]]:
    """A list of tables with at least one entry."""
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise DefinitionError(f"{where}: expected one [[{where}]] table or more, got {shown(value)}")
    return value


def _inputs(table: Mapping[str, object]) -> dict[str, Node]:
    """The inputs by name."""
    if ("input" in table) == ("inputs" in table):
        raise DefinitionError("expected either input = { name = ..., shape = [...] } or [[inputs]] tables")
    entries = [table["input"]] if "input" in table else _tables("inputs", table["inputs"])
    nodes: dict[str, Node] = {}
    counts: dict[str, int] = {}
    for entry in entries:
        if not isinstance(entry, dict):
            raise DefinitionError(f"input: expected a table such as {{ name = 'x', shape = [64] }}, got {shown(entry)}")
        _check_keys("input", entry, _INPUT_KEYS)
        if "shape" not in entry:
            raise DefinitionError("input: expected a shape, such as shape = [64]")
        name = identifier("input name", entry.get("name") or automatic_name("input", counts))
        if name in nodes:
            raise DefinitionError(f"input: the name '{name}' is taken; names must differ")
        nodes[name] = Input(**(entry | {"name": name}))
    return nodes


def _layer(number: int, entry: Mapping[str, object]) -> tuple[Layer, list[str] | None]:
    """One layer and the names of its inputs, where given."""
    where = f"layer {number}"
    kind = entry.get("kind")
    kinds = [*Layer.kinds]
    if not isinstance(kind, str) or kind not in kinds:
        hint = did_you_mean(kind, kinds) if isinstance(kind, str) else ""
        raise DefinitionError(f"{where}: unknown kind {shown(kind)}{hint}; expected {listing(sorted(kinds))}")
    options = [f.name for f in fields(Layer.kinds[kind])]
    _check_keys(f"{where} ({kind})", entry, ("kind", "inputs", *options))
    names = entry.get("inputs")
    if names is not None and (not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names)):
        raise DefinitionError(f"{where} ({kind}): inputs: expected names of earlier layers, got {shown(names)}")
    layer = Layer.kinds[kind](**{k: v for k, v in entry.items() if k not in ("kind", "inputs")})  # type: ignore[arg-type]
    return layer, names


def _chosen(name: str, names: list[str] | None, nodes: dict[str, Node], before: int) -> list[str]:
    """The names of a layer's inputs: those given, or the one before."""
    if names is None:
        if before != 1:
            raise DefinitionError(f"layer '{name}': there are {before} inputs; say which: inputs = [...]")
        return [next(reversed(nodes))]
    for given in names:
        if given not in nodes:
            raise DefinitionError(
                f"layer '{name}': no earlier layer or input '{given}'{did_you_mean(given, nodes)}; "
                f"there are {listing(nodes)}"
            )
    return names


def _loss(value: object) -> Loss | None:
    if value is None:
        return None
    name = string("loss", value)
    classes = LOSSES | {cls.__name__: cls for cls in LOSSES.values()}
    if name not in classes:
        raise DefinitionError(f"loss: unknown loss '{name}'{did_you_mean(name, classes)}; expected {listing(LOSSES)}")
    return classes[name]()

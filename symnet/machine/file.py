"""A model of a machine as a TOML file: what it was measured on, and a table for each part of the model."""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from codegen.machine.model import MACHINE, Machine
from symnet.support.errors import DefinitionError
from symnet.support.files import existing, read_small
from symnet.support.options import shown
from symnet.support.suggest import did_you_mean, listing

LARGEST = 100_000
"""Bytes of a machine file."""
LARGEST_NUMBER = 2**31 - 1
PLACE = ("processor", "numpy", "blas")
"""What a machine file says of where it was measured."""
PARTS = tuple(f.name for f in fields(Machine) if f.name != "name")


def text_of(machine: Machine, place: Mapping[str, str]) -> str:
    """The file's text.  place: what `PLACE` names, in words."""
    lines = [f"name = {_text(machine.name)}", *(f"{key} = {_text(place.get(key, ''))}" for key in PLACE)]
    for part, values in _parts(machine).items():
        lines += ["", f"[{part}]", *(f"{key} = {_number(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


def digest(machine: Machine) -> str:
    """8 digits that differ where a value does."""
    return hashlib.sha256(repr(_parts(machine)).encode()).hexdigest()[:8]


def remark_of(machine: Machine) -> tuple[str, ...]:
    """What a module's header says of the machine that it was compiled for; nothing of the default."""
    return () if machine == MACHINE else (f"machine: {machine.name} {digest(machine)}",)


def machine_of(where: str, given: object) -> Machine:
    """A model that is given as it is, or by its file.  Raises DefinitionError."""
    if isinstance(given, Machine):
        return given
    if isinstance(given, str | Path):
        return read_machine(given)
    raise DefinitionError(
        f"{where}: expected a machine file, as `symnet tune --machine -o FILE` writes it, got {shown(given)}"
    )


def read_machine(path: str | Path) -> Machine:
    """The model in a file; what a file leaves out is as in the default.

    Raises DefinitionError for a file that is none, for unknown keys (with the nearest one), and for values of another
    kind than the model has.
    """
    data = read_small(existing(path, DefinitionError), "a machine file", LARGEST)
    try:
        table = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"{path}: expected a machine file in TOML, as `symnet tune --machine` writes it: {error}"
        ) from error
    return _machine(str(path), table)


def _machine(path: str, table: Mapping[str, Any]) -> Machine:
    _known(path, "key", table, ("name", *PLACE, *PARTS))
    for key in ("name", *PLACE):
        value = table.get(key, "")
        # The name becomes part of the source, which is run.
        if not isinstance(value, str) or not value.isprintable() or '"""' in value or "\\" in value:
            raise DefinitionError(f'{path}: {key}: expected a line of text without \\ and """, got {shown(value)}')
    found = MACHINE
    for part in PARTS:
        given, default = table.get(part, {}), getattr(MACHINE, part)
        if not isinstance(given, dict):
            raise DefinitionError(f"{path}: {part}: expected a table, [{part}], got {shown(given)}")
        own = asdict(default)
        _known(f"{path}: [{part}]", "key", given, own)
        values = {key: _checked(f"{path}: {part}.{key}", value, own[key]) for key, value in given.items()}
        found = replace(found, **{part: replace(default, **values)})
    return replace(found, name=table.get("name", "") or Path(path).stem)


def _known(where: str, what: str, given: Mapping[str, Any], known: Any) -> None:
    for key in given:
        if key not in known:
            near = did_you_mean(key, known) or f"; there are {listing(known)}"
            raise DefinitionError(f"{where}: unknown {what} '{key}'{near}")


def _checked(where: str, value: object, default: Any) -> object:
    """The value as the model has it.  Raises DefinitionError where it is of another kind, or not positive."""
    if isinstance(default, tuple):
        if not isinstance(value, list) or len(value) != len(default):
            raise DefinitionError(
                f"{where}: expected {len(default)} numbers such as {list(default)}, got {shown(value)}"
            )
        return tuple(_checked(where, each, own) for each, own in zip(value, default, strict=True))
    whole = isinstance(default, int)
    low = min(default, 1) if whole else 0
    right = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not right or not low <= value <= LARGEST_NUMBER or (not whole and not value):  # type: ignore[operator]
        what = f"a whole number from {low}" if whole else "a number above 0"
        raise DefinitionError(f"{where}: expected {what}, such as {default!r}, got {shown(value)}")
    return type(default)(value)


def _parts(machine: Machine) -> dict[str, dict[str, Any]]:
    return {part: asdict(getattr(machine, part)) for part in PARTS}


def _number(value: Any) -> str:
    return f"[{', '.join(map(_number, value))}]" if isinstance(value, tuple) else repr(value)


def _text(value: str) -> str:
    """A TOML string; quotes and what no terminal prints are left out."""
    return f'"{"".join(c for c in value if c.isprintable() and c not in chr(34) + chr(92))}"'

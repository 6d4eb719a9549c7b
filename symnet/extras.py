"""Packages that only some uses need."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from symnet.errors import SymnetError


def extra(module: str, use: str, name: str, error: type[SymnetError] = SymnetError) -> ModuleType:
    """The module, imported; `use` needs it, and `pip install 'symnet[name]'` brings it.

    Raises `error` where its package is not installed.
    """
    package = module.partition(".")[0]
    if importlib.util.find_spec(package) is None:
        raise error(f"{use} needs the package {package}, which is not installed: pip install 'symnet[{name}]'")
    return importlib.import_module(module)

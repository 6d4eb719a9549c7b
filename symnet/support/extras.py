"""Packages that only some uses need."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType

from symnet.support.errors import SymnetError


def installed(module: str) -> bool:
    """Whether the package of a module is there, for uses that can do without."""
    return importlib.util.find_spec(module.partition(".")[0]) is not None


def extra(module: str, use: str, name: str, error: type[SymnetError] = SymnetError) -> ModuleType:
    """The module, imported; `use` needs it, and `pip install 'symnet[name]'` brings it.

    Raises `error` where its package is not installed.
    """
    if not installed(module):
        package = module.partition(".")[0]
        raise error(
            f"{use} needs the package {package}, which is not installed: pip install 'symnet[{name}]', "
            f"or in a checkout of symnet pip install '.[{name}]'"
        )
    return importlib.import_module(module)

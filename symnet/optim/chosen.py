"""Which optimizers a module is to have."""

from __future__ import annotations

from symnet.model.graph import Model
from symnet.optim.optimizers import OPTIMIZERS, USUAL
from symnet.support.errors import DefinitionError
from symnet.support.options import choice, strings


def chosen(where: str, names: object) -> tuple[str, ...]:
    """The names of optimizers, each once.  Raises DefinitionError for none, and for what is no name of one."""
    found = tuple(dict.fromkeys(choice(where, name, OPTIMIZERS) for name in strings(where, names)))
    if not found:
        raise DefinitionError(f"{where}: expected one optimizer at least, of {', '.join(OPTIMIZERS)}")
    return found


def optimizers_of(model: Model, trained_by: object = None) -> tuple[str, ...]:
    """The names that the model's file has, or else the usual ones; and the one that is trained by, if there is such."""
    names = USUAL if model.optimizers is None else model.optimizers
    more = isinstance(trained_by, str) and trained_by in OPTIMIZERS and trained_by not in names
    return (*names, str(trained_by)) if more else names

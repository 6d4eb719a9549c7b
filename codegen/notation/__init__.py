"""The text notation of equations: `parse` and `elaborate` read it, `show` writes it."""

from codegen.notation.elaborate import Elaborated, elaborate, free_names, variables
from codegen.notation.parser import parse, parse_expression
from codegen.notation.show import show, show_body, show_guard, show_range, show_read, show_right, show_subscripts
from codegen.notation.syntax import Definition

__all__ = [
    "Definition",
    "Elaborated",
    "elaborate",
    "free_names",
    "parse",
    "parse_expression",
    "show",
    "show_body",
    "show_guard",
    "show_range",
    "show_read",
    "show_right",
    "show_subscripts",
    "variables",
]

"""What compiled kernels call the operations of a tree."""

from __future__ import annotations

from collections.abc import Mapping

INFIX: Mapping[str, str] = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/"}
RELATIONS: Mapping[str, str] = {
    "greater": ">",
    "greater_equal": ">=",
    "less": "<",
    "less_equal": "<=",
    "equal": "==",
    "not_equal": "!=",
}
FUNCTIONS: Mapping[str, str] = {
    "exp": "exp_",
    "tanh": "tanh_",
    "maximum": "max_",
    "minimum": "min_",
    "log": "math.log",
    "log1p": "math.log1p",
    "expm1": "math.expm1",
    "sqrt": "math.sqrt",
    "abs": "abs",
    "sin": "math.sin",
    "cos": "math.cos",
    "tan": "math.tan",
    "sinh": "math.sinh",
    "cosh": "math.cosh",
    "arctan": "math.atan",
    "erf": "math.erf",
    "sign": "np.sign",
}
STEMS = {
    "add": "total",
    "subtract": "difference",
    "multiply": "product",
    "divide": "quotient",
    "negative": "opposite",
    "abs": "size",
    "remainder": "rest",
    "floor_divide": "whole",
}
"""What a variable that holds the result of an operation is called."""

WHOLE: Mapping[str, str] = {"add": "+", "subtract": "-", "multiply": "*", "remainder": "%", "floor_divide": "//"}
"""Operations on integers that give integers; and there are `negative` and `square`."""
KNOWN = {*INFIX, *WHOLE, *RELATIONS, *FUNCTIONS, "negative", "square", "power", "where"} | {
    "logical_and",
    "logical_or",
    "logical_not",
}

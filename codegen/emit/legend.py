"""What the names of a workspace's arrays say: every recipe ends the name of what it makes in a word of its own."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

WORDS: Mapping[str, str] = MappingProxyType(
    {
        "X_padded": "X in a frame of zeros",
        "X_frame": "X with room around it for what falls beside it",
        "X_states": "X with what is before its first or after its last step",
        "X_before": "X one step earlier",
        "X_after": "X one step later",
        "X_columns": "a copy of X in the order in which a product reads it",
        "X_turned": "a copy of X with its axes in another order",
        "X_by_column": "a copy of a kernel X, column after column",
        "X_packed": "a copy of a kernel X, block after block",
        "X_band": "a kernel X along the diagonals of matrices",
        "X_pairs": "sums of X over two or four rows that lie side by side",
        "X_middle": "what rows of a kernel X have in common",
        "X_stack": "the products of all columns of a kernel with whole rows",
        "X_shifted": "one of the terms of X: one column of a kernel, or X without its peak",
        "X_product": "one of the products that make X",
        "X_parts": "the sums of single rows, which make X",
        "X_part": "one of the terms of X",
        "X_terms": "what is added up in X",
        "X_sums": "X in the order in which it is added up",
        "X_sum": "X in the order in which it is added up",
        "X_factor": "one of the factors in X",
        "X_share": "what one point of a window gets of X",
        "X_left": "what is left of X for the other points of a window",
        "X_best": "the greatest so far, whose place is X",
        "X_peak": "the greatest of what is in X, which is subtracted first",
        "X_wins_K": "whether point K of a window is its maximum",
        "X_positions": "where in X the entries lie that are looked up",
        "X_at_Y": "the entries of X that Y names",
        "X_row_K": "position K of X, at each step",
        "X_rows_K": "positions K of X from first to last, at each step",
        "X_steps": "for each step of a loop the entries that it works on",
        "part_SHAPE": "what a formula needs in between",
        "mask_SHAPE": "where a condition of a formula holds",
        "whole_SHAPE": "whole numbers that a formula needs in between",
        "zeros_SHAPE": "0, 0, ..., to compare with",
        "all_K_SHAPE": "the number K again and again, to compare with",
        "ones_SHAPE": "1, 1, ...: a product with it is a sum",
        "share_SHAPE": "equal numbers: a product with it is a mean",
        "number_K": "the number K as an array, which NumPy need not convert",
        "count_N": "0, 1, ..., N - 1",
        "value_N": "0.0, 1.0, ..., N - 1.0",
        "X_T": "a view of X with its axes in another order",
        "X_as_SHAPE": "a view of X in this shape",
        "X_cut": "some rows and columns of X",
        "X_from_K": "X from row or column K on",
        "X_windows_SHAPE": "a view of what the window holds at each of its places on X",
    }
)
"""Words in names, and what they say of an array.  X, Y are other arrays, K is a number."""


def explained(attributes: Iterable[str], names: Iterable[str]) -> dict[str, frozenset[str]]:
    """The words in the name of each array that is none of the tensors with these names."""
    tensors = {re.sub(r"\W", "_", name) for name in names}
    found = {}
    for attribute in attributes:
        if attribute not in tensors:
            starts = [k for k, c in enumerate(attribute) if c == "_" and attribute[:k] in tensors]
            rest = attribute[max(starts, default=0) :]
            found[attribute] = frozenset(
                word for word, pattern in _PATTERNS.items() if pattern.search(rest if word[0] == "X" else attribute)
            )
    return found


def legend(attributes: Iterable[str], names: Iterable[str]) -> list[str]:
    """The lines of a docstring that explain the names of these arrays; `names` are those of the formulas' tensors."""
    used = frozenset[str]().union(*explained(attributes, names).values())
    words = [word for word in WORDS if word in used]
    width = max(map(len, words), default=0)
    head = ["Arrays have the names of the formulas, with _ for a dot.  Of the others,", ""]
    return [*head, *(f"    {word:<{width}}  {WORDS[word]}" for word in words)] if words else []


def _pattern(word: str) -> re.Pattern[str]:
    stem = word.removeprefix("X").removesuffix("_SHAPE")
    text = re.sub(r"_[KN]$", r"_\\w+", stem).replace("_Y", r"_\w+")
    if word.startswith("X"):
        return re.compile(text + (r"_\w+" if word.endswith("SHAPE") else r"(?=_|$)"))
    return re.compile(rf"^{text}\d*(_|$)")


_PATTERNS = {word: _pattern(word) for word in WORDS}

"""English text: the help texts on the Python language that come with Python, as numbers and back.

About 460,000 characters of prose, tables and programs. The last tenth is held out.
Everything outside of the 96 symbols of `SYMBOLS` becomes a question mark.
"""

from pydoc_data.topics import topics

import numpy as np

SYMBOLS = "\n" + "".join(map(chr, range(32, 127)))
"""The line break and the printable characters of ASCII; a symbol's number is its place."""

_PLAIN = str.maketrans("\u201c\u201d\u2018\u2019\u2013\u2014", "\"\"''--")
"""Typographic quotation marks and dashes have plain ones."""


def encode(text: str) -> np.ndarray:
    """Numbers (T,), int64, of the symbols of `text`."""
    known = {symbol: number for number, symbol in enumerate(SYMBOLS)}
    return np.array([known.get(symbol, known["?"]) for symbol in text.translate(_PLAIN)], np.int64)


def decode(numbers: np.ndarray) -> str:
    """The text of `numbers` (T,)."""
    return "".join(SYMBOLS[number] for number in numbers)


def load() -> tuple[np.ndarray, np.ndarray]:
    """(training, held-out): nine tenths and the last tenth of the text, as numbers."""
    numbers = encode("\n\n".join(topics[name].strip() for name in sorted(topics)))
    cut = len(numbers) * 9 // 10
    return numbers[:cut], numbers[cut:]

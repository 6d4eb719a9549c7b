"""A place among tokens: looking ahead, taking, and saying what was expected."""

from __future__ import annotations

from codegen.ir.errors import CodegenError
from codegen.notation.lexer import Token, tokens
from codegen.notation.source import Source

NESTING_LIMIT = 60


class Cursor:
    """The tokens of a text and how far they are read; `depth` counts the levels that are open."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = tokens(source)
        self.place = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        """The next token."""
        return self.tokens[self.place]

    @property
    def ended(self) -> bool:
        """Whether an equation ends here: a newline, a semicolon or the end of the text."""
        return self.token.kind == "end"

    @property
    def finished(self) -> bool:
        """Whether the whole text is read."""
        return self.place == len(self.tokens) - 1

    def sees(self, *texts: str) -> bool:
        """Whether the next token is one of these operators (or the word `and`)."""
        return self.token.text in texts and self.token.kind in ("op", "name")

    def take(self) -> Token:
        """The next token, and go on."""
        token = self.token
        self.place += 1
        return token

    def expect(self, text: str, opened: Token | None = None) -> Token:
        """Take the operator `text`; `opened` is the bracket that it closes."""
        if self.sees(text):
            return self.take()
        if opened is not None and self.ended:
            raise self.source.fault(opened.at, f"'{opened.text}' is never closed", mend=f"add '{text}'")
        raise self.unexpected(f"'{text}'")

    def unexpected(self, expected: str, mend: str = "") -> CodegenError:
        """The error for a token that cannot stand here."""
        token = self.token
        blank = "the end of the line" if token.text else "the end of the text"
        got = f"'{token.text}'" if token.text.strip() else blank
        return self.source.fault(token.at, "the formula does not parse", expected=expected, got=got, mend=mend)

    def word(self, name: Token, what: str, mend: str) -> CodegenError:
        """The error for a word of the language in a place where it cannot stand."""
        return self.source.fault(name.at, f"'{name.text}' is a word of the language and {what}", mend=mend)

    def deeper(self) -> None:
        """Enter one more level; FormulaError when there are too many."""
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            raise self.source.fault(
                self.token.at,
                "the formula is nested too deeply",
                expected=f"at most {NESTING_LIMIT} levels",
                mend="give parts of it names of their own, one equation a line",
            )

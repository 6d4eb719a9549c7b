"""Tokens to a syntax tree, by recursive descent.

    text       ::= definition ((newline | ";") definition)*          "#" begins a comment
    definition ::= name "[" [subscript ("," subscript)*] "]" ("=" | "+=") expr
    subscript  ::= expr | "(" name ("," name)+ ")"                   a group: row-major
    expr       ::= term (("+" | "-") term)*
    term       ::= unary (("*" | "/" | "//" | "%") unary)*
    unary      ::= ("-" | "+") unary | power
    power      ::= primary ["**" unary]
    primary    ::= number | name | "(" expr ")" | name "[" subscript, ... "]"
                 | function "(" expr, ... ")" | "where" "(" conditions "," expr "," expr ")"
                 | reduction "[" [name, ...] ["|" conditions] "]" "(" expr ")"
                 | "[" conditions "]"                                an Iverson bracket: 1 or 0
    reduction  ::= "sum" | "max" | "argmax" | "logsumexp" | "prod" | "mean"
    conditions ::= condition (("," | "and") condition)*              in `where` only "and" joins
    condition  ::= expr (compare expr)*                              no comparison: a boolean tensor
    compare    ::= "=" | "==" | "!=" | "<" | "<=" | ">" | ">="

What a tree means is said in `elaborate.py`.
"""

from __future__ import annotations

from functools import lru_cache

import sympy

from codegen.ir.functions import FUNCTIONS
from codegen.notation.cursor import Cursor
from codegen.notation.lexer import Token
from codegen.notation.source import Source, listed, nearest
from codegen.notation.syntax import (
    Access,
    Add,
    Bracket,
    Call,
    Compare,
    Condition,
    Definition,
    FloorDivide,
    Group,
    Modulo,
    Mul,
    Name,
    Negate,
    Node,
    Number,
    Power,
    Reduce,
    Truth,
    Where,
)
from codegen.notation.words import COMPARISONS, REDUCTIONS, reserved


@lru_cache(maxsize=1024)
def parse(text: str, origin: str = "") -> tuple[Definition, ...]:
    """The definitions in a text.  FormulaError, with the place, for what does not parse."""
    return _Parser(Source(text, origin)).definitions()


@lru_cache(maxsize=1024)
def parse_expression(text: str, origin: str = "") -> Node:
    """The tree of a text that is one expression, such as `x/(1+exp(-x))`."""
    return _Parser(Source(text, origin)).lone_expression()


@lru_cache(maxsize=256)
def parse_subscripts(text: str, origin: str = "") -> tuple[Node, ...]:
    """The subscripts in a text such as `(g,q),d,u,v`; none for an empty text."""
    return _Parser(Source(text, origin)).lone_subscripts()


class _Parser(Cursor):
    """One pass over the tokens of one text, a method for each rule of the grammar."""

    # texts

    def definitions(self) -> tuple[Definition, ...]:
        found: list[Definition] = []
        while not self.finished:
            if self.ended:
                self.take()
                continue
            found.append(self.definition())
            if not self.ended:
                raise self.unexpected("an operator or the end of the equation")
        if not found:
            raise self.source.fault(0, "the formula is empty", expected="an equation such as y[n,o] = x[n,o]")
        return tuple(found)

    def lone_expression(self) -> Node:
        while self.ended and not self.finished:
            self.take()
        node = self.expression()
        while self.ended and not self.finished:
            self.take()
        if not self.ended:
            raise self.unexpected("an operator or the end of the formula")
        return node

    def lone_subscripts(self) -> tuple[Node, ...]:
        if self.ended:
            return ()
        found = self.subscripts()
        if not self.ended:
            raise self.unexpected("',' or the end of the subscripts")
        return found

    def definition(self) -> Definition:
        if self.token.kind != "name":
            raise self.unexpected("the name of a tensor", "an equation reads name[indices] = expression")
        name = self.take()
        if reserved(name.text):
            raise self.source.fault(name.at, f"'{name.text}' is a word of the language", mend="choose another name")
        if not self.sees("["):
            raise self.unexpected(f"'[' after {name.text}", f"an equation reads {name.text}[indices] = expression")
        opened = self.take()
        subscripts = () if self.sees("]") else self.subscripts()
        self.expect("]", opened)
        if not self.sees("=", "+="):
            raise self.unexpected("'=' or '+='")
        accumulate = self.take().text == "+="
        return Definition(name.text, subscripts, accumulate, self.expression(), name.at)

    def subscripts(self) -> tuple[Node, ...]:
        found = [self.subscript()]
        while self.sees(","):
            self.take()
            found.append(self.subscript())
        return tuple(found)

    def subscript(self) -> Node:
        following = [t.text for t in self.tokens[self.place + 1 : self.place + 3]]
        if not (self.sees("(") and len(following) == 2 and following[1] == ","):
            return self.expression()
        opened = self.take()
        members = self.names()
        self.expect(")", opened)
        return Group(members, opened.at)

    def names(self) -> tuple[Name, ...]:
        found: list[Name] = []
        while True:
            if self.token.kind == "name" and reserved(self.token.text):
                raise self.word(self.token, "cannot name an index", "choose another name")
            if self.token.kind != "name" or "." in self.token.text:
                raise self.unexpected("the name of an index")
            token = self.take()
            found.append(Name(token.text, token.at))
            if not self.sees(","):
                return tuple(found)
            self.take()

    # expressions, loosest first

    def expression(self) -> Node:
        self.deeper()
        at = self.token.at
        terms = [(1, self.term())]
        while self.sees("+", "-"):
            sign = 1 if self.take().text == "+" else -1
            terms.append((sign, self.term()))
        self.depth -= 1
        return terms[0][1] if len(terms) == 1 else Add(tuple(terms), at)

    def term(self) -> Node:
        at, depth = self.token.at, self.depth
        factors: list[tuple[bool, Node]] = [(False, self.unary())]
        while self.sees("*", "/", "//", "%"):
            op = self.take()
            right = self.unary()
            if op.text in ("*", "/"):
                factors.append((op.text == "/", right))
                continue
            self.deeper()
            left = factors[0][1] if len(factors) == 1 else Mul(tuple(factors), at)
            made = FloorDivide(left, right, op.at) if op.text == "//" else Modulo(left, right, op.at)
            factors = [(False, made)]
        self.depth = depth
        return factors[0][1] if len(factors) == 1 else Mul(tuple(factors), at)

    def unary(self) -> Node:
        if not self.sees("-", "+"):
            return self.power()
        self.deeper()
        sign = self.take()
        operand = self.unary()
        self.depth -= 1
        return Negate(operand, sign.at) if sign.text == "-" else operand

    def power(self) -> Node:
        base = self.primary()
        if not self.sees("**"):
            return base
        self.deeper()
        op = self.take()
        exponent = self.unary()
        self.depth -= 1
        return Power(base, exponent, op.at)

    def primary(self) -> Node:
        token = self.token
        if token.kind == "number":
            self.take()
            return Number(sympy.Rational(token.text), token.at)
        if token.kind == "name":
            return self.named()
        if self.sees("("):
            self.take()
            inner = self.expression()
            if self.sees(","):
                raise self.unexpected("')'", "a group such as (c,i,j) holds plain indices and stands as a subscript")
            self.expect(")", token)
            return inner
        if self.sees("["):
            self.take()
            conditions = self.conditions()
            self.expect("]", token)
            return Bracket(conditions, token.at)
        raise self.unexpected("a number, a name, '(' or '['")

    def named(self) -> Node:
        name = self.take()
        if self.sees("["):
            if name.text in REDUCTIONS:
                return self.reduction(name)
            if reserved(name.text):
                raise self.source.fault(name.at, f"'{name.text}' is a function", mend=f"write {name.text}(...)")
            opened = self.take()
            subscripts = () if self.sees("]") else self.subscripts()
            self.expect("]", opened)
            return Access(name.text, subscripts, name.at)
        if self.sees("("):
            return self.call(name)
        if reserved(name.text):
            raise self.word(name, "is no value by itself", "choose another name for what is meant")
        return Name(name.text, name.at)

    def reduction(self, name: Token) -> Node:
        opened = self.take()
        # Only an equation that was derived can have nothing to reduce over; in a sum it would be a slip.
        empty = self.sees("|") or (self.sees("]") and name.text not in ("sum", "mean"))
        indices = () if empty else self.names()
        guards: tuple[Condition, ...] = ()
        if self.sees("|"):
            self.take()
            guards = self.conditions()
        self.expect("]", opened)
        if not self.sees("("):
            raise self.unexpected("'('", f"what {name.text} runs over stands in parentheses: {name.text}[i](...)")
        opened = self.take()
        body = self.expression()
        self.expect(")", opened)
        return Reduce(name.text, indices, guards, body, name.at)

    def call(self, name: Token) -> Node:
        if name.text in ("sum", "argmax", "logsumexp", "prod", "mean"):
            raise self.unexpected("'['", f"name the indices: {name.text}[i](...)")
        if not reserved(name.text):
            mend = nearest(name.text, [*FUNCTIONS, *REDUCTIONS, "where"]) or "a product is written *"
            raise self.source.fault(
                name.at, f"there is no function '{name.text}'", expected=f"one of {listed(FUNCTIONS)}", mend=mend
            )
        opened = self.take()
        if name.text == "where":
            conditions = self.conditions("and")
            self.expect(",", opened)
            then = self.expression()
            self.expect(",", opened)
            node: Node = Where(conditions, then, self.expression(), name.at)
        else:
            arguments = [] if self.sees(")") else [self.expression()]
            while self.sees(","):
                self.take()
                arguments.append(self.expression())
            node = Call(name.text, tuple(arguments), name.at)
        self.expect(")", opened)
        return node

    def conditions(self, *joints: str) -> tuple[Condition, ...]:
        found = list(self.condition())
        while self.sees(*(joints or (",", "and"))):
            self.take()
            found += self.condition()
        return tuple(found)

    def condition(self) -> list[Condition]:
        """One condition; a chain such as `0 <= i < k` is two."""
        left = self.expression()
        if not self.sees(*COMPARISONS):
            return [Truth(left, left.at)]
        found: list[Condition] = []
        while self.sees(*COMPARISONS):
            op = self.take()
            right = self.expression()
            found.append(Compare(COMPARISONS[op.text], left, right, op.at))
            left = right
        return found

r"""Read an expression: a recursive descent parser with bounded depth. Text becomes a tree, nothing is evaluated.

Conventions of written mathematics: ``2\frac{1}{2}`` is a mixed number, ``\sin 2x`` takes the
product, ``\log`` has base ten unless it says otherwise, ``1/2x`` is read from left to right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from longstep.verify.ladder import applied, names, numerals, several
from longstep.verify.ladder.node import Node, TooLarge, Unreadable, number
from longstep.verify.ladder.tokens import MAX_NESTING, Token
from longstep.verify.ladder.units import DEGREE, PERCENT
from longstep.verify.ladder.vocabulary import ACCENTS, FUNCTIONS, GREEK, MODULO, OVER, PAIRS, TIMES

_NO_FACTOR = TIMES | OVER | MODULO | {r"\choose", r"\rfloor", r"\rceil", r"\rangle", r"\pm", r"\mp"}
_CONSTANTS = {r"\pi": "pi", r"\infty": "infinity"}
_END = Token("end", "", False)


def parse(tokens: Sequence[Token], bound: Sequence[tuple[str, str]] = ()) -> Node:
    """Read the whole token sequence as one expression, with letters that an operator around it binds.

    Raises:
        Unreadable: it is none.
        TooLarge: nested too deeply or a number too long.
    """
    parser = _Parser(tokens, bound)
    node = parser.whole()
    if parser.peek.text in MODULO and parser.take():
        node = several.of_numbers("mod", (node, parser.sum()))
    if parser.peek is not _END:
        raise Unreadable(f"unexpected {parser.peek.text[:20]!r}")
    return node


class _Parser:
    """The tokens, a place in them, and how deep it is."""

    def __init__(self, tokens: Sequence[Token], bound: Sequence[tuple[str, str]] = ()) -> None:
        self.tokens, self.place, self.depth = tokens, 0, 0
        self.bars = 0  # open absolute values at this level of brackets
        self.bound = list(bound)  # letters with a name of their own, the innermost last
        self.differentials = 0  # open integrals
        self.peek = tokens[0] if tokens else _END

    def take(self) -> Token:
        token = self.peek
        self.place += 1
        self.peek = self.tokens[self.place] if self.place < len(self.tokens) else _END
        return token

    def expect(self, text: str) -> None:
        if self.take().text != text:
            raise Unreadable(f"expected {text!r}")

    def whole(self) -> Node:
        r"""Read a sum, or two with ``\choose`` between them."""
        node = self.sum()
        if self.peek.text == r"\choose" and self.take():
            node = Node("call", (node, self.sum()), "binomial")
        return node

    def sum(self) -> Node:
        parts = [self.product()]
        while self.peek.text in ("+", "-", r"\pm", r"\mp"):
            sign = self.take().text
            part = self.product()
            parts.append(part if sign == "+" else _signed(sign, part))
        return parts[0] if len(parts) == 1 else Node("add", tuple(parts))

    def product(self) -> Node:
        sign = self.sign()
        parts, under = [self.power()], list[Node]()
        while True:
            if self.peek.text in TIMES:
                self.take()
                parts.append(self.signed_power())
            elif self.peek.text in OVER:
                self.take()
                under.append(self.signed_power())
            elif self.starts_factor():
                parts.append(self.juxtaposed(parts[-1], bool(under)))
                if parts[-1].op == "mixed":
                    parts[-2:] = [parts[-1].args[0]]
            else:
                break
        node = parts[0] if len(parts) == 1 else Node("mul", tuple(parts))
        if under:
            below = under[0] if len(under) == 1 else Node("mul", tuple(under))
            node = Node("div", (node, below))
        return node if sign == "+" else _signed(sign, node)

    def sign(self) -> str:
        """Take the signs before a term; several of them fold into one."""
        sign = "+"
        while self.peek.text in ("+", "-", r"\pm", r"\mp"):
            text = self.take().text
            if text in (r"\pm", r"\mp") or sign in (r"\pm", r"\mp"):
                if sign != "+":
                    raise Unreadable("two signs")
                sign = text
            elif text == "-":
                sign = "-" if sign == "+" else "+"
        return sign

    def juxtaposed(self, before: Node, divided: bool) -> Node:
        r"""Read a factor that follows without a sign; ``2\frac{1}{2}`` and ``2 1/2`` are mixed numbers."""
        first = self.peek
        whole = before.op == "num" and self.tokens[self.place - 1].text.isdigit()
        part = self.power()
        if before.op == part.op == "num" and first.text != "(" and first.kind != "number":
            raise Unreadable("two numbers side by side")
        fraction = part.args[0] if part.op == "unit" else part  # 12\frac12\% has one sign for both
        if whole and first.text == r"\frac" and _proper(fraction):
            amount = Node("add", (before, fraction))
            return Node("mixed", (replace(part, args=(amount,)) if part.op == "unit" else amount,))
        if before.op == "num" and first.kind == "number":
            digits = whole and first.text.isdigit() and self.peek.text == "/" and not divided
            following = self.tokens[self.place + 1 : self.place + 2]
            if not (digits and first.spaced and following and following[0].text.isdigit()):
                raise Unreadable("two numbers side by side")
            self.take()
            fraction = Node("div", (part, number(int(self.take().text[:400]))))
            if not _proper(fraction):
                raise Unreadable("two numbers side by side")
            return Node("mixed", (Node("add", (before, fraction)),))
        return part

    def starts_factor(self) -> bool:
        token = self.peek
        if token.kind in ("number", "letter"):
            return not self.at_differential()
        if token.text == "|":
            return self.bars == 0
        if token.kind == "command":
            return token.text not in _NO_FACTOR
        return token.text in ("(", "[", "{")

    def signed_power(self) -> Node:
        sign = self.sign()
        node = self.power()
        return node if sign == "+" else _signed(sign, node)

    def power(self) -> Node:
        self.deeper()
        node = self.postfix(self.atom())
        if self.peek.text in ("^", "**"):
            self.take()
            exponent = self.exponent()
            degrees = Node("unit", (node,), unit=DEGREE)
            node = self.postfix(degrees if exponent is None else Node("pow", (node, exponent)))
        self.depth -= 1
        return node

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > 2 * MAX_NESTING + 20:
            raise TooLarge("nested too deeply")

    def exponent(self) -> Node | None:
        r"""Read an exponent; ``None`` for the degree sign. Without braces it is one digit or letter, as in TeX."""
        braces = self.peek.text == "{" and self.take()
        if self.peek.text == r"\circ":
            self.take()
            if braces:
                self.expect("}")
            return None
        return self.inside("{") if braces else self.signed_power()

    def postfix(self, node: Node) -> Node:
        if self.peek.text in ("!", r"\%", "%"):
            mark = self.take().text
            if self.peek.text in ("!", r"\%", "%"):
                raise Unreadable(f"two of {mark!r}")
            if mark != "!":
                return Node("unit", (node,), unit=PERCENT)
            return Node("call", (node,), "factorial")
        return node

    def inside(self, left: str) -> Node:
        """Read what is between brackets whose first one is taken."""
        bars, self.bars = self.bars, 0
        node = self.whole()
        self.bars = bars
        self.expect(PAIRS[left])
        return node

    def argument(self) -> Node:
        """Read a TeX argument: a group, or one digit, letter or command."""
        token = self.peek
        if token.text == "{":
            self.take()
            return self.inside("{")
        if token.kind == "number" and len(token.text) > 1 and token.text.isdigit():
            self.peek = Token("number", token.text[1:], False)  # \frac12 is one half
            place = self.place
            self.tokens = [*self.tokens[:place], self.peek, *self.tokens[place + 1 :]]
            return number(int(token.text[0]))
        return self.atom()

    def atom(self) -> Node:
        self.deeper()
        node = self.primary(self.take())
        self.depth -= 1
        return node

    def primary(self, token: Token) -> Node:
        if token.kind == "number":
            return self.number(token.text)
        if token.kind == "letter":
            return self.letter(token.text)
        if token.text in PAIRS:
            node = self.inside(token.text)
            calls = {r"\lfloor": "floor", r"\lceil": "ceil"}
            return Node("call", (node,), calls[token.text]) if token.text in calls else node
        if token.text == "|":
            self.bars += 1
            node = self.sum()
            self.bars -= 1
            self.expect("|")
            return Node("call", (node,), "abs")
        if token.kind == "command":
            return self.command(token.text)
        raise Unreadable(f"unexpected {token.text[:20]!r}" if token.text else "it ends early")

    def number(self, text: str) -> Node:
        if self.peek.text == "_":
            self.take()
            return number(numerals.in_base(text, self.subscript()))
        if "." in text and self.peek.text in (r"\overline", r"\bar", r"\dot"):
            self.take()
            return number(numerals.repeating(text, self.digits()))
        return number(numerals.decimal(text))

    def digits(self) -> str:
        """Take ``{digits}``."""
        self.expect("{")
        token = self.take()
        self.expect("}")
        return token.text

    def letter(self, name: str) -> Node:
        """Read a letter, or the name with it: ``e`` and ``i`` are constants unless a sum runs over them."""
        own = next((own for letter, own in reversed(self.bound) if letter == name), None)
        if own is not None and self.peek.text != "_":
            return Node("var", (), own)
        if name in ("e", "i") and self.peek.text != "_":
            return Node("const", (), name)
        if self.peek.text == "_":
            self.take()
            name = f"{name}_{self.subscript()}"
        while self.peek.text == "'":
            self.take()
            name += "'"
        return Node("var", (), name + self.applied(name))

    def applied(self, name: str) -> str:
        """Take the brackets of a function's value, which is an unknown of its own: ``(2x)`` of ``f(2x)``."""
        end = names.closing(self.tokens, self.place) if self.peek.text == "(" else -1
        before = self.tokens[self.place - 2] if self.place > 1 else None
        inside = self.tokens[self.place : end + 1]
        if end < 0 or not names.is_application(name[0], before, inside[1:-1]):
            return ""
        self.place = end
        self.take()
        return names.joined(inside)

    def subscript(self) -> str:
        if self.peek.text != "{":
            token = self.take()
            if token.kind not in ("number", "letter", "command", "word"):
                raise Unreadable("a subscript")
            return token.text
        self.take()
        parts = []
        while self.peek.text != "}":
            if self.peek is _END or self.peek.text == "{":
                raise Unreadable("a subscript that does not end")
            parts.append(self.take().text)
        self.take()
        return "".join(parts)

    def command(self, name: str) -> Node:
        if name == r"\frac" and (derivative := names.derivative(self.tokens, self.place)):
            self.place += 7
            self.take()
            return Node("var", (), derivative)
        if name in (r"\frac", r"\binom"):
            if self.peek.text == "(" and name == r"\binom":
                return applied.function(self, "binom")
            over = self.argument()
            under = self.argument()
            return (
                Node("div", (over, under))
                if name == r"\frac"
                else Node("call", (over, under), "binomial")
            )
        if name == r"\sqrt":
            return self.root()
        if name in _CONSTANTS:
            return Node("const", (), _CONSTANTS[name])
        if name in GREEK:
            return self.letter(name)
        if name[1:] in FUNCTIONS:
            return applied.function(self, name[1:])
        if name in applied.BINDERS:
            return applied.binder(self, name)
        if name in ACCENTS:
            inner = self.argument()
            parts = inner.args if inner.op == "mul" else (inner,)  # \vec{AB}
            if any(part.op not in ("var", "const") for part in parts):
                raise Unreadable(f"the command {name}")
            return self.letter(name + "".join(str(part.value) for part in parts))
        raise Unreadable(f"the command {name[:20]}")

    def root(self) -> Node:
        index: Node = number(2)
        if self.peek.text == "[":
            self.take()
            index = self.inside("[")
        if self.peek.text == "(":
            self.take()
            radicand = self.inside("(")
        else:
            radicand = self.argument() if self.peek.text == "{" else self.bare()
        return Node("call", (radicand, index), "root")

    def bare(self) -> Node:
        r"""Read an argument without braces, where ``√12`` and ``\sqrt 12`` mean the whole number."""
        return self.number(self.take().text) if self.peek.kind == "number" else self.atom()

    def bind(self, letter: str) -> str:
        """Give a letter a name of its own in what follows, as the index of a sum has."""
        self.bound.append((letter, f"~{len(self.bound)}"))
        return self.bound[-1][1]

    def unbind(self, letter: str) -> None:
        """End what ``bind`` began."""
        assert self.bound.pop()[0] == letter

    def at_differential(self) -> bool:
        """Tell whether the ``dx`` of an open integral comes next."""
        if not self.differentials or self.peek.text != "d" or self.peek.kind != "letter":
            return False
        following = self.tokens[self.place + 1 : self.place + 2]
        return bool(following) and following[0].kind == "letter"

    def parse(self, tokens: Sequence[Token]) -> Node:
        """Read other tokens where the same letters are bound."""
        return parse(tokens, self.bound)

    def operand(self) -> Node:
        r"""Read what a function applies to: brackets, or a product up to the next sign or function."""
        if self.peek.text in ("(", "{", "|", "["):
            return self.atom()  # in \sin(x)^2 the square is outside
        sign = self.sign()
        parts = [self.power()]
        while self.starts_factor() and self.peek.text not in ("(", "[") and not self.at_function():
            parts.append(self.power())
        node = parts[0] if len(parts) == 1 else Node("mul", tuple(parts))
        return node if sign == "+" else _signed(sign, node)

    def at_function(self) -> bool:
        return self.peek.text[1:] in FUNCTIONS and self.peek.text not in (r"\sqrt",)


def _signed(sign: str, node: Node) -> Node:
    if sign == "-":
        if node.op == "num":
            assert isinstance(node.value, Fraction)
            return number(-node.value)
        return Node("neg", (node,))
    return Node("pm", (node,), sign)


def _proper(node: Node) -> bool:
    """Tell whether it is a fraction of two whole numbers, less than one."""
    if node.op != "div" or any(arg.op != "num" for arg in node.args):
        return False
    over, under = (arg.value for arg in node.args)
    assert isinstance(over, Fraction) and isinstance(under, Fraction)
    return over.denominator == under.denominator == 1 and 0 <= over < under

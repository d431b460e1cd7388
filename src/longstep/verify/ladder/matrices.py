r"""Read matrices and what is done with them: sums, factors, powers, transposes, determinants; and systems and cases.

Entries are expressions, and an operation writes its result out entry by entry, so that nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from longstep.verify.ladder import grammar
from longstep.verify.ladder.names import joined
from longstep.verify.ladder.node import Node, TooLarge, Unreadable, number
from longstep.verify.ladder.tokens import Token
from longstep.verify.ladder.vocabulary import CLOSE, MATRICES, OPEN

Tokens = Sequence[Token]
Item = Callable[[Tokens], Node]
MAX_CELLS = 100
MAX_DETERMINANT = 4  # rows
_DETERMINANTS = frozenset({"vmatrix"})
_SYSTEMS = frozenset({"cases", "dcases", "rcases", "aligned", "align", "gathered", "array"})
#: Words before a condition that say nothing: ``x^2 if x > 0``.
_IF = frozenset({"if", "for", "when", "where", "as"})
_ELSE = frozenset({"otherwise", "else", "elsewhere"})


def read(tokens: Tokens, item: Item) -> Node:
    """Read an expression with a matrix in it, a system of equations, or a function by cases.

    Raises:
        Unreadable: it is none of these, or the shapes do not fit.
        TooLarge: more than ``MAX_CELLS`` entries.
    """
    if tokens[0].text == r"\{" and tokens[1:2] and tokens[1].kind == "begin":
        rest = tokens[1:-1] if tokens[-1].text in ("}", r"\}", ".") else tokens[1:]
        return _system(rest, item)
    if tokens[0].kind == "begin" and tokens[0].text in _SYSTEMS - {"array"}:
        return _system(tokens, item)
    total: Node | None = None
    for sign, term in _terms(tokens):
        node = _term(term, item)
        node = _scaled(number(-1), node) if sign == "-" else node
        total = node if total is None else _plus(total, node)
    assert total is not None
    return total


def _depth(token: Token) -> int:
    opens = token.kind == "begin" or token.text in OPEN
    return opens - (token.kind == "end" or token.text in CLOSE)


def _terms(tokens: Tokens) -> list[tuple[str, Tokens]]:
    """Cut at plus and minus outside of all brackets and bars."""
    terms: list[tuple[str, Tokens]] = []
    depth, start, sign = 0, 0, "+"
    for place, token in enumerate(tokens):
        depth += _depth(token)
        if depth == 0 and token.text in ("+", "-"):
            if place > start:
                terms.append((sign, tokens[start:place]))
                sign = "+"
            sign = token.text if sign == "+" else ("-" if token.text == "+" else "+")
            start = place + 1
    if start == len(tokens):
        raise Unreadable("a sum that ends early")
    return [*terms, (sign, tokens[start:])]


def _term(tokens: Tokens, item: Item) -> Node:
    """Read a product of numbers and matrices from left to right."""
    out: Node | None = None
    place = 0
    while place < len(tokens):
        factor, place = _factor(tokens, place, item)
        out = factor if out is None else _times(out, factor)
    assert out is not None
    return out


def _factor(tokens: Tokens, place: int, item: Item) -> tuple[Node, int]:
    """Read one factor; give it and where the next one starts."""
    first = tokens[place]
    bars = first.text in ("|", r"\|") and tokens[place + 1 : place + 2]
    if bars and tokens[place + 1].kind == "begin":
        end = _end(tokens, place + 1)
        if tokens[end + 1 : end + 2] and tokens[end + 1].text == first.text == "|":
            return determinant(_matrix(tokens[place + 1 : end + 1], item)), end + 2
        raise Unreadable("bars around a matrix")
    if first.text in (r"\det", "det"):
        factor, end = _factor(tokens, place + 1, item)
        return determinant(factor), end
    if first.kind == "begin":
        end = _end(tokens, place)
        matrix = _matrix(tokens[place : end + 1], item)
        if first.text in _DETERMINANTS:
            return determinant(matrix), end + 1
        return _raised(matrix, tokens, end + 1)
    if first.text in ("(", "[", "{") and (end := _end(tokens, place)) < len(tokens):
        inner = tokens[place + 1 : end]
        if any(token.kind == "begin" for token in inner):
            return _raised(read(inner, item), tokens, end + 1)
    end = place
    while end < len(tokens) and not _starts_matrix(tokens, end):
        end += 1
    if end == place:  # nothing was read, so that a product would go on for ever
        raise Unreadable("a bracket before a matrix that nothing closes")
    scalar = list(tokens[place:end])
    while scalar and scalar[-1].text in (r"\cdot", r"\times", "*"):
        scalar.pop()
    return (grammar.parse(scalar) if scalar else number(1)), end


def _starts_matrix(tokens: Tokens, place: int) -> bool:
    token, following = tokens[place], tokens[place + 1 : place + 2]
    if token.kind == "begin" or token.text in (r"\det", "det"):
        return True
    begins = bool(following) and following[0].kind == "begin"
    return begins and token.text in ("|", "(", "[")


def _end(tokens: Tokens, place: int) -> int:
    """Give the place of what closes the bracket or environment here; the end when nothing does."""
    depth = 0
    for at in range(place, len(tokens)):
        depth += _depth(tokens[at])
        if depth == 0:
            return at
    return len(tokens)


def _raised(matrix: Node, tokens: Tokens, place: int) -> tuple[Node, int]:
    """Apply a whole power or a transpose that follows."""
    if place >= len(tokens) or tokens[place].text not in ("^", "'"):
        return matrix, place
    if tokens[place].text == "'":
        return _transposed(matrix), place + 1
    end = place + 1
    inner = tokens[end : end + 1]
    if inner and inner[0].text == "{":
        end = _end(tokens, end)
        inner = tokens[place + 2 : end]
    texts = "".join(token.text for token in inner)
    if texts in ("T", "t", r"\top", r"\intercal"):
        return _transposed(matrix), end + 1
    if texts.isascii() and texts.isdigit() and 1 <= int(texts[:3]) <= 6:
        out = matrix
        for _ in range(int(texts) - 1):
            out = _times(out, matrix)
        return out, end + 1
    raise Unreadable("a power of a matrix")


def _matrix(tokens: Tokens, item: Item) -> Node:
    kind = tokens[0].text
    if tokens[-1].kind != "end" or kind not in MATRICES | _DETERMINANTS:
        raise Unreadable(f"the environment {kind[:20]}")
    cells = [[item(cell) for cell in _cut(row, "&")] for row in _rows(tokens)]
    if not cells or len({len(row) for row in cells}) != 1:
        raise Unreadable("a matrix whose rows differ in length")
    return made(cells)


def made(rows: Sequence[Sequence[Node]]) -> Node:
    """Make a matrix of its rows."""
    if sum(map(len, rows)) > MAX_CELLS:
        raise TooLarge(f"a matrix of more than {MAX_CELLS} entries")
    return Node("matrix", tuple(cell for row in rows for cell in row), str(len(rows[0])))


def _rows(tokens: Tokens) -> list[Tokens]:
    inner = tokens[1:-1]
    if tokens[0].text == "array" and inner and inner[0].text == "{":
        close = next((i for i, token in enumerate(inner) if token.text == "}"), 0)
        inner = inner[close + 1 :]
    return [row for row in _cut(inner, r"\\") if row]


def _cut(tokens: Tokens, sign: str) -> list[Tokens]:
    parts, depth, start = [], 0, 0
    for place, token in enumerate(tokens):
        depth += _depth(token)
        if depth == 0 and token.text == sign:
            parts.append(tokens[start:place])
            start = place + 1
    return [*parts, tokens[start:]]


def rows_of(matrix: Node) -> list[tuple[Node, ...]]:
    """Give the rows of a matrix."""
    width = int(str(matrix.value))
    return [matrix.args[at : at + width] for at in range(0, len(matrix.args), width)]


def _scaled(by: Node, node: Node) -> Node:
    if node.op != "matrix":
        return Node("mul", (by, node))
    return Node("matrix", tuple(Node("mul", (by, cell)) for cell in node.args), node.value)


def _plus(left: Node, right: Node) -> Node:
    if left.op != "matrix" and right.op != "matrix":
        return Node("add", (left, right))
    if left.op != right.op or left.value != right.value or len(left.args) != len(right.args):
        raise Unreadable("a sum of matrices of other shapes")
    pairs = zip(left.args, right.args, strict=True)
    return Node("matrix", tuple(Node("add", pair) for pair in pairs), left.value)


def _times(left: Node, right: Node) -> Node:
    if left.op != "matrix" or right.op != "matrix":
        matrix, by = (left, right) if left.op == "matrix" else (right, left)
        return _scaled(by, matrix)
    ours, theirs = rows_of(left), list(zip(*rows_of(right), strict=True))
    if len(ours[0]) != len(theirs[0]):
        raise Unreadable("a product of matrices that do not fit")

    def cell(row: Sequence[Node], column: Sequence[Node]) -> Node:
        terms = tuple(Node("mul", pair) for pair in zip(row, column, strict=True))
        return terms[0] if len(terms) == 1 else Node("add", terms)

    return made([[cell(row, column) for column in theirs] for row in ours])


def _transposed(matrix: Node) -> Node:
    if matrix.op != "matrix":
        raise Unreadable("a transpose of no matrix")
    return made(list(zip(*rows_of(matrix), strict=True)))


def determinant(matrix: Node) -> Node:
    """Write a determinant out along its first row."""
    if matrix.op != "matrix" or len(matrix.args) != int(str(matrix.value)) ** 2:
        raise Unreadable("a determinant of no square matrix")
    rows = rows_of(matrix)
    if len(rows) > MAX_DETERMINANT:
        raise TooLarge(f"a determinant of more than {MAX_DETERMINANT} rows")
    if len(rows) == 1:
        return rows[0][0]
    terms = []
    for place, cell in enumerate(rows[0]):
        minor = made([[*row[:place], *row[place + 1 :]] for row in rows[1:]])
        term = Node("mul", (cell, determinant(minor)))
        terms.append(Node("neg", (term,)) if place % 2 else term)
    return Node("add", tuple(terms))


def _system(tokens: Tokens, item: Item) -> Node:
    """Read the rows of a brace: equations that hold together, or values with their conditions."""
    if tokens[0].text not in _SYSTEMS or tokens[-1].kind != "end":
        raise Unreadable(f"the environment {tokens[0].text[:20]}")
    rows = [_cells(row) for row in _rows(tokens)]
    if not rows or len({len(row) for row in rows}) != 1:
        raise Unreadable("cases whose rows differ in length")
    if len(rows[0]) == 1:
        members = tuple(item(row[0]) for row in rows)
        return members[0] if len(members) == 1 else Node("list", members, "and")
    if len(rows[0]) != 2:
        raise Unreadable("cases with more than a condition")
    if any(token.text == "=" for token in rows[0][0]):  # aligned at the equals sign
        raise Unreadable("cases of equations")
    return Node("set", tuple(Node("tuple", (item(v), _condition(c, item))) for v, c in rows))


def _cells(row: Tokens) -> list[Tokens]:
    r"""Cut a row at its ``&``, or between a value and its condition: ``x^2, x > 0`` and ``x^2 if x > 0``."""
    cells = [cell for cell in _cut(row, "&") if cell]
    if len(cells) == 2 and cells[1][0].text in ("=", "<", ">", r"\le", r"\ge"):
        cells = [_row_without(row, "&")]
    if len(cells) == 1:
        place = next((i for i, t in enumerate(cells[0]) if t.kind == "word" and _spoken(t)), None)
        if place:
            cells = [cells[0][:place], cells[0][place:]]
        elif len(parts := [part for part in _cut(cells[0], ",") if part]) == 2:
            cells = parts
    return [_without_comma(cell) for cell in cells]


def _row_without(row: Tokens, sign: str) -> Tokens:
    return [token for token in row if token.text != sign]


def _without_comma(tokens: Tokens) -> Tokens:
    return tokens[:-1] if len(tokens) > 1 and tokens[-1].text in (",", ";", ".") else tokens


def _spoken(token: Token) -> bool:
    return token.text.lower().strip(" ,") in _IF | _ELSE


def _condition(tokens: Tokens, item: Item) -> Node:
    if tokens[0].kind == "word" and _is_if(tokens[0]) and len(tokens) > 1:
        tokens = tokens[1:]
    if len(tokens) == 1 and tokens[0].kind == "word" and tokens[0].text.lower() in _ELSE:
        return Node("text", (), "otherwise")
    try:
        return item(tokens)
    except Unreadable:
        return Node("text", (), " ".join(joined(tokens).lower().split()))


def _is_if(token: Token) -> bool:
    return token.text.lower().strip(" ,") in _IF
